#ifndef SERVER_STORE_SERVICE_H_
#define SERVER_STORE_SERVICE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>

#include "event_store/feed.h"
#include "leftfold/store/v1/event_store.pb.h"
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

// Its reads that are answered at once. INVALID_FIELDS, INVALID_PAGE_TOKEN, COMMAND_NOT_FOUND.
absl::StatusOr<store::v1::GetCommandResponse> GetCommand(
    EventStore& store, const store::v1::GetCommandRequest& request);
absl::StatusOr<store::v1::GetHeadResponse> GetHead(EventStore& store,
                                                   const store::v1::GetHeadRequest& request);
absl::StatusOr<store::v1::GetStreamResponse> GetStream(EventStore& store,
                                                       const store::v1::GetStreamRequest& request);
absl::StatusOr<store::v1::ListStreamsResponse> ListStreams(
    EventStore& store, const store::v1::ListStreamsRequest& request);

// Serves the raw log, but its sessions. Callers are told apart as in server/caller.h.
absl::Status ServeStore(const StoreEngines& engines, const std::string& token,
                        rpc::Services& services);

}  // namespace leftfold
#endif  // SERVER_STORE_SERVICE_H_
