#include "domains/rooms/upcoming_sessions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "core/page.h"
#include "core/reject.h"
#include "domains/rooms/test_events.h"
#include "testing/given.h"

namespace leftfold::rooms {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Query = v1::ListUpcomingSessionsRequest;

Query Between(const std::string& from, const std::string& to, const std::string& room_id = "") {
  Query query;
  *query.mutable_from() = ToProto(Time(from));
  *query.mutable_to() = ToProto(Time(to));
  query.set_room_id(room_id);
  return query;
}

class UpcomingSessionsTest : public ::testing::Test {
 protected:
  // "room schedule begin" of all sessions, page after page.
  std::vector<std::string> All(Query query, int page_size = 0) {
    std::vector<std::string> lines;
    query.set_page_size(page_size);
    do {
      const auto answer = view_.Ask(query);
      EXPECT_TRUE(answer.ok()) << answer.status();
      if (!answer.ok()) return lines;
      for (const v1::Session& session : answer->sessions()) {
        lines.push_back(
            session.room_id() + " " + session.schedule_id() + " " +
            absl::FormatTime("%m-%dT%H:%M", FromProto(session.starts_at()), absl::UTCTimeZone()));
      }
      query.set_page_token(answer->next_page_token());
      ++pages_;
    } while (!query.page_token().empty());
    return lines;
  }

  testing::ViewFixture<UpcomingSessions> view_{"room"};
  int pages_ = 0;
};

TEST_F(UpcomingSessionsTest, ATokenOfNoPageIsRefused) {
  view_.Fold("oak", Scheduled("s", "0 9 * * *"));
  Query query = Between("2026-01-01T00:00Z", "2026-01-03T00:00Z");
  query.set_room_id("oak");
  const Page page = *Page::Of(query);
  const std::string within = "\n1767258000\n";  // 2026-01-01T09:00Z
  for (const std::string& key :
       {std::string("x"), "oak" + within, "a b" + within + "s", "elm" + within + "s",
        "oak" + within + "s s", "oak" + within + "s\n", std::string("oak\n0\ns"),
        std::string("oak\n9223372036854775807\ns"), std::string("oak\nsoon\ns")}) {
    query.set_page_token(page.TokenAfter(key));
    const bool fits = key == "oak" + within;  // As after the last rule of a page.
    EXPECT_EQ(ReasonOf(view_.Ask(query).status()), fits ? "" : "INVALID_PAGE_TOKEN") << key;
  }
  query.set_page_token(page.TokenAfter("oak" + within + "s"));
  EXPECT_EQ(view_.Ask(query)->sessions_size(), 1);
}

TEST_F(UpcomingSessionsTest, TheRulesAreExpandedInOrderOfTheirBegin) {
  view_.Fold("b", Scheduled("s", "0 9 * * *")).Fold("a", Scheduled("late", "0 9 * * *", 30));
  view_.Fold("a", Scheduled("early", "0 8 2 * *"));
  const Query query = Between("2026-01-01T09:00Z", "2026-01-03T09:00Z");
  const auto expected = ElementsAre("a late 01-01T09:00", "a early 01-02T08:00",
                                    "a late 01-02T09:00", "b s 01-01T09:00", "b s 01-02T09:00");
  for (const int page_size : {0, 1, 2, 3, 5}) {
    SCOPED_TRACE(page_size);
    EXPECT_THAT(All(query, page_size), expected);
  }
  const auto answer = view_.Ask(query);
  EXPECT_EQ(FromProto(answer->sessions(0).ends_at()), Time("2026-01-01T09:30Z"));
}

TEST_F(UpcomingSessionsTest, SessionsAtTheSameMomentAreAllSent) {
  view_.Fold("a", Scheduled("t", "0 9 * * *")).Fold("a", Scheduled("s", "0 9 * * *"));
  EXPECT_THAT(
      All(Between("2026-01-01T00:00Z", "2026-01-03T00:00Z"), 1),
      ElementsAre("a s 01-01T09:00", "a t 01-01T09:00", "a s 01-02T09:00", "a t 01-02T09:00"));
}

TEST_F(UpcomingSessionsTest, OfOneRoom) {
  view_.Fold("a", Scheduled("s", "0 9 * * *")).Fold("b", Scheduled("s", "0 9 * * *"));
  view_.Fold("b", Scheduled("t", "0 8 * * *"));
  const auto of = [&](const std::string& id) {
    return All(Between("2026-01-01T00:00Z", "2026-01-02T00:00Z", id), 1);
  };
  EXPECT_THAT(of("b"), ElementsAre("b t 01-01T08:00", "b s 01-01T09:00"));
  EXPECT_THAT(of("c"), IsEmpty());
}

TEST_F(UpcomingSessionsTest, ChangedCancelledAndEndedRules) {
  const Query query = Between("2026-01-01T00:00Z", "2026-01-04T00:00Z");
  view_.Fold("a", Scheduled("s", "0 9 * * *"));
  v1::SessionRescheduled changed;
  changed.set_schedule_id("s");
  changed.set_cron("0 10 * * *");
  changed.set_duration_minutes(5);
  *changed.mutable_stop_after() = ToProto(Time("2026-01-02T10:00Z"));
  view_.Fold("a", changed);
  EXPECT_THAT(All(query), ElementsAre("a s 01-01T10:00", "a s 01-02T10:00"));
  view_.Fold("a", v1::RoomDeleted());
  EXPECT_THAT(All(query), IsEmpty());
  view_.Fold("a", v1::RoomRestored());
  EXPECT_EQ(All(query).size(), 2u);
  v1::SessionCancelled cancelled;
  cancelled.set_schedule_id("s");
  view_.Fold("a", cancelled);
  EXPECT_THAT(All(query), IsEmpty());
}

TEST_F(UpcomingSessionsTest, APageLooksAtSoManyRulesOnly) {
  const int rooms = UpcomingSessions::kRulesPerPage + 10;
  for (int i = 0; i < rooms; ++i) {
    // Only one of the last has a session in the range.
    view_.Fold("r" + std::to_string(10'000 + i),
               Scheduled("s", i == rooms - 2 ? "0 9 1 1 *" : "0 9 1 6 *"));
  }
  EXPECT_THAT(All(Between("2026-01-01T00:00Z", "2026-02-01T00:00Z")),
              ElementsAre("r" + std::to_string(10'000 + rooms - 2) + " s 01-01T09:00"));
  EXPECT_EQ(pages_, 2);
}

TEST_F(UpcomingSessionsTest, ASessionIsSentOnceWhereTheRangeEndsWithinItsFirstSecond) {
  const int rooms = UpcomingSessions::kRulesPerPage + 10;
  for (int i = 0; i < rooms; ++i) {
    view_.Fold("r" + std::to_string(10'000 + i),
               Scheduled("s", i < rooms - 50 ? "0 9 1 6 *" : "0 9 1 1 *"));
  }
  Query query = Between("2026-01-01T00:00Z", "2026-01-01T09:00Z");
  query.mutable_to()->set_nanos(500'000'000);
  const std::vector<std::string> sent = All(query, 1'000);
  EXPECT_EQ(sent.size(), 50u);
  EXPECT_EQ(std::set<std::string>(sent.begin(), sent.end()).size(), 50u);
}

TEST_F(UpcomingSessionsTest, MalformedRangesAreRefused) {
  const auto reason = [&](const Query& query) { return ReasonOf(view_.Ask(query).status()); };
  EXPECT_EQ(reason(Query()), "INVALID_TIME");
  EXPECT_EQ(reason(Between("2026-01-01T00:00Z", "2026-01-01T00:00Z")), "INVALID_RANGE");
  EXPECT_EQ(reason(Between("2026-01-02T00:00Z", "2026-01-01T00:00Z")), "INVALID_RANGE");
  const Query too_long = Between("2026-01-01T00:00Z", "2027-01-02T00:01Z");
  EXPECT_EQ(reason(too_long), "INVALID_RANGE");
  EXPECT_EQ(MetadataOf(view_.Ask(too_long).status(), "maximum"), "366 days");
  EXPECT_EQ(reason(Between("2026-01-01T00:00Z", "2027-01-02T00:00Z")), "");
}

TEST_F(UpcomingSessionsTest, NothingServedWalksAWholeTable) {
  All(Between("2026-01-01T00:00Z", "2026-02-01T00:00Z"));
  All(Between("2026-01-01T00:00Z", "2026-02-01T00:00Z", "a"));
  EXPECT_THAT(view_.Scans(), IsEmpty());
}

}  // namespace
}  // namespace leftfold::rooms
