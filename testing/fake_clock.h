#ifndef TESTING_FAKE_CLOCK_H_
#define TESTING_FAKE_CLOCK_H_

#include <absl/time/time.h>

#include <atomic>
#include <cstdint>

#include "core/clock.h"

namespace leftfold::testing {

// Stands still until it is told otherwise; it may be set back. Whole microseconds. Thread-safe.
class FakeClock final : public Clock {
 public:
  // 2026-01-01T00:00:00Z
  static constexpr std::int64_t kStartSeconds = 1'767'225'600;

  absl::Time Now() const override { return absl::FromUnixMicros(micros_.load()); }
  void Set(absl::Time time) { micros_ = absl::ToUnixMicros(time); }
  // Negative: back.
  void Advance(absl::Duration by) { micros_ += absl::ToInt64Microseconds(by); }

 private:
  std::atomic<std::int64_t> micros_{kStartSeconds * 1'000'000};
};

}  // namespace leftfold::testing
#endif  // TESTING_FAKE_CLOCK_H_
