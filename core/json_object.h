#ifndef CORE_JSON_OBJECT_H_
#define CORE_JSON_OBJECT_H_

#include <absl/status/status.h>
#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>

#include <optional>
#include <string>
#include <string_view>

namespace leftfold {

// What a service outside says, as the object of a strict parser (core/json.h); nullopt when it is
// none.
std::optional<google::protobuf::Struct> ParseJsonObject(std::string_view text);

// google::protobuf::util::JsonStringToMessage, but text at which protobuf throws (a
// google.protobuf.Any that says "value" twice) is INVALID_ARGUMENT as well.
absl::Status MessageFromJson(std::string_view json, google::protobuf::Message& message);

// A text field; "" when there is none.
std::string TextField(const google::protobuf::Struct& object, const std::string& field);

}  // namespace leftfold
#endif  // CORE_JSON_OBJECT_H_
