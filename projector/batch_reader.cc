#include "projector/batch_reader.h"

#include <algorithm>

namespace leftfold {

absl::StatusOr<BatchReader::Batch> BatchReader::After(Position position, std::size_t events_max,
                                                      std::size_t bytes_max) {
  MutexLock lock(mu_);
  if (newest_ != nullptr && newest_->front().position <= position.Next() &&
      position < newest_->back().position) {
    // Searched, not computed: a log with a hole must not lead beyond the batch.
    const auto begin =
        std::upper_bound(newest_->begin(), newest_->end(), position,
                         [](Position p, const RecordedEvent& event) { return p < event.position; });
    return Batch(newest_, static_cast<std::size_t>(begin - newest_->begin()));
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
