#ifndef EVENT_STORE_VERIFY_H_
#define EVENT_STORE_VERIFY_H_

#include <absl/status/status.h>

#include <cstdint>
#include <functional>

#include "event_store/event_store.h"

namespace leftfold {

// Reads the whole log up to the head at the start and checks: positions dense, versions contiguous
// in each stream, times never decreasing, category_previous, leaves, chain, and that it ends at the
// head. DATA_LOSS names the first fault with its position. Needs memory for one number a stream.
absl::Status VerifyLog(EventStore& store,
                       const std::function<void(std::int64_t done, std::int64_t total)>& progress);

}  // namespace leftfold
#endif  // EVENT_STORE_VERIFY_H_
