#ifndef BENCH_NOW_H_
#define BENCH_NOW_H_

#include <ctime>

namespace leftfold::bench {

// Of a clock that is never set.
inline double NowMicros() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

}  // namespace leftfold::bench
#endif  // BENCH_NOW_H_
