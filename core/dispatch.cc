#include "core/dispatch.h"

#include <algorithm>
#include <utility>

#include "core/reject.h"
#include "core/status.h"

namespace leftfold::internal {
namespace {

const Upcaster* UpcasterOf(const TypeIndex& types, const Upcasters& upcasters,
                           std::string_view type) {
  if (upcasters.empty()) return nullptr;
  const auto it = upcasters.find(ToAbsl(type));
  if (it == upcasters.end()) return nullptr;
  const auto& gives = it->second.gives;
  const bool wanted = std::any_of(gives.begin(), gives.end(), [&](const auto* given) {
    return types.Find(given->full_name()).has_value();
  });
  return wanted ? &it->second : nullptr;
}

}  // namespace

TypeIndex::TypeIndex(std::vector<Type> types) : types_(std::move(types)) {
  for (std::size_t place = 0; place < types_.size(); ++place) {
    const std::string& name = types_[place].descriptor->full_name();
    marks_.set(Mark(name));
    places_.emplace(name, place);
  }
}

std::optional<std::size_t> TypeIndex::Find(std::string_view full_name) const {
  if (!marks_.test(Mark(full_name))) return std::nullopt;
  const auto it = places_.find(ToAbsl(full_name));
  if (it == places_.end()) return std::nullopt;
  return it->second;
}

std::optional<bool> Read(const TypeIndex& types, const StoredPayload& payload, TakeMessage take) {
  const std::optional<std::size_t> place = types.Find(payload.type);
  if (!place) return std::nullopt;
  return payload.encoding == Encoding::kProtobuf &&
         types.at(*place).read(payload.bytes, [&](const auto& event) { take(*place, event); });
}

absl::StatusOr<bool> Read(const TypeIndex& types, const Upcasters& upcasters,
                          const RecordedEvent& event, TakeMessage take) {
  std::optional<bool> decoded = Read(types, {event.type, event.payload, event.encoding}, take);
  if (!decoded) {
    const Upcaster* upcaster = UpcasterOf(types, upcasters, event.type);
    if (upcaster == nullptr) return false;
    decoded = event.encoding == Encoding::kProtobuf &&
              upcaster->read(event.payload, [&](const google::protobuf::Message& current) {
                const auto place = types.Find(current.GetDescriptor()->full_name());
                if (place) take(*place, current);
              });
  }
  if (!*decoded) return Undecodable(event);
  return true;
}

bool Knows(const TypeIndex& types, const Upcasters& upcasters, std::string_view type) {
  return types.Find(type).has_value() || UpcasterOf(types, upcasters, type) != nullptr;
}

absl::Status Undecodable(const RecordedEvent& event) {
  return Reject(core::v1::ERROR_REASON_DATA_LOSS,
                fmt::format("the event at position {} does not decode as {}; run `leftfold verify`",
                            event.position.value, event.type),
                {{"position", fmt::to_string(event.position.value)}, {"type", event.type}});
}

}  // namespace leftfold::internal
