#ifndef TESTS_CRASH_JUMPING_CLOCK_H_
#define TESTS_CRASH_JUMPING_CLOCK_H_

#include <absl/time/time.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/crash/shim_memory.h"

namespace leftfold::testing {

// The wall clock of processes that are started with it.
class JumpingClock {
 public:
  void JumpTo(absl::Duration to) { offset() = absl::ToInt64Nanoseconds(to); }
  void GoOn(absl::Duration by) { offset() += absl::ToInt64Nanoseconds(by); }
  absl::Duration ahead() const { return absl::Nanoseconds(offset().load()); }
  std::vector<std::string> With(const std::vector<std::string>& command) const {
    return preloaded_.With(command);
  }

 private:
  std::atomic<std::int64_t>& offset() const { return preloaded_.shared(); }

  Preloaded<std::atomic<std::int64_t>> preloaded_{LEFTFOLD_CLOCK_SHIM, "LEFTFOLD_CLOCK_FILE"};
};

}  // namespace leftfold::testing
#endif  // TESTS_CRASH_JUMPING_CLOCK_H_
