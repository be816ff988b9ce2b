#ifndef TOOLS_EXIT_CODES_H_
#define TOOLS_EXIT_CODES_H_

#include <absl/status/status.h>

#include <string_view>

#include "core/log.h"
#include "core/status.h"

namespace leftfold::tools {

// What the binary ends with when it did not do what was asked.
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

// Says on standard error why a subcommand failed; returns its exit code.
inline int Fail(std::string_view subcommand, const absl::Status& status, int exit_code = kFailed) {
  LogLine("leftfold {}: {}", subcommand, ToStd(status.message()));
  return exit_code;
}

}  // namespace leftfold::tools
#endif  // TOOLS_EXIT_CODES_H_
