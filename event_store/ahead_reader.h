#ifndef EVENT_STORE_AHEAD_READER_H_
#define EVENT_STORE_AHEAD_READER_H_

#include <absl/status/statusor.h>

#include <atomic>
#include <memory>
#include <utility>

#include "core/executor.h"
#include "event_store/batch_reader.h"

namespace leftfold {

// For one who reads a log from end to end: while it works on a batch, a task on the executor reads
// the next one into what `reader` shares, one task at a time. Without a thread that is free it
// reads for itself. The executor must outlive it, and the store every task. Not thread-safe.
class AheadReader {
 public:
  AheadReader(std::shared_ptr<BatchReader> reader, Executor& executor)
      : reader_(std::move(reader)), executor_(executor) {}

  // As BatchReader::After.
  absl::StatusOr<BatchReader::Batch> After(Position position, std::size_t events_max);

 private:
  std::shared_ptr<BatchReader> reader_;
  Executor& executor_;
  std::shared_ptr<std::atomic<bool>> reading_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace leftfold
#endif  // EVENT_STORE_AHEAD_READER_H_
