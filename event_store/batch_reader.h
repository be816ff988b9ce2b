#ifndef EVENT_STORE_BATCH_READER_H_
#define EVENT_STORE_BATCH_READER_H_

#include <absl/functional/function_ref.h>
#include <absl/status/statusor.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
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
// A batch is shared that has at least such a part of the events, or of the bytes, that were asked
// for.
inline constexpr std::size_t kSharedPart = 5;

struct EventBatch {
  std::vector<RecordedEvent> all;
  // So many from the first on are linked by position and chain, and all of them but the first are
  // what was recorded.
  std::size_t linked = 0;
  std::size_t bytes = 0;                // Of payloads and metadata.
  std::vector<std::string_view> types;  // Each type of an event once.
  std::vector<std::uint32_t> type_of;   // For each event, where its type stands there.

  bool HasAfter(Position position) const {
    return all.front().position <= position.Next() && position < all.back().position;
  }
};

// Events as one who folds them gets them.
struct EventRun {
  std::span<const RecordedEvent> events;
  // So many from the first on are known to follow one another and to be what was recorded. The
  // first one, and what it follows, is for who folds them to check.
  std::size_t linked = 0;
  // For each, whether its type is one that is wanted; empty: not known.
  std::span<const std::uint8_t> wanted;

  // There is nothing to look at in it: neither its type nor what it follows.
  bool IsUnwanted(std::size_t i) const {
    return i > 0 && i < linked && !wanted.empty() && wanted[i] == 0;
  }
  EventRun First(std::size_t count) const;
  EventRun From(std::size_t begin) const;
};

// Large batches, for all readers of a log in a process; those that somebody took last are kept.
// Thread-safe.
class SharedBatches {
 public:
  // Of those that have the event after the position, the one that goes furthest.
  std::shared_ptr<const EventBatch> Find(Position position);
  void Keep(std::shared_ptr<const EventBatch> batch);

 private:
  friend class BatchReader;
  Mutex reading_mu_;  // Held over a read: who finds nothing meanwhile wants the same batch.
  Mutex mu_;
  std::deque<std::shared_ptr<const EventBatch>> kept_ ABSL_GUARDED_BY(mu_);  // Last taken, last.
};

// Reads the log for several views, or reactors: those who are about as far read each event, and
// compute its leaf and its chain value, once together. The newest batch, which ends at the head, is
// this reader's own, and a small one is shared with no other: who reads more often has smaller
// ones, and who rests in between would take many steps with them. Thread-safe.
class BatchReader {
 public:
  explicit BatchReader(EventStore& store,
                       std::shared_ptr<SharedBatches> shared = std::make_shared<SharedBatches>(),
                       std::size_t batch_events = kSharedBatchEvents)
      : store_(store), shared_(std::move(shared)), batch_events_(batch_events) {}

  // A run of events that begins right after a position; keeps its memory alive.
  class Batch {
   public:
    Batch() = default;
    Batch(std::shared_ptr<const EventBatch> events, Position after, std::size_t count_max);
    std::span<const RecordedEvent> events() const {
      return events_ == nullptr ? std::span<const RecordedEvent>()
                                : std::span(events_->all).subspan(begin_, count_);
    }
    // events() for one who `wants` some types, and is asked for each type once. What it answered
    // is in `wanted`, which the run refers to.
    EventRun RunFor(absl::FunctionRef<bool(std::string_view type)> wants,
                    std::vector<std::uint8_t>& wanted) const;

   private:
    std::size_t linked() const {
      if (events_ == nullptr || events_->linked < begin_) return 0;
      return std::min(events_->linked - begin_, count_);
    }

    std::shared_ptr<const EventBatch> events_;
    std::size_t begin_ = 0;
    std::size_t count_ = 0;
  };

  // At most `events_max` events; empty at the head.
  absl::StatusOr<Batch> After(Position position, std::size_t events_max);
  // There are events after the position, and none of the batches that are kept has the next one.
  bool IsToRead(Position position);
  // Reads the batch after the position, unless somebody is reading: whoever asks for it is told of
  // a failure.
  void ReadAhead(Position position);

 private:
  std::shared_ptr<const EventBatch> Find(Position position);
  // Nothing at the head.
  absl::StatusOr<std::shared_ptr<const EventBatch>> Read(Position position, std::size_t events_max)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(shared_->reading_mu_);

  EventStore& store_;
  const std::shared_ptr<SharedBatches> shared_;
  const std::size_t batch_events_;
  Mutex mu_;
  std::shared_ptr<const EventBatch> newest_ ABSL_GUARDED_BY(mu_);  // Reached the head.
};

}  // namespace leftfold
#endif  // EVENT_STORE_BATCH_READER_H_
