#include "core/registry.h"

#include "leftfold/core/v1/options.pb.h"

namespace leftfold {

const ViewEntry* Registry::FindView(std::string_view name) const {
  for (const ViewEntry& view : views_) {
    if (view.name == name) return &view;
  }
  return nullptr;
}

namespace internal {

const google::protobuf::MethodDescriptor* MethodTaking(
    const google::protobuf::Descriptor& request) {
  for (int s = 0; s < request.file()->service_count(); ++s) {
    const google::protobuf::ServiceDescriptor* service = request.file()->service(s);
    for (int m = 0; m < service->method_count(); ++m) {
      if (service->method(m)->input_type() == &request) return service->method(m);
    }
  }
  return nullptr;
}

bool IsSystem(const google::protobuf::Descriptor& request) {
  const google::protobuf::MethodDescriptor* method = MethodTaking(request);
  return method != nullptr && method->options().GetExtension(core::v1::system);
}

absl::Status Undecodable(const RecordedEvent& event) {
  return Reject(core::v1::ERROR_REASON_DATA_LOSS,
                fmt::format("the event at position {} does not decode as {}; run `leftfold verify`",
                            event.position.value, event.type),
                {{"position", fmt::to_string(event.position.value)}, {"type", event.type}});
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
