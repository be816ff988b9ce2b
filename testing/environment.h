#ifndef TESTING_ENVIRONMENT_H_
#define TESTING_ENVIRONMENT_H_

#include <cstdint>
#include <optional>

namespace leftfold::testing {

// The number that an environment variable has; nullopt where there is no such variable. Ends the
// process when it is no number.
std::optional<std::uint64_t> FromEnvironment(const char* variable);

// LEFTFOLD_SEED, which gives a case that failed back, or else this one. Either is printed, as a
// line LEFTFOLD_SEED=n: once for a test that asks once.
std::uint64_t SeedOr(std::uint64_t otherwise);
// LEFTFOLD_SEED, or a random one.
std::uint64_t Seed();
// Whether there is a LEFTFOLD_SEED: that case is then the only one.
bool HasSeed();

// How many of `all` cases a test tries: a tenth, or another share; under sanitizers half as many;
// all of them where LEFTFOLD_CASES is "full", which is what `.ci/run deep` says; as many as
// `variable` says where it is set.
std::uint64_t Cases(const char* variable, std::uint64_t all, std::uint64_t share = 10);
// The same where a tenth would take too long: `some` of them.
std::uint64_t CasesOrSome(const char* variable, std::uint64_t all, std::uint64_t some);
// How many of them are for part 0, 1 …: the first parts are full, the last has the rest.
std::uint64_t CasesOfPart(std::uint64_t cases, int part, std::uint64_t of_a_part);

}  // namespace leftfold::testing
#endif  // TESTING_ENVIRONMENT_H_
