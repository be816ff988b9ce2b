#ifndef EVENT_STORE_BATCH_READER_H_
#define EVENT_STORE_BATCH_READER_H_

#include <absl/status/statusor.h>

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/mutex.h"
#include "event_store/event_store.h"

namespace leftfold {

// Batches that are kept for those who have not come so far, and what their events may have in all.
inline constexpr std::size_t kBatchesKept = 8;
inline constexpr std::size_t kKeptBytesMax = 16 << 20;

// Reads the log for several views: those who are about as far read each event, and compute its leaf
// and its chain value, once together. The batches that somebody took last are kept. Thread-safe.
class BatchReader {
 public:
  explicit BatchReader(EventStore& store) : store_(store) {}

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
    Batch(std::shared_ptr<const Events> events, std::size_t begin)
        : events_(std::move(events)), begin_(begin) {}
    std::span<const RecordedEvent> events() const {
      return events_ == nullptr ? std::span<const RecordedEvent>()
                                : std::span(events_->all).subspan(begin_);
    }
    // How many of events() are known to follow one another and to be what was recorded. The first
    // one, and what it follows, is for the caller to check.
    std::size_t linked() const {
      return events_ == nullptr || events_->linked < begin_ ? 0 : events_->linked - begin_;
    }

   private:
    std::shared_ptr<const Events> events_;
    std::size_t begin_ = 0;
  };

  // At most `events_max` events when it has to be read anew; empty at the head.
  absl::StatusOr<Batch> After(Position position, std::size_t events_max, std::size_t bytes_max);

 private:
  // What of a kept batch follows the position, if one reaches there.
  std::optional<Batch> InKept(Position position);
  void Keep(std::shared_ptr<const Events> events);

  EventStore& store_;
  Mutex reading_mu_;  // Held over a read: who finds nothing meanwhile wants the same batch.
  Mutex mu_;
  std::deque<std::shared_ptr<const Events>> kept_ ABSL_GUARDED_BY(mu_);  // Last taken, last.
};

}  // namespace leftfold
#endif  // EVENT_STORE_BATCH_READER_H_
