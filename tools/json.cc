#include "tools/json.h"

#include <absl/strings/escaping.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/wrappers.pb.h>

#include <memory>
#include <vector>

namespace leftfold::tools {
namespace {

namespace pb = google::protobuf;

constexpr int kTypeUrlField = 1;
constexpr int kValueField = 2;
// How deep messages may lie in each other; deeper ones are left as they are.
constexpr int kNestingMax = 64;

void MakeAnysPrintable(pb::Message& message, int depth);

// `any` is a google.protobuf.Any, generated or dynamic.
void MakePrintable(pb::Message& any, int depth) {
  const pb::Descriptor& type = *any.GetDescriptor();
  const pb::Reflection& reflection = *any.GetReflection();
  const pb::FieldDescriptor* url_field = type.FindFieldByNumber(kTypeUrlField);
  const pb::FieldDescriptor* value_field = type.FindFieldByNumber(kValueField);
  const std::string url = reflection.GetString(any, url_field);
  const std::string value = reflection.GetString(any, value_field);
  if (url.empty() && value.empty()) return;
  const pb::Descriptor* inner =
      type.file()->pool()->FindMessageTypeByName(url.substr(url.rfind('/') + 1));
  if (inner != nullptr) {
    const std::unique_ptr<pb::Message> decoded(
        reflection.GetMessageFactory()->GetPrototype(inner)->New());
    if (decoded->ParsePartialFromString(value)) {
      MakeAnysPrintable(*decoded, depth + 1);
      reflection.SetString(&any, value_field, decoded->SerializePartialAsString());
      return;
    }
  }
  pb::BytesValue raw;
  raw.set_value(value);
  reflection.SetString(&any, url_field, "type.googleapis.com/google.protobuf.BytesValue");
  reflection.SetString(&any, value_field, raw.SerializeAsString());
}

void MakeAnysPrintable(pb::Message& message, int depth) {
  if (depth > kNestingMax) return;
  if (message.GetDescriptor()->full_name() == "google.protobuf.Any") {
    return MakePrintable(message, depth);
  }
  const pb::Reflection& reflection = *message.GetReflection();
  std::vector<const pb::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const pb::FieldDescriptor* field : fields) {
    if (field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      MakeAnysPrintable(*reflection.MutableMessage(&message, field), depth + 1);
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      MakeAnysPrintable(*reflection.MutableRepeatedMessage(&message, field, i), depth + 1);
    }
  }
}

}  // namespace

std::string ToJson(const pb::Message& message, const JsonOptions& options) {
  pb::util::JsonPrintOptions print;
  print.add_whitespace = options.pretty;
  const std::unique_ptr<pb::Message> copy(message.New());
  copy->CopyFrom(message);
  // In any case: protobuf would show bytes that do not decode as an empty message.
  MakeAnysPrintable(*copy, 0);
  std::string json;
  if (pb::util::MessageToJsonString(*copy, &json, print).ok()) return json;
  pb::StringValue text;
  text.set_value(absl::CHexEscape(message.ShortDebugString()));
  json.clear();
  const bool quoted = pb::util::MessageToJsonString(text, &json).ok();
  return quoted ? "{\"text\":" + json + "}" : "{}";
}

}  // namespace leftfold::tools
