#include "tools/payload_check.h"

#include "core/status.h"
#include "event_store/log_checker.h"

namespace leftfold::tools {

namespace pb = google::protobuf;

absl::Status PayloadCheck::Check(const RecordedEvent& event) {
  if (event.encoding != Encoding::kProtobuf) return absl::OkStatus();
  auto [it, added] = messages_.try_emplace(event.type);
  if (added) {
    const pb::Descriptor* type =
        pb::DescriptorPool::generated_pool()->FindMessageTypeByName(event.type);
    if (type != nullptr)
      it->second.reset(pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
  }
  if (it->second == nullptr) {
    ++unknown_[event.type];
    return absl::OkStatus();
  }
  if (it->second->ParseFromString(event.payload)) return absl::OkStatus();
  return FaultAt(event.position, fmt::format("its payload is no {}", event.type));
}

}  // namespace leftfold::tools
