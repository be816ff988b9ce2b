#ifndef RPC_STATUS_H_
#define RPC_STATUS_H_

#include <absl/status/status.h>
#include <grpcpp/support/status.h>

#include <cstddef>

#include "google/rpc/status.pb.h"

namespace leftfold::rpc {

// Clients cut calls off whose trailers are larger than 8 KiB, and the text travels twice
// (percent-encoded and base64): these two keep a status below that.
inline constexpr std::size_t kStatusMessageBytesMax = 1'024;
inline constexpr std::size_t kStatusDetailsBytesMax = 3'072;

// True when the status was made for clients (it has a google.rpc.ErrorInfo). All others are the
// engines' own: their text may hold paths and SQL.
bool IsForClients(const absl::Status& status);

// What goes over the wire: the code, the text, and the payloads as google.rpc.Status details in the
// trailers (grpc-status-details-bin), ErrorInfo first. A status that was not made for clients gets
// ErrorInfo {reason: name of its code
// ("INTERNAL"), domain: "leftfold.core.v1"} and a general text; whoever calls this logs the
// original. Too long texts are cut; of too many details the last are left out (of a BadRequest its
// last violations), never ErrorInfo.
grpc::Status ToGrpc(const absl::Status& status);
// The same as a message, for answers inside of a stream.
google::rpc::Status ToRpcStatus(const absl::Status& status);

}  // namespace leftfold::rpc
#endif  // RPC_STATUS_H_
