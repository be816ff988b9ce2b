#include "tools/log_line.h"

#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>
#include <google/protobuf/wrappers.pb.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "core/event_wire.h"
#include "core/json.h"
#include "core/json_object.h"
#include "core/status.h"
#include "core/timestamp.h"
#include "leftfold/tools/v1/log_line.pb.h"

namespace leftfold::tools {
namespace {

namespace pb = google::protobuf;

// Neither overlong forms, nor surrogates, nor anything beyond U+10FFFF.
bool IsUtf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const std::size_t length = first < 0x80             ? 1
                               : (first & 0xE0) == 0xC0 ? 2
                               : (first & 0xF0) == 0xE0 ? 3
                               : (first & 0xF8) == 0xF0 ? 4
                                                        : 0;
    if (length == 0 || i + length > text.size()) return false;
    std::uint32_t code = length == 1 ? first : first & (0x7Fu >> length);
    for (std::size_t k = 1; k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xC0) != 0x80) return false;
      code = (code << 6) | (next & 0x3Fu);
    }
    constexpr std::uint32_t kFirstOfLength[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kFirstOfLength[length] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
      return false;
    i += length;
  }
  return true;
}

absl::Status Malformed(std::string_view what) {
  return Error(absl::StatusCode::kInvalidArgument, "{}", what);
}

template <class Bytes>
bool CopyExactly(std::string_view from, Bytes& to) {
  if (from.size() != to.size()) return false;
  std::copy(from.begin(), from.end(), to.begin());
  return true;
}

absl::StatusOr<tools::v1::LogLine> ToProto(const LogLineContent& content) {
  tools::v1::LogLine line;
  if (const auto* header = std::get_if<LogHeaderLine>(&content)) {
    line.mutable_header()->set_format(kLogLineFormat);
    line.mutable_header()->set_store_id(header->store_id);
    line.mutable_header()->set_after(header->after.position.value);
    line.mutable_header()->set_chain(std::string(AsBytes(header->after.chain)));
    return line;
  }
  if (const auto* command = std::get_if<NumberedCommand>(&content)) {
    const CommandRecord& record = command->command.record;
    tools::v1::LogCommand& out = *line.mutable_command();
    out.set_number(command->number);
    out.set_command_id(record.command_id);
    out.set_request_hash(std::string(AsBytes(record.request_hash)));
    out.set_aggregate_id(record.aggregate_id);
    out.set_created_id(record.created_id);
    out.set_version(command->command.version.value);
    out.set_position(command->command.position.value);
    if (!IsUtf8(record.command_id) || !IsUtf8(record.aggregate_id) || !IsUtf8(record.created_id))
      return Malformed(fmt::format("command number {} is no UTF-8", command->number));
    return line;
  }
  const auto& event = std::get<RecordedEvent>(content);
  const bool json = event.encoding == Encoding::kJson;
  const bool text =
      IsUtf8(event.type) && IsUtf8(event.stream) && (!json || IsUtf8(event.payload)) &&
      std::all_of(event.tags.begin(), event.tags.end(),
                  [](const Tag& tag) { return IsUtf8(tag.key) && IsUtf8(tag.value); });
  if (!text) {
    return Malformed(fmt::format(
        "the event at position {} has a type, a tag or JSON that is no UTF-8; take a backup",
        event.position.value));
  }
  core::v1::RecordedEvent& out = *line.mutable_event();
  core::v1::EventMetadata readable;
  if (readable.ParseFromString(event.metadata)) {
    out = leftfold::ToProto(event);
  } else {
    RecordedEvent without = event;
    without.metadata.clear();
    out = leftfold::ToProto(without);
  }
  out.set_raw_metadata(event.metadata);
  if (!json) {
    pb::BytesValue bytes;
    bytes.set_value(event.payload);
    out.mutable_message()->set_type_url("type.googleapis.com/google.protobuf.BytesValue");
    out.mutable_message()->set_value(bytes.SerializeAsString());
  }
  return line;
}

absl::StatusOr<LogLineContent> FromHeader(const tools::v1::LogHeader& header) {
  if (header.format() != kLogLineFormat)
    return Malformed(
        fmt::format("the format is {}, this binary knows {}", header.format(), kLogLineFormat));
  LogHeaderLine out{header.store_id(), {Position{header.after()}, {}}};
  if (!ParseUuid(out.store_id)) return Malformed("storeId is no UUID");
  if (out.after.position < kBeforeFirst) return Malformed("after is negative");
  if (!CopyExactly(header.chain(), out.after.chain)) return Malformed("chain has not 32 bytes");
  return out;
}

absl::StatusOr<LogLineContent> FromCommand(const tools::v1::LogCommand& command) {
  NumberedCommand out;
  out.number = command.number();
  out.command.record.command_id = command.command_id();
  out.command.record.aggregate_id = command.aggregate_id();
  out.command.record.created_id = command.created_id();
  out.command.version = Version{command.version()};
  out.command.position = Position{command.position()};
  if (!CopyExactly(command.request_hash(), out.command.record.request_hash))
    return Malformed("requestHash has not 32 bytes");
  return out;
}

absl::StatusOr<LogLineContent> FromEvent(const core::v1::RecordedEvent& event) {
  RecordedEvent out;
  out.position = Position{event.position()};
  out.stream = event.stream();
  out.version = Version{event.version()};
  out.type = event.type();
  out.metadata = event.raw_metadata();
  out.recorded_at = FromProto(event.recorded_at());
  out.category_previous = Position{event.category_previous()};
  for (const core::v1::Tag& tag : event.tags()) out.tags.push_back({tag.key(), tag.value()});
  const auto id = ParseUuid(event.event_id());
  if (!id) return Malformed("eventId is no UUID");
  out.event_id = *id;
  if (!CopyExactly(event.leaf(), out.leaf)) return Malformed("leaf has not 32 bytes");
  if (!CopyExactly(event.chain(), out.chain)) return Malformed("chain has not 32 bytes");
  pb::BytesValue bytes;
  if (event.has_json()) {
    out.encoding = Encoding::kJson;
    out.payload = event.json();
  } else if (event.message().UnpackTo(&bytes)) {
    out.payload = bytes.value();
  } else {
    return Malformed("message is no google.protobuf.BytesValue");
  }
  return out;
}

}  // namespace

absl::StatusOr<std::string> ToLine(const LogLineContent& content) {
  const auto line = ToProto(content);
  if (!line.ok()) return line.status();
  std::string json;
  const auto printed = pb::util::MessageToJsonString(*line, &json);
  if (!printed.ok()) return Malformed(printed.ToString());
  return json;
}

absl::StatusOr<LogLineContent> FromLine(std::string_view line) {
  tools::v1::LogLine parsed;
  const absl::Status read = MessageFromJson(line, parsed);
  if (!read.ok()) return Malformed(ToStd(read.message()));
  absl::StatusOr<LogLineContent> content = Malformed("it is neither header, event nor command");
  if (parsed.has_header()) content = FromHeader(parsed.header());
  if (parsed.has_command()) content = FromCommand(parsed.command());
  if (parsed.has_event()) content = FromEvent(parsed.event());
  if (!content.ok()) return content;
  const auto again = ToProto(*content);
  if (!again.ok()) return again.status();
  std::string difference;
  pb::util::MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&difference);
  if (differencer.Compare(*again, parsed)) return content;
  return Malformed(fmt::format("what it says does not fit together: {}",
                               difference.substr(0, difference.find('\n'))));
}

}  // namespace leftfold::tools
