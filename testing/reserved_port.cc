#include "testing/reserved_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/status.h"

namespace leftfold::testing {

// A socket that is bound and does not listen: bind() to any port and connect() pass it by.
ReservedPort::ReservedPort() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const int on = 1;
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof any;
  auto* address = reinterpret_cast<sockaddr*>(&any);
  if (bind(socket_, address, size) != 0 || getsockname(socket_, address, &size) != 0 ||
      setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
    Die("no port is free on 127.0.0.1");
  number_ = ntohs(any.sin_port);
}

ReservedPort::~ReservedPort() { close(socket_); }

}  // namespace leftfold::testing
