#include "reactor/retry_policy.h"

namespace leftfold {

absl::Duration DurationOf(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
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
