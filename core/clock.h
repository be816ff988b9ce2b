#ifndef CORE_CLOCK_H_
#define CORE_CLOCK_H_

#include <absl/time/time.h>

namespace leftfold {

// Where time comes from. server/ gives the system's, tests a fake. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

}  // namespace leftfold
#endif  // CORE_CLOCK_H_
