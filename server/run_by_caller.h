#ifndef SERVER_RUN_BY_CALLER_H_
#define SERVER_RUN_BY_CALLER_H_

#include <functional>
#include <utility>

#include "core/executor.h"

namespace leftfold {

// An Executor for who has one task at a time, such as the log's sequencer: a thread that is inside
// a Call runs the task that it posts itself, at the Call's end; all others go to `pool`. So a
// command that comes alone is committed by the thread that received it, and wakes none (leveldb's
// writers take turns like this). Thread-safe.
class RunByCaller final : public Executor {
 public:
  explicit RunByCaller(Executor& pool) : pool_(pool) {}

  // On the stack of a thread that may wait for a disk. Not one inside another.
  class Call {
   public:
    explicit Call(RunByCaller& executor) : executor_(&executor) { current_ = this; }
    ~Call() {
      current_ = nullptr;
      if (task_) task_();
    }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    friend class RunByCaller;
    static thread_local Call* current_;
    RunByCaller* const executor_;
    std::function<void()> task_;
  };

  void Post(std::function<void()> task) override {
    Call* call = Call::current_;
    if (call == nullptr || call->executor_ != this || call->task_)
      return pool_.Post(std::move(task));
    call->task_ = std::move(task);
  }
  void PostAfter(absl::Duration delay, std::function<void()> task) override {
    pool_.PostAfter(delay, std::move(task));
  }

 private:
  Executor& pool_;
};

inline thread_local RunByCaller::Call* RunByCaller::Call::current_ = nullptr;

}  // namespace leftfold
#endif  // SERVER_RUN_BY_CALLER_H_
