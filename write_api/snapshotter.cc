#include "write_api/snapshotter.h"

#include <utility>

#include "write_api/aggregate_loader.h"

namespace leftfold {

void Snapshotter::Ask(const AggregateEntry& aggregate, const std::string& stream) {
  MutexLock lock(mu_);
  if (queue_.size() >= kSnapshotQueueMax || !queued_.insert(stream).second) return;
  queue_.push_back({&aggregate, stream});
  if (!std::exchange(step_posted_, true)) background_.Post([this] { Step(); });
}

std::vector<Snapshotter::Asked> Snapshotter::TakeAsked() {
  MutexLock lock(mu_);
  std::vector<Asked> taken;
  while (!queue_.empty() && taken.size() < kSnapshotBatchMax) {
    queued_.erase(queue_.front().stream);
    taken.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return taken;
}

void Snapshotter::Step() {
  std::vector<Snapshot> taken;
  std::size_t bytes = 0;
  const auto write = [&] {
    // What could not be written is taken again after as many events.
    if (!taken.empty()) snapshots_.Write(taken).IgnoreError();
    taken.clear();
    bytes = 0;
  };
  for (const Asked& asked : TakeAsked()) {
    const AggregateEntry& aggregate = *asked.aggregate;
    // What cannot be loaded is told to the next command.
    const auto loaded = LoadAggregate(aggregate, asked.stream, store_, &snapshots_);
    if (!loaded.ok() || loaded->version == loaded->snapshot) continue;
    std::string state = aggregate.save(loaded->state.get());
    if (state.size() > kSnapshotBytesMax) continue;
    bytes += state.size();
    taken.push_back({asked.stream, loaded->version, loaded->chain, aggregate.state_type,
                     aggregate.state_version, std::move(state)});
    if (bytes >= kSnapshotBatchBytesMax) write();
  }
  write();
  MutexLock lock(mu_);
  step_posted_ = !queue_.empty();
  if (step_posted_) background_.Post([this] { Step(); });
}

}  // namespace leftfold
