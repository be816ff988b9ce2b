#ifndef SERVER_CALLER_H_
#define SERVER_CALLER_H_

#include <absl/status/statusor.h>

#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "rpc/services.h"
#include "write_api/command_handler.h"

namespace leftfold {

// Of x-correlation-id and x-causation-id, each.
inline constexpr std::size_t kCorrelationIdBytesMax = 128;
// Of the headers of one call that begin with kHeaderPrefix: how many, and their names (without the
// prefix) and values together. Well below the 8 KiB that gRPC itself allows all headers of a call.
inline constexpr std::size_t kHeadersMax = 16;
inline constexpr std::size_t kHeadersBytesMax = 4'096;
inline constexpr std::string_view kHeaderPrefix = "lf-meta-";
inline constexpr std::string_view kCorrelationHeader = "x-correlation-id";
inline constexpr std::string_view kCausationHeader = "x-causation-id";
inline constexpr std::string_view kTraceHeader = "traceparent";
// Taken from trusted callers only, which are processes of this system.
inline constexpr std::string_view kReactorHeader = "lf-reactor";

// Who sends a call, and what of its headers goes into the metadata of the events that it causes:
//   x-correlation-id, x-causation-id  printable ASCII; what is not sent stays empty, nothing is
//                                     made up
//   traceparent                       W3C Trace Context; ignored when it is malformed or there
//                                     twice, as that standard wants: a broken tracer never fails
//                                     a command
//   lf-meta-NAME: VALUE               kept as the header NAME; printable ASCII
//   authorization: `bearer`           makes the caller trusted
//   lf-reactor: reactor:NAME          the actor, of a caller who is trusted; else ignored
// All others are ignored. INVALID_ARGUMENT, all violations at once and each naming its header:
//   INVALID_FIELDS  not printable ASCII, an id that is too long, a name that is empty or there
//                   twice, lf-meta-NAME-bin: headers are text
//   LIMIT_EXCEEDED  {limit, maximum, actual}: kHeadersMax, kHeadersBytesMax
absl::StatusOr<Caller> CallerOf(const std::vector<rpc::HeaderLine>& headers,
                                std::string_view bearer);

}  // namespace leftfold
#endif  // SERVER_CALLER_H_
