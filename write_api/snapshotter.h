#ifndef WRITE_API_SNAPSHOTTER_H_
#define WRITE_API_SNAPSHOTTER_H_

#include <absl/container/flat_hash_set.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "core/executor.h"
#include "core/mutex.h"
#include "core/registry.h"
#include "event_store/event_store.h"
#include "event_store/snapshots.h"

namespace leftfold {

// A snapshot is asked for when so many events have become durable since the last one.
inline constexpr std::int64_t kSnapshotEvery = 100;
// Streams that wait for their snapshot. Beyond, what is asked for is forgotten: the stream asks
// again after as many events.
inline constexpr std::size_t kSnapshotQueueMax = 1'024;
// Snapshots that one step takes and one transaction writes; a transaction ends early when its
// states have so many bytes.
inline constexpr std::size_t kSnapshotBatchMax = 64;
inline constexpr std::size_t kSnapshotBatchBytesMax = 8 << 20;

// Takes snapshots behind the writer. It reads the events since the last snapshot from the log again
// instead of being handed a state: so what it writes is durable and never tentative, and commands
// neither wait for it nor lose time to it. One step at a time, on `background`, which may be slow.
// Thread-safe; the executor must have run or dropped its tasks before the snapshotter goes.
class Snapshotter {
 public:
  Snapshotter(EventStore& store, SnapshotStore& snapshots, Executor& background)
      : store_(store), snapshots_(snapshots), background_(background) {}

  // Asks for a snapshot of the stream as it will be when its turn comes. Never waits. `aggregate`
  // has a state_type.
  void Ask(const AggregateEntry& aggregate, const std::string& stream);
  SnapshotStore& snapshots() { return snapshots_; }

 private:
  struct Asked {
    const AggregateEntry* aggregate;
    std::string stream;
  };
  void Step();
  std::vector<Asked> TakeAsked();

  EventStore& store_;
  SnapshotStore& snapshots_;
  Executor& background_;
  Mutex mu_;
  std::deque<Asked> queue_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_set<std::string> queued_ ABSL_GUARDED_BY(mu_);  // The streams in it.
  bool step_posted_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace leftfold
#endif  // WRITE_API_SNAPSHOTTER_H_
