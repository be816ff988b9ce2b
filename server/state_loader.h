#ifndef SERVER_STATE_LOADER_H_
#define SERVER_STATE_LOADER_H_

#include "core/reactor.h"
#include "core/registry.h"
#include "event_store/event_store.h"
#include "event_store/snapshots.h"

namespace leftfold {

// States of aggregates for reactors: from their snapshots and the log. Thread-safe.
class LogStateLoader final : public StateLoader {
 public:
  // Without snapshots every load folds all events.
  LogStateLoader(const Registry& registry, EventStore& store, SnapshotStore* snapshots)
      : registry_(registry), store_(store), snapshots_(snapshots) {}
  absl::StatusOr<std::string> LoadState(std::string_view category, std::string_view id) override;

 private:
  const Registry& registry_;
  EventStore& store_;
  SnapshotStore* const snapshots_;
};

}  // namespace leftfold
#endif  // SERVER_STATE_LOADER_H_
