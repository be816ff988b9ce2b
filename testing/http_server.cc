#include "testing/http_server.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <sstream>
#include <string_view>
#include <utility>

#include "core/status.h"

namespace leftfold::testing {
namespace {

constexpr int kBacklog = 512;
constexpr std::size_t kReadBytes = 4'096;

// False when the client is gone.
bool ReadMore(int connection, std::string& bytes) {
  char buffer[kReadBytes];
  const ssize_t got = recv(connection, buffer, sizeof buffer, 0);
  if (got > 0) bytes.append(buffer, static_cast<std::size_t>(got));
  return got > 0;
}

std::optional<HttpSeen> ReadRequest(int connection) {
  std::string bytes;
  std::size_t head = std::string::npos;
  while ((head = bytes.find("\r\n\r\n")) == std::string::npos) {
    if (!ReadMore(connection, bytes)) return std::nullopt;
  }
  HttpSeen seen;
  std::istringstream lines(bytes.substr(0, head));
  std::string line;
  std::getline(lines, line);
  std::istringstream(line) >> seen.method >> seen.target;
  while (std::getline(lines, line)) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    seen.headers[absl::AsciiStrToLower(line.substr(0, colon))] =
        std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
  }
  std::size_t size = 0;
  static_cast<void>(absl::SimpleAtoi(seen.headers["content-length"], &size));
  while (bytes.size() < head + 4 + size) {
    if (!ReadMore(connection, bytes)) return std::nullopt;
  }
  seen.body = bytes.substr(head + 4, size);
  return seen;
}

void WriteAll(int connection, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

}  // namespace

HttpTold HttpAnswer(const std::string& body, const std::string& status) {
  return {fmt::format("HTTP/1.1 {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}", status,
                      body.size(), body)};
}

HttpServer::HttpServer(std::function<HttpTold(const HttpSeen&)> handler)
    : handler_(std::move(handler)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener_, kBacklog) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    Die("the HTTP server of a test cannot listen");
  }
  port_ = ntohs(address.sin_port);
  accepting_ = std::jthread([this] { Accept(); });
}

HttpServer::~HttpServer() {
  shutdown(listener_, SHUT_RDWR);
  accepting_.join();
  {
    const std::lock_guard lock(mu_);
    for (const int connection : open_) shutdown(connection, SHUT_RDWR);
  }
  connections_.clear();
  close(listener_);
}

std::string HttpServer::url(const std::string& target) const {
  return fmt::format("http://127.0.0.1:{}{}", port_, target);
}

void HttpServer::Accept() {
  while (true) {
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) return;
    {
      const std::lock_guard lock(mu_);
      open_.insert(connection);
    }
    connections_.emplace_back([this, connection] { Serve(connection); });
  }
}

void HttpServer::Serve(int connection) {
  if (const std::optional<HttpSeen> seen = ReadRequest(connection)) {
    const HttpTold told = handler_(*seen);
    WriteAll(connection, told.bytes);
    std::string ignored;
    if (told.then == HttpTold::Then::kHold) {
      while (ReadMore(connection, ignored)) ignored.clear();
    }
    if (told.then == HttpTold::Then::kReset) {
      const linger at_once{1, 0};
      setsockopt(connection, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
  }
  const std::lock_guard lock(mu_);
  open_.erase(connection);
  close(connection);
}

}  // namespace leftfold::testing
