#ifndef REACTOR_RETRY_POLICY_H_
#define REACTOR_RETRY_POLICY_H_

#include <absl/time/time.h>
#include <google/protobuf/duration.pb.h>

#include <string>
#include <string_view>

#include "core/reactor.h"
#include "core/reject.h"

// Retry policies that clients give, of webhooks and of consumer groups.
namespace leftfold {

inline constexpr int kRetryAttemptsMax = 100;
inline constexpr absl::Duration kRetryDelayMin = absl::Milliseconds(1);
inline constexpr absl::Duration kRetryDelayMax = absl::Hours(24);
inline constexpr double kRetryMultiplierMax = 10;

// Without end where the message breaks the rules of its type and has no JSON form.
absl::Duration DurationOf(const google::protobuf::Duration& duration);

// `otherwise`, but for what the message says.
template <class Retry>
RetryPolicy PolicyOf(const Retry& retry, const RetryPolicy& otherwise) {
  RetryPolicy policy = otherwise;
  if (retry.has_attempts()) policy.attempts = retry.attempts();
  if (retry.has_first_delay()) policy.first_delay = DurationOf(retry.first_delay());
  if (retry.has_multiplier()) policy.multiplier = retry.multiplier();
  if (retry.has_ceiling()) policy.ceiling = DurationOf(retry.ceiling());
  if (retry.has_jitter()) policy.jitter = retry.jitter();
  return policy;
}

// Fields are named `prefix`attempts …; the policy's timeout is not looked at.
void CheckPolicy(const RetryPolicy& policy, std::string_view prefix, Violations& violations);
void CheckDuration(absl::Duration value, absl::Duration min, absl::Duration max,
                   std::string_view field, Violations& violations);

}  // namespace leftfold
#endif  // REACTOR_RETRY_POLICY_H_
