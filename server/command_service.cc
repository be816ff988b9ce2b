#include "server/command_service.h"

#include <fmt/format.h>

#include <atomic>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/cache_line.h"
#include "core/reject.h"
#include "leftfold/core/v1/receipt.pb.h"
#include "rpc/status.h"
#include "server/caller.h"

namespace leftfold {
namespace {

namespace pb = google::protobuf;

absl::StatusOr<Caller> SenderOf(const rpc::UnaryCall& call, const std::string& bearer) {
  absl::StatusOr<Caller> caller = CallerOf(call.facts().Headers(), bearer);
  if (caller.ok() && caller->actor == Caller().actor) caller->actor = call.facts().Actor();
  return caller;
}

// An empty answer of the RPC that takes `request`.
const pb::Message* ResponseTo(const pb::Descriptor& request) {
  return pb::MessageFactory::generated_factory()->GetPrototype(
      internal::MethodTaking(request)->output_type());
}

absl::Status CheckResponse(const pb::Descriptor& request) {
  const pb::Descriptor& response = *internal::MethodTaking(request)->output_type();
  const bool fits = response.field_count() > 0 &&
                    response.field(0)->message_type() == core::v1::CommandReceipt::descriptor() &&
                    !response.field(0)->is_repeated();
  if (fits) return absl::OkStatus();
  return Error(absl::StatusCode::kInternal, "the first field of {} must be a {}",
               response.full_name(), core::v1::CommandReceipt::descriptor()->full_name());
}

// Commands that are not answered yet, and where their appends are committed.
struct CommandsInFlight {
  CommandsInFlight(CommandHandler& all, RunByCaller& executor) : handler(all), writer(executor) {}
  CommandHandler& handler;
  RunByCaller& writer;
  alignas(kCacheLine) std::atomic<int> open = 0;
};

void Serve(CommandsInFlight& commands, const CommandEntry& entry, const std::string& bearer,
           rpc::UnaryCall call) {
  absl::StatusOr<Caller> caller = SenderOf(call, bearer);
  if (!caller.ok()) return call.Finish(caller.status());
  auto command = call.TakeRequest();
  const pb::Message* prototype = ResponseTo(*entry.request);
  auto shared = std::make_shared<rpc::UnaryCall>(std::move(call));
  // With others it is committed in a group, and gRPC's threads are for their requests.
  std::optional<RunByCaller::Call> run_here;
  if (commands.open++ == 0) run_here.emplace(commands.writer);
  commands.handler.Handle(
      entry, std::move(command), *std::move(caller),
      [&commands, shared, prototype](absl::StatusOr<core::v1::CommandReceipt> receipt) {
        --commands.open;
        if (!receipt.ok()) return shared->Finish(receipt.status());
        rpc::MessagePtr response(prototype->New());
        const auto* field = response->GetDescriptor()->field(0);
        pb::Message* place = response->GetReflection()->MutableMessage(response.get(), field);
        static_cast<core::v1::CommandReceipt&>(*place) = *std::move(receipt);
        shared->Finish(*response);
      });
}

absl::Status CheckBatch(int commands, const std::string& command_id) {
  if (commands > kBatchCommandsMax) {
    return Reject(
        core::v1::ERROR_REASON_BATCH_TOO_LARGE,
        fmt::format("the batch has {} commands; send at most {} at a time", commands,
                    kBatchCommandsMax),
        {{"maximum", fmt::to_string(kBatchCommandsMax)}, {"actual", fmt::to_string(commands)}});
  }
  Violations violations;
  if (!IsCommandId(command_id) || command_id.size() > kBatchCommandIdBytesMax) {
    violations.Add("command_id",
                   fmt::format("must be at most {} printable ASCII characters without spaces",
                               kBatchCommandIdBytesMax));
  }
  return violations.ToStatus();
}

// What has become of the commands of a batch; answers when that is known of all.
class Outcomes {
 public:
  // Of `size` commands; the answer is of the type of `response`, which is empty.
  Outcomes(rpc::UnaryCall call, rpc::MessagePtr response, int size, std::string trace)
      : call_(std::move(call)),
        response_(std::move(response)),
        trace_(std::move(trace)),
        open_(size) {
    const pb::FieldDescriptor* field = response_->GetDescriptor()->FindFieldByNumber(1);
    for (int i = 0; i < size; ++i) {
      each_.push_back(response_->GetReflection()->AddMessage(response_.get(), field));
    }
  }

  // Thread-safe for different n; once for each, then never again.
  void Set(std::size_t n, const absl::StatusOr<core::v1::CommandReceipt>& receipt) {
    auto& outcome = static_cast<core::v1::CommandOutcome&>(*each_[n]);
    if (receipt.ok()) {
      *outcome.mutable_receipt() = *receipt;
    } else {
      rpc::LogFailure(response_->GetDescriptor()->name(), trace_, receipt.status());
      *outcome.mutable_error() = rpc::ToRpcStatus(receipt.status());
    }
    if (--open_ == 0) call_.Finish(*response_);
  }

 private:
  rpc::UnaryCall call_;
  rpc::MessagePtr response_;
  const std::string trace_;
  std::vector<pb::Message*> each_;  // In `response_`.
  std::atomic<int> open_;
};

void ServeBatch(CommandsInFlight& all, const BatchEntry& entry, const std::string& bearer,
                rpc::UnaryCall call) {
  const absl::StatusOr<Caller> caller = SenderOf(call, bearer);
  if (!caller.ok()) return call.Finish(caller.status());
  const rpc::MessagePtr batch = call.TakeRequest();
  const pb::Reflection& reflection = *batch->GetReflection();
  const pb::FieldDescriptor* commands = entry.request->FindFieldByNumber(1);
  const std::string batch_id =
      reflection.GetString(*batch, entry.request->FindFieldByName("command_id"));
  const int size = reflection.FieldSize(*batch, commands);
  if (const absl::Status status = CheckBatch(size, batch_id); !status.ok()) {
    return call.Finish(status);
  }
  rpc::MessagePtr response(ResponseTo(*entry.request)->New());
  if (size == 0) return call.Finish(*response);
  auto outcomes =
      std::make_shared<Outcomes>(std::move(call), std::move(response), size, caller->traceparent);
  const pb::FieldDescriptor* id = entry.command->request->FindFieldByName("command_id");
  all.open += size;
  for (int i = 0; i < size; ++i) {
    const pb::Message& sent = reflection.GetRepeatedMessage(*batch, commands, i);
    rpc::MessagePtr command(sent.New());
    command->CopyFrom(sent);
    if (!batch_id.empty() && command->GetReflection()->GetString(*command, id).empty()) {
      command->GetReflection()->SetString(command.get(), id, fmt::format("{}/{}", batch_id, i));
    }
    all.handler.Handle(*entry.command, std::move(command), *caller,
                       [&all, outcomes, n = static_cast<std::size_t>(i)](
                           const absl::StatusOr<core::v1::CommandReceipt>& receipt) {
                         --all.open;
                         outcomes->Set(n, receipt);
                       });
  }
}

}  // namespace

absl::Status ServeCommands(const Registry& registry, CommandHandler& handler, RunByCaller& writer,
                           const std::string& token, rpc::Services& services) {
  const auto commands = std::make_shared<CommandsInFlight>(handler, writer);
  for (const CommandEntry& entry : registry.commands()) {
    LEFTFOLD_RETURN_IF_ERROR(CheckResponse(*entry.request));
    LEFTFOLD_RETURN_IF_ERROR(services.HandleUnary(
        *entry.request, [commands, &entry, bearer = "Bearer " + token](rpc::UnaryCall call) {
          Serve(*commands, entry, bearer, std::move(call));
        }));
  }
  for (const BatchEntry& entry : registry.batches()) {
    LEFTFOLD_RETURN_IF_ERROR(services.HandleUnary(
        *entry.request, [commands, &entry, bearer = "Bearer " + token](rpc::UnaryCall call) {
          ServeBatch(*commands, entry, bearer, std::move(call));
        }));
  }
  return absl::OkStatus();
}

}  // namespace leftfold
