#ifndef PROJECTOR_BATCH_READER_H_
#define PROJECTOR_BATCH_READER_H_

#include <absl/status/statusor.h>

#include <memory>
#include <span>
#include <vector>

#include "core/mutex.h"
#include "event_store/event_store.h"

namespace leftfold {

// Reads the log for several views: the newest batch is kept, so that views which follow the head
// read each event once together. Thread-safe.
class BatchReader {
 public:
  explicit BatchReader(EventStore& store) : store_(store) {}

  // A run of events that begins right after a position; keeps its memory alive.
  class Batch {
   public:
    Batch() = default;
    Batch(std::shared_ptr<const std::vector<RecordedEvent>> events, std::size_t begin)
        : events_(std::move(events)), begin_(begin) {}
    std::span<const RecordedEvent> events() const {
      return events_ == nullptr ? std::span<const RecordedEvent>()
                                : std::span(*events_).subspan(begin_);
    }

   private:
    std::shared_ptr<const std::vector<RecordedEvent>> events_;
    std::size_t begin_ = 0;
  };

  // At most `events_max` events when it has to be read anew; empty at the head.
  absl::StatusOr<Batch> After(Position position, std::size_t events_max, std::size_t bytes_max);

 private:
  EventStore& store_;
  Mutex mu_;  // Held over the read: who comes meanwhile wants the same batch.
  std::shared_ptr<const std::vector<RecordedEvent>> newest_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leftfold
#endif  // PROJECTOR_BATCH_READER_H_
