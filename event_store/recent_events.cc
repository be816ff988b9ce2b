#include "event_store/recent_events.h"

#include <algorithm>
#include <utility>

#include "event_store/read_page.h"

namespace leftfold {
namespace {

// Beside the object itself.
std::size_t BytesOf(const RecordedEvent& event) {
  std::size_t bytes =
      event.stream.size() + event.type.size() + event.payload.size() + event.metadata.size();
  for (const Tag& tag : event.tags) bytes += sizeof tag + tag.key.size() + tag.value.size();
  return bytes;
}

}  // namespace

void RecentEvents::Add(std::vector<RecordedEvent> events) {
  if (events.empty()) return;
  // There may be room for appends that were refused.
  if (events.capacity() > 2 * events.size()) events.shrink_to_fit();
  std::size_t bytes = events.capacity() * sizeof(RecordedEvent);
  for (const RecordedEvent& event : events) bytes += BytesOf(event);
  Groups gone;  // Let go without the lock.
  auto group = std::make_shared<const Group>(Group{std::move(events), bytes});
  MutexLock lock(mu_);
  events_ += group->events.size();
  bytes_ += group->bytes;
  groups_.push_back(std::move(group));
  while (events_ > events_max_ || bytes_ > kRecentBytesMax) {
    events_ -= groups_.front()->events.size();
    bytes_ -= groups_.front()->bytes;
    gone.push_back(std::move(groups_.front()));
    groups_.pop_front();
  }
}

std::optional<RecentEvents::Groups> RecentEvents::After(Position position, std::size_t events_max) {
  MutexLock lock(mu_);
  if (groups_.empty() || position.value < groups_.front()->events.front().position.value - 1)
    return std::nullopt;
  auto group = std::partition_point(groups_.begin(), groups_.end(), [&](const auto& before) {
    return before->events.back().position <= position;
  });
  Groups after;
  for (std::size_t events = 0; group != groups_.end() && events <= events_max; ++group) {
    // Of the first, those before the position do not count.
    const Position from = std::max(position, Position{(*group)->events.front().position.value - 1});
    events += static_cast<std::size_t>((*group)->events.back().position.value - from.value);
    after.push_back(*group);
  }
  return after;
}

std::optional<Position> RecentEvents::Visit(const ReadAllOptions& options, TakeEvent take) {
  if (options.direction == Direction::kBackward || !options.filter.MatchesAll())
    return std::nullopt;
  const std::optional<Groups> groups = After(options.from, options.events_max);
  if (!groups) return std::nullopt;
  ReadPage page(options, take);
  for (const auto& group : *groups) {
    for (const RecordedEvent& event : group->events) {
      if (page.full()) return page.through();
      if (event.position > options.from) page.Offer(ViewOf(event));
    }
  }
  return page.through();
}

}  // namespace leftfold
