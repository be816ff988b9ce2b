#ifndef SERVER_THREAD_POOL_H_
#define SERVER_THREAD_POOL_H_

#include <absl/time/clock.h>
#include <absl/time/time.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <ratio>
#include <string>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "core/executor.h"

namespace leftfold {

// Timers go off at multiples of this: those that are due at about the same time wake one thread.
using TimerGrain = std::chrono::duration<std::int64_t, std::ratio<1, 2'000>>;

// An Executor with threads of its own; with one thread its tasks run in the order of their posts.
// Thread-safe.
class ThreadPool final : public Executor {
 public:
  // How a pool's threads stand against the others of the machine: background work yields to
  // answers.
  enum class Priority { kNormal, kBackground };
  // `name` (at most 15 bytes) is what debuggers and top show.
  ThreadPool(const std::string& name, int threads, Priority priority = Priority::kNormal);
  ~ThreadPool() override;
  void Post(std::function<void()> task) override;
  void PostAfter(absl::Duration delay, std::function<void()> task) override;
  // Runs what is queued, then ends the threads. What is posted later, and timers that have not
  // come, are dropped unrun.
  void Stop();
  // Tasks that wait for a thread.
  std::size_t queued() const;
  const std::string& name() const { return name_; }

 private:
  using Time = std::chrono::steady_clock::time_point;
  void Run();
  // Puts what has come due among the tasks; how many.
  std::size_t TakeDueTimers();
  void Wait(std::unique_lock<std::mutex>& lock);

  const std::string name_;
  mutable std::mutex mu_;  // Guards all below; std::condition_variable needs the bare mutex.
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  std::multimap<Time, std::function<void()>> timers_;
  int idle_ = 0;
  Time waited_for_ = Time::max();  // One idle thread waits until then, the others without end.
  bool stopping_ = false;
  std::vector<std::jthread> threads_;
};

class SystemClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
};

}  // namespace leftfold
#endif  // SERVER_THREAD_POOL_H_
