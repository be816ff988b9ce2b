#include "core/event_wire.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

#include "core/ids.h"
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
// What an event takes at the most besides its texts: tag and number of its fields, its id, leaf and
// chain.
constexpr std::size_t kFixedBytesMax = 384;

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

char* PutVarint(std::uint64_t value, char* at) {
  for (; value >= 0x80; value >>= 7) *at++ = static_cast<char>(value | 0x80);
  *at++ = static_cast<char>(value);
  return at;
}

char* PutBytes(std::string_view bytes, char* at) {
  return std::copy_n(bytes.data(), bytes.size(), at);
}

char* PutHead(int field, std::size_t bytes, char* at) {
  return PutVarint(bytes, PutVarint(TagOf(field, kBytes), at));
}

char* PutField(int field, std::string_view bytes, char* at) {
  return PutBytes(bytes, PutHead(field, bytes.size(), at));
}

char* PutUnlessEmpty(int field, std::string_view bytes, char* at) {
  return bytes.empty() ? at : PutField(field, bytes, at);
}

char* PutInt(int field, std::int64_t value, char* at) {
  return PutVarint(static_cast<std::uint64_t>(value), PutVarint(TagOf(field, kVarint), at));
}

char* PutPayload(const EventView& event, char* at) {
  if (event.encoding == Encoding::kJson) {
    const bool text = IsUtf8(event.payload);
    return PutField(text ? Event::kJsonFieldNumber : Event::kRawJsonFieldNumber, event.payload, at);
  }
  using google::protobuf::Any;
  const std::size_t url = kTypeUrlPrefix.size() + event.type.size();
  at = PutHead(Event::kMessageFieldNumber,
               FieldSize(Any::kTypeUrlFieldNumber, url) +
                   FieldSize(Any::kValueFieldNumber, event.payload.size()),
               at);
  at = PutHead(Any::kTypeUrlFieldNumber, url, at);
  at = PutBytes(event.type, PutBytes(kTypeUrlPrefix, at));
  return PutUnlessEmpty(Any::kValueFieldNumber, event.payload, at);
}

char* PutTime(absl::Time time, char* at) {
  using google::protobuf::Timestamp;
  const std::int64_t micros = absl::ToUnixMicros(time);
  const std::int64_t seconds = micros / 1'000'000;
  const std::int64_t nanos = micros % 1'000'000 * 1'000;
  char fields[4 * kVarintBytesMax];
  char* end = fields;
  if (seconds != 0) end = PutInt(Timestamp::kSecondsFieldNumber, seconds, end);
  if (nanos != 0) end = PutInt(Timestamp::kNanosFieldNumber, nanos, end);
  return PutField(Event::kRecordedAtFieldNumber, {fields, static_cast<std::size_t>(end - fields)},
                  at);
}

char* PutTag(const Tag& tag, char* at) {
  using Message = core::v1::Tag;
  at = PutHead(Event::kTagsFieldNumber,
               FieldSize(Message::kKeyFieldNumber, tag.key.size()) +
                   FieldSize(Message::kValueFieldNumber, tag.value.size()),
               at);
  at = PutUnlessEmpty(Message::kKeyFieldNumber, tag.key, at);
  return PutUnlessEmpty(Message::kValueFieldNumber, tag.value, at);
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

// Takes the next field of EventMetadata's bytes; its number is 0 when that cannot be.
std::pair<int, std::string_view> TakeField(std::string_view& bytes) {
  std::uint64_t tag = 0, size = 0;
  // Nearly always one byte each, and so read in half the time.
  if (bytes.size() >= 2 && ((bytes[0] | bytes[1]) & 0x80) == 0) {
    tag = static_cast<unsigned char>(bytes[0]);
    size = static_cast<unsigned char>(bytes[1]);
    bytes.remove_prefix(2);
  } else {
    const auto long_tag = TakeVarint(bytes);
    const auto long_size = TakeVarint(bytes);
    if (!long_tag || !long_size) return {};
    tag = *long_tag;
    size = *long_size;
  }
  if ((tag & 7) != kBytes || size > bytes.size()) return {};
  const std::string_view value = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return {static_cast<int>(tag >> 3), value};
}

// Whether they need no parsing; what is no string may be malformed inside.
bool AreStrings(std::string_view metadata) {
  if (!IsAscii(metadata)) return false;
  while (!metadata.empty()) {
    const int field = TakeField(metadata).first;
    if (field < EventMetadata::kActorFieldNumber || field > EventMetadata::kTraceparentFieldNumber)
      return false;
  }
  return true;
}

// Moves the fields over; they take no more than they had.
char* PutMetadata(std::string_view bytes, char* at) {
  while (!bytes.empty()) {
    const auto [field, value] = TakeField(bytes);
    at = PutField(field + kMetadataShift, value, at);
  }
  return at;
}

// What can be read of them.
std::string Readable(std::string_view metadata) {
  EventMetadata parsed;
  if (!parsed.ParseFromArray(metadata.data(), static_cast<int>(metadata.size()))) return "";
  parsed.DiscardUnknownFields();
  return DeterministicBytes(parsed);
}

// An event and what of its metadata goes with it.
struct Source {
  Source(const EventView& view, bool raw) : event(view), raw_metadata(raw) {
    if (!AreStrings(view.metadata)) metadata = readable = Readable(view.metadata);
  }
  std::size_t SizeMax() const {
    std::size_t size = kFixedBytesMax + event.stream.size() + 2 * event.type.size() +
                       event.payload.size() + metadata.size() +
                       (raw_metadata ? event.metadata.size() : 0);
    for (const Tag& tag : event.tags)
      size += 4 * kVarintBytesMax + tag.key.size() + tag.value.size();
    return size;
  }

  const EventView& event;
  const bool raw_metadata;
  std::string readable;
  std::string_view metadata = event.metadata;
};

char* PutEvent(const Source& source, char* at) {
  const EventView& event = source.event;
  at = PutInt(Event::kPositionFieldNumber, event.position.value, at);
  at = PutField(Event::kStreamFieldNumber, event.stream, at);
  at = PutInt(Event::kVersionFieldNumber, event.version.value, at);
  at = WriteUuid(event.event_id, PutHead(Event::kEventIdFieldNumber, kUuidTextSize, at));
  at = PutField(Event::kTypeFieldNumber, event.type, at);
  at = PutPayload(event, at);
  at = PutTime(event.recorded_at, at);
  at = PutMetadata(source.metadata, at);
  for (const Tag& tag : event.tags) at = PutTag(tag, at);
  at = PutField(Event::kLeafFieldNumber, AsBytes(event.leaf), at);
  at = PutField(Event::kChainFieldNumber, AsBytes(event.chain), at);
  if (event.category_previous != kBeforeFirst)
    at = PutInt(Event::kCategoryPreviousFieldNumber, event.category_previous.value, at);
  return source.raw_metadata ? PutField(Event::kRawMetadataFieldNumber, event.metadata, at) : at;
}

}  // namespace

void AppendField(int field, std::string_view bytes, std::string& out) {
  char head[2 * kVarintBytesMax];
  out.append(head, PutHead(field, bytes.size(), head)).append(bytes);
}

void AppendEvent(const EventView& event, bool raw_metadata, std::string& out) {
  const Source source(event, raw_metadata);
  const std::size_t before = out.size();
  out.resize(before + source.SizeMax());
  const char* end = PutEvent(source, out.data() + before);
  out.resize(static_cast<std::size_t>(end - out.data()));
}

void AppendEventField(int field, const EventView& event, bool raw_metadata, std::string& out) {
  const Source source(event, raw_metadata);
  const std::size_t before = out.size();
  out.resize(before + 2 * kVarintBytesMax + source.SizeMax());
  char* const head = out.data() + before;
  // The length stands before the event and is known after it: where it takes as many bytes as this
  // one, which is that of most events, nothing is moved.
  constexpr std::size_t kLikelySize = 200;
  char* const written = PutHead(field, kLikelySize, head);
  const auto size = static_cast<std::size_t>(PutEvent(source, written) - written);
  char head_bytes[2 * kVarintBytesMax];
  const auto head_size = static_cast<std::size_t>(PutHead(field, size, head_bytes) - head_bytes);
  if (head + head_size != written) std::memmove(head + head_size, written, size);
  std::memcpy(head, head_bytes, head_size);
  out.resize(before + head_size + size);
}

core::v1::RecordedEvent ToProto(const RecordedEvent& event) {
  std::string bytes;
  AppendEvent(ViewOf(event), false, bytes);
  core::v1::RecordedEvent out;
  out.ParseFromString(bytes);
  return out;
}

}  // namespace leftfold
