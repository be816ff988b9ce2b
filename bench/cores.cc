#include <absl/time/clock.h>
#include <sched.h>

#include <atomic>
#include <thread>
#include <vector>

#include "bench/sections.h"
#include "core/cache_line.h"
#include "core/status.h"

namespace leftfold::bench {
namespace {

constexpr int kRoundTrips = 50'000;

// The cores that this process may run on.
std::vector<int> Cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) Die("cannot ask for the cores");
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

void RunOn(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) Die("cannot choose a core");
}

// What a cache line takes from one core to the other and back, in nanoseconds.
double RoundTripNanos(int from, int to) {
  struct alignas(kCacheLine) Line {
    std::atomic<bool> away = false;
  } line;
  const auto pass = [&line](int core, bool mine) {
    RunOn(core);
    for (int i = 0; i < kRoundTrips; ++i) {
      while (line.away.load(std::memory_order_acquire) != mine) {
      }
      line.away.store(!mine, std::memory_order_release);
    }
  };
  const std::int64_t start = absl::GetCurrentTimeNanos();
  {
    const std::jthread there([&] { pass(to, true); });
    const std::jthread here([&] { pass(from, false); });
  }
  return static_cast<double>(absl::GetCurrentTimeNanos() - start) / kRoundTrips;
}

}  // namespace

void MeasureCores(const Options& options, Report& report) {
  const std::vector<int> cores = Cores();
  std::vector<double> nanos;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    for (std::size_t from = 0; from < cores.size(); ++from) {
      for (std::size_t to = from + 1; to < cores.size(); ++to)
        nanos.push_back(RoundTripNanos(cores[from], cores[to]));
    }
  }
  report.rows.push_back(RowOf("a cache line to another core and back, all pairs", "ns", nanos, {}));
}

}  // namespace leftfold::bench
