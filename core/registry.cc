#include "core/registry.h"

#include "leftfold/core/v1/claims.pb.h"
#include "leftfold/core/v1/options.pb.h"
#include "leftfold/core/v1/reactions.pb.h"
#include "leftfold/core/v1/receipt.pb.h"

namespace leftfold {

namespace pb = google::protobuf;

Registry::Registry() {
  AddEvent<core::v1::ClaimTaken>();
  AddEvent<core::v1::ClaimReleased>();
  AddEvent<core::v1::DeliveredAfterParking>();
  AddEvent<core::v1::DeliveryParked>();
  AddEvent<core::v1::RetryRequested>();
  AddEvent<core::v1::SkipRequested>();
}

void Registry::AddUpcaster(const std::string& type, Upcaster upcaster) {
  if (!upcasters_.try_emplace(type, std::move(upcaster)).second) {
    Die(fmt::format("two aggregates upcast {}; which one should its readers get?", type));
  }
}

void Registry::AddBatchOf(const pb::Descriptor& request) {
  using Field = pb::FieldDescriptor;
  const pb::MethodDescriptor* method = internal::MethodTaking(request);
  const Field* commands = request.FindFieldByNumber(1);
  const Field* command_id = request.FindFieldByName("command_id");
  const Field* outcomes = method == nullptr ? nullptr : method->output_type()->FindFieldByNumber(1);
  const auto entry = std::find_if(commands_.begin(), commands_.end(), [&](const auto& command) {
    return commands != nullptr && command.request == commands->message_type();
  });
  if (outcomes == nullptr || !outcomes->is_repeated() ||
      outcomes->message_type() != core::v1::CommandOutcome::descriptor() ||
      entry == commands_.end() || !commands->is_repeated() || command_id == nullptr ||
      command_id->cpp_type() != Field::CPPTYPE_STRING || command_id->is_repeated()) {
    Die(
        fmt::format("{} is no batch: it needs an RPC that answers repeated CommandOutcome as field "
                    "1, repeated requests of a command as field 1, and a string command_id",
                    request.full_name()));
  }
  batches_.push_back({&request, &*entry});
}

const AggregateEntry* Registry::FindAggregate(std::string_view category) const {
  for (const AggregateEntry& aggregate : aggregates_) {
    if (aggregate.category == category) return &aggregate;
  }
  return nullptr;
}

const CommandEntry* Registry::FindCommand(std::string_view request) const {
  for (const CommandEntry& command : commands_) {
    if (command.request->full_name() == request) return &command;
  }
  return nullptr;
}

const ViewEntry* Registry::FindView(std::string_view name) const {
  for (const ViewEntry& view : views_) {
    if (view.name == name) return &view;
  }
  return nullptr;
}

namespace internal {

const pb::MethodDescriptor* MethodTaking(const pb::Descriptor& request) {
  for (int s = 0; s < request.file()->service_count(); ++s) {
    const pb::ServiceDescriptor* service = request.file()->service(s);
    for (int m = 0; m < service->method_count(); ++m) {
      if (service->method(m)->input_type() == &request) return service->method(m);
    }
  }
  return nullptr;
}

bool IsSystem(const pb::Descriptor& request) {
  const pb::MethodDescriptor* method = MethodTaking(request);
  return method != nullptr && method->options().GetExtension(core::v1::system);
}

bool IsFault(const absl::Status& refusal) {
  return absl::IsInvalidArgument(refusal) || absl::IsUnimplemented(refusal) ||
         absl::IsPermissionDenied(refusal);
}

absl::Status UnknownType(const RecordedEvent& event) {
  return Reject(
      core::v1::ERROR_REASON_DATA_LOSS,
      fmt::format(
          "{} has an event of the unknown type {} at position {}; a newer version wrote it?",
          event.stream, event.type, event.position.value),
      {{"position", fmt::to_string(event.position.value)}, {"type", event.type}});
}

}  // namespace internal
}  // namespace leftfold
