#ifndef SERVER_STORE_SERVICE_H_
#define SERVER_STORE_SERVICE_H_

#include <absl/status/status.h>

#include <string>

#include "event_store/feed.h"
#include "rpc/services.h"
#include "write_api/raw_append.h"

namespace leftfold {

// What leftfold.store.v1.EventStoreService is served from. All must outlive the services.
struct StoreEngines {
  EventStore& store;
  RawAppender& appender;
  Feeds& feeds;
  Executor& work;  // For reads that may block.
};

// Serves the raw log, but its sessions. Callers are told apart as in server/caller.h.
absl::Status ServeStore(const StoreEngines& engines, const std::string& token,
                        rpc::Services& services);

}  // namespace leftfold
#endif  // SERVER_STORE_SERVICE_H_
