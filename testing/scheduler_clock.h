#ifndef TESTING_SCHEDULER_CLOCK_H_
#define TESTING_SCHEDULER_CLOCK_H_

#include <absl/time/time.h>

#include "core/clock.h"
#include "testing/virtual_scheduler.h"

namespace leftfold::testing {

// The time of a virtual scheduler as a wall clock has it, which may be set.
class SchedulerClock final : public Clock {
 public:
  explicit SchedulerClock(const VirtualScheduler& scheduler) : scheduler_(scheduler) {}
  absl::Time Now() const override { return kStart + scheduler_.elapsed() + jump; }

  // By how much it was set forward.
  absl::Duration jump;
  // 2026-01-01T00:00:00Z
  static inline const absl::Time kStart = absl::FromUnixSeconds(1'767'225'600);

 private:
  const VirtualScheduler& scheduler_;
};

}  // namespace leftfold::testing
#endif  // TESTING_SCHEDULER_CLOCK_H_
