#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "testing/append_history.h"
#include "testing/environment.h"
#include "testing/event_store_contract.h"

namespace leftfold::testing {
namespace {

AppendAttempt Made(std::int64_t called, std::int64_t returned, std::int64_t version) {
  return {called, returned, version - 1, true, 0};
}
AppendAttempt Refused(std::int64_t called, std::int64_t returned, std::int64_t expected,
                      std::int64_t actual) {
  return {called, returned, expected, false, actual};
}

TEST(AppendHistory, AppendsOneAfterAnotherAreLinearizable) {
  EXPECT_EQ(NotLinearizable({}), "");
  EXPECT_EQ(NotLinearizable({Made(1, 2, 0), Refused(3, 4, -1, 0), Made(5, 6, 1)}), "");
}

TEST(AppendHistory, AppendsAtTheSameTimeMayTakeEffectInAnyOrder) {
  EXPECT_EQ(NotLinearizable({Made(1, 9, 1), Made(1, 9, 0)}), "");
  EXPECT_EQ(NotLinearizable({Made(1, 9, 0), Made(2, 9, 1), Refused(1, 9, -1, 1)}), "");
}

TEST(AppendHistory, TwoWinnersOfOneVersionAreFound) {
  EXPECT_NE(NotLinearizable({Made(1, 2, 0), Made(3, 4, 0)}), "");
}
TEST(AppendHistory, AMissingVersionIsFound) {
  EXPECT_NE(NotLinearizable({Made(1, 2, 0), Made(3, 4, 2)}), "");
}
TEST(AppendHistory, AVersionMadeBeforeAnEarlierOneIsFound) {
  EXPECT_NE(NotLinearizable({Made(5, 6, 0), Made(1, 2, 1)}), "");
}
TEST(AppendHistory, ARefusalThatShouldHaveBeenAcceptedIsFound) {
  EXPECT_NE(NotLinearizable({Made(1, 2, 0), Refused(3, 4, 0, 0)}), "");
}
TEST(AppendHistory, ARefusalThatSawTheFutureIsFound) {
  EXPECT_NE(NotLinearizable({Made(1, 2, 0), Refused(3, 4, -1, 1), Made(5, 6, 1)}), "");
}
TEST(AppendHistory, ARefusalThatSawThePastIsFound) {
  EXPECT_NE(NotLinearizable({Made(1, 2, 0), Made(3, 4, 1), Refused(5, 6, -1, 0)}), "");
}
TEST(AppendHistory, RefusalsThatSawVersionsGoBackAreFound) {
  EXPECT_NE(
      NotLinearizable({Made(1, 2, 0), Made(1, 20, 1), Refused(3, 4, 5, 1), Refused(6, 7, 5, 0)}),
      "");
}

TEST(AppendHistory, SortingFindsWhatTryingAllOrdersFinds) {
  const std::uint64_t seed = SeedOr(7);
  SCOPED_TRACE(fmt::format("LEFTFOLD_SEED={}", seed));
  std::mt19937_64 random(seed);
  const auto below = [&](int n) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n));
  };
  int good = 0;
  int bad = 0;
  for (int i = 0; i < 20'000; ++i) {
    // A history that happened, with some of its intervals or versions changed.
    std::vector<AppendAttempt> attempts;
    std::int64_t version = -1;
    const std::int64_t count = 1 + below(6);
    for (std::int64_t at = 0; at < count; ++at) {
      AppendAttempt attempt;
      attempt.called = 10 * at - below(25);
      attempt.returned = 10 * at + below(25);
      attempt.expected = below(3) == 0 ? version + 1 + below(2) : version;
      attempt.accepted = attempt.expected == version;
      attempt.actual = attempt.accepted ? 0 : version;
      if (attempt.accepted) ++version;
      attempts.push_back(attempt);
    }
    if (below(2) == 0) {
      AppendAttempt& changed = attempts[static_cast<std::size_t>(below(static_cast<int>(count)))];
      switch (below(4)) {
        case 0:
          changed.called = changed.returned = 10 * below(7);
          break;
        case 1:
          changed.expected += below(3) - 1;
          break;
        case 2:
          changed.actual += below(3) - 1;
          break;
        default:
          changed.accepted = !changed.accepted;
          changed.actual = below(4);
      }
    }
    std::shuffle(attempts.begin(), attempts.end(), random);
    const bool linearizable = LinearizableByTrying(attempts);
    ++(linearizable ? good : bad);
    ASSERT_EQ(NotLinearizable(attempts).empty(), linearizable) << "history " << i;
  }
  EXPECT_GT(good, 1'000);
  EXPECT_GT(bad, 1'000);
}

}  // namespace
}  // namespace leftfold::testing
