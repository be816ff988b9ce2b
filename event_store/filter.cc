#include <algorithm>

#include "event_store/event_store.h"

namespace leftfold {
namespace {

template <class T, class U>
bool Contains(const std::vector<T>& values, const U& value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

}  // namespace

bool MatchesAny(const std::vector<QueryItem>& items, std::string_view type,
                const std::vector<Tag>& tags) {
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

bool EventFilter::Matches(const RecordedEvent& event) const {
  if (!categories.empty() && !Contains(categories, CategoryOf(event.stream))) return false;
  if (!stream.empty() && event.stream != stream) return false;
  if (!event.stream.starts_with(stream_prefix)) return false;
  if (!items.empty() && !MatchesAny(items, event.type, event.tags)) return false;
  return correlation_id.empty() || EventMeta{event}.metadata().correlation_id() == correlation_id;
}

}  // namespace leftfold
