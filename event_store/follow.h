#ifndef EVENT_STORE_FOLLOW_H_
#define EVENT_STORE_FOLLOW_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <vector>

#include "core/event.h"
#include "event_store/event_store.h"

namespace leftfold {

// What whoever folds the log checks of it. All failures are DATA_LOSS with the reason DATA_LOSS
// and {position}.

// The log has no event at a position although it has later ones.
absl::Status HoleAt(Position position);
// The event at a position is not what its leaf says.
absl::Status ChangedAt(Position position);
// The chain value at a position is another one than the one that was seen before.
absl::Status OffTheChainAt(Position position);

// The events that were read, unless one of them is not what its leaf says: ChangedAt.
absl::StatusOr<std::vector<RecordedEvent>> AsRecorded(
    absl::StatusOr<std::vector<RecordedEvent>> read);
// Reads the event at a position, as it was recorded.
absl::StatusOr<RecordedEvent> ReadEventAt(EventStore& store, Position position);

// The event is the next one after `before`, as it was recorded.
absl::Status CheckFollows(const Head& before, const RecordedEvent& event);
// The store still has `seen`: it is neither another log nor one that has lost its end.
absl::Status CheckOnChain(EventStore& store, const Head& seen);

}  // namespace leftfold
#endif  // EVENT_STORE_FOLLOW_H_
