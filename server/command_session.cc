#include "server/command_session.h"

#include <utility>
#include <vector>

#include "core/reject.h"
#include "leftfold/commands/v1/command_session.pb.h"
#include "leftfold/commands/v1/errors.pb.h"
#include "rpc/status.h"
#include "server/caller.h"
#include "server/stream_session.h"

namespace leftfold {
namespace {

std::string_view TypeOf(const google::protobuf::Any& any) {
  const std::string_view url = any.type_url();
  return url.substr(url.rfind('/') + 1);
}

absl::Status UnknownCommand(std::string_view type) {
  return Reject(commands::v1::ERROR_REASON_UNKNOWN_COMMAND,
                fmt::format("{} is no command of this server; send the request of a command's RPC",
                            type.empty() ? "an empty message" : type),
                {{"type", std::string(type)}});
}

}  // namespace

CommandSessionKind::CommandSessionKind(const Registry& registry, CommandHandler& handler)
    : handler_(handler) {
  for (const CommandEntry& entry : registry.commands()) {
    commands_.emplace(entry.request->full_name(),
                      new Command{&entry, rpc::RequestParser(*entry.request)});
  }
}

// The commands of one session.
class CommandSessionKind::Requests final : public SessionRequests {
 public:
  Requests(const CommandSessionKind& kind, Caller caller)
      : kind_(kind), caller_(std::move(caller)) {}

  std::vector<std::size_t> Sizes(const Message& message) const override {
    std::vector<std::size_t> sizes;
    for (const auto& command :
         static_cast<const commands::v1::CommandSessionRequest&>(message).commands())
      sizes.push_back(command.ByteSizeLong());
    return sizes;
  }

  void Start(const Message& message, int index, Done done) override {
    const auto& command =
        static_cast<const commands::v1::CommandSessionRequest&>(message).commands(index);
    const auto answer = [id = command.id(), trace = caller_.traceparent, done = std::move(done)](
                            const absl::StatusOr<core::v1::CommandReceipt>& receipt) {
      auto result = std::make_unique<commands::v1::CommandResult>();
      result->set_id(id);
      if (receipt.ok()) {
        *result->mutable_receipt() = *receipt;
      } else {
        rpc::LogFailure("CommandSession", trace, receipt.status());
        *result->mutable_error() = rpc::ToRpcStatus(receipt.status());
      }
      done(std::move(result));
    };
    const std::string_view type = TypeOf(command.command());
    const auto known = kind_.commands_.find(ToAbsl(type));
    if (known == kind_.commands_.end()) return answer(UnknownCommand(type));
    auto request = known->second->parser.Parse(command.command().value());
    if (!request.ok()) return answer(request.status());
    kind_.handler_.Handle(*known->second->entry, *std::move(request), caller_, answer);
  }

  std::unique_ptr<Message> Pack(std::vector<std::unique_ptr<Message>> answers) const override {
    auto response = std::make_unique<commands::v1::CommandSessionResponse>();
    for (const auto& answer : answers)
      response->add_results()->Swap(static_cast<commands::v1::CommandResult*>(answer.get()));
    return response;
  }

 private:
  const CommandSessionKind& kind_;
  const Caller caller_;
};

std::shared_ptr<SessionRequests> CommandSessionKind::Begin(Caller caller) {
  return std::make_shared<Requests>(*this, std::move(caller));
}

absl::Status CommandSessionKind::TooMany() const {
  return Reject(commands::v1::ERROR_REASON_TOO_MANY_SESSIONS,
                fmt::format("{} command sessions are open already; retry later", kSessionsMax),
                {{"maximum", fmt::to_string(kSessionsMax)}});
}

absl::Status ServeSessions(const google::protobuf::Descriptor& request, Sessions& sessions,
                           const std::string& token, rpc::Services& services) {
  return services.HandleSession(request, [&sessions,
                                          bearer = "Bearer " + token](rpc::SessionStream& stream) {
    absl::StatusOr<Caller> caller = CallerOf(stream.facts().Headers(), bearer);
    if (!caller.ok()) return stream.Finish(caller.status());
    caller->actor = stream.facts().Actor();
    auto session = sessions.Open(*std::move(caller), std::make_shared<StreamSessionSink>(stream));
    if (!session.ok()) return stream.Finish(session.status());
    StartOn(stream, *session);
  });
}

}  // namespace leftfold
