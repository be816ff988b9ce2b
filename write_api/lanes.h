#ifndef WRITE_API_LANES_H_
#define WRITE_API_LANES_H_

#include <absl/container/flat_hash_map.h>
#include <absl/container/inlined_vector.h>
#include <absl/status/statusor.h>
#include <google/protobuf/message.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/cache_line.h"
#include "core/mutex.h"
#include "core/registry.h"
#include "event_store/event_store.h"
#include "leftfold/core/v1/receipt.pb.h"

namespace leftfold {

// Aggregates whose state is kept in memory; the least recently used idle ones go first.
inline constexpr std::size_t kCachedAggregatesMax = 65'536;

// Who sends a command, and what goes into the metadata of its events.
struct Caller {
  std::string actor = "anonymous";
  std::string correlation_id;
  std::string causation_id;
  std::string traceparent;
  std::vector<std::pair<std::string, std::string>> headers;
  // Has shown the token: may send system commands and ids that begin with "lf:".
  bool trusted = false;
  bool derives_ids = false;  // An engine: may send ids that begin with "lf:".
};

// A command on its way, until it is answered.
struct Job {
  const CommandEntry* entry = nullptr;
  std::unique_ptr<const google::protobuf::Message> command;
  CommandContext context;
  std::optional<Version> expected;
  // Of the request without its command id; set when the client gave one.
  std::optional<Digest> request_hash;
  std::string created_id;  // That its append, if it is on its way, makes.
  Caller caller;
  int attempts = 0;
  std::int64_t order = 0;  // Among the commands of its lane, by their calls.
  bool in_flight = false;  // Its command id is registered so.
  std::function<void(absl::StatusOr<core::v1::CommandReceipt>)> done;
};
using JobPtr = std::unique_ptr<Job>;

// A job with its answer, to give once no lock is held.
struct Reply {
  JobPtr job;
  absl::StatusOr<Receipt> answer;
};
using Replies = absl::InlinedVector<Reply, 1>;

// One aggregate: its state after all that was decided, durable or not, and the commands that wait
// for something.
struct Lane {
  // An append on its way to the disk, and the answers that were decided on its tentative state.
  struct Pending {
    JobPtr job;
    std::vector<Reply> held;
  };

  explicit Lane(std::string name) : stream(std::move(name)) {}

  const std::string stream;
  Mutex mu;
  ErasedState state ABSL_GUARDED_BY(mu){nullptr, [](void*) {}};  // nullptr: to be loaded.
  Version version ABSL_GUARDED_BY(mu) = kNoEventYet;
  // Of the snapshot that the state was loaded from, or that was asked for since.
  Version snapshot ABSL_GUARDED_BY(mu) = kNoEventYet;
  bool loading ABSL_GUARDED_BY(mu) = false;
  // Of the appends that were decided on this state (AppendRequest::broken).
  std::shared_ptr<std::atomic<bool>> broken ABSL_GUARDED_BY(mu);
  std::int64_t next_order ABSL_GUARDED_BY(mu) = 0;
  std::size_t unanswered ABSL_GUARDED_BY(mu) = 0;  // Commands.
  std::deque<JobPtr> queue ABSL_GUARDED_BY(mu);    // Waits for the state, in order.
  std::int64_t next_ticket ABSL_GUARDED_BY(mu) = 0;
  std::map<std::int64_t, Pending> pending
      ABSL_GUARDED_BY(mu);  // By ticket, in the order of their decisions.
};

// Finds the lane of a stream and keeps a bounded number of them. Thread-safe.
class Lanes {
 public:
  std::shared_ptr<Lane> Get(const std::string& stream);

 private:
  static constexpr std::size_t kShards = 64;
  struct alignas(kCacheLine) Shard {
    using Used = std::list<std::shared_ptr<Lane>>;
    Mutex mu;
    Used used ABSL_GUARDED_BY(mu);  // Most recently used first.
    absl::flat_hash_map<std::string_view, Used::iterator> by_stream ABSL_GUARDED_BY(mu);
  };
  std::array<Shard, kShards> shards_;
};

}  // namespace leftfold
#endif  // WRITE_API_LANES_H_
