#ifndef BENCH_CHEAP_CLIENT_H_
#define BENCH_CHEAP_CLIENT_H_

#include <absl/time/time.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/load_result.h"

namespace leftfold::bench {

// Makes the serialised request of the n-th call; `message` is empty.
using Compose = std::function<void(std::int64_t n, std::string& message)>;

// A client of one unary gRPC method that costs the machine next to nothing, so that what is
// measured is the server: HTTP/2 frames of its own over a few plain sockets, on the caller's
// thread. Every answer's status is looked at.
class CheapClient {
 public:
  CheapClient(const std::string& address, const std::string& path, int connections,
              Compose compose);
  ~CheapClient();
  CheapClient(const CheapClient&) = delete;
  CheapClient& operator=(const CheapClient&) = delete;

  // So many calls in flight, the next begins when one is answered; each place makes one at the
  // least. Counts what is answered after `warm_up` for `duration`.
  LoadResult ClosedLoop(int in_flight, absl::Duration warm_up, absl::Duration duration);
  // Calls at times of a schedule, whatever the answers do; a latency begins at the scheduled time,
  // also where the call had to wait for its turn. Counts what was due after `warm_up`.
  LoadResult OpenLoop(double per_second, absl::Duration warm_up, absl::Duration duration,
                      int in_flight_max = 100'000);

  // Why the first failed call failed; "" when none has.
  const std::string& first_failure() const { return first_failure_; }

 private:
  class Connection;
  class Schedule;

  LoadResult Run(Schedule& schedule);

  const Compose compose_;
  const int events_;  // An epoll.
  std::vector<std::unique_ptr<Connection>> connections_;
  std::int64_t serial_ = 0;
  std::string first_failure_;
};

}  // namespace leftfold::bench
#endif  // BENCH_CHEAP_CLIENT_H_
