#ifndef CORE_EVENT_H_
#define CORE_EVENT_H_

#include <absl/time/time.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/sha256.h"
#include "core/types.h"
#include "leftfold/core/v1/event.pb.h"

namespace leftfold {

// A label of an event for conditions beyond one stream.
struct Tag {
  std::string key;
  std::string value;
  friend bool operator==(const Tag&, const Tag&) = default;
};

// How a payload is to be read. Never change the numbers: they are stored.
enum class Encoding : std::uint8_t { kProtobuf = 0, kJson = 1 };

// An event on its way into the log.
struct NewEvent {
  Uuid event_id{};
  std::string type;  // Full name of the protobuf message, or the name given with a JSON payload.
  std::string payload;
  Encoding encoding = Encoding::kProtobuf;
  std::vector<Tag> tags;
};

// An event as it is in the log.
struct RecordedEvent {
  Position position;
  std::string stream;
  Version version;
  Uuid event_id{};
  std::string type;
  std::string payload;
  Encoding encoding = Encoding::kProtobuf;
  std::string metadata;  // Bytes of a leftfold.core.v1.EventMetadata, exactly as hashed.
  std::vector<Tag> tags;
  absl::Time recorded_at;      // Microseconds; never decreases along the log.
  Position category_previous;  // Position of the category's event before this one; 0 for the first.
  Digest leaf{};
  Digest chain{};
};

// The same while it is being read: valid as long as what it was read from.
struct EventView {
  Position position;
  std::string_view stream;
  Version version;
  Uuid event_id{};
  std::string_view type;
  std::string_view payload;
  Encoding encoding = Encoding::kProtobuf;
  std::string_view metadata;
  std::span<const Tag> tags;
  absl::Time recorded_at;
  Position category_previous;
  Digest leaf{};
  Digest chain{};
};
EventView ViewOf(const RecordedEvent& event);
RecordedEvent CopyOf(const EventView& event);

// What a fold may know of an event besides its payload. Valid during the call only.
struct EventMeta {
  const RecordedEvent& recorded;
  Position position() const { return recorded.position; }
  Version version() const { return recorded.version; }
  std::string_view stream() const { return recorded.stream; }
  std::string_view aggregate_id() const { return AggregateIdOf(recorded.stream); }
  absl::Time recorded_at() const { return recorded.recorded_at; }
  // Parsed at each call: take what you need once.
  core::v1::EventMetadata metadata() const;
};

// Bytes of a stored list of tags: for each tag key and value, length-prefixed with 32 bit
// little-endian. Never change.
std::string EncodeTags(const std::vector<Tag>& tags);
std::vector<Tag> DecodeTags(std::string_view bytes);

// leaf = SHA-256(0x00 ‖ event id ‖ encoding byte ‖ length-prefixed type, payload, metadata, encoded
// tags); these lengths have 64 bit. Never change.
Digest LeafOf(const Uuid& event_id, Encoding encoding, std::string_view type,
              std::string_view payload, std::string_view metadata, std::string_view encoded_tags);
// What the event's leaf must be.
Digest LeafOf(const RecordedEvent& event);
// chain = SHA-256(previous ‖ leaf ‖ position ‖ version ‖ recorded_at µs ‖ category_previous ‖
// length-prefixed stream), all integers and the length 64 bit little-endian. Never change.
Digest ChainOf(const Digest& previous, const RecordedEvent& event);
// chain before the first event = SHA-256("leftfold" ‖ store id). Never change.
Digest FirstChain(std::string_view store_id);

}  // namespace leftfold
#endif  // CORE_EVENT_H_
