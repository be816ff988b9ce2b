#ifndef CORE_STATUS_H_
#define CORE_STATUS_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <fmt/format.h>

#include <string>
#include <string_view>

// Returns the status of `expression` to the caller unless it is OK.
#define LEFTFOLD_RETURN_IF_ERROR(expression)                                    \
  do {                                                                          \
    if (::absl::Status leftfold_status_ = (expression); !leftfold_status_.ok()) \
      return leftfold_status_;                                                  \
  } while (false)

namespace leftfold {

// Debian's Abseil has a string_view of its own; every crossing goes through these two.
inline absl::string_view ToAbsl(std::string_view s) { return {s.data(), s.size()}; }
inline std::string_view ToStd(absl::string_view s) { return {s.data(), s.size()}; }

// A status for engine-internal failures, which have no reason for clients:
// `Error(absl::StatusCode::kInternal, "cannot open {}", path)`. What a client is meant to read uses
// core/reject.h.
template <class... Args>
absl::Status Error(absl::StatusCode code, fmt::format_string<Args...> format, Args&&... args) {
  return {code, fmt::format(format, std::forward<Args>(args)...)};
}

// The same failure in other words: its code and payloads stay.
absl::Status WithMessage(const absl::Status& status, std::string_view message);

// Ends the process with `message` on stderr: for broken invariants only, never for bad input.
[[noreturn]] void Die(std::string_view message);

}  // namespace leftfold
#endif  // CORE_STATUS_H_
