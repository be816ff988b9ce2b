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
  const Time due = std::chrono::steady_clock::now() +
                   absl::ToChronoNanoseconds(std::max(delay, absl::ZeroDuration()));
  {
    const std::lock_guard lock(mu_);
    if (stopping_) return;
    timers_.emplace(due, std::move(task));
  }
  wake_.notify_one();
}

void ThreadPool::Run() {
  std::unique_lock lock(mu_);
  while (true) {
    if (!timers_.empty() && timers_.begin()->first <= std::chrono::steady_clock::now()) {
      tasks_.push_back(std::move(timers_.begin()->second));
      timers_.erase(timers_.begin());
    }
    if (!tasks_.empty()) {
      std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      task = nullptr;  // What it holds is let go before the lock is taken again.
      lock.lock();
      continue;
    }
    if (stopping_) return;
    ++idle_;
    if (timers_.empty()) {
      wake_.wait(lock);
    } else {
      const Time due = timers_.begin()->first;
      wake_.wait_until(lock, due);
    }
    --idle_;
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
