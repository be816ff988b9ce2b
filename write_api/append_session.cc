#include "write_api/append_session.h"

#include "core/reject.h"
#include "leftfold/store/v1/errors.pb.h"
#include "leftfold/store/v1/event_store.pb.h"

namespace leftfold {

namespace v1 = store::v1;

std::vector<std::size_t> AppendSessionKind::Sizes(const Message& message) const {
  std::vector<std::size_t> sizes;
  for (const auto& append : static_cast<const v1::AppendSessionRequest&>(message).appends())
    sizes.push_back(append.ByteSizeLong());
  return sizes;
}

void AppendSessionKind::Start(const Message& message, int index, const Caller& caller, Done done) {
  const auto& append = static_cast<const v1::AppendSessionRequest&>(message).appends(index);
  appender_.Append(append.append(), caller,
                   [this, id = append.id(),
                    done = std::move(done)](const absl::StatusOr<v1::AppendReceipt>& receipt) {
                     auto result = std::make_unique<v1::SessionResult>();
                     result->set_id(id);
                     if (receipt.ok()) {
                       *result->mutable_receipt() = *receipt;
                     } else {
                       *result->mutable_error() = to_status_(receipt.status());
                     }
                     done(std::move(result));
                   });
}

std::unique_ptr<SessionKind::Message> AppendSessionKind::Pack(
    std::vector<std::unique_ptr<Message>> answers) const {
  auto response = std::make_unique<v1::AppendSessionResponse>();
  for (const auto& answer : answers)
    response->add_results()->Swap(static_cast<v1::SessionResult*>(answer.get()));
  return response;
}

absl::Status AppendSessionKind::TooMany() const {
  return Reject(v1::ERROR_REASON_TOO_MANY_SESSIONS,
                fmt::format("{} append sessions are open already; retry later", kSessionsMax),
                {{"maximum", fmt::to_string(kSessionsMax)}});
}

}  // namespace leftfold
