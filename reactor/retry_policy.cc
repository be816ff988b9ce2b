#include "reactor/retry_policy.h"

#include <cstdint>

namespace leftfold {

absl::Duration DurationOf(const google::protobuf::Duration& duration) {
  constexpr std::int64_t kSecondsMax = 315'576'000'000;
  constexpr std::int32_t kNanosMax = 999'999'999;
  const std::int64_t seconds = duration.seconds();
  const std::int32_t nanos = duration.nanos();
  const bool signs_differ = (seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0);
  const bool in_range = seconds >= -kSecondsMax && seconds <= kSecondsMax && nanos >= -kNanosMax &&
                        nanos <= kNanosMax;
  if (signs_differ || !in_range) return absl::InfiniteDuration();
  return absl::Seconds(seconds) + absl::Nanoseconds(nanos);
}

void CheckDuration(absl::Duration value, absl::Duration min, absl::Duration max,
                   std::string_view field, Violations& violations) {
  if (value < min || value > max) {
    violations.Add(field, fmt::format("must be {} to {}", absl::FormatDuration(min),
                                      absl::FormatDuration(max)));
  }
}

void CheckPolicy(const RetryPolicy& policy, std::string_view prefix, Violations& violations) {
  const auto field = [prefix](std::string_view name) { return fmt::format("{}{}", prefix, name); };
  if (policy.attempts < 1 || policy.attempts > kRetryAttemptsMax)
    violations.Add(field("attempts"), fmt::format("must be 1 to {}", kRetryAttemptsMax));
  CheckDuration(policy.first_delay, kRetryDelayMin, kRetryDelayMax, field("first_delay"),
                violations);
  CheckDuration(policy.ceiling, kRetryDelayMin, kRetryDelayMax, field("ceiling"), violations);
  // Written so that NaN is refused too.
  if (!(policy.multiplier >= 1 && policy.multiplier <= kRetryMultiplierMax))
    violations.Add(field("multiplier"), fmt::format("must be 1 to {}", kRetryMultiplierMax));
  if (!(policy.jitter >= 0 && policy.jitter <= 1))
    violations.Add(field("jitter"), "must be 0 to 1");
}

}  // namespace leftfold
