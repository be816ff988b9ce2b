#ifndef BENCH_LOAD_H_
#define BENCH_LOAD_H_

#include <absl/time/time.h>
#include <grpcpp/grpcpp.h>
#include <sys/resource.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/load_result.h"
#include "testing/child_process.h"

namespace leftfold::bench {

// Several connections to one address; one connection alone costs a third of the throughput.
std::vector<std::shared_ptr<grpc::Channel>> Connect(const std::string& address, int connections);

// Starts one call and calls `done(ok)` when it has been answered, on any thread.
using Call = std::function<void(int caller, std::function<void(bool ok)> done)>;

// Closed loop: `in_flight` callers, each starts its next call when the last was answered. Counts
// what is answered after `warm_up` for `duration`.
LoadResult ClosedLoop(int in_flight, absl::Duration warm_up, absl::Duration duration,
                      const Call& call);

// A load, and what each of its calls cost the server.
struct Measured {
  LoadResult load;
  double cpu_us = 0;
};
// Ends the bench when calls failed.
Measured Measure(const testing::ChildProcess& server, const std::function<LoadResult()>& run);

// Of some repeats, each a number.
struct Repeats {
  std::vector<double> per_second, p50_us, p99_us, p999_us, cpu_us;
  void Add(const Measured& measured);
};

// User and system time of RUSAGE_SELF or RUSAGE_THREAD.
double OwnCpuSeconds(__rusage_who who);

// Waits until nothing is left to do behind the answers: index and views have caught up.
void AwaitRest(const testing::ChildProcess& server);

}  // namespace leftfold::bench
#endif  // BENCH_LOAD_H_
