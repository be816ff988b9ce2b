#include "server/thread_pool.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace leftfold {

namespace {

constexpr int kBackgroundNice = 10;

}  // namespace

ThreadPool::ThreadPool(const std::string& name, int threads, Priority priority) : name_(name) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this, priority] {
      // On Linux a thread has a nice value of its own. Where it may not be set, the thread is a
      // normal one.
      if (priority == Priority::kBackground)
        setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kBackgroundNice);
      Run();
    });
    pthread_setname_np(threads_.back().native_handle(), name.substr(0, 15).c_str());
  }
}

ThreadPool::~ThreadPool() { Stop(); }

void ThreadPool::Post(std::function<void()> task) {
  bool sleeper = false;
  {
    const std::lock_guard lock(mu_);
    if (stopping_) return;
    tasks_.push_back(std::move(task));
    sleeper = idle_ > 0;
  }
  if (sleeper) wake_.notify_one();
}

void ThreadPool::PostAfter(absl::Duration delay, std::function<void()> task) {
  const Time due = std::chrono::ceil<TimerGrain>(
      std::chrono::steady_clock::now() +
      absl::ToChronoNanoseconds(std::max(delay, absl::ZeroDuration())));
  bool sleeper = false;
  {
    const std::lock_guard lock(mu_);
    if (stopping_) return;
    timers_.emplace(due, std::move(task));
    sleeper = idle_ > 0 && due < waited_for_;
  }
  if (sleeper) wake_.notify_one();
}

std::size_t ThreadPool::TakeDueTimers() {
  if (timers_.empty()) return 0;
  const auto end = timers_.upper_bound(std::chrono::steady_clock::now());
  std::size_t taken = 0;
  for (auto timer = timers_.begin(); timer != end; ++timer, ++taken)
    tasks_.push_back(std::move(timer->second));
  timers_.erase(timers_.begin(), end);
  return taken;
}

void ThreadPool::Wait(std::unique_lock<std::mutex>& lock) {
  ++idle_;
  if (timers_.empty() || timers_.begin()->first >= waited_for_) {
    wake_.wait(lock);
  } else {
    const Time due = waited_for_ = timers_.begin()->first;
    wake_.wait_until(lock, due);
    if (waited_for_ == due) waited_for_ = Time::max();
  }
  --idle_;
}

void ThreadPool::Run() {
  std::unique_lock lock(mu_);
  while (true) {
    const std::size_t due = TakeDueTimers();
    if (tasks_.empty()) {
      if (stopping_) return;
      Wait(lock);
      continue;
    }
    std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    // Others do what else has come due, and one waits for the next timer.
    std::size_t helpers = std::min(due, tasks_.size());
    if (!timers_.empty() && timers_.begin()->first < waited_for_) ++helpers;
    for (int n = 0; n < idle_ && helpers > 0; ++n, --helpers) wake_.notify_one();
    lock.unlock();
    task();
    task = nullptr;  // What it holds is let go before the lock is taken again.
    lock.lock();
  }
}

std::size_t ThreadPool::queued() const {
  const std::lock_guard lock(mu_);
  return tasks_.size();
}

void ThreadPool::Stop() {
  std::multimap<Time, std::function<void()>> dropped;
  {
    const std::lock_guard lock(mu_);
    stopping_ = true;
    dropped.swap(timers_);
  }
  wake_.notify_all();
  for (std::jthread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

}  // namespace leftfold
