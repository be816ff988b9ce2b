#include "testing/append_history.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>

namespace leftfold::testing {
namespace {

// The version that the stream has after the attempt.
std::int64_t After(const AppendAttempt& attempt) {
  return attempt.accepted ? attempt.expected + 1 : attempt.actual;
}

std::string Describe(const AppendAttempt& attempt) {
  return fmt::format("[{}, {}] expected {}: {} {}", attempt.called, attempt.returned,
                     attempt.expected, attempt.accepted ? "made" : "refused at", After(attempt));
}

}  // namespace

std::string NotLinearizable(std::vector<AppendAttempt> attempts) {
  // A version is made before it is seen.
  std::sort(attempts.begin(), attempts.end(), [](const auto& a, const auto& b) {
    return std::tuple(After(a), !a.accepted, a.called) <
           std::tuple(After(b), !b.accepted, b.called);
  });
  std::int64_t version = -1;
  AppendAttempt latest;  // Of those that stand earlier, the one that was called last.
  latest.called = std::numeric_limits<std::int64_t>::min();
  AppendAttempt latest_refused = latest;  // The same among refusals at this version.
  for (const AppendAttempt& attempt : attempts) {
    if (attempt.accepted) {
      if (After(attempt) != version + 1)
        return fmt::format("after version {}: {}", version, Describe(attempt));
      ++version;
      if (latest_refused.called > latest.called) latest = latest_refused;
    } else if (attempt.actual != version || attempt.actual == attempt.expected) {
      return fmt::format("at version {}: {}", version, Describe(attempt));
    }
    if (attempt.returned < latest.called)
      return fmt::format("{} before {}", Describe(attempt), Describe(latest));
    AppendAttempt& newest = attempt.accepted ? latest : latest_refused;
    if (attempt.called > newest.called) newest = attempt;
  }
  return "";
}

bool LinearizableByTrying(std::vector<AppendAttempt> attempts) {
  std::vector<std::size_t> order(attempts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto fits = [&] {
    std::int64_t version = -1;
    std::int64_t latest_call = std::numeric_limits<std::int64_t>::min();
    for (const std::size_t i : order) {
      const AppendAttempt& attempt = attempts[i];
      if (attempt.returned < latest_call) return false;
      latest_call = std::max(latest_call, attempt.called);
      if (attempt.accepted != (attempt.expected == version)) return false;
      if (attempt.accepted) {
        ++version;
      } else if (attempt.actual != version) {
        return false;
      }
    }
    return true;
  };
  do {
    if (fits()) return true;
  } while (std::next_permutation(order.begin(), order.end()));
  return false;
}

}  // namespace leftfold::testing
