#include "server/listener_waker.h"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

namespace leftfold {
namespace {

constexpr std::chrono::milliseconds kPause(10);

// Connects and goes again.
void Connect(std::string host, int port) {
  std::erase_if(host, [](char c) { return c == '[' || c == ']'; });
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), fmt::to_string(port).c_str(), &hints, &found) != 0) return;
  for (const addrinfo* to = found; to != nullptr; to = to->ai_next) {
    const int connection = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection < 0) continue;
    static_cast<void>(connect(connection, to->ai_addr, to->ai_addrlen));
    close(connection);
  }
  freeaddrinfo(found);
}

}  // namespace

ListenerWaker::ListenerWaker(const std::string& host, int port)
    : thread_([host, port](const std::stop_token& ended) {
        for (; !ended.stop_requested(); std::this_thread::sleep_for(kPause)) Connect(host, port);
      }) {}

}  // namespace leftfold
