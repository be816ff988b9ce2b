#include "core/status.h"

#include <absl/strings/cord.h>

#include <cstdlib>

#include "core/log.h"

namespace leftfold {

absl::Status WithMessage(const absl::Status& status, std::string_view message) {
  absl::Status same(status.code(), ToAbsl(message));
  status.ForEachPayload(
      [&](auto url, const absl::Cord& payload) { same.SetPayload(url, payload); });
  return same;
}

void Die(std::string_view message) {
  LogLine("leftfold: fatal: {}", message);
  std::abort();
}

}  // namespace leftfold
