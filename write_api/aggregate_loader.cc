#include "write_api/aggregate_loader.h"

#include <optional>
#include <utility>
#include <vector>

#include "core/status.h"

namespace leftfold {
namespace {

constexpr std::size_t kLoadBatchEvents = 1'000;

// Folds the events after `loaded.version`.
absl::Status Fold(const AggregateEntry& aggregate, const std::vector<RecordedEvent>& events,
                  LoadedAggregate& loaded) {
  for (const RecordedEvent& event : events) {
    if (event.version <= loaded.version) continue;
    LEFTFOLD_RETURN_IF_ERROR(aggregate.evolve(loaded.state.get(), event));
    loaded.version = event.version;
    loaded.chain = event.chain;
  }
  return absl::OkStatus();
}

// The state of the stream's snapshot, if there is one of this aggregate; of which log, the caller
// finds out.
std::optional<LoadedAggregate> Restore(const AggregateEntry& aggregate, const std::string& stream,
                                       SnapshotStore* snapshots) {
  if (snapshots == nullptr || aggregate.state_type.empty()) return std::nullopt;
  const std::optional<Snapshot> found = snapshots->Find(stream);
  if (!found || found->state_type != aggregate.state_type ||
      found->state_version != aggregate.state_version) {
    return std::nullopt;
  }
  LoadedAggregate restored{aggregate.new_state(), found->version, found->chain, found->version};
  if (!aggregate.restore(restored.state.get(), found->state)) return std::nullopt;
  return restored;
}

}  // namespace

absl::StatusOr<LoadedAggregate> LoadAggregate(const AggregateEntry& aggregate,
                                              const std::string& stream, EventStore& store,
                                              SnapshotStore* snapshots) {
  LoadedAggregate loaded{aggregate.new_state()};
  if (std::optional<LoadedAggregate> restored = Restore(aggregate, stream, snapshots)) {
    const auto events =
        store.ReadStream(stream, {.from = restored->version, .events_max = kLoadBatchEvents});
    if (!events.ok()) return events.status();
    if (!events->empty() && events->front().version == restored->version &&
        events->front().chain == restored->chain) {
      loaded = *std::move(restored);
      LEFTFOLD_RETURN_IF_ERROR(Fold(aggregate, *events, loaded));
    }
  }
  while (true) {
    const auto events =
        store.ReadStream(stream, {.from = loaded.version.Next(), .events_max = kLoadBatchEvents});
    if (!events.ok()) return events.status();
    if (events->empty()) return loaded;
    LEFTFOLD_RETURN_IF_ERROR(Fold(aggregate, *events, loaded));
  }
}

}  // namespace leftfold
