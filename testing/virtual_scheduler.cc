#include "testing/virtual_scheduler.h"

#include <algorithm>

#include "core/status.h"

namespace leftfold::testing {

void VirtualScheduler::Facade::Post(Task task) {
  const std::lock_guard lock(scheduler_.mu_);
  ready_.push_back(std::move(task));
  scheduler_.posted_.notify_all();
}

void VirtualScheduler::Facade::PostAfter(absl::Duration delay, Task task) {
  const std::lock_guard lock(scheduler_.mu_);
  const absl::Duration at = scheduler_.elapsed_ + std::max(delay, absl::ZeroDuration());
  scheduler_.timers_.emplace(at, Timer{&ready_, std::move(task)});
}

void VirtualScheduler::BeginElsewhere() {
  const std::lock_guard lock(mu_);
  ++elsewhere_;
}

void VirtualScheduler::EndElsewhere() {
  const std::lock_guard lock(mu_);
  --elsewhere_;
}

bool VirtualScheduler::AwaitReady() {
  std::unique_lock lock(mu_);
  const auto waited = absl::ToChronoNanoseconds(kElsewhereMax);
  if (!posted_.wait_for(lock, waited, [&] { return has_ready() || elsewhere_ == 0; }))
    Die("what is done elsewhere does not end");
  return has_ready();
}

bool VirtualScheduler::Jump() {
  const std::lock_guard lock(mu_);
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
  if (!AwaitReady() && !Jump()) return false;
  Task task;
  {
    const std::lock_guard lock(mu_);
    // The serial queue counts as one task beside those of the pool.
    const std::size_t choices = pool_ready_.size() + (serial_ready_.empty() ? 0 : 1);
    const std::size_t chosen = random_() % choices;
    if (chosen < pool_ready_.size()) {
      std::swap(pool_ready_[chosen], pool_ready_.back());
      task = std::move(pool_ready_.back());
      pool_ready_.pop_back();
    } else {
      task = std::move(serial_ready_.front());
      serial_ready_.pop_front();
    }
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
  while (AwaitReady()) {
    RunOne();
    if (++steps > steps_max) Die("the virtual scheduler always has something to run");
  }
  return steps;
}

std::int64_t VirtualScheduler::RunFor(absl::Duration duration, std::int64_t steps_max) {
  const absl::Duration end = elapsed() + duration;
  const auto due = [&] {
    const std::lock_guard lock(mu_);
    return !timers_.empty() && timers_.begin()->first <= end;
  };
  std::int64_t steps = RunReady(steps_max);
  while (due()) {
    Jump();
    steps += RunReady(steps_max);
    if (steps > steps_max) Die("the virtual scheduler always has something to run");
  }
  const std::lock_guard lock(mu_);
  elapsed_ = end;
  return steps;
}

void VirtualScheduler::DropAll() {
  // Out of the queues first, and without the lock: what a task holds may post when it goes.
  while (true) {
    std::deque<Task> serial;
    std::deque<Task> pool;
    std::multimap<absl::Duration, Timer> timers;
    const std::lock_guard lock(mu_);
    if (!has_ready() && timers_.empty()) return;
    serial.swap(serial_ready_);
    pool.swap(pool_ready_);
    timers.swap(timers_);
  }
}

}  // namespace leftfold::testing
