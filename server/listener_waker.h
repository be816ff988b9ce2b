#ifndef SERVER_LISTENER_WAKER_H_
#define SERVER_LISTENER_WAKER_H_

#include <string>
#include <thread>

namespace leftfold {

// CivetWeb sees that it is to end when its poll returns: after two seconds, or when somebody
// connects. While this is there, somebody does. `host` is as rpc::ListenAddress has it.
class ListenerWaker {
 public:
  ListenerWaker(const std::string& host, int port);

 private:
  std::jthread thread_;
};

}  // namespace leftfold
#endif  // SERVER_LISTENER_WAKER_H_
