#include "event_store/batch_reader.h"

#include <algorithm>

namespace leftfold {
namespace {

std::size_t CountLinked(const std::vector<RecordedEvent>& events) {
  std::size_t linked = events.empty() ? 0 : 1;
  while (linked < events.size() && events[linked].position == events[linked - 1].position.Next() &&
         events[linked].leaf == LeafOf(events[linked]) &&
         events[linked].chain == ChainOf(events[linked - 1].chain, events[linked])) {
    ++linked;
  }
  return linked;
}

}  // namespace

std::optional<BatchReader::Batch> BatchReader::InNewest(Position position) {
  MutexLock lock(mu_);
  if (newest_ == nullptr || newest_->all.front().position > position.Next() ||
      position >= newest_->all.back().position) {
    return std::nullopt;
  }
  // Searched, not computed: a log with a hole must not lead beyond the batch.
  const auto begin =
      std::upper_bound(newest_->all.begin(), newest_->all.end(), position,
                       [](Position p, const RecordedEvent& event) { return p < event.position; });
  return Batch(newest_, static_cast<std::size_t>(begin - newest_->all.begin()));
}

absl::StatusOr<BatchReader::Batch> BatchReader::After(Position position, std::size_t events_max,
                                                      std::size_t bytes_max) {
  if (auto batch = InNewest(position)) return *std::move(batch);
  MutexLock reading(reading_mu_);
  if (auto batch = InNewest(position)) return *std::move(batch);  // Read meanwhile.
  auto read = store_.ReadAll({.from = position, .events_max = events_max, .bytes_max = bytes_max});
  if (!read.ok()) return read.status();
  if (read->events.empty()) return Batch();
  const std::size_t linked = CountLinked(read->events);
  auto shared = std::make_shared<const Events>(Events{std::move(read->events), linked});
  MutexLock lock(mu_);
  // One that catches up does not take the batch away from those that follow the head.
  if (newest_ == nullptr || shared->all.back().position > newest_->all.back().position) {
    newest_ = shared;
  }
  return Batch(std::move(shared), 0);
}

}  // namespace leftfold
