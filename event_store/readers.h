#ifndef EVENT_STORE_READERS_H_
#define EVENT_STORE_READERS_H_

#include <absl/status/statusor.h>

#include <memory>

#include "event_store/feed.h"
#include "leftfold/store/v1/event_store.pb.h"

namespace leftfold {

// leftfold.store.v1.EventStoreService/Subscribe: catch-up and live in one loop that reads the store
// by position; whatever wakes it is a hint. A filter that no event can fit is refused. Refuses what
// the request says wrong, and what Admit refuses; the sink is not touched then. What is only found
// by reading (LOG_DIVERGED) comes through the sink after Start.
absl::StatusOr<std::shared_ptr<Feed>> OpenSubscription(Feeds& feeds,
                                                       const store::v1::SubscribeRequest& request,
                                                       std::shared_ptr<FeedSink> sink);

// ReadAll and ReadStream in the same way; they end by themselves.
absl::StatusOr<std::shared_ptr<Feed>> OpenReadAll(Feeds& feeds,
                                                  const store::v1::ReadAllRequest& request,
                                                  std::shared_ptr<FeedSink> sink);
absl::StatusOr<std::shared_ptr<Feed>> OpenReadStream(Feeds& feeds,
                                                     const store::v1::ReadStreamRequest& request,
                                                     std::shared_ptr<FeedSink> sink);

}  // namespace leftfold
#endif  // EVENT_STORE_READERS_H_
