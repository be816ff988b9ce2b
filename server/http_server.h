#ifndef SERVER_HTTP_SERVER_H_
#define SERVER_HTTP_SERVER_H_

#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/http.h"

namespace leftfold {

struct HttpServerOptions {
  std::string listen;  // HOST:PORT, loopback only; port 0 picks one.
  int threads = 1;     // Requests that are answered side by side.
  std::size_t body_bytes_max = 1 << 20;
};

// The value of a header, whatever the case of its name; "" when there is none.
std::string HeaderOf(const HttpRequest& request, std::string_view name);

// An HTTP/1.1 server, over CivetWeb. `handler` runs on its threads and may block; nullopt closes
// the connection without an answer. A body beyond the maximum is handed over cut off, but longer
// than the maximum. The destructor waits for handlers that run.
class HttpServer {
 public:
  using Handler = std::function<std::optional<HttpReply>(const HttpRequest&)>;
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const HttpServerOptions& options,
                                                           Handler handler);
  ~HttpServer();
  const std::string& address() const { return address_; }

 private:
  class Implementation;
  HttpServer(std::unique_ptr<Implementation> implementation, std::string address);
  std::unique_ptr<Implementation> implementation_;
  const std::string address_;
};

}  // namespace leftfold
#endif  // SERVER_HTTP_SERVER_H_
