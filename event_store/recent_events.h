#ifndef EVENT_STORE_RECENT_EVENTS_H_
#define EVENT_STORE_RECENT_EVENTS_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "core/mutex.h"
#include "event_store/event_store.h"

namespace leftfold {

// What a server keeps at the most: beyond either, the oldest group goes.
inline constexpr std::size_t kRecentEventsMax = 16'384;
inline constexpr std::size_t kRecentBytesMax = 8 << 20;  // As they lie in memory.

// The newest events of a log, as they were committed: views, reactors and subscriptions that
// follow the head are shown them from memory, and leave the file to those that catch up.
// Thread-safe.
class RecentEvents {
 public:
  explicit RecentEvents(std::size_t events_max) : events_max_(events_max) {}
  // The events after those that are here already.
  void Add(std::vector<RecordedEvent> events);
  // As EventStore::VisitAll; nullopt where that needs the log: backward, with a filter, or from
  // before what is here.
  std::optional<Position> Visit(const ReadAllOptions& options, TakeEvent take);

 private:
  struct Group {
    std::vector<RecordedEvent> events;  // At least one.
    std::size_t bytes = 0;
  };
  using Groups = std::deque<std::shared_ptr<const Group>>;
  // Those with events after the position, as many as hold `events_max`; nullopt when it lies
  // before what is here.
  std::optional<Groups> After(Position position, std::size_t events_max);

  const std::size_t events_max_;
  Mutex mu_;
  Groups groups_ ABSL_GUARDED_BY(mu_);
  std::size_t events_ ABSL_GUARDED_BY(mu_) = 0;
  std::size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace leftfold
#endif  // EVENT_STORE_RECENT_EVENTS_H_
