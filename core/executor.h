#ifndef CORE_EXECUTOR_H_
#define CORE_EXECUTOR_H_

#include <absl/time/time.h>

#include <functional>

namespace leftfold {

// Where engines put their next step. Engines own no thread and never wait: server/ implements this
// with threads, tests with a virtual scheduler whose order a seed decides. Tasks may run in any
// order and at the same time unless the implementation says otherwise, and never inside Post
// itself. Thread-safe.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void Post(std::function<void()> task) = 0;
  // Runs `task` no earlier than `delay` from now, on a clock that never jumps.
  virtual void PostAfter(absl::Duration delay, std::function<void()> task) = 0;
};

}  // namespace leftfold
#endif  // CORE_EXECUTOR_H_
