#ifndef BENCH_APPEND_SESSIONS_H_
#define BENCH_APPEND_SESSIONS_H_

#include <absl/time/time.h>

#include <functional>
#include <string>

#include "bench/load_result.h"
#include "leftfold/store/v1/event_store.grpc.pb.h"

namespace leftfold::bench {

// Makes the next append; of any thread.
using NextAppend = std::function<store::v1::AppendRequest()>;

// Appends through some sessions, each on a connection and two threads of its own, many in a
// message and many more unanswered. Each append has its own answer. Counts those after `warm_up`
// for `duration`; makes `calls_min` at the least.
LoadResult AppendThroughSessions(const std::string& address, const NextAppend& next,
                                 absl::Duration warm_up, absl::Duration duration,
                                 std::int64_t calls_min = 0);

}  // namespace leftfold::bench
#endif  // BENCH_APPEND_SESSIONS_H_
