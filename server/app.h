#ifndef SERVER_APP_H_
#define SERVER_APP_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <memory>
#include <string>
#include <string_view>

#include "core/log.h"
#include "core/registry.h"
#include "server/http_services.h"
#include "server/roles.h"
#include "server/smtp_client.h"

namespace leftfold {

inline constexpr absl::Duration kDrainLimit = absl::Seconds(10);
// A log that cannot be opened is tried again after this; how long a try waits for its server, and
// what is read from it for the answer.
inline constexpr absl::Duration kLogRetryInterval = absl::Seconds(1);
inline constexpr absl::Duration kLogConnectWait = absl::Seconds(1);
inline constexpr absl::Duration kLogCallWait = absl::Seconds(5);

struct ServeOptions {
  std::string data = "./data";
  Roles roles = {};
  // Of the role project without the role write: the write address of the process that has the log,
  // in the data folder of which it is read when this is empty.
  std::string log = {};
  std::string write_listen = "127.0.0.1:50051";
  std::string read_listen = "127.0.0.1:50052";
  std::string admin_listen = {};    // Empty: as the roles say.
  std::string metrics_listen = {};  // HTTP; empty: no metrics.
  std::string inbound_listen = {};  // HTTP, of the role write; empty: services tell nothing.
  // How long Stop waits for calls in flight before it cancels them.
  absl::Duration drain_limit = kDrainLimit;
  LogFormat log_format = LogFormat::kText;  // Of Serve.
  HttpServices services = {};               // That reactors call.
  SmtpOptions smtp = {};                    // Where their mail goes; else files in DATA/mail.
  std::string kill_at = {};                 // Of Serve, for tests: core/kill_points.h.
};

// The engines of some roles, or of all, in one process, with the threads that step them. Either
// side can be stopped alone; the other goes on. Start refuses a role of the data folder that
// another process holds, and addresses beyond loopback. A log of another process need not be there:
// the role project waits for it, and the role read serves the files that there are. Methods are
// called from one thread.
class App {
 public:
  // `registry` must outlive the app.
  static absl::StatusOr<std::unique_ptr<App>> Start(const Registry& registry,
                                                    const ServeOptions& options);
  ~App();

  // "127.0.0.1:50051": what is really listened on. Empty without the role.
  std::string write_address() const;
  std::string read_address() const;
  std::string admin_address() const;
  std::string metrics_address() const;  // Empty: none.
  std::string inbound_address() const;  // Empty: none.

  // Health says NOT_SERVING at once; calls in flight are answered, new ones and streams get
  // UNAVAILABLE; what has not ended at the drain limit is cancelled. Idempotent; the destructor
  // does all of them.
  void StopWriteSide();
  void StopReadSide();
  void Stop();

 private:
  class Implementation;
  explicit App(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

// Starts, prints what is listened on and grpcurl lines to try, and serves until SIGTERM,
// SIGINT or SIGHUP (not under nohup). Returns the exit code.
int Serve(const Registry& registry, const ServeOptions& options);

}  // namespace leftfold
#endif  // SERVER_APP_H_
