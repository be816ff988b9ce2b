#ifndef TESTING_VIRTUAL_SCHEDULER_H_
#define TESTING_VIRTUAL_SCHEDULER_H_

#include <absl/time/time.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <utility>
#include <vector>

#include "core/executor.h"

namespace leftfold::testing {

// Two executors without threads whose tasks run when the test says so, in an order that the seed
// decides: the same seed gives the same run. Time is virtual and jumps to the next timer only when
// nothing else can run. One thread runs it; any may post.
class VirtualScheduler {
 public:
  static constexpr std::int64_t kStepsMax = 10'000'000;

  explicit VirtualScheduler(std::uint64_t seed) : random_(seed) {}
  VirtualScheduler(const VirtualScheduler&) = delete;
  VirtualScheduler& operator=(const VirtualScheduler&) = delete;

  // Its tasks run in the order in which they were posted, with tasks of the pool in between.
  Executor& Serial() { return serial_; }
  // Its tasks run in any order.
  Executor& Pool() { return pool_; }

  // Runs one task; false when there is none, not even a timer.
  bool RunOne();
  // Runs until there is neither task nor timer, and says how many tasks that were. More than
  // `steps_max` end the process: they would never end.
  std::int64_t RunUntilIdle(std::int64_t steps_max = kStepsMax);
  // The same, but leaves the timers, so that no time passes.
  std::int64_t RunReady(std::int64_t steps_max = kStepsMax);
  // Runs what comes in the next `duration`, which passes.
  std::int64_t RunFor(absl::Duration duration, std::int64_t steps_max = kStepsMax);
  // Drops all tasks and timers, those too that dropping adds: what a crash does to them.
  void DropAll();

  // Something that other threads do and that ends with a task posted here, which calls
  // EndElsewhere. Meanwhile the scheduler is not idle: with nothing to run it waits, in real time
  // and at most kElsewhereMax, for a task. The order of such tasks is not the seed's.
  static constexpr absl::Duration kElsewhereMax = absl::Seconds(60);
  void BeginElsewhere();
  void EndElsewhere();

  // Since the beginning.
  absl::Duration elapsed() const {
    const std::lock_guard lock(mu_);
    return elapsed_;
  }

 private:
  using Task = std::function<void()>;
  class Facade final : public Executor {
   public:
    Facade(VirtualScheduler& scheduler, std::deque<Task>& ready)
        : scheduler_(scheduler), ready_(ready) {}
    void Post(Task task) override;
    void PostAfter(absl::Duration delay, Task task) override;

   private:
    VirtualScheduler& scheduler_;
    std::deque<Task>& ready_;
  };
  struct Timer {
    std::deque<Task>* ready;
    Task task;
  };

  // Whether there is a task to run, after waiting for what is done elsewhere.
  bool AwaitReady();
  bool has_ready() const { return !serial_ready_.empty() || !pool_ready_.empty(); }
  // Makes the timers of the next moment ready; false when there is no timer.
  bool Jump();

  mutable std::mutex mu_;  // Guards all but the facades; std::condition_variable needs it bare.
  std::condition_variable posted_;
  int elsewhere_ = 0;
  std::mt19937_64 random_;
  std::deque<Task> serial_ready_;
  std::deque<Task> pool_ready_;
  std::multimap<absl::Duration, Timer> timers_;
  absl::Duration elapsed_;
  Facade serial_{*this, serial_ready_};
  Facade pool_{*this, pool_ready_};
};

}  // namespace leftfold::testing
#endif  // TESTING_VIRTUAL_SCHEDULER_H_
