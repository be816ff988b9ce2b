#include <algorithm>

#include "event_store/event_store.h"

namespace leftfold {
namespace {

template <class Values, class Value>
bool Contains(const Values& values, const Value& value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

}  // namespace

bool MatchesAny(const std::vector<QueryItem>& items, std::string_view type,
                std::span<const Tag> tags) {
  return std::any_of(items.begin(), items.end(), [&](const QueryItem& item) {
    return (item.types.empty() || Contains(item.types, type)) &&
           std::all_of(item.tags.begin(), item.tags.end(),
                       [&](const Tag& tag) { return Contains(tags, tag); });
  });
}

bool EventFilter::MatchesAll() const {
  return categories.empty() && stream.empty() && stream_prefix.empty() && correlation_id.empty() &&
         items.empty();
}

bool EventFilter::Matches(const EventView& event) const {
  if (!categories.empty() && !Contains(categories, CategoryOf(event.stream))) return false;
  if (!stream.empty() && event.stream != stream) return false;
  if (!event.stream.starts_with(stream_prefix)) return false;
  if (!items.empty() && !MatchesAny(items, event.type, event.tags)) return false;
  if (correlation_id.empty()) return true;
  core::v1::EventMetadata metadata;
  metadata.ParseFromArray(event.metadata.data(), static_cast<int>(event.metadata.size()));
  return metadata.correlation_id() == correlation_id;
}

absl::StatusOr<Position> EventStore::VisitAll(const ReadAllOptions& options, TakeEvent take) {
  const auto read = ReadAll(options);
  if (!read.ok()) return read.status();
  for (const RecordedEvent& event : read->events) {
    if (!take(ViewOf(event)))
      return Position{event.position.value + (options.direction == Direction::kForward ? -1 : 1)};
  }
  return read->through;
}

}  // namespace leftfold
