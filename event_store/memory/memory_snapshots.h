#ifndef EVENT_STORE_MEMORY_MEMORY_SNAPSHOTS_H_
#define EVENT_STORE_MEMORY_MEMORY_SNAPSHOTS_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/mutex.h"
#include "event_store/snapshots.h"

namespace leftfold {

// Forgets everything when it goes: for tests. Thread-safe.
class MemorySnapshots final : public SnapshotStore {
 public:
  std::optional<Snapshot> Find(std::string_view stream) override {
    MutexLock lock(mu_);
    const auto it = snapshots_.find(stream);
    return it == snapshots_.end() ? std::nullopt : std::optional<Snapshot>(it->second);
  }
  absl::Status Write(const std::vector<Snapshot>& snapshots) override {
    MutexLock lock(mu_);
    for (const Snapshot& snapshot : snapshots) snapshots_[snapshot.stream] = snapshot;
    return absl::OkStatus();
  }

 private:
  Mutex mu_;
  std::map<std::string, Snapshot, std::less<>> snapshots_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leftfold
#endif  // EVENT_STORE_MEMORY_MEMORY_SNAPSHOTS_H_
