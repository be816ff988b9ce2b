#include "testing/environment.h"

#include <absl/strings/numbers.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string_view>

#include "testing/sanitized.h"

namespace leftfold::testing {
namespace {

[[noreturn]] void Refuse(const char* variable, const char* given, const char* wanted) {
  fmt::print(stderr, "{}='{}': set it to {}, or unset it\n", variable, given, wanted);
  std::exit(2);
}

bool AllCases() {
  const char* given = std::getenv("LEFTFOLD_CASES");
  if (given == nullptr) return false;
  if (std::string_view(given) != "full") Refuse("LEFTFOLD_CASES", given, "'full'");
  return true;
}

}  // namespace

std::optional<std::uint64_t> FromEnvironment(const char* variable) {
  const char* given = std::getenv(variable);
  if (given == nullptr) return std::nullopt;
  std::uint64_t value = 0;
  if (!absl::SimpleAtoi(given, &value)) Refuse(variable, given, "a number");
  return value;
}

std::uint64_t SeedOr(std::uint64_t otherwise) {
  const std::uint64_t seed = FromEnvironment("LEFTFOLD_SEED").value_or(otherwise);
  fmt::print("LEFTFOLD_SEED={}\n", seed);
  std::fflush(stdout);  // Before whatever may end the process.
  return seed;
}
std::uint64_t Seed() { return SeedOr(std::random_device()()); }
bool HasSeed() { return FromEnvironment("LEFTFOLD_SEED").has_value(); }

std::uint64_t Cases(const char* variable, std::uint64_t all, std::uint64_t share) {
  return CasesOrSome(variable, all, all / (kSanitized ? 2 * share : share));
}
std::uint64_t CasesOrSome(const char* variable, std::uint64_t all, std::uint64_t some) {
  return FromEnvironment(variable).value_or(AllCases() ? all : some);
}

std::uint64_t CasesOfPart(std::uint64_t cases, int part, std::uint64_t of_a_part) {
  const std::uint64_t before = std::min(cases, static_cast<std::uint64_t>(part) * of_a_part);
  return std::min(cases - before, of_a_part);
}

}  // namespace leftfold::testing
