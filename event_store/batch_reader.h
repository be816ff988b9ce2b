#ifndef EVENT_STORE_BATCH_READER_H_
#define EVENT_STORE_BATCH_READER_H_

#include <absl/status/statusor.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/mutex.h"
#include "event_store/event_store.h"

namespace leftfold {

// What one read asks the store for.
inline constexpr std::size_t kSharedBatchEvents = 5'000;
inline constexpr std::size_t kSharedBatchBytes = 16 << 20;
// Batches that are kept for those who have not come so far, and what their events may have in all.
inline constexpr std::size_t kBatchesKept = 8;
inline constexpr std::size_t kKeptBytesMax = 16 << 20;

// Reads the log for views and reactors: those who are about as far read each event, and compute its
// leaf and its chain value, once together. The batches that somebody took last are kept.
// Thread-safe.
class BatchReader {
 public:
  explicit BatchReader(EventStore& store, std::size_t batch_events = kSharedBatchEvents)
      : store_(store), batch_events_(batch_events) {}

  struct Events {
    std::vector<RecordedEvent> all;
    // So many from the first on are linked by position and chain, and all of them but the first
    // are what was recorded.
    std::size_t linked = 0;
    std::size_t bytes = 0;  // Of payloads and metadata.
  };
  // A run of events that begins right after a position; keeps its memory alive.
  class Batch {
   public:
    Batch() = default;
    Batch(std::shared_ptr<const Events> events, std::size_t begin, std::size_t count_max)
        : events_(std::move(events)),
          begin_(begin),
          count_(std::min(count_max, events_->all.size() - begin)) {}
    std::span<const RecordedEvent> events() const {
      return events_ == nullptr ? std::span<const RecordedEvent>()
                                : std::span(events_->all).subspan(begin_, count_);
    }
    // How many of events() are known to follow one another and to be what was recorded. The first
    // one, and what it follows, is for the caller to check.
    std::size_t linked() const {
      if (events_ == nullptr || events_->linked < begin_) return 0;
      return std::min(events_->linked - begin_, count_);
    }

   private:
    std::shared_ptr<const Events> events_;
    std::size_t begin_ = 0;
    std::size_t count_ = 0;
  };

  // At most `events_max` events; empty at the head.
  absl::StatusOr<Batch> After(Position position, std::size_t events_max);

 private:
  // What of a kept batch follows the position, if one reaches there.
  std::optional<Batch> InKept(Position position, std::size_t events_max);
  void Keep(std::shared_ptr<const Events> events);

  EventStore& store_;
  const std::size_t batch_events_;
  Mutex reading_mu_;  // Held over a read: who finds nothing meanwhile wants the same batch.
  Mutex mu_;
  std::deque<std::shared_ptr<const Events>> kept_ ABSL_GUARDED_BY(mu_);  // Last taken, last.
};

}  // namespace leftfold
#endif  // EVENT_STORE_BATCH_READER_H_
