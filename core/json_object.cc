#include "core/json_object.h"

#include <google/protobuf/util/json_util.h>

#include "core/json.h"

namespace leftfold {

std::optional<google::protobuf::Struct> ParseJsonObject(std::string_view text) {
  google::protobuf::Struct object;
  if (!IsUtf8(text) || !IsJson(text) || !MessageFromJson(text, object).ok()) return std::nullopt;
  return object;
}

absl::Status MessageFromJson(std::string_view json, google::protobuf::Message& message) {
  try {
    const auto read = google::protobuf::util::JsonStringToMessage(
        google::protobuf::StringPiece(json.data(), json.size()), &message);
    if (read.ok()) return absl::OkStatus();
    return absl::InvalidArgumentError({read.message().data(), read.message().size()});
  } catch (const google::protobuf::FatalException& e) {
    return absl::InvalidArgumentError(e.message());
  }
}

std::string TextField(const google::protobuf::Struct& object, const std::string& field) {
  const auto it = object.fields().find(field);
  return it == object.fields().end() ? "" : it->second.string_value();
}

}  // namespace leftfold
