#ifndef WRITE_API_APPEND_SESSION_H_
#define WRITE_API_APPEND_SESSION_H_

#include <functional>
#include <memory>
#include <utility>

#include "google/rpc/status.pb.h"
#include "write_api/raw_append.h"
#include "write_api/session.h"

namespace leftfold {

// Chains (EngineFields.chain) that broke, which a session remembers. A client keeps the ids of its
// unanswered appends closer together than that, so that it knows of a break before it is forgotten.
inline constexpr std::size_t kSessionBrokenChainsMax = 65'536;

// How the error of one request of a session is put into its answer.
using ToStatusMessage = std::function<google::rpc::Status(const absl::Status&)>;

// Sessions of raw appends: AppendSessionRequest, SessionResult, AppendSessionResponse.
class AppendSessionKind final : public SessionKind {
 public:
  // `appender` must outlive its sessions.
  AppendSessionKind(RawAppender& appender, ToStatusMessage to_status)
      : appender_(appender), to_status_(std::move(to_status)) {}
  std::shared_ptr<SessionRequests> Begin(Caller caller) override;
  absl::Status TooMany() const override;

 private:
  RawAppender& appender_;
  const ToStatusMessage to_status_;
};

}  // namespace leftfold
#endif  // WRITE_API_APPEND_SESSION_H_
