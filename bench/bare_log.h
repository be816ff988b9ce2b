#ifndef BENCH_BARE_LOG_H_
#define BENCH_BARE_LOG_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/sections.h"
#include "testing/child_process.h"

namespace leftfold::bench {

inline constexpr int kSensors = 1'024;
inline constexpr std::string_view kMeasurement =
    R"({"sensor": "north-7", "celsius": 21.4, "humidity": 0.47, "battery": 0.93, "firmware": "4.1.7"})";

struct BareLog {
  double events_per_second = 0;
  double cpu_us = 0;  // For each event.
};
// The ceiling of appends: rows with measurements of sensors in turn, in the log's own tables, and
// nothing else. One transaction, with an fsync, has `appends_per_commit` appends.
BareLog RunBareLog(const Options& options, const std::string& path, int events_per_append,
                   double appends_per_commit);

// Counts what a server commits.
class CommitCounter {
 public:
  explicit CommitCounter(const testing::ServerProcess& server);
  // Since it was made, or asked last.
  double AppendsPerCommit();

 private:
  const std::string address_;
  double appends_ = 0, commits_ = 0;
};

}  // namespace leftfold::bench
#endif  // BENCH_BARE_LOG_H_
