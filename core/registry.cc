#include "core/registry.h"

#include "leftfold/core/v1/claims.pb.h"
#include "leftfold/core/v1/options.pb.h"
#include "leftfold/core/v1/reactions.pb.h"
#include "leftfold/core/v1/receipt.pb.h"

namespace leftfold {
namespace {

namespace pb = google::protobuf;

// A field that the type does not have.
struct UnknownField {
  const pb::Descriptor* message;
  int number;
};

// The first one, at any depth; protobuf's own limit at parsing bounds the recursion.
std::optional<UnknownField> FindUnknownField(const pb::Message& message) {
  const pb::Reflection& reflection = *message.GetReflection();
  const pb::UnknownFieldSet& unknown = reflection.GetUnknownFields(message);
  if (!unknown.empty()) return UnknownField{message.GetDescriptor(), unknown.field(0).number()};
  std::vector<const pb::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const pb::FieldDescriptor* field : fields) {
    if (field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    const int size = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < size; ++i) {
      const pb::Message& inner = field->is_repeated()
                                     ? reflection.GetRepeatedMessage(message, field, i)
                                     : reflection.GetMessage(message, field);
      if (const auto found = FindUnknownField(inner)) return found;
    }
  }
  return std::nullopt;
}

}  // namespace

Registry::Registry() {
  AddEvent<core::v1::ClaimTaken>();
  AddEvent<core::v1::ClaimReleased>();
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

absl::Status Registry::CheckPayload(std::string_view type, Encoding encoding,
                                    std::string_view payload) const {
  const auto it = events_.find(type);
  if (it == events_.end()) return absl::OkStatus();
  const auto refuse = [&](std::string_view why, Metadata metadata) {
    metadata.emplace_back("type", it->first);
    return Reject(core::v1::ERROR_REASON_PAYLOAD_DOES_NOT_DECODE,
                  fmt::format("the payload is no {}: {}", type, why), metadata);
  };
  if (encoding != Encoding::kProtobuf) {
    return refuse("it is JSON; send the message's bytes, or take a type that no domain has", {});
  }
  const std::unique_ptr<pb::Message> message(it->second->New());
  if (!message->ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return refuse("its bytes do not decode (strings must be UTF-8)", {});
  }
  if (const auto unknown = FindUnknownField(*message)) {
    const std::string& name = unknown->message->full_name();
    return refuse(fmt::format("{} has no field {}", name, unknown->number),
                  {{"message", name}, {"field_number", fmt::to_string(unknown->number)}});
  }
  return absl::OkStatus();
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
