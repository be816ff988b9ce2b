#include "event_store/ahead_reader.h"

namespace leftfold {

absl::StatusOr<BatchReader::Batch> AheadReader::After(Position position, std::size_t events_max) {
  auto batch = reader_->After(position, events_max);
  if (!batch.ok() || batch->events().empty()) return batch;
  const Position end = batch->events().back().position;
  if (reader_->IsToRead(end) && !reading_->exchange(true)) {
    executor_.Post([reader = reader_, reading = reading_, end] {
      reader->ReadAhead(end);
      reading->store(false);
    });
  }
  return batch;
}

}  // namespace leftfold
