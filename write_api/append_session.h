#ifndef WRITE_API_APPEND_SESSION_H_
#define WRITE_API_APPEND_SESSION_H_

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "google/rpc/status.pb.h"
#include "write_api/raw_append.h"
#include "write_api/session.h"

namespace leftfold {

// How the error of one request of a session is put into its answer.
using ToStatusMessage = std::function<google::rpc::Status(const absl::Status&)>;

// Sessions of raw appends: AppendSessionRequest, SessionResult, AppendSessionResponse.
class AppendSessionKind final : public SessionKind {
 public:
  AppendSessionKind(RawAppender& appender, ToStatusMessage to_status)
      : appender_(appender), to_status_(std::move(to_status)) {}
  std::vector<std::size_t> Sizes(const Message& message) const override;
  void Start(const Message& message, int index, const Caller& caller, Done done) override;
  std::unique_ptr<Message> Pack(std::vector<std::unique_ptr<Message>> answers) const override;
  absl::Status TooMany() const override;

 private:
  RawAppender& appender_;
  const ToStatusMessage to_status_;
};

}  // namespace leftfold
#endif  // WRITE_API_APPEND_SESSION_H_
