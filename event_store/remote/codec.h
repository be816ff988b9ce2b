#ifndef EVENT_STORE_REMOTE_CODEC_H_
#define EVENT_STORE_REMOTE_CODEC_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <grpcpp/support/status.h>

#include <vector>

#include "event_store/event_store.h"
#include "google/rpc/status.pb.h"
#include "leftfold/store/v1/event_store.pb.h"

// Between the types of event_store.h and leftfold.store.v1, nothing lost either way.
namespace leftfold::remote {

// INVALID_FIELDS for texts that are no UTF-8 (types, tags, ids) and for a command id that is not
// printable ASCII: protobuf cannot carry them.
absl::StatusOr<store::v1::AppendRequest> ToWire(AppendRequest request);
store::v1::EventFilter ToWire(const EventFilter& filter);

absl::StatusOr<RecordedEvent> FromWire(const core::v1::RecordedEvent& event);
Receipt FromWire(const store::v1::AppendReceipt& receipt);
// Of a stored command: duplicate, without versions.
StoredCommand FromWire(const store::v1::GetCommandResponse& response);
// With all its details.
absl::Status FromWire(const google::rpc::Status& status);
// The same; STORE_UNREACHABLE with RetryInfo for a call that broke or found no server.
absl::Status FromWire(const grpc::Status& status);

}  // namespace leftfold::remote
#endif  // EVENT_STORE_REMOTE_CODEC_H_
