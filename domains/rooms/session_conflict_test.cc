#include "domains/rooms/session_conflict.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "domains/rooms/test_events.h"

namespace leftfold::rooms {
namespace {

const absl::Time kFrom = absl::FromUnixSeconds(1'767'225'600);  // 2026-01-01T00:00Z, a Thursday.
const absl::Time kUntil = kFrom + absl::Hours(366 * 24);

SessionRule Rule(const std::string& id, const std::string& cron, int minutes,
                 absl::Time stop_after = absl::InfiniteFuture()) {
  const auto parsed = Cron::Parse(cron);
  EXPECT_TRUE(parsed) << cron;
  return {id, *parsed, absl::Minutes(minutes), stop_after};
}

struct Case {
  const char* added;
  int added_minutes;
  const char* other;
  int other_minutes;
  const char* at;  // nullptr: no conflict.
};

TEST(SessionConflict, FindsTheSessionsThatOverlap) {
  const Case kCases[] = {
      {"0 9 * * *", 60, "0 10 * * *", 60, nullptr},
      {"0 9 * * *", 61, "0 10 * * *", 60, "2026-01-01T09:00Z"},
      {"0 10 * * *", 60, "0 9 * * *", 61, "2026-01-01T10:00Z"},
      {"0 9 * * *", 1, "0 9 * * *", 1, "2026-01-01T09:00Z"},
      {"0 9 * * MON", 60, "0 9 * * TUE", 60, nullptr},
      {"0 9 * * MON", 1'440, "0 9 * * TUE", 60, nullptr},
      {"1 9 * * MON", 1'440, "0 9 * * TUE", 60, "2026-01-05T09:01Z"},
      {"0 23 * * *", 120, "30 0 * * *", 30, "2026-01-01T23:00Z"},
      {"30 0 * * *", 30, "0 23 * * *", 120, "2026-01-01T00:30Z"},
      {"0 0 29 2 *", 60, "0 0 29 2 *", 60, nullptr},  // Beyond the stretch.
      {"0 9 31 12 *", 60, "30 9 * 12 THU", 60, "2026-12-31T09:00Z"},
      {"0 0 * * *", 60, "*/5 1-23 * * *", 5, nullptr},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(std::string(c.added) + " beside " + c.other);
    const auto found = FindConflict(Rule("a", c.added, c.added_minutes),
                                    {Rule("b", c.other, c.other_minutes)}, kFrom, kUntil);
    ASSERT_EQ(found.has_value(), c.at != nullptr);
    if (!found) continue;
    EXPECT_EQ(found->at, Time(c.at));
    EXPECT_EQ(found->other_schedule_id, "b");
  }
}

TEST(SessionConflict, FindsSessionsThatOverlapTheNextOfTheirOwn) {
  EXPECT_FALSE(FindConflict(Rule("a", "*/30 * * * *", 30), {}, kFrom, kUntil));
  const auto found = FindConflict(Rule("a", "*/30 * * * *", 31), {}, kFrom, kUntil);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->other_schedule_id, "a");
  EXPECT_FALSE(FindConflict(Rule("a", "0 9 * * *", 1'440), {}, kFrom, kUntil));
  EXPECT_TRUE(FindConflict(Rule("a", "0 9,8 * * *", 1'440), {}, kFrom, kUntil));
  // 8 o'clock on one day, 7 o'clock on the next: less than a day.
  EXPECT_TRUE(FindConflict(Rule("a", "0 7,23 * * *", 600), {}, kFrom, kUntil));
}

TEST(SessionConflict, NothingCountsAfterTheEndOfAScheduleOrOfTheStretch) {
  const SessionRule daily = Rule("b", "0 9 * * *", 60, Time("2026-01-04T09:00Z"));
  EXPECT_FALSE(FindConflict(Rule("a", "30 9 * * MON", 60), {daily}, kFrom, kUntil));
  EXPECT_TRUE(FindConflict(Rule("a", "30 9 * * SUN", 60), {daily}, kFrom, kUntil));
  EXPECT_FALSE(FindConflict(Rule("a", "30 9 * * SUN", 60, Time("2026-01-04T09:29Z")), {daily},
                            kFrom, kUntil));
  EXPECT_FALSE(FindConflict(Rule("a", "0 9 * * *", 60), {daily}, kFrom, Time("2026-01-01T08:59Z")));
}

TEST(SessionConflict, ASessionThatIsGoingOnCounts) {
  const SessionRule night = Rule("b", "0 23 * * WED", 120);
  const auto found = FindConflict(Rule("a", "30 0 * * THU", 10), {night}, kFrom, kUntil);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->at, Time("2026-01-01T00:30Z"));
  EXPECT_EQ(found->other_at, Time("2025-12-31T23:00Z"));
}

// The plain way: every session of both, minute by minute.
bool Overlap(const SessionRule& added, const SessionRule& other, absl::Time until) {
  for (absl::Time a = added.cron.Next(kFrom); a <= until; a = added.cron.Next(a)) {
    for (absl::Time b = other.cron.Next(a - other.duration); b <= until && b < a + added.duration;
         b = other.cron.Next(b)) {
      if (b != a || added.schedule_id != other.schedule_id) return true;
    }
  }
  return false;
}

TEST(SessionConflict, AgreesWithThePlainWayOnRandomRules) {
  std::mt19937 random(7);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const absl::Time until = kFrom + absl::Hours(24 * 40);
  int conflicts = 0;
  for (int i = 0; i < 400; ++i) {
    const auto rule = [&](const std::string& id) {
      const std::string day = below(2) == 0 ? "*" : std::to_string(below(7));
      const std::string date = below(2) == 0 ? "*" : std::to_string(1 + below(28));
      return Rule(id,
                  std::to_string(below(60)) + " " + std::to_string(below(24)) + "," +
                      std::to_string(below(24)) + " " + date + " * " + day,
                  1 + below(300));
    };
    const SessionRule added = rule("a");
    const SessionRule other = rule("b");
    const bool expected = Overlap(added, other, until) || Overlap(added, added, until);
    EXPECT_EQ(FindConflict(added, {other}, kFrom, until).has_value(), expected) << i;
    conflicts += expected ? 1 : 0;
  }
  EXPECT_GT(conflicts, 40);
  EXPECT_LT(conflicts, 360);
}

// All sessions of both as stretches of time, sorted; the ends of the schedules and of the range
// count.
bool OverlapInRange(const SessionRule& added, const SessionRule& other, absl::Time from,
                    absl::Time until) {
  struct Stretch {
    absl::Time begin;
    absl::Time end;
    bool of_added;
  };
  std::vector<Stretch> all;
  const auto expand = [&](const SessionRule& rule, absl::Time after) {
    const absl::Time last = std::min(until, rule.stop_after);
    for (absl::Time at = rule.cron.Next(after); at <= last; at = rule.cron.Next(at)) {
      all.push_back({at, at + rule.duration, &rule == &added});
    }
  };
  expand(added, from);
  expand(other, from - other.duration);
  std::sort(all.begin(), all.end(),
            [](const Stretch& a, const Stretch& b) { return a.begin < b.begin; });
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t j = i + 1; j < all.size() && all[j].begin < all[i].end; ++j) {
      if (all[i].of_added || all[j].of_added) return true;
    }
  }
  return false;
}

TEST(SessionConflict, AgreesWithSortedStretchesWhereSchedulesAndRangesEndAnywhere) {
  std::mt19937 random(11);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  int conflicts = 0;
  for (int i = 0; i < 4'000; ++i) {
    const absl::Time from = kFrom + absl::Seconds(below(40 * 86'400));
    const absl::Time until = from + absl::Minutes(1 + below(4 * 1'440));
    const auto rule = [&](const std::string& id) {
      const std::string minute =
          below(2) == 0 ? "*/" + std::to_string(5 + below(30)) : std::to_string(below(60));
      const std::string hours = std::to_string(below(24)) + "," + std::to_string(below(24));
      const std::string day = below(2) == 0 ? "*" : std::to_string(below(7));
      return Rule(id, minute + " " + hours + " * * " + day, 1 + below(below(2) == 0 ? 60 : 1'440),
                  below(2) == 0 ? absl::InfiniteFuture() : from + absl::Minutes(below(3 * 1'440)));
    };
    const SessionRule added = rule("a");
    const SessionRule other = rule("b");
    const bool expected = OverlapInRange(added, other, from, until);
    const auto found = FindConflict(added, {other}, from, until);
    ASSERT_EQ(found.has_value(), expected) << i;
    if (!found) continue;
    ++conflicts;
    EXPECT_EQ(added.cron.Next(found->at - absl::Minutes(1)), found->at);
    EXPECT_GT(found->at, from);
    EXPECT_LE(found->at, std::min(until, added.stop_after));
  }
  EXPECT_GT(conflicts, 400);
  EXPECT_LT(conflicts, 3'600);
}

TEST(SessionConflict, ASessionThatBeganBeforeTheLastOneCountsWhenTheLastIsBeyondTheEnd) {
  // At 09:30 the added schedule is over, its session of 09:00 goes on.
  const SessionRule added = Rule("a", "0,30 9 * * *", 60, Time("2026-01-01T09:15Z"));
  const auto found = FindConflict(added, {Rule("b", "45 9 * * *", 5)}, kFrom, kUntil);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->at, Time("2026-01-01T09:00Z"));
  EXPECT_EQ(found->other_at, Time("2026-01-01T09:45Z"));
}

TEST(SessionConflict, SchedulesThatAreOverCostNothing) {
  std::vector<SessionRule> others;
  for (int i = 0; i < 31; ++i) others.push_back(Rule("b", "* * * 1-11/2 *", 1, kFrom));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(FindConflict(Rule("a", "* * * 1-11/2 *", 1), others, kFrom, kUntil));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(100));
}

TEST(SessionConflict, TheWorkIsBounded) {
  std::vector<SessionRule> others;
  for (int i = 0; i < 31; ++i) others.push_back(Rule("b", "1-59/2 * * * *", 1));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(FindConflict(Rule("a", "*/2 * * * *", 1), others, kFrom, kUntil));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
}

}  // namespace
}  // namespace leftfold::rooms
