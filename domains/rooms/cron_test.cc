#include "domains/rooms/cron.h"

#include <gtest/gtest.h>

#include <string>

namespace leftfold::rooms {
namespace {

absl::Time T(const std::string& text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, text + ":00Z", &time, &error)) << error;
  return time;
}

std::string Text(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M", time, absl::UTCTimeZone());
}

struct NextCase {
  const char* rule;
  const char* after;
  const char* next;
};

TEST(Cron, NextIsTheFirstMomentAfter) {
  const NextCase kCases[] = {
      {"* * * * *", "2026-01-01T00:00", "2026-01-01T00:01"},
      {"0 0 * * *", "2026-01-01T00:00", "2026-01-02T00:00"},
      {"30 9 * * MON-FRI", "2026-01-02T09:30", "2026-01-05T09:30"},
      {"30 9 * * mon-fri", "2026-01-02T09:29", "2026-01-02T09:30"},
      {"*/15 * * * *", "2026-01-01T00:46", "2026-01-01T01:00"},
      {"5/20 * * * *", "2026-01-01T00:06", "2026-01-01T00:25"},
      {"10-40/15 3 * * *", "2026-01-01T03:10", "2026-01-01T03:25"},
      {"0,30 8,17 * * *", "2026-01-01T08:30", "2026-01-01T17:00"},
      {"0 12 1 JAN *", "2026-01-01T12:00", "2027-01-01T12:00"},
      {"0 0 * * 0", "2026-01-01T00:00", "2026-01-04T00:00"},
      {"0 0 * * 7", "2026-01-01T00:00", "2026-01-04T00:00"},
      {"0 0 * * SUN", "2026-01-01T00:00", "2026-01-04T00:00"},
      {"0 0 * * 5-7", "2026-01-03T00:00", "2026-01-04T00:00"},
      {"0 0 29 2 *", "2026-01-01T00:00", "2028-02-29T00:00"},
      {"0 0 29 2 *", "2096-03-01T00:00", "2104-02-29T00:00"},
      {"0 0 31 * *", "2026-01-31T00:00", "2026-03-31T00:00"},
      {"59 23 31 12 *", "2026-12-31T23:59", "2027-12-31T23:59"},
      // Both days restricted: either fits.
      {"0 0 13 * FRI", "2026-01-01T00:00", "2026-01-02T00:00"},
      {"0 0 13 * FRI", "2026-01-09T00:00", "2026-01-13T00:00"},
      // One of them begins with a star: both must fit.
      {"0 0 */2 * FRI", "2026-01-02T00:00", "2026-01-09T00:00"},
      {"0 0 13 * */7", "2026-01-01T00:00", "2026-09-13T00:00"},
      {" 0  0\t1 1 * ", "2026-01-01T00:00", "2027-01-01T00:00"},
  };
  for (const NextCase& c : kCases) {
    const auto cron = Cron::Parse(c.rule);
    ASSERT_TRUE(cron) << c.rule;
    EXPECT_EQ(Text(cron->Next(T(c.after))), c.next) << c.rule << " after " << c.after;
  }
}

TEST(Cron, SecondsAreCutOff) {
  const auto cron = Cron::Parse("* * * * *");
  EXPECT_EQ(cron->Next(T("2026-01-01T00:00") - absl::Nanoseconds(1)), T("2026-01-01T00:00"));
  EXPECT_EQ(cron->Next(T("2026-01-01T00:00") + absl::Seconds(30)), T("2026-01-01T00:01"));
}

TEST(Cron, NextLooksNoFurtherThanAsked) {
  const auto cron = Cron::Parse("0 12 * * *");
  const absl::Time from = T("2026-01-01T00:00");
  EXPECT_EQ(cron->Next(from, T("2026-01-01T12:00")), T("2026-01-01T12:00"));
  EXPECT_EQ(cron->Next(from, T("2026-01-01T11:59")), absl::InfiniteFuture());
}

TEST(Cron, MalformedRulesAreRefused) {
  for (const char* rule : {"",
                           "*",
                           "* * * *",
                           "* * * * * *",
                           "60 * * * *",
                           "* 24 * * *",
                           "* * 0 * *",
                           "* * 32 * *",
                           "* * * 0 *",
                           "* * * 13 *",
                           "* * * * 8",
                           "-1 * * * *",
                           "5-1 * * * *",
                           "*/0 * * * *",
                           "1/ * * * *",
                           "/5 * * * *",
                           "1,,2 * * * *",
                           ", * * * *",
                           "1- * * * *",
                           "1-2-3 * * * *",
                           "*/2/2 * * * *",
                           "a * * * *",
                           "* * * FOO *",
                           "* * * * MONDAY",
                           "** * * * *",
                           "1.5 * * * *",
                           "+1 * * * *",
                           "0x1 * * * *",
                           "001 * * * *",
                           "@daily",
                           "* * * * *\n* * * * *"}) {
    EXPECT_FALSE(Cron::Parse(rule)) << rule;
  }
  EXPECT_FALSE(Cron::Parse(std::string(Cron::kBytesMax, ' ') + "* * * * *"));
  EXPECT_FALSE(Cron::Parse(std::string_view("* * * * *\0", 10)));
}

TEST(Cron, RulesThatNeverComeTrueAreRefused) {
  EXPECT_FALSE(Cron::Parse("0 0 30 2 *"));
  EXPECT_FALSE(Cron::Parse("0 0 31 4,6,9,11 *"));
}

TEST(Cron, MinutesOfDay) {
  EXPECT_EQ(Cron::Parse("0,30 1,2 * * *")->MinutesOfDay(), (std::vector{60, 90, 120, 150}));
  EXPECT_EQ(Cron::Parse("* * * * *")->MinutesOfDay().size(), 1'440u);
}

}  // namespace
}  // namespace leftfold::rooms
