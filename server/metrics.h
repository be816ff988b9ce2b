#ifndef SERVER_METRICS_H_
#define SERVER_METRICS_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "event_store/event_store.h"
#include "event_store/feed.h"
#include "leftfold/store/v1/consumers.pb.h"
#include "projector/projector.h"
#include "reactor/reactors.h"
#include "read_api/watch_hub.h"
#include "rpc/services.h"
#include "server/roles.h"
#include "server/thread_pool.h"
#include "server/view_health.h"
#include "write_api/command_handler.h"
#include "write_api/session.h"

namespace leftfold {

// In the data folder: when `leftfold verify` last came to its end, in seconds since 1970, and 1
// where it found a fault: "1795262551 0\n".
inline constexpr std::string_view kVerifiedFile = "verified";

// Connections that are read from at once, and how long one may let its request be waited for: who
// says nothing holds up those behind it for as long, and only where so many say nothing.
inline constexpr int kMetricsThreads = 8;
inline constexpr absl::Duration kMetricsRequestTimeout = absl::Seconds(10);

// What is looked at when somebody asks: nullptr what the process's roles do not have.
struct MetricSources {
  std::string data;  // The data folder.
  Roles roles;
  EventStore* store = nullptr;  // Of the role write.
  const CommandHandler* commands = nullptr;
  const Sessions* append_sessions = nullptr;
  const Sessions* command_sessions = nullptr;
  const Feeds* feeds = nullptr;
  std::function<std::vector<ViewStatus>()> list_views;  // Of the roles project and read.
  bool follows_log = false;  // Of the role project: what the views lag behind is known.
  std::function<std::vector<ReactorStatus>()> list_reactors;
  std::function<std::vector<store::v1::GroupStatus>()> list_groups;
  const read_api::WatchHub* watches = nullptr;
  const ViewHealth* health = nullptr;
  std::vector<const rpc::Services*> services;
  std::vector<const ThreadPool*> pools;
};

// Serves what engines count to Prometheus: HTTP, GET /metrics, on kMetricsThreads threads of its
// own. Numbers are collected when they are asked for; docs/guide/operate.md says what each means.
class MetricsServer {
 public:
  // All sources must outlive it. Errors are those of rpc::ParseListen and rpc::CannotListen.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(const std::string& listen,
                                                              const MetricSources& sources);
  // Requests that run are answered first.
  ~MetricsServer();

  // "127.0.0.1:50054": what is really listened on.
  const std::string& address() const { return address_; }

 private:
  class Implementation;
  MetricsServer(std::unique_ptr<Implementation> implementation, std::string address);
  std::unique_ptr<Implementation> implementation_;
  std::string address_;
};

}  // namespace leftfold
#endif  // SERVER_METRICS_H_
