#include "server/remote_commands.h"

#include <fmt/format.h>

#include <utility>

#include "core/reject.h"
#include "core/status.h"
#include "core/traceparent.h"
#include "google/rpc/status.pb.h"
#include "server/caller.h"

namespace leftfold {
namespace {

namespace pb = google::protobuf;

grpc::ByteBuffer Serialised(const pb::Message& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return {&slice, 1};
}

// As the other process has made it.
absl::Status StatusOf(const grpc::Status& answer) {
  absl::Status status(static_cast<absl::StatusCode>(answer.error_code()), answer.error_message());
  google::rpc::Status details;
  details.ParseFromString(answer.error_details());
  for (const pb::Any& detail : details.details()) {
    status.SetPayload(detail.type_url(), absl::Cord(detail.value()));
  }
  return status;
}

// Raw appends may have brought ids that are no headers: they are left out.
bool MayBeHeader(const std::string& value) {
  return !value.empty() && value.size() <= kCorrelationIdBytesMax && IsPrintable(value);
}

// Nobody has decided it, or nobody knows: no server, one that is stopping, or one that is gone.
bool IsUnanswered(const absl::Status& status) {
  const std::string reason = ReasonOf(status);
  return reason == "STOPPING" ||
         (reason.empty() && (absl::IsUnavailable(status) || absl::IsCancelled(status)));
}

// It took this process for any client: nothing was decided.
bool IsOfAnotherToken(const absl::Status& status) {
  const std::string reason = ReasonOf(status);
  return reason == "TOKEN_REQUIRED" || reason == "COMMAND_ID_RESERVED";
}

}  // namespace

struct RemoteCommands::Call {
  const pb::MethodDescriptor* method;
  Caller caller;
  Done done;
  grpc::ByteBuffer request;
  grpc::ByteBuffer response = {};
  std::unique_ptr<grpc::ClientContext> context = nullptr;  // Of the newest attempt.
};

RemoteCommands::RemoteCommands(std::shared_ptr<grpc::Channel> channel, const std::string& token,
                               Executor& executor)
    : stub_(std::move(channel)), bearer_("Bearer " + token), executor_(executor) {}

RemoteCommands::~RemoteCommands() { Stop(); }

void RemoteCommands::Handle(const CommandEntry& entry, std::unique_ptr<pb::Message> command,
                            Caller caller, Done done) {
  const pb::MethodDescriptor* method = internal::MethodTaking(*entry.request);
  if (entry.system && !caller.trusted) {
    return done(Reject(core::v1::ERROR_REASON_TOKEN_REQUIRED,
                       fmt::format("{} is for reactors and operators", method->name()),
                       {{"rpc", method->full_name()}}));
  }
  Send(std::make_shared<Call>(Call{.method = method,
                                   .caller = std::move(caller),
                                   .done = std::move(done),
                                   .request = Serialised(*command)}));
}

void RemoteCommands::Send(const std::shared_ptr<Call>& call) {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_wait_for_ready(true);
  context->AddMetadata("authorization", bearer_);
  for (const auto& [name, value] : {std::pair{kReactorHeader, &call->caller.actor},
                                    std::pair{kCorrelationHeader, &call->caller.correlation_id},
                                    std::pair{kCausationHeader, &call->caller.causation_id},
                                    std::pair{kTraceHeader, &call->caller.traceparent}}) {
    if (MayBeHeader(*value)) context->AddMetadata(std::string(name), *value);
  }
  {
    const std::lock_guard lock(mu_);
    if (stopped_) return;
    call->context = std::move(context);
    in_flight_.insert(call);
  }
  stub_.UnaryCall(call->context.get(),
                  fmt::format("/{}/{}", call->method->service()->full_name(), call->method->name()),
                  {}, &call->request, &call->response,
                  [this, call](const grpc::Status& status) { Take(call, status); });
}

void RemoteCommands::Take(const std::shared_ptr<Call>& call, const grpc::Status& status) {
  absl::StatusOr<core::v1::CommandReceipt> answer = core::v1::CommandReceipt();
  if (status.ok()) {
    const std::unique_ptr<pb::Message> response(
        pb::MessageFactory::generated_factory()->GetPrototype(call->method->output_type())->New());
    grpc::Slice slice;
    if (call->response.TrySingleSlice(&slice).ok() || call->response.DumpToSingleSlice(&slice).ok())
      response->ParseFromArray(slice.begin(), static_cast<int>(slice.size()));
    const pb::Message& receipt =
        response->GetReflection()->GetMessage(*response, response->GetDescriptor()->field(0));
    answer = static_cast<const core::v1::CommandReceipt&>(receipt);
  } else {
    answer = StatusOf(status);
  }
  const bool again = IsUnanswered(answer.status());
  if (IsOfAnotherToken(answer.status())) {
    answer = absl::UnavailableError(
        "the process that writes does not know this one: is the file `token` in its data the "
        "same?");
  }
  std::unique_lock lock(mu_);
  if (!again && !stopped_) {
    lock.unlock();
    call->done(std::move(answer));
    lock.lock();
  }
  // Here, for it holds the channel, and who lets go of a channel last must be none of its threads.
  call->context.reset();
  in_flight_.erase(call);  // Before it is sent again, under the same lock.
  if (again && !stopped_) executor_.PostAfter(kResendAfter, [this, call] { Send(call); });
  ended_.notify_all();
}

void RemoteCommands::Stop() {
  std::unique_lock lock(mu_);
  stopped_ = true;
  for (const auto& call : in_flight_) call->context->TryCancel();
  ended_.wait(lock, [this] { return in_flight_.empty(); });
}

}  // namespace leftfold
