#include <gtest/gtest.h>

#include <cstdlib>

#include "testing/environment.h"
#include "testing/sanitized.h"

namespace leftfold::testing {
namespace {

constexpr const char* kHowMany = "LEFTFOLD_TEST_CASES";

// Each test has a process of its own where ctest runs it; elsewhere they follow each other.
class Environment : public ::testing::Test {
 protected:
  Environment() { Clear(); }
  ~Environment() override { Clear(); }

 private:
  static void Clear() {
    for (const char* name : {"LEFTFOLD_CASES", "LEFTFOLD_SEED", kHowMany}) unsetenv(name);
  }
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
