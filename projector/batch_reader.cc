#include "projector/batch_reader.h"

namespace leftfold {

absl::StatusOr<BatchReader::Batch> BatchReader::After(Position position, std::size_t events_max,
                                                      std::size_t bytes_max) {
  MutexLock lock(mu_);
  if (newest_ != nullptr) {
    const Position first = newest_->front().position;
    const Position last = newest_->back().position;
    const Position next = position.Next();
    if (first <= next && next <= last)
      return Batch(newest_, static_cast<std::size_t>(next.value - first.value));
  }
  auto events =
      store_.ReadAll({.from = position, .events_max = events_max, .bytes_max = bytes_max});
  if (!events.ok()) return events.status();
  if (events->empty()) return Batch();
  auto shared = std::make_shared<const std::vector<RecordedEvent>>(*std::move(events));
  // One that catches up does not take the batch away from those that follow the head.
  if (newest_ == nullptr || shared->back().position > newest_->back().position) newest_ = shared;
  return Batch(std::move(shared), 0);
}

}  // namespace leftfold
