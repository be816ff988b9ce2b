#include "core/event.h"

#include <cstring>

namespace leftfold {
namespace {

void AppendPrefixed(std::string& out, std::string_view text) {
  const auto size = static_cast<std::uint32_t>(text.size());
  for (int i = 0; i < 4; ++i) out += static_cast<char>(size >> (8 * i));
  out += text;
}

// Takes one length-prefixed text off the front of `bytes`; what does not fit ends the list.
std::string TakePrefixed(std::string_view& bytes) {
  if (bytes.size() < 4) {
    bytes = {};
    return {};
  }
  std::uint32_t size = 0;
  for (int i = 0; i < 4; ++i) {
    size |=
        static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]))
        << (8 * i);
  }
  bytes.remove_prefix(4);
  const std::string text(bytes.substr(0, size));
  bytes.remove_prefix(std::min<std::size_t>(size, bytes.size()));
  return text;
}

}  // namespace

EventView ViewOf(const RecordedEvent& event) {
  return {event.position, event.stream,      event.version,           event.event_id,
          event.type,     event.payload,     event.encoding,          event.metadata,
          event.tags,     event.recorded_at, event.category_previous, event.leaf,
          event.chain};
}

RecordedEvent CopyOf(const EventView& event) {
  return {event.position,    std::string(event.stream),   event.version,
          event.event_id,    std::string(event.type),     std::string(event.payload),
          event.encoding,    std::string(event.metadata), {event.tags.begin(), event.tags.end()},
          event.recorded_at, event.category_previous,     event.leaf,
          event.chain};
}

core::v1::EventMetadata EventMeta::metadata() const {
  core::v1::EventMetadata parsed;
  parsed.ParseFromString(recorded.metadata);
  return parsed;
}

std::string EncodeTags(const std::vector<Tag>& tags) {
  std::string out;
  for (const Tag& tag : tags) {
    AppendPrefixed(out, tag.key);
    AppendPrefixed(out, tag.value);
  }
  return out;
}

std::vector<Tag> DecodeTags(std::string_view bytes) {
  std::vector<Tag> tags;
  while (!bytes.empty()) {
    Tag tag;
    tag.key = TakePrefixed(bytes);
    tag.value = TakePrefixed(bytes);
    tags.push_back(std::move(tag));
  }
  return tags;
}

Digest LeafOf(const Uuid& event_id, Encoding encoding, std::string_view type,
              std::string_view payload, std::string_view metadata, std::string_view encoded_tags) {
  char head[1 + sizeof(Uuid) + 1];
  head[0] = 0;
  std::memcpy(head + 1, event_id.data(), event_id.size());
  head[sizeof head - 1] = static_cast<char>(encoding);
  return Sha256()
      .Add({head, sizeof head})
      .AddLengthPrefixed(type)
      .AddLengthPrefixed(payload)
      .AddLengthPrefixed(metadata)
      .AddLengthPrefixed(encoded_tags)
      .Finish();
}

Digest LeafOf(const RecordedEvent& event) {
  return LeafOf(event.event_id, event.encoding, event.type, event.payload, event.metadata,
                EncodeTags(event.tags));
}

Digest ChainOf(const Digest& previous, const RecordedEvent& event) {
  return Sha256()
      .Add(AsBytes(previous))
      .Add(AsBytes(event.leaf))
      .AddInt64(event.position.value)
      .AddInt64(event.version.value)
      .AddInt64(absl::ToUnixMicros(event.recorded_at))
      .AddInt64(event.category_previous.value)
      .AddLengthPrefixed(event.stream)
      .Finish();
}

Digest FirstChain(std::string_view store_id) {
  return Sha256().Add("leftfold").Add(store_id).Finish();
}

}  // namespace leftfold
