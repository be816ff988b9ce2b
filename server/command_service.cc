#include "server/command_service.h"

#include <memory>
#include <utility>

#include "server/caller.h"

namespace leftfold {
namespace {

void Serve(CommandHandler& handler, const CommandEntry& entry, const std::string& bearer,
           rpc::UnaryCall call) {
  absl::StatusOr<Caller> caller = CallerOf(call.facts().Headers(), bearer);
  if (!caller.ok()) return call.Finish(caller.status());
  caller->actor = call.facts().Actor();
  auto command = call.TakeRequest();
  const auto* method = internal::MethodTaking(*entry.request);
  const auto* prototype =
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(method->output_type());
  auto shared = std::make_shared<rpc::UnaryCall>(std::move(call));
  handler.Handle(
      entry, std::move(command), *std::move(caller),
      [shared, prototype](absl::StatusOr<core::v1::CommandReceipt> receipt) {
        if (!receipt.ok()) return shared->Finish(receipt.status());
        rpc::MessagePtr response(prototype->New());
        const auto* field = response->GetDescriptor()->field(0);
        response->GetReflection()->MutableMessage(response.get(), field)->CopyFrom(*receipt);
        shared->Finish(*response);
      });
}

}  // namespace

absl::Status ServeCommands(const Registry& registry, CommandHandler& handler,
                           const std::string& token, rpc::Services& services) {
  for (const CommandEntry& entry : registry.commands()) {
    LEFTFOLD_RETURN_IF_ERROR(services.HandleUnary(
        *entry.request, [&handler, &entry, bearer = "Bearer " + token](rpc::UnaryCall call) {
          Serve(handler, entry, bearer, std::move(call));
        }));
  }
  return absl::OkStatus();
}

}  // namespace leftfold
