#ifndef WRITE_API_AGGREGATE_LOADER_H_
#define WRITE_API_AGGREGATE_LOADER_H_

#include <absl/status/statusor.h>

#include <string>

#include "core/registry.h"
#include "event_store/event_store.h"
#include "event_store/snapshots.h"

namespace leftfold {

// An aggregate as the log has it.
struct LoadedAggregate {
  ErasedState state;
  Version version = kNoEventYet;   // Of the last event that was folded.
  Digest chain{};                  // That event's.
  Version snapshot = kNoEventYet;  // Of the snapshot that the fold began with; none: kNoEventYet.
};

// Folds the events of the stream: those after its snapshot, or all where there is none (or
// `snapshots` is nullptr) or it is not to be trusted: taken of another state type or version, of an
// event that this log does not have, or with bytes that do not parse. The snapshot's own event is
// read too, because its chain value tells. DATA_LOSS when an event does not decode; one before a
// snapshot is not looked at. Reads the disk.
absl::StatusOr<LoadedAggregate> LoadAggregate(const AggregateEntry& aggregate,
                                              const std::string& stream, EventStore& store,
                                              SnapshotStore* snapshots);

}  // namespace leftfold
#endif  // WRITE_API_AGGREGATE_LOADER_H_
