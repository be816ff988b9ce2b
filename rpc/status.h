#ifndef RPC_STATUS_H_
#define RPC_STATUS_H_

#include <absl/status/status.h>
#include <grpcpp/support/status.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

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

// Logs a failure that was not made for clients, and is nobody's fault (CANCELLED,
// DEADLINE_EXCEEDED), with the trace id of `traceparent` if it has one.
void LogFailure(std::string_view rpc, std::string_view traceparent, const absl::Status& status);

// Errors that clients were given since the process began.
struct Rejections {
  std::string domain;  // As in ErrorInfo: "leftfold.core.v1"
  std::string reason;  // "VERSION_CONFLICT"
  std::int64_t count = 0;
};
// More kinds than these are counted as one, with the reason "OTHER".
inline constexpr std::size_t kRejectionKindsMax = 1'000;
std::vector<Rejections> ListRejections();

}  // namespace leftfold::rpc
#endif  // RPC_STATUS_H_
