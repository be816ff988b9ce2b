#include "event_store/batch_reader.h"

#include <absl/container/flat_hash_map.h>

#include <iterator>
#include <utility>

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

std::size_t CountBytes(const std::vector<RecordedEvent>& events) {
  std::size_t bytes = 0;
  for (const RecordedEvent& event : events) bytes += event.payload.size() + event.metadata.size();
  return bytes;
}

// Those who want few types pass the other events by without touching them.
void NameTypes(EventBatch& batch) {
  absl::flat_hash_map<std::string_view, std::uint32_t> known;
  batch.type_of.reserve(batch.all.size());
  for (const RecordedEvent& event : batch.all) {
    if (batch.type_of.empty() || event.type != batch.types[batch.type_of.back()]) {
      const auto next = static_cast<std::uint32_t>(batch.types.size());
      const auto [type, is_new] = known.try_emplace(event.type, next);
      if (is_new) batch.types.push_back(event.type);
      batch.type_of.push_back(type->second);
    } else {
      batch.type_of.push_back(batch.type_of.back());
    }
  }
}

}  // namespace

EventRun EventRun::First(std::size_t count) const {
  return {events.first(count), std::min(linked, count),
          wanted.first(std::min(wanted.size(), count))};
}

EventRun EventRun::From(std::size_t begin) const {
  return {events.subspan(begin), linked - std::min(linked, begin),
          wanted.subspan(std::min(wanted.size(), begin))};
}

std::shared_ptr<const EventBatch> SharedBatches::Find(Position position) {
  MutexLock lock(mu_);
  auto found = kept_.end();
  for (auto batch = kept_.begin(); batch != kept_.end(); ++batch) {
    if (!(*batch)->HasAfter(position)) continue;
    const bool further =
        found == kept_.end() || (*batch)->all.back().position > (*found)->all.back().position;
    if (further) found = batch;
  }
  if (found == kept_.end()) return nullptr;
  std::rotate(found, std::next(found), kept_.end());
  return kept_.back();
}

void SharedBatches::Keep(std::shared_ptr<const EventBatch> batch) {
  MutexLock lock(mu_);
  kept_.push_back(std::move(batch));
  std::size_t bytes = 0;
  for (const auto& kept : kept_) bytes += kept->bytes;
  while (kept_.size() > kBatchesKept || (bytes > kKeptBytesMax && kept_.size() > 1)) {
    bytes -= kept_.front()->bytes;
    kept_.pop_front();
  }
}

// Where it begins is searched, not computed: a log with a hole must not lead beyond the batch.
BatchReader::Batch::Batch(std::shared_ptr<const EventBatch> events, Position after,
                          std::size_t count_max)
    : events_(std::move(events)) {
  const auto& all = events_->all;
  const auto begin = std::upper_bound(
      all.begin(), all.end(), after,
      [](Position position, const RecordedEvent& event) { return position < event.position; });
  begin_ = static_cast<std::size_t>(begin - all.begin());
  count_ = std::min(count_max, all.size() - begin_);
}

EventRun BatchReader::Batch::RunFor(absl::FunctionRef<bool(std::string_view type)> wants,
                                    std::vector<std::uint8_t>& wanted) const {
  wanted.clear();
  if (events_ == nullptr) return {};
  std::vector<std::uint8_t> types;
  types.reserve(events_->types.size());
  for (const std::string_view type : events_->types) types.push_back(wants(type) ? 1 : 0);
  wanted.resize(count_);
  for (std::size_t i = 0; i < count_; ++i) wanted[i] = types[events_->type_of[begin_ + i]];
  return {events(), linked(), wanted};
}

std::shared_ptr<const EventBatch> BatchReader::Find(Position position) {
  {
    MutexLock lock(mu_);
    if (newest_ != nullptr && newest_->HasAfter(position)) return newest_;
  }
  return shared_->Find(position);
}

absl::StatusOr<BatchReader::Batch> BatchReader::After(Position position, std::size_t events_max) {
  if (auto found = Find(position)) return Batch(std::move(found), position, events_max);
  MutexLock reading(shared_->reading_mu_);
  if (auto found = Find(position)) return Batch(std::move(found), position, events_max);
  auto read = Read(position, batch_events_);
  // What is damaged may lie behind what was asked for.
  if (absl::IsDataLoss(read.status()) && events_max < batch_events_)
    read = Read(position, events_max);
  if (!read.ok()) return read.status();
  if (*read == nullptr) return Batch();
  return Batch(*std::move(read), position, events_max);
}

bool BatchReader::IsToRead(Position position) {
  return position < store_.GetHead().position && Find(position) == nullptr;
}

void BatchReader::ReadAhead(Position position) {
  if (!shared_->reading_mu_.TryLock()) return;
  if (IsToRead(position)) Read(position, batch_events_).IgnoreError();
  shared_->reading_mu_.Unlock();
}

absl::StatusOr<std::shared_ptr<const EventBatch>> BatchReader::Read(Position position,
                                                                    std::size_t events_max) {
  const Position head = store_.GetHead().position;  // Before the read, which may see more.
  auto read =
      store_.ReadAll({.from = position, .events_max = events_max, .bytes_max = kSharedBatchBytes});
  if (!read.ok()) return read.status();
  if (read->events.empty()) return nullptr;
  auto made = std::make_shared<EventBatch>();
  made->all = std::move(read->events);
  made->linked = read->linked ? made->all.size() : CountLinked(made->all);
  made->bytes = CountBytes(made->all);
  NameTypes(*made);
  std::shared_ptr<const EventBatch> batch = std::move(made);
  const bool large = batch->all.size() * kSharedPart >= batch_events_ ||
                     batch->bytes * kSharedPart >= kSharedBatchBytes;
  if (large) shared_->Keep(batch);
  if (batch->all.back().position >= head) {
    MutexLock lock(mu_);
    newest_ = batch;
  }
  return batch;
}

}  // namespace leftfold
