#ifndef SERVER_RETRY_PARKED_H_
#define SERVER_RETRY_PARKED_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <string>

#include "reactor/reactors.h"

namespace leftfold {

// Keys that one call tries again.
inline constexpr std::size_t kRetryKeysMax = 1'000;

struct RetriedKeys {
  std::int32_t keys = 0;
  Position position;  // Of the last recorded decision.
};

// Records that `actor` wants the reactor's parked key tried again; with an empty key every parked
// one, at most kRetryKeysMax. `done` runs once, from any thread, when all decisions are recorded:
// with what came of those that were, or with a failure when none was. Errors as Reactors::Retry.
void RetryParkedKeys(Reactors& reactors, const std::string& reactor, const std::string& key,
                     const std::string& actor,
                     std::function<void(absl::StatusOr<RetriedKeys>)> done);

}  // namespace leftfold
#endif  // SERVER_RETRY_PARKED_H_
