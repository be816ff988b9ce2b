#include "event_store/limits.h"

#include <absl/container/flat_hash_set.h>

#include "core/reject.h"

namespace leftfold {
namespace {

constexpr std::size_t kTypeBytesMax = 256;
constexpr std::size_t kTagsMax = 32;
constexpr std::size_t kTagKeyBytesMax = 128;
constexpr std::size_t kTagValueBytesMax = 512;
constexpr absl::Duration kQueueRetryDelay = absl::Milliseconds(100);

absl::Status AtMost(std::string_view limit, std::size_t maximum, std::size_t actual) {
  if (actual <= maximum) return absl::OkStatus();
  return Reject(
      core::v1::ERROR_REASON_LIMIT_EXCEEDED,
      fmt::format("{} is {}, at most {} are allowed; split the append", limit, actual, maximum),
      {{"limit", std::string(limit)},
       {"maximum", fmt::to_string(maximum)},
       {"actual", fmt::to_string(actual)}});
}

absl::Status QueueFull(std::string_view limit, std::size_t maximum) {
  return WithRetryAfter(
      Reject(core::v1::ERROR_REASON_QUEUE_FULL,
             fmt::format("{} {} wait for their answers already; retry later", maximum, limit),
             {{"limit", std::string(limit)}, {"maximum", fmt::to_string(maximum)}}),
      kQueueRetryDelay);
}

absl::Status Malformed(std::string_view field, std::string_view description) {
  Violations violations;
  violations.Add(field, description);
  return violations.ToStatus();
}

absl::Status CheckEvent(const NewEvent& event) {
  if (event.type.empty() || event.type.size() > kTypeBytesMax) {
    return Malformed("type", fmt::format("must have 1 to {} bytes", kTypeBytesMax));
  }
  LEFTFOLD_RETURN_IF_ERROR(AtMost("event bytes", kEventBytesMax, event.payload.size()));
  LEFTFOLD_RETURN_IF_ERROR(AtMost("tags of an event", kTagsMax, event.tags.size()));
  for (const Tag& tag : event.tags) {
    if (tag.key.empty()) return Malformed("tags.key", "must not be empty");
    LEFTFOLD_RETURN_IF_ERROR(AtMost("tag key bytes", kTagKeyBytesMax, tag.key.size()));
    LEFTFOLD_RETURN_IF_ERROR(AtMost("tag value bytes", kTagValueBytesMax, tag.value.size()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckForm(const std::vector<QueryItem>& items) {
  LEFTFOLD_RETURN_IF_ERROR(AtMost("items of a query", kQueryItemsMax, items.size()));
  std::size_t terms = 0;
  for (const QueryItem& item : items) {
    terms += item.types.size() + item.tags.size();
    for (const Tag& tag : item.tags) {
      if (tag.key.empty())
        return Malformed("tags.key", "must not be empty: no event has such a tag");
    }
  }
  return AtMost("types and tags of a query", kQueryTermsMax, terms);
}

absl::Status CheckForm(const AppendRequest& request) {
  if (request.streams.empty()) return Malformed("streams", "must name at least one stream");
  LEFTFOLD_RETURN_IF_ERROR(
      AtMost("streams of an append", kAppendStreamsMax, request.streams.size()));
  LEFTFOLD_RETURN_IF_ERROR(AtMost("metadata bytes", kMetadataBytesMax, request.metadata.size()));
  absl::flat_hash_set<std::string_view> names;
  std::size_t events = 0;
  std::size_t bytes = 0;
  for (const StreamAppend& stream : request.streams) {
    if (!IsStreamName(stream.stream)) {
      return Malformed(
          "stream", "must be <category>-<id>, category [a-z][a-z0-9_]*, id [A-Za-z0-9._~-]{1,128}");
    }
    const bool several = request.streams.size() > 1;
    if (several && !names.insert(stream.stream).second)
      return Malformed("streams", "must name each stream once");
    events += stream.events.size();
    for (const NewEvent& event : stream.events) {
      LEFTFOLD_RETURN_IF_ERROR(CheckEvent(event));
      bytes += event.payload.size();
    }
  }
  if (!request.order.empty()) {
    std::vector<std::size_t> placed(request.streams.size());
    for (const std::uint32_t index : request.order) {
      if (index >= placed.size() || ++placed[index] > request.streams[index].events.size())
        return Malformed("order", "must name the stream of each event");
    }
    if (request.order.size() != events)
      return Malformed("order", "must name the stream of each event");
  }
  if (request.command && (request.command->command_id.empty() ||
                          request.command->command_id.size() > kCommandIdBytesMax)) {
    return Malformed("command_id", fmt::format("must have 1 to {} bytes", kCommandIdBytesMax));
  }
  if (events == 0 && !request.command) return Malformed("streams", "must hold at least one event");
  if (request.condition) {
    const AppendCondition& condition = *request.condition;
    if (condition.fail_if_events_match.empty())
      return Malformed("condition.fail_if_events_match", "must hold at least one item");
    if (condition.after < kBeforeFirst)
      return Malformed("condition.after_position", "must be 0 or more");
    LEFTFOLD_RETURN_IF_ERROR(CheckForm(condition.fail_if_events_match));
  }
  LEFTFOLD_RETURN_IF_ERROR(AtMost("events of an append", kAppendEventsMax, events));
  return AtMost("bytes of an append", kAppendBytesMax, bytes);
}

absl::Status CheckAfter(const AppendCondition& condition, Position head) {
  if (condition.after <= head) return absl::OkStatus();
  return Malformed("condition.after_position",
                   fmt::format("is {}, beyond the log's last event at {}: pass the position up to "
                               "which you have read",
                               condition.after.value, head.value));
}

std::size_t StoredBytes(const AppendRequest& request) {
  std::size_t bytes = 0;
  for (const StreamAppend& stream : request.streams) {
    for (const NewEvent& event : stream.events) {
      bytes += event.payload.size() + request.metadata.size();
      for (const Tag& tag : event.tags) bytes += tag.key.size() + tag.value.size();
    }
  }
  return bytes;
}

absl::Status CheckQueue(std::size_t appends, std::size_t bytes) {
  if (appends > kAppendQueueMax) return QueueFull("appends", kAppendQueueMax);
  if (bytes > kAppendQueueBytesMax) return QueueFull("bytes of appends", kAppendQueueBytesMax);
  return absl::OkStatus();
}

}  // namespace leftfold
