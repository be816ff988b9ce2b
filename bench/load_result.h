#ifndef BENCH_LOAD_RESULT_H_
#define BENCH_LOAD_RESULT_H_

#include <cstdint>
#include <string>
#include <vector>

namespace leftfold::bench {

struct LoadResult {
  double per_second = 0;  // Answered, of those that were counted.
  std::vector<double> latencies_us;
  std::int64_t calls = 0;  // All that were answered, in the warm-up too.
  std::int64_t failures = 0;
};

}  // namespace leftfold::bench
#endif  // BENCH_LOAD_RESULT_H_
