#include "server/http_server.h"

#include <absl/strings/match.h>
#include <civetweb.h>
#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "core/status.h"
#include "rpc/server.h"
#include "server/listener_waker.h"

namespace leftfold {
namespace {

constexpr std::size_t kReadBytes = 4'096;
// What CivetWeb puts into its own statistics for a request that got no answer.
constexpr int kNotAnswered = 499;

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 202:
      return "Accepted";
    case 402:
      return "Payment Required";
    case 409:
      return "Conflict";
    default:
      return status < 500 ? "Refused" : "Failed";
  }
}

// The whole body, or so much of one that is too large that this shows.
std::string ReadBody(mg_connection* connection, std::size_t bytes_max) {
  std::string body;
  char buffer[kReadBytes];
  while (body.size() <= bytes_max) {
    const int got = mg_read(connection, buffer, sizeof buffer);
    if (got <= 0) break;
    body.append(buffer, static_cast<std::size_t>(got));
  }
  return body;
}

// CivetWeb would write it into a file or onto standard error.
int DropMessage(const mg_connection*, const char*) { return 1; }

}  // namespace

std::string HeaderOf(const HttpRequest& request, std::string_view name) {
  for (const auto& [header, value] : request.headers) {
    if (absl::EqualsIgnoreCase(header, ToAbsl(name))) return value;
  }
  return "";
}

class HttpServer::Implementation {
 public:
  Implementation(std::size_t body_bytes_max, Handler handler)
      : body_bytes_max_(body_bytes_max), handler_(std::move(handler)) {}
  ~Implementation() {
    if (server_ == nullptr) return;
    const ListenerWaker waker(host_, port());
    mg_stop(server_);
  }
  Implementation(const Implementation&) = delete;
  Implementation& operator=(const Implementation&) = delete;

  // False when the address is taken.
  bool Start(const rpc::ListenAddress& listen, int threads) {
    host_ = listen.host;
    // CivetWeb takes addresses only.
    const std::string address =
        fmt::format("{}:{}", host_ == "localhost" ? "127.0.0.1" : host_, listen.port);
    const std::string number = fmt::to_string(threads);
    const char* settings[] = {"listening_ports",
                              address.c_str(),
                              "num_threads",
                              number.c_str(),
                              "enable_keep_alive",
                              "no",
                              "request_timeout_ms",
                              "10000",
                              nullptr};
    mg_callbacks callbacks{};
    callbacks.log_message = &DropMessage;
    server_ = mg_start(&callbacks, this, settings);
    if (server_ == nullptr) return false;
    mg_set_request_handler(server_, "**", &OnRequest, this);
    return true;
  }
  int port() const {
    mg_server_port port{};
    return mg_get_server_ports(server_, 1, &port) == 1 ? port.port : 0;
  }

 private:
  static int OnRequest(mg_connection* connection, void* self) {
    return static_cast<Implementation*>(self)->Answer(connection);
  }

  int Answer(mg_connection* connection) {
    const mg_request_info& info = *mg_get_request_info(connection);
    HttpRequest request{.method = info.request_method, .url = info.local_uri};
    for (int i = 0; i < info.num_headers; ++i)
      request.headers.emplace_back(info.http_headers[i].name, info.http_headers[i].value);
    request.body = ReadBody(connection, body_bytes_max_);
    const std::optional<HttpReply> reply = handler_(request);
    if (!reply) return kNotAnswered;
    const std::string text = fmt::format(
        "HTTP/1.1 {} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: "
        "close\r\n\r\n{}",
        reply->status, ReasonPhrase(reply->status), reply->body.size(), reply->body);
    mg_write(connection, text.data(), text.size());
    return reply->status;
  }

  const std::size_t body_bytes_max_;
  const Handler handler_;
  std::string host_;
  mg_context* server_ = nullptr;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpServerOptions& options,
                                                              Handler handler) {
  const auto listen = rpc::ParseListen(options.listen);
  if (!listen.ok()) return listen.status();
  auto implementation =
      std::make_unique<Implementation>(options.body_bytes_max, std::move(handler));
  if (!implementation->Start(*listen, options.threads)) return rpc::CannotListen(options.listen);
  std::string address = fmt::format("{}:{}", listen->host, implementation->port());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(implementation), std::move(address)));
}

HttpServer::HttpServer(std::unique_ptr<Implementation> implementation, std::string address)
    : implementation_(std::move(implementation)), address_(std::move(address)) {}
HttpServer::~HttpServer() = default;

}  // namespace leftfold
