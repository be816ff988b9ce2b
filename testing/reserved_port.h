#ifndef TESTING_RESERVED_PORT_H_
#define TESTING_RESERVED_PORT_H_

#include <string>

namespace leftfold::testing {

// A port of 127.0.0.1 for a server that is to come back where it was. The kernel gives it to nobody
// who asks for any port or connects; servers that set SO_REUSEADDR, as all of ours do, listen on it
// as often as they like.
class ReservedPort {
 public:
  // Ends the process when there is none.
  ReservedPort();
  ~ReservedPort();
  ReservedPort(const ReservedPort&) = delete;
  ReservedPort& operator=(const ReservedPort&) = delete;
  int number() const { return number_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(number_); }

 private:
  int socket_;
  int number_ = 0;
};

}  // namespace leftfold::testing
#endif  // TESTING_RESERVED_PORT_H_
