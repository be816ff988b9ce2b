#include "testing/virtual_scheduler.h"

#include <algorithm>

#include "core/status.h"

namespace leftfold::testing {

void VirtualScheduler::Facade::PostAfter(absl::Duration delay, Task task) {
  const absl::Duration at = scheduler_.elapsed_ + std::max(delay, absl::ZeroDuration());
  scheduler_.timers_.emplace(at, Timer{&ready_, std::move(task)});
}

bool VirtualScheduler::Jump() {
  if (timers_.empty()) return false;
  elapsed_ = std::max(elapsed_, timers_.begin()->first);
  const auto end = timers_.upper_bound(elapsed_);
  for (auto it = timers_.begin(); it != end; ++it) {
    it->second.ready->push_back(std::move(it->second.task));
  }
  timers_.erase(timers_.begin(), end);
  return true;
}

bool VirtualScheduler::RunOne() {
  if (!has_ready() && !Jump()) return false;
  // The serial queue counts as one task beside those of the pool.
  const std::size_t choices = pool_ready_.size() + (serial_ready_.empty() ? 0 : 1);
  const std::size_t chosen = random_() % choices;
  Task task;
  if (chosen < pool_ready_.size()) {
    std::swap(pool_ready_[chosen], pool_ready_.back());
    task = std::move(pool_ready_.back());
    pool_ready_.pop_back();
  } else {
    task = std::move(serial_ready_.front());
    serial_ready_.pop_front();
  }
  task();
  return true;
}

std::int64_t VirtualScheduler::RunUntilIdle(std::int64_t steps_max) {
  std::int64_t steps = 0;
  while (RunOne()) {
    if (++steps > steps_max) Die("the virtual scheduler does not become idle");
  }
  return steps;
}

std::int64_t VirtualScheduler::RunReady(std::int64_t steps_max) {
  std::int64_t steps = 0;
  while (has_ready()) {
    RunOne();
    if (++steps > steps_max) Die("the virtual scheduler always has something to run");
  }
  return steps;
}

std::int64_t VirtualScheduler::RunFor(absl::Duration duration, std::int64_t steps_max) {
  const absl::Duration end = elapsed_ + duration;
  std::int64_t steps = RunReady(steps_max);
  while (!timers_.empty() && timers_.begin()->first <= end) {
    Jump();
    steps += RunReady(steps_max);
    if (steps > steps_max) Die("the virtual scheduler always has something to run");
  }
  elapsed_ = end;
  return steps;
}

void VirtualScheduler::DropAll() {
  while (has_ready() || !timers_.empty()) {
    // Out of the queues first: what a task holds may post when it goes.
    const auto serial = std::exchange(serial_ready_, {});
    const auto pool = std::exchange(pool_ready_, {});
    const auto timers = std::exchange(timers_, {});
  }
}

}  // namespace leftfold::testing
