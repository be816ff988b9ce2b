#ifndef SERVER_HTTP_SERVICES_H_
#define SERVER_HTTP_SERVICES_H_

#include <absl/status/status.h>

#include <map>
#include <string>
#include <string_view>

#include "core/http.h"

namespace leftfold {

// A server outside that reactors call by a name.
struct HttpService {
  std::string url;                  // http://127.0.0.1:50060, without a slash at the end.
  std::string api_key;              // Sent as `Authorization: Bearer KEY`, unless it is empty.
  std::string webhook_secret = {};  // What it signs messages with (server/inbound_server.h).
};
using HttpServices = std::map<std::string, HttpService, std::less<>>;  // By name, [a-z0-9_]+.

// Those of an environment (`NAME=value`, a null at the end): LEFTFOLD_<NAME>_URL and, where it
// wants them, LEFTFOLD_<NAME>_API_KEY and LEFTFOLD_<NAME>_WEBHOOK_SECRET.
HttpServices ServicesOf(const char* const* environment);

// Puts the service's URL into one that begins with `service:NAME/`, and the API key into the
// headers; leaves other requests alone. FAILED_PRECONDITION says which variable to set.
absl::Status ResolveService(const HttpServices& services, HttpRequest& request);

}  // namespace leftfold
#endif  // SERVER_HTTP_SERVICES_H_
