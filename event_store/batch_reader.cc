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

std::optional<BatchReader::Batch> BatchReader::InKept(Position position, std::size_t events_max) {
  MutexLock lock(mu_);
  const auto kept = std::find_if(kept_.rbegin(), kept_.rend(), [position](const auto& events) {
    return events->all.front().position <= position.Next() &&
           position < events->all.back().position;
  });
  if (kept == kept_.rend()) return std::nullopt;
  std::rotate(kept_.rbegin(), kept, std::next(kept));
  const std::shared_ptr<const Events>& found = kept_.back();
  // Searched, not computed: a log with a hole must not lead beyond the batch.
  const auto begin =
      std::upper_bound(found->all.begin(), found->all.end(), position,
                       [](Position p, const RecordedEvent& event) { return p < event.position; });
  return Batch(found, static_cast<std::size_t>(begin - found->all.begin()), events_max);
}

void BatchReader::Keep(std::shared_ptr<const Events> events) {
  MutexLock lock(mu_);
  kept_.push_back(std::move(events));
  std::size_t bytes = 0;
  for (const auto& kept : kept_) bytes += kept->bytes;
  while (kept_.size() > kBatchesKept || (bytes > kKeptBytesMax && kept_.size() > 1)) {
    bytes -= kept_.front()->bytes;
    kept_.pop_front();
  }
}

absl::StatusOr<BatchReader::Batch> BatchReader::After(Position position, std::size_t events_max) {
  if (auto batch = InKept(position, events_max)) return *std::move(batch);
  MutexLock reading(reading_mu_);
  if (auto batch = InKept(position, events_max)) return *std::move(batch);  // Read meanwhile.
  auto read = store_.ReadAll(
      {.from = position, .events_max = batch_events_, .bytes_max = kSharedBatchBytes});
  if (!read.ok()) return read.status();
  if (read->events.empty()) return Batch();
  const std::size_t linked = CountLinked(read->events);
  std::size_t bytes = 0;
  for (const RecordedEvent& event : read->events)
    bytes += event.payload.size() + event.metadata.size();
  auto shared = std::make_shared<const Events>(Events{std::move(read->events), linked, bytes});
  Keep(shared);
  return Batch(std::move(shared), 0, events_max);
}

}  // namespace leftfold
