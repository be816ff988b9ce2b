#include "server/json_file.h"

#include <google/protobuf/util/json_util.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "core/json_object.h"
#include "core/status.h"
#include "sql/durable_file.h"

namespace leftfold {
namespace {

constexpr mode_t kOwnerOnly = 0600;

}  // namespace

absl::Status CannotUse(const std::string& path, std::string_view why) {
  return Error(absl::StatusCode::kFailedPrecondition, "{} cannot be used: {}", path, why);
}

absl::Status ReadJsonFile(const std::string& path, google::protobuf::Message& message) {
  std::error_code error;
  if (!std::filesystem::exists(path, error) && !error) return absl::OkStatus();
  std::ifstream stream(path);
  const std::string text((std::istreambuf_iterator<char>(stream)), {});
  if (!stream) return CannotUse(path, "it cannot be read");
  if (MessageFromJson(text, message).ok()) return absl::OkStatus();
  return CannotUse(path, fmt::format("it is no JSON form of {}, or names a field that it has not",
                                     message.GetDescriptor()->full_name()));
}

absl::Status WriteJsonFile(const std::string& path, const google::protobuf::Message& message) {
  std::string text;
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok())
    return Error(absl::StatusCode::kInternal, "what is to be stored has no JSON form");
  return sql::ReplaceDurably(path, text, kOwnerOnly);
}

}  // namespace leftfold
