#ifndef EVENT_STORE_LIMITS_H_
#define EVENT_STORE_LIMITS_H_

#include <absl/status/status.h>

#include "event_store/event_store.h"

namespace leftfold {

// INVALID_FIELDS for malformed names and repeated streams, LIMIT_EXCEEDED {limit, maximum, actual}
// for what is too large.
absl::Status CheckForm(const AppendRequest& request);
absl::Status CheckForm(const std::vector<QueryItem>& items);
// INVALID_FIELDS when the condition stands on events that are not there.
absl::Status CheckAfter(const AppendCondition& condition, Position head);

// Payloads, tags and metadata of the events as they are stored: the metadata once for each event.
std::size_t StoredBytes(const AppendRequest& request);
// QUEUE_FULL {limit, maximum} when there are so many unanswered appends, the new one and its bytes
// included.
absl::Status CheckQueue(std::size_t appends, std::size_t bytes);

}  // namespace leftfold
#endif  // EVENT_STORE_LIMITS_H_
