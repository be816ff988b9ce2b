#include "event_store/follow.h"

#include <utility>

#include "core/reject.h"

namespace leftfold {
namespace {

absl::Status Lost(Position position, std::string_view what) {
  return Reject(core::v1::ERROR_REASON_DATA_LOSS, what,
                {{"position", fmt::to_string(position.value)}});
}

}  // namespace

absl::Status HoleAt(Position position) {
  return Lost(position, fmt::format("the log has no event at position {}; run `leftfold verify` "
                                    "and restore a backup",
                                    position.value));
}

absl::Status ChangedAt(Position position) {
  return Lost(position, fmt::format("the event at position {} is not what was recorded; run "
                                    "`leftfold verify` and restore a backup",
                                    position.value));
}

absl::Status OffTheChainAt(Position position) {
  return Lost(position, fmt::format("the chain value at position {} does not fit; run `leftfold "
                                    "verify`, then rebuild the view, or restore the reactor of "
                                    "this log",
                                    position.value));
}

absl::StatusOr<std::vector<RecordedEvent>> AsRecorded(
    absl::StatusOr<std::vector<RecordedEvent>> read) {
  if (!read.ok()) return read;
  for (const RecordedEvent& event : *read) {
    if (LeafOf(event) != event.leaf) return ChangedAt(event.position);
  }
  return read;
}

absl::StatusOr<RecordedEvent> ReadEventAt(EventStore& store, Position position) {
  auto read = store.ReadAll({.from = Position{position.value - 1}, .events_max = 1});
  if (!read.ok()) return read.status();
  if (read->events.empty() || read->events.front().position != position) return HoleAt(position);
  if (LeafOf(read->events.front()) != read->events.front().leaf) return ChangedAt(position);
  return std::move(read->events.front());
}

absl::Status CheckFollows(const Head& before, const RecordedEvent& event) {
  if (event.position != before.position.Next()) return HoleAt(before.position.Next());
  if (LeafOf(event) != event.leaf) return ChangedAt(event.position);
  if (ChainOf(before.chain, event) != event.chain) return OffTheChainAt(event.position);
  return absl::OkStatus();
}

absl::Status CheckOnChain(EventStore& store, const Head& seen) {
  if (seen.position == kBeforeFirst) {
    const bool fits = seen.chain == FirstChain(store.StoreId());
    return fits ? absl::OkStatus() : OffTheChainAt(seen.position);
  }
  const auto read = store.ReadAll({.from = Position{seen.position.value - 1}, .events_max = 1});
  if (!read.ok()) return read.status();
  const bool fits = !read->events.empty() && read->events.front().position == seen.position &&
                    read->events.front().chain == seen.chain;
  return fits ? absl::OkStatus() : OffTheChainAt(seen.position);
}

}  // namespace leftfold
