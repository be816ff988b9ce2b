#include "domains/rooms/session_ticker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "domains/rooms/test_events.h"
#include "testing/given_reactor.h"

namespace leftfold::rooms {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The first event comes a second after midnight of 1 January 2026.
class SessionTickerTest : public ::testing::Test {
 protected:
  static v1::SessionStarted Started(const std::string& at) {
    v1::SessionStarted started;
    started.set_schedule_id("s");
    *started.mutable_occurrence_at() = ToProto(Time(at));
    return started;
  }
  testing::ReactorFixture<SessionTicker> ticker;
};

TEST_F(SessionTickerTest, WaitsForTheFirstSessionOfASchedule) {
  EXPECT_THAT(ticker.React("room-oak", Scheduled("s", "0 9 * * *")),
              ElementsAre("cancel oak/s", "at +32399s oak/s: wake"));
}

TEST_F(SessionTickerTest, StartsASessionEndsItAndWaitsForTheNext) {
  ticker.React("room-oak", Scheduled("s", "0 9 * * *", 90));
  ticker.PassTime(absl::Seconds(32'399));
  EXPECT_THAT(
      ticker.Wake("oak/s"),
      ElementsAre("StartSessionRequest {room_id: \"oak\" schedule_id: \"s\" occurrence_at { "
                  "seconds: 1767258000 }}",
                  "at +86400s oak/s: wake"));
  // A second late.
  EXPECT_THAT(ticker.React("room-oak", Started("2026-01-01T09:00Z")),
              ElementsAre("at +5399s oak/s/end: EndSessionRequest {room_id: \"oak\" "
                          "schedule_id: \"s\" occurrence_at { seconds: 1767258000 }}",
                          "at +86399s oak/s: wake"));
}

TEST_F(SessionTickerTest, StartsAfterADowntimeOnlyWhatRunsNow) {
  ticker.React("room-oak", Scheduled("s", "0 9 * * *", 90));
  ticker.PassTime(absl::Hours(48));  // Midnight.
  EXPECT_THAT(ticker.Wake("oak/s"), ElementsAre("at +32399s oak/s: wake"));
  ticker.PassTime(absl::Hours(10));
  EXPECT_THAT(ticker.Wake("oak/s"),
              ElementsAre(HasSubstr("StartSessionRequest"), "at +82799s oak/s: wake"));
}

TEST_F(SessionTickerTest, TakesTheNewRuleOfASchedule) {
  ticker.React("room-oak", Scheduled("s", "0 9 * * *"));
  v1::SessionRescheduled rescheduled;
  rescheduled.set_schedule_id("s");
  rescheduled.set_cron("0 10 * * *");
  rescheduled.set_duration_minutes(30);
  EXPECT_THAT(ticker.React("room-oak", rescheduled),
              ElementsAre("cancel oak/s", "at +35998s oak/s: wake"));
}

TEST_F(SessionTickerTest, EndsWithItsSchedule) {
  v1::SessionScheduled scheduled = Scheduled("s", "0 9 * * *");
  *scheduled.mutable_stop_after() = ToProto(Time("2026-01-01T10:00Z"));
  ticker.React("room-oak", scheduled);
  ticker.PassTime(absl::Seconds(32'399));
  EXPECT_THAT(ticker.Wake("oak/s"), ElementsAre(HasSubstr("StartSessionRequest")))
      << "no next session";
  EXPECT_THAT(ticker.React("room-oak", Started("2026-01-01T09:00Z")),
              ElementsAre(HasSubstr("EndSessionRequest")));
  v1::SessionCancelled cancelled;
  cancelled.set_schedule_id("s");
  EXPECT_THAT(ticker.React("room-oak", cancelled), ElementsAre("cancel oak/s"));
  EXPECT_THAT(ticker.Wake("oak/s"), IsEmpty());
  EXPECT_THAT(ticker.React("room-oak", Started("2026-01-01T09:00Z")), IsEmpty());
}

TEST_F(SessionTickerTest, RestsWhileItsRoomIsDeleted) {
  ticker.React("room-oak", Scheduled("s", "0 9 * * *"));
  ticker.React("room-elm", Scheduled("t", "0 9 * * *"));
  EXPECT_THAT(ticker.React("room-oak", v1::RoomDeleted()), ElementsAre("cancel oak/s"));
  EXPECT_THAT(ticker.React("room-oak", v1::RoomRestored()), ElementsAre("at +32396s oak/s: wake"));
}

TEST_F(SessionTickerTest, StartsWhatRunsWhenItsRoomIsRestored) {
  ticker.React("room-oak", Scheduled("s", "0 9 * * *", 90));
  ticker.React("room-oak", v1::RoomDeleted());
  ticker.PassTime(absl::Hours(10));
  EXPECT_THAT(ticker.React("room-oak", v1::RoomRestored()), ElementsAre("at +-3603s oak/s: wake"));
  EXPECT_THAT(ticker.Wake("oak/s"),
              ElementsAre(HasSubstr("StartSessionRequest"), HasSubstr("oak/s: wake")));
}

}  // namespace
}  // namespace leftfold::rooms
