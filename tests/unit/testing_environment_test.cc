#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

#include "testing/environment.h"
#include "testing/sanitized.h"

namespace leftfold::testing {
namespace {

constexpr const char* kHowMany = "LEFTFOLD_TEST_CASES";

// Other tests follow in the same process where ctest does not run them.
class Environment : public ::testing::Test {
 protected:
  Environment() {
    for (const char* name : {"LEFTFOLD_CASES", "LEFTFOLD_SEED", kHowMany}) {
      if (const char* value = std::getenv(name)) before_[name] = value;
      unsetenv(name);
    }
  }
  ~Environment() override {
    for (const char* name : {"LEFTFOLD_CASES", "LEFTFOLD_SEED", kHowMany}) unsetenv(name);
    for (const auto& [name, value] : before_) setenv(name.c_str(), value.c_str(), 1);
  }

 private:
  std::map<std::string, std::string> before_;
};

TEST_F(Environment, AShareOfTheCasesIsTriedUnlessAllAreWanted) {
  EXPECT_EQ(Cases(kHowMany, 10'000), kSanitized ? 500 : 1'000);
  EXPECT_EQ(CasesOrSome(kHowMany, 10'000, 3), 3);
  setenv("LEFTFOLD_CASES", "full", 1);
  EXPECT_EQ(Cases(kHowMany, 10'000), 10'000);
  EXPECT_EQ(CasesOrSome(kHowMany, 10'000, 3), 10'000);
  setenv(kHowMany, "7", 1);
  EXPECT_EQ(Cases(kHowMany, 10'000), 7);
}

TEST_F(Environment, CasesAreDealtOutToParts) {
  EXPECT_EQ(CasesOfPart(2, 0, 25), 2);
  EXPECT_EQ(CasesOfPart(2, 1, 25), 0);
  EXPECT_EQ(CasesOfPart(40, 0, 25), 25);
  EXPECT_EQ(CasesOfPart(40, 1, 25), 15);
}

TEST_F(Environment, ASeedGivesOneCaseBack) {
  EXPECT_FALSE(HasSeed());
  EXPECT_EQ(SeedOr(5), 5);
  setenv("LEFTFOLD_SEED", "18446744073709551615", 1);
  EXPECT_TRUE(HasSeed());
  EXPECT_EQ(SeedOr(5), 18'446'744'073'709'551'615U);
  EXPECT_EQ(Seed(), 18'446'744'073'709'551'615U);
}

TEST_F(Environment, ASeedIsTold) {
  ::testing::internal::CaptureStdout();
  const std::uint64_t seed = Seed();
  EXPECT_EQ(::testing::internal::GetCapturedStdout(),
            "LEFTFOLD_SEED=" + std::to_string(seed) + "\n");
}

TEST_F(Environment, WhatIsNoNumberEndsTheTest) {
  setenv(kHowMany, "many", 1);
  EXPECT_EXIT(FromEnvironment(kHowMany), ::testing::ExitedWithCode(2),
              "LEFTFOLD_TEST_CASES='many': set it to a number, or unset it");
  unsetenv(kHowMany);
  setenv("LEFTFOLD_CASES", "all", 1);
  EXPECT_EXIT(Cases(kHowMany, 10), ::testing::ExitedWithCode(2),
              "LEFTFOLD_CASES='all': set it to 'full', or unset it");
}

}  // namespace
}  // namespace leftfold::testing
