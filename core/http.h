#ifndef CORE_HTTP_H_
#define CORE_HTTP_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Calls to HTTP servers outside, as plain values: what a reactor says to the world. No I/O here;
// server/http_client.h has the implementation.
namespace leftfold {

// Of one reply, its headers included. A larger one is OUT_OF_RANGE.
inline constexpr std::size_t kHttpReplyBytesMax = 1 << 20;
// Calls of one client that are under way. One more is RESOURCE_EXHAUSTED.
inline constexpr int kHttpCallsMax = 256;
inline constexpr absl::Duration kHttpTimeoutMax = absl::Minutes(10);

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method = "GET";  // GET, HEAD, POST, PUT, PATCH or DELETE.
  std::string url;             // http:// or https://
  HttpHeaders headers = {};
  std::string body = {};
  absl::Duration timeout = absl::Seconds(10);  // Of the whole call; at most kHttpTimeoutMax.
};

// What the server said, errors of its own (404, 500) and redirects too.
struct HttpReply {
  int status = 0;
  HttpHeaders headers;  // In the order in which they came; names in small letters.
  std::string body = {};
};

// Whether these may be a header's name (a token of RFC 9110) and value (no control characters).
bool IsHeaderName(std::string_view name);
bool IsHeaderValue(std::string_view value);

class HttpClient {
 public:
  virtual ~HttpClient() = default;
  // Returns at once. `done` is called exactly once, on a thread of the client and never inside of
  // Send; it must not block, and must not send again when it gets CANCELLED. It gets the reply or:
  //   INVALID_ARGUMENT    the request is malformed; nothing was sent
  //   RESOURCE_EXHAUSTED  too many calls; nothing was sent
  //   UNAVAILABLE         no reply could be had: not connected, reset, cut off, no valid HTTP
  //   DEADLINE_EXCEEDED   no reply within the timeout; CANCELLED: the client is being destroyed
  //   OUT_OF_RANGE        the reply is too large
  // After all but the first two the server may have carried the request out, and more than once (a
  // request on a kept connection that breaks is sent again): send an idempotency key with what must
  // happen once. Thread-safe.
  virtual void Send(HttpRequest request, std::function<void(absl::StatusOr<HttpReply>)> done) = 0;
};

}  // namespace leftfold
#endif  // CORE_HTTP_H_
