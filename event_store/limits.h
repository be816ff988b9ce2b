#ifndef EVENT_STORE_LIMITS_H_
#define EVENT_STORE_LIMITS_H_

#include <absl/status/status.h>

#include "event_store/event_store.h"

namespace leftfold {

// INVALID_FIELDS for malformed names and repeated streams, LIMIT_EXCEEDED {limit, maximum, actual}
// for what is too large.
absl::Status CheckForm(const AppendRequest& request);
absl::Status CheckForm(const std::vector<QueryItem>& items);

}  // namespace leftfold
#endif  // EVENT_STORE_LIMITS_H_
