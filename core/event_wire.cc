#include "core/event_wire.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <optional>

#include "core/json.h"
#include "core/serialize.h"

namespace leftfold {
namespace {

using Event = core::v1::RecordedEvent;
using core::v1::EventMetadata;

constexpr std::string_view kTypeUrlPrefix = "type.googleapis.com/";

// Kinds of fields on the wire.
constexpr std::uint64_t kVarint = 0;
constexpr std::uint64_t kBytes = 2;

// The fields of the metadata stand in the event under numbers moved by this.
constexpr int kMetadataShift = 8;
constexpr bool IsShifted(int of_metadata, int of_event) {
  return of_metadata + kMetadataShift == of_event;
}
static_assert(IsShifted(EventMetadata::kActorFieldNumber, Event::kActorFieldNumber) &&
              IsShifted(EventMetadata::kCommandIdFieldNumber, Event::kCommandIdFieldNumber) &&
              IsShifted(EventMetadata::kCorrelationIdFieldNumber,
                        Event::kCorrelationIdFieldNumber) &&
              IsShifted(EventMetadata::kCausationIdFieldNumber, Event::kCausationIdFieldNumber) &&
              IsShifted(EventMetadata::kTraceparentFieldNumber, Event::kTraceparentFieldNumber) &&
              IsShifted(EventMetadata::kHeadersFieldNumber, Event::kHeadersFieldNumber));

constexpr std::size_t kVarintBytesMax = 10;

char* PutVarint(std::uint64_t value, char* at) {
  for (; value >= 0x80; value >>= 7) *at++ = static_cast<char>(value | 0x80);
  *at++ = static_cast<char>(value);
  return at;
}

constexpr std::uint64_t TagOf(int field, std::uint64_t kind) {
  return static_cast<std::uint64_t>(field) << 3 | kind;
}

std::size_t VarintSize(std::uint64_t value) {
  std::size_t size = 1;
  while (value >>= 7) ++size;
  return size;
}

// proto3 leaves out what is empty.
std::size_t FieldSize(int field, std::size_t bytes) {
  return bytes == 0 ? 0 : VarintSize(TagOf(field, kBytes)) + VarintSize(bytes) + bytes;
}

// A tag and the number after it: a value, or a length.
void AppendPair(std::uint64_t tag, std::uint64_t number, std::string& out) {
  char bytes[2 * kVarintBytesMax];
  out.append(bytes, PutVarint(number, PutVarint(tag, bytes)));
}

void AppendHead(int field, std::size_t bytes, std::string& out) {
  AppendPair(TagOf(field, kBytes), bytes, out);
}

void AppendInt(int field, std::int64_t value, std::string& out) {
  AppendPair(TagOf(field, kVarint), static_cast<std::uint64_t>(value), out);
}

void AppendUnlessEmpty(int field, std::string_view bytes, std::string& out) {
  if (!bytes.empty()) AppendField(field, bytes, out);
}

void AppendPayload(const RecordedEvent& event, std::string& out) {
  if (event.encoding == Encoding::kJson) {
    const bool text = IsUtf8(event.payload);
    return AppendField(text ? Event::kJsonFieldNumber : Event::kRawJsonFieldNumber, event.payload,
                       out);
  }
  using google::protobuf::Any;
  const std::size_t url = kTypeUrlPrefix.size() + event.type.size();
  AppendHead(Event::kMessageFieldNumber,
             FieldSize(Any::kTypeUrlFieldNumber, url) +
                 FieldSize(Any::kValueFieldNumber, event.payload.size()),
             out);
  AppendHead(Any::kTypeUrlFieldNumber, url, out);
  out.append(kTypeUrlPrefix).append(event.type);
  AppendUnlessEmpty(Any::kValueFieldNumber, event.payload, out);
}

void AppendTime(absl::Time time, std::string& out) {
  using google::protobuf::Timestamp;
  const std::int64_t micros = absl::ToUnixMicros(time);
  const std::int64_t seconds = micros / 1'000'000;
  const std::int64_t nanos = micros % 1'000'000 * 1'000;
  std::string fields;
  if (seconds != 0) AppendInt(Timestamp::kSecondsFieldNumber, seconds, fields);
  if (nanos != 0) AppendInt(Timestamp::kNanosFieldNumber, nanos, fields);
  AppendField(Event::kRecordedAtFieldNumber, fields, out);
}

std::optional<std::uint64_t> TakeVarint(std::string_view& bytes) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

// Moves the fields of EventMetadata's bytes over; false when one is beyond `last` or is none of
// them.
bool AppendMetadataFields(std::string_view bytes, int last, std::string& out) {
  while (!bytes.empty()) {
    const auto tag = TakeVarint(bytes);
    const auto size = TakeVarint(bytes);
    if (!tag || !size || (*tag & 7) != kBytes || *size > bytes.size()) return false;
    const auto field = static_cast<int>(*tag >> 3);
    if (field < EventMetadata::kActorFieldNumber || field > last) return false;
    const std::string_view value = bytes.substr(0, *size);
    bytes.remove_prefix(*size);
    AppendField(field + kMetadataShift, value, out);
  }
  return true;
}

void AppendMetadata(std::string_view metadata, std::string& out) {
  const std::size_t before = out.size();
  // The strings need no parsing; whatever else there is may be malformed inside.
  if (IsAscii(metadata) &&
      AppendMetadataFields(metadata, EventMetadata::kTraceparentFieldNumber, out))
    return;
  out.resize(before);
  EventMetadata parsed;
  if (!parsed.ParseFromArray(metadata.data(), static_cast<int>(metadata.size()))) return;
  parsed.DiscardUnknownFields();
  AppendMetadataFields(DeterministicBytes(parsed), EventMetadata::kHeadersFieldNumber, out);
}

}  // namespace

void AppendField(int field, std::string_view bytes, std::string& out) {
  AppendHead(field, bytes.size(), out);
  out.append(bytes);
}

void AppendEvent(const RecordedEvent& event, bool raw_metadata, std::string& out) {
  AppendInt(Event::kPositionFieldNumber, event.position.value, out);
  AppendField(Event::kStreamFieldNumber, event.stream, out);
  AppendInt(Event::kVersionFieldNumber, event.version.value, out);
  AppendField(Event::kEventIdFieldNumber, ToString(event.event_id), out);
  AppendField(Event::kTypeFieldNumber, event.type, out);
  AppendPayload(event, out);
  AppendTime(event.recorded_at, out);
  AppendMetadata(event.metadata, out);
  for (const Tag& tag : event.tags) {
    using core::v1::Tag;
    AppendHead(Event::kTagsFieldNumber,
               FieldSize(Tag::kKeyFieldNumber, tag.key.size()) +
                   FieldSize(Tag::kValueFieldNumber, tag.value.size()),
               out);
    AppendUnlessEmpty(Tag::kKeyFieldNumber, tag.key, out);
    AppendUnlessEmpty(Tag::kValueFieldNumber, tag.value, out);
  }
  AppendField(Event::kLeafFieldNumber, AsBytes(event.leaf), out);
  AppendField(Event::kChainFieldNumber, AsBytes(event.chain), out);
  if (event.category_previous != kBeforeFirst)
    AppendInt(Event::kCategoryPreviousFieldNumber, event.category_previous.value, out);
  if (raw_metadata) AppendField(Event::kRawMetadataFieldNumber, event.metadata, out);
}

core::v1::RecordedEvent ToProto(const RecordedEvent& event) {
  std::string bytes;
  AppendEvent(event, false, bytes);
  core::v1::RecordedEvent out;
  out.ParseFromString(bytes);
  return out;
}

}  // namespace leftfold
