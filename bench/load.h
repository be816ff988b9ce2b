#ifndef BENCH_LOAD_H_
#define BENCH_LOAD_H_

#include <absl/time/time.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "testing/child_process.h"

namespace leftfold::bench {

// Several connections to one address; one connection alone costs a third of the throughput.
std::vector<std::shared_ptr<grpc::Channel>> Connect(const std::string& address, int connections);

struct LoadResult {
  double per_second = 0;
  std::vector<double> latencies_us;
  std::int64_t failures = 0;
};

// Starts one call and calls `done(ok)` when it has been answered, on any thread.
using Call = std::function<void(int caller, std::function<void(bool ok)> done)>;

// Closed loop: `in_flight` callers, each starts its next call when the last was answered. Counts
// what is answered after `warm_up` for `duration`.
LoadResult ClosedLoop(int in_flight, absl::Duration warm_up, absl::Duration duration,
                      const Call& call);

// Waits until nothing is left to do behind the answers: index and views have caught up.
void AwaitRest(const testing::ChildProcess& server);

}  // namespace leftfold::bench
#endif  // BENCH_LOAD_H_
