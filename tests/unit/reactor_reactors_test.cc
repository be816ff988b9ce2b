// The reactor engine: events in, deliveries out, in order for each key, at least once and
// harmlessly so, tried again, parked, retried and skipped.

#include <absl/strings/escaping.h>
#include <absl/strings/str_split.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "core/reject.h"
#include "tests/unit/reactor_fixture.h"

namespace leftfold::reacting {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST(Reactors, SendACommandThatSaysWhereItComesFrom) {
  ReactorFixture f;
  f.Create("a", "rename=b");
  f.Settle();
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=b", "b"));
  EXPECT_THAT(f.Results(), ElementsAre("a b done"));
  const auto events = f.store().ReadStream("counter-a", {});
  const core::v1::EventMetadata metadata = EventMeta{events->back()}.metadata();
  EXPECT_EQ(metadata.command_id(), f.IdOfFirst("a"));
  EXPECT_EQ(metadata.actor(), "reactor:worker");
  EXPECT_EQ(metadata.causation_id(), ToString(events->front().event_id));
  EXPECT_EQ(f.Outbox(), 0);
}

TEST(Reactors, DeliverInOrderForOneKeyAndSideBySideForOthers) {
  ReactorFixture f;
  f.deliverer().held["counter-a"];
  f.Create("a", "rename=1 rename=2 rename=3");
  f.Create("b", "rename=1 rename=2");
  f.Settle();
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=1 rename=2 rename=3"));
  EXPECT_THAT(f.Names("b"), ElementsAre("rename=1 rename=2", "1", "2"));
  f.deliverer().Release("counter-a");
  f.Settle();
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=1 rename=2 rename=3", "1", "2", "3"));
}

TEST(Reactors, DeliverWhatOneEventLeadsToSideBySideWhereKeysDiffer) {
  ReactorFixture f;
  f.Create("b", "first");
  f.Create("c", "second");
  f.deliverer().held["counter-b"];
  f.deliverer().fail_before["counter-c"] = 3;
  f.Create("a", "tell=b=b1 tell=b=b2 tell=c=c1 rename=a1");
  f.RunFor(absl::Seconds(10));
  EXPECT_THAT(f.Names("a"), ElementsAre("tell=b=b1 tell=b=b2 tell=c=c1 rename=a1", "a1"));
  EXPECT_THAT(f.Names("b"), ElementsAre("first"));
  const auto parked = f.reactors().ListParked("worker", 0, 10);
  ASSERT_EQ(parked->size(), 1U);
  EXPECT_EQ(parked->front().parked.key(), "counter-c");
  f.Restart();
  f.Settle();
  EXPECT_THAT(f.Names("b"), ElementsAre("first", "b1", "b2"));
  EXPECT_EQ(f.reactors().ListParked("worker", 0, 10)->size(), 1U);
}

TEST(Reactors, DoWhatResultsLeadToBeforeWhatLaterEventsLeadTo) {
  ReactorFixture f;
  f.deliverer().held["counter-a"];
  f.Create("a", "rename=1>2>3");
  f.Settle();
  f.Send(std::make_unique<rooms::v1::RenameRoomRequest>(Rename("a", "rename=4")));
  f.deliverer().Release("counter-a");
  f.Settle();
  EXPECT_THAT(f.Results(), ElementsAre("a 1>2>3 done", "a 2>3 done", "a 3 done", "a 4 done"));
}

TEST(Reactors, TakeARefusalAsAResultAndNeverTryItAgain) {
  ReactorFixture f;
  f.Create("b", "plain");
  auto command = std::make_unique<rooms::v1::CreateRoomRequest>();
  command->set_room_id("a");
  command->set_name("rename=x");
  f.deliverer().held["counter-a"];
  f.Send(std::move(command));
  auto gone = std::make_unique<rooms::v1::DeleteRoomRequest>();
  gone->set_room_id("a");
  f.Send(std::move(gone));
  f.deliverer().Release("counter-a");
  f.Settle();
  EXPECT_THAT(f.Results(), ElementsAre("a x ROOM_NOT_FOUND"));
  EXPECT_EQ(f.deliverer().log.size(), 1U);
  EXPECT_EQ(f.Status().rejections, 1);
  EXPECT_EQ(f.Outbox(), 0);
}

TEST(Reactors, RestBeforeTheyLookForEventsAgain) {
  ReactorFixture f;
  f.Settle();
  f.Create("a", "quiet");
  f.RunFor(absl::ZeroDuration());
  const Position first = f.store().GetHead().position;
  EXPECT_EQ(f.Status().checkpoint, first);
  f.Create("b", "quiet too");
  f.RunFor(kIntakeRestMin / 2);
  EXPECT_EQ(f.Status().checkpoint, first);
  f.RunFor(kIntakeRestMin / 2);
  EXPECT_EQ(f.Status().checkpoint, f.store().GetHead().position);
}

TEST(Reactors, TryAgainWithGrowingDelays) {
  ReactorFixture f;
  f.deliverer().fail_before["counter-a"] = 2;
  f.Create("a", "rename=b");
  f.Settle();
  EXPECT_EQ(f.deliverer().log.size(), 1U);
  f.RunFor(absl::Milliseconds(700));  // One second, less a fifth at the most.
  EXPECT_EQ(f.deliverer().log.size(), 1U);
  f.RunFor(absl::Milliseconds(600));
  EXPECT_EQ(f.deliverer().log.size(), 2U);
  f.RunFor(absl::Milliseconds(1'100));
  EXPECT_EQ(f.deliverer().log.size(), 2U);
  f.RunFor(absl::Milliseconds(1'400));
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=b", "b"));
  EXPECT_EQ(f.Status().retries, 2);
}

TEST(Reactors, DoOnceWhatWasDoneButNotAnswered) {
  ReactorFixture f;
  f.deliverer().fail_after["counter-a"] = 2;
  f.Create("a", "rename=b");
  f.RunFor(absl::Seconds(10));
  EXPECT_EQ(f.deliverer().log.size(), 3U);
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=b", "b"));
  EXPECT_THAT(f.Results(), ElementsAre("a b done"));
}

TEST(Reactors, RememberHowFarReceiptsReachAlsoOfAResultThatCameBeforeItsEvents) {
  ReactorFixture f;
  const auto seen = [&f] {
    auto file = sql::OpenReactorReader(f.folder() + "/worker.db");
    EXPECT_TRUE(file.ok()) << file.status();
    return sql::ReadSeen(**file);
  };
  f.Create("a", "note=nothing");
  f.Settle();
  EXPECT_EQ(seen(), kBeforeFirst);
  f.Create("b", "rename=c");
  f.Settle();
  const Position last = f.store().GetHead().position;
  EXPECT_EQ(seen(), last);
  f.Restart();
  f.Create("d", "note=more");
  f.Settle();
  EXPECT_EQ(seen(), last);
}

TEST(Reactors, WaitAsLongAsThePolicySaysAlsoWhenAStepIsUndoneMeanwhile) {
  ReactorFixture f;
  f.deliverer().fail_before["counter-a"] = 1;
  f.Create("a", "rename=b");
  f.Settle();
  ASSERT_EQ(f.deliverer().log.size(), 1U);
  f.log().unreadable = true;
  f.Create("b", "note=woken");
  f.Settle();
  ASSERT_EQ(f.Status().state, ReactorState::kHeldUp);
  f.log().unreadable = false;
  ASSERT_TRUE(f.reactors().Resume("worker").ok());
  f.RunFor(absl::Milliseconds(500));
  EXPECT_EQ(f.Status().state, ReactorState::kLive);
  EXPECT_EQ(f.deliverer().log.size(), 1U);
  f.RunFor(absl::Seconds(1));
  EXPECT_EQ(f.deliverer().log.size(), 2U);
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=b", "b"));
}

TEST(Reactors, HeldUpTryAgainOnceASecondHoweverOftenTheyAreWoken) {
  ReactorFixture f;
  Worker::busy = true;
  f.Create("a", "busy");
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(f.reactors().Resume("worker").ok());
    f.RunFor(absl::Milliseconds(10));
  }
  EXPECT_LE(f.RunFor(absl::Seconds(10)), 60);
}

TEST(Reactors, CountNoAttemptWhenThereWasNoRoomToSendAnything) {
  ReactorFixture f;
  f.deliverer().full["counter-a"] = 10;
  f.Create("a", "rename=b");
  f.RunFor(absl::Seconds(30));
  EXPECT_EQ(f.deliverer().log.size(), 11U);
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=b", "b"));
  EXPECT_EQ(f.Status().retries, 0);
  EXPECT_THAT(f.Troubles(), IsEmpty());
}

class ParkedKey : public ::testing::Test {
 protected:
  ParkedKey() {
    f.Create("alarm", "plain");
    f.deliverer().fail_before["counter-a"] = 3;
    f.Create("a", "rename=1");
    parked_id = f.IdOfFirst("a");
    f.RunFor(absl::Seconds(10));
    f.Send(std::make_unique<rooms::v1::RenameRoomRequest>(Rename("a", "rename=2 note=seen")));
    f.Create("b", "rename=1 note=b");
    f.RunFor(absl::Seconds(10));
  }
  absl::StatusOr<Position> Retry(const std::string& key) {
    absl::StatusOr<Position> recorded = absl::UnknownError("not answered");
    f.reactors().Retry("worker", key, "ann", [&](absl::StatusOr<Position> p) { recorded = p; });
    f.Settle();
    return recorded;
  }
  absl::StatusOr<Position> Skip(const std::string& id) {
    absl::StatusOr<Position> recorded = absl::UnknownError("not answered");
    f.reactors().Skip("worker", id, "lost", "ann",
                      [&](absl::StatusOr<Position> p) { recorded = p; });
    f.Settle();
    return recorded;
  }
  // Parks as well, while the log hears nothing of the engine.
  void ParkUnheard() {
    f.log().away = true;
    f.deliverer().fail_before["counter-c"] = 3;
    f.Create("c", "rename=7");
    f.RunFor(absl::Seconds(10));
  }
  ReactorFixture f;
  std::string parked_id;
};

TEST_F(ParkedKey, WaitsWithAllThatFollowsWhileOthersGoOn) {
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=1", "rename=2 note=seen"));
  EXPECT_THAT(f.Names("b"), ElementsAre("rename=1 note=b", "1"));
  EXPECT_THAT(f.Troubles(), ElementsAre("DeliveryParked"));
  EXPECT_EQ(f.deliverer().log.size(), 3U + 2U);  // Three attempts, b's, and the hook's.
  const auto parked = f.reactors().ListParked("worker", 0, 10);
  ASSERT_EQ(parked->size(), 1U);
  EXPECT_EQ(parked->front().parked.delivery_id(), parked_id);
  EXPECT_EQ(parked->front().parked.key(), "counter-a");
  EXPECT_EQ(parked->front().parked.what(), "leftfold.rooms.v1.RenameRoomRequest");
  EXPECT_EQ(parked->front().parked.attempts(), 3);
  EXPECT_EQ(parked->front().parked.error(), "scripted");
  EXPECT_EQ(parked->front().behind, 1);
  EXPECT_EQ(f.Status().parked_keys, 1);
}

TEST_F(ParkedKey, RunsTheErrorHookPastWhatIsParked) {
  EXPECT_THAT(f.Results(), Contains("parked " + parked_id));
  EXPECT_THAT(f.Names("alarm"), ElementsAre("plain", "parked"));
}

TEST_F(ParkedKey, GoesOnInOrderWhenAnOperatorHasItRetried) {
  EXPECT_TRUE(Retry("counter-a").ok());
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=1", "rename=2 note=seen", "1", "2"));
  EXPECT_THAT(f.Troubles(),
              ElementsAre("DeliveryParked", "RetryRequested", "DeliveredAfterParking"));
  EXPECT_EQ(f.Status().parked_keys, 0);
  EXPECT_EQ(f.Outbox(), 0);
}

TEST_F(ParkedKey, IsToldDeliveredOnceAlsoWhenTheLogIsAwayThenAndItsProcessCrashes) {
  f.deliverer().held["counter-a"];
  EXPECT_TRUE(Retry("counter-a").ok());
  f.log().away = true;
  f.deliverer().Release("counter-a");
  f.RunFor(absl::Seconds(10));
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=1", "rename=2 note=seen", "1", "2"));
  EXPECT_THAT(f.Troubles(), ElementsAre("DeliveryParked", "RetryRequested"));
  EXPECT_EQ(f.Status().parked_keys, 0);
  EXPECT_TRUE(f.reactors().ListParked("worker", 0, 10)->empty());
  EXPECT_EQ(f.Outbox(), 1);  // It waits for the log alone.
  f.Restart();
  EXPECT_EQ(f.Status().parked_keys, 0);
  f.log().away = false;
  f.RunFor(absl::Seconds(10));
  EXPECT_THAT(f.Troubles(),
              ElementsAre("DeliveryParked", "RetryRequested", "DeliveredAfterParking"));
  EXPECT_EQ(f.Outbox(), 0);
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=1", "rename=2 note=seen", "1", "2"));
}

TEST_F(ParkedKey, IsParkedAndToldAgainWhenTheRetryFails) {
  f.deliverer().fail_before["counter-a"] = 3;
  EXPECT_TRUE(Retry("counter-a").ok());
  f.RunFor(absl::Seconds(10));
  EXPECT_THAT(f.Troubles(), ElementsAre("DeliveryParked", "RetryRequested", "DeliveryParked"));
  EXPECT_TRUE(Retry("counter-a").ok());
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=1", "rename=2 note=seen", "1", "2"));
}

TEST_F(ParkedKey, GoesOnWithoutWhatAnOperatorSkips) {
  EXPECT_TRUE(Skip(parked_id).ok());
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=1", "rename=2 note=seen", "2"));
  EXPECT_THAT(f.Troubles(), ElementsAre("DeliveryParked", "SkipRequested"));
  EXPECT_EQ(f.Outbox(), 0);
}

TEST_F(ParkedKey, TellsTheReactorOfACommandThatAnOperatorSkipsBeforeWhatWaitsBehind) {
  EXPECT_TRUE(Skip(parked_id).ok());
  const auto results = f.Results();
  const auto skipped = std::find(results.begin(), results.end(), "a 1 skipped by ann");
  EXPECT_NE(skipped, results.end());
  EXPECT_NE(std::find(skipped, results.end(), "a seen"), results.end());
}

TEST_F(ParkedKey, IsGivenUpAlsoWhenTheReactorTakesNoSkip) {
  Worker::broken = true;
  EXPECT_TRUE(Skip(parked_id).ok());
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=1", "rename=2 note=seen", "2"));
  EXPECT_EQ(f.Outbox(), 0);
}

TEST_F(ParkedKey, WaitsForALogThatIsAwayWithoutAttemptsWhenWhatWaitedBehindIsReactedTo) {
  f.Send(std::make_unique<rooms::v1::RenameRoomRequest>(Rename("a", "busy note=late")));
  Worker::busy = true;
  EXPECT_TRUE(Retry("counter-a").ok());
  f.RunFor(absl::Seconds(60));
  EXPECT_EQ(f.Status().parked_keys, 0);
  Worker::busy = false;
  f.RunFor(absl::Seconds(10));
  EXPECT_THAT(f.Results(), Contains("a late"));
  EXPECT_THAT(f.Troubles(),
              ElementsAre("DeliveryParked", "RetryRequested", "DeliveredAfterParking"));
}

TEST_F(ParkedKey, StaysParkedOverARestart) {
  f.Restart();
  f.RunFor(absl::Seconds(10));
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=1", "rename=2 note=seen"));
  EXPECT_EQ(f.Status().parked_keys, 1);
  EXPECT_THAT(f.Troubles(), ElementsAre("DeliveryParked"));
  EXPECT_TRUE(Retry("counter-a").ok());
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=1", "rename=2 note=seen", "1", "2"));
}

TEST_F(ParkedKey, IsToldAgainAfterACrashWhenTheLogKnowsAnEarlierRoundOnly) {
  f.deliverer().fail_before["counter-c"] = 6;
  f.log().hold = true;
  f.Create("c", "rename=7");
  f.RunFor(absl::Seconds(10));
  ASSERT_EQ(f.log().held.size(), 1U);
  f.log().hold = false;
  EXPECT_TRUE(Retry("counter-c").ok());
  f.log().away = true;
  f.RunFor(absl::Seconds(10));
  f.log().held.front()();  // The answer to the first round comes in the second.
  f.Settle();
  f.log().away = false;
  f.Restart();
  f.RunFor(absl::Seconds(1));
  EXPECT_THAT(f.Troubles(),
              ElementsAre("DeliveryParked", "DeliveryParked", "RetryRequested", "DeliveryParked"));
}

TEST_F(ParkedKey, IsRetriedBehindItsParkingInTheLogAlsoBeforeTheEngineHasToldIt) {
  ParkUnheard();
  EXPECT_FALSE(Retry("counter-c").ok());
  EXPECT_THAT(f.Troubles(), ElementsAre("DeliveryParked")) << "that of the other key";
  f.log().away = false;
  EXPECT_TRUE(Retry("counter-c").ok());
  EXPECT_THAT(f.Names("c"), ElementsAre("rename=7", "7"));
  f.RunFor(absl::Seconds(10));
  f.Restart();
  f.RunFor(absl::Seconds(10));
  EXPECT_THAT(f.Troubles(), ElementsAre("DeliveryParked", "DeliveryParked", "RetryRequested",
                                        "DeliveredAfterParking"));
}

TEST_F(ParkedKey, IsSkippedBehindItsParkingInTheLogAlsoBeforeTheEngineHasToldIt) {
  ParkUnheard();
  const std::string id = f.IdOfFirst("c");
  EXPECT_FALSE(Skip(id).ok());
  EXPECT_THAT(f.Troubles(), ElementsAre("DeliveryParked")) << "that of the other key";
  f.log().away = false;
  EXPECT_TRUE(Skip(id).ok());
  f.RunFor(absl::Seconds(10));
  f.Restart();
  f.RunFor(absl::Seconds(10));
  EXPECT_THAT(f.Names("c"), ElementsAre("rename=7"));
  EXPECT_THAT(f.Troubles(), ElementsAre("DeliveryParked", "DeliveryParked", "SkipRequested"));
}

TEST_F(ParkedKey, TakesNoDecisionThatStandsBeforeItsParkingInTheLog) {
  ParkUnheard();
  core::v1::RetryRequested retry;
  retry.set_key("counter-c");
  f.Append(retry);
  core::v1::SkipRequested skip;
  skip.set_delivery_id(f.IdOfFirst("c"));
  f.Append(skip);
  f.RunFor(absl::Seconds(10));
  f.log().away = false;
  f.Restart();
  f.RunFor(absl::Seconds(10));
  EXPECT_THAT(f.Troubles(),
              ElementsAre("DeliveryParked", "RetryRequested", "SkipRequested", "DeliveryParked"));
  EXPECT_THAT(f.Names("c"), ElementsAre("rename=7"));
  EXPECT_EQ(f.Status().parked_keys, 2);
  EXPECT_TRUE(Retry("counter-c").ok());
  EXPECT_THAT(f.Names("c"), ElementsAre("rename=7", "7"));
}

TEST_F(ParkedKey, IsRetriedWhenItsReactorBeganAnewBehindItsParkingInTheLog) {
  f.Crash();
  std::filesystem::remove(f.folder() + "/worker.db");
  f.Start();
  f.deliverer().fail_before["counter-a"] = 3;
  f.RunFor(absl::Seconds(10));
  EXPECT_EQ(f.Status().parked_keys, 1);
  EXPECT_TRUE(Retry("counter-a").ok());
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=1", "rename=2 note=seen", "1", "2"));
  EXPECT_THAT(f.Troubles(),
              ElementsAre("DeliveryParked", "RetryRequested", "DeliveredAfterParking"));
}

TEST_F(ParkedKey, IsToldNoLongerWhenTheReactorIsRemoved) {
  ParkUnheard();
  f.reactors().Remove("worker");
  f.RunFor(kReactorRetryDelay);
  const int tells = f.log().tells;
  EXPECT_GT(tells, 1);
  f.RunFor(absl::Seconds(10));
  EXPECT_EQ(f.log().tells, tells);
}

TEST_F(ParkedKey, RefusesARetryOrASkipOfWhatIsNotParked) {
  EXPECT_EQ(ReasonOf(Retry("counter-b").status()), "NOT_PARKED");
  EXPECT_EQ(ReasonOf(Skip(parked_id + "0").status()), "NOT_PARKED");
  absl::Status unknown;
  f.reactors().Retry("nobody", "k", "ann", [&](const auto& p) { unknown = p.status(); });
  EXPECT_EQ(ReasonOf(unknown), "REACTOR_NOT_FOUND");
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("worker"));
  EXPECT_THAT(f.Troubles(), ElementsAre("DeliveryParked"));
}

TEST(Reactors, ParkAnEventThatTheyCannotReactToAndLeaveNoTraceOfTheAttempt) {
  ReactorFixture f;
  f.Create("alarm", "plain");
  Worker::broken = true;
  f.Create("a", "note=before fail");
  f.Send(std::make_unique<rooms::v1::RenameRoomRequest>(Rename("a", "note=after")));
  f.Create("b", "note=other");
  f.Settle();
  EXPECT_THAT(f.Results(),
              UnorderedElementsAre(HasSubstr("lf:worker:"), "b other", "alarm parked done"));
  EXPECT_EQ(f.reactors().ListParked("worker", 0, 10)->front().parked.what(),
            "event leftfold.rooms.v1.RoomCreated");
  Worker::broken = false;
  f.reactors().Retry("worker", "counter-a", "ann", [](const auto&) {});
  f.Settle();
  const auto results = f.Results();
  EXPECT_THAT(std::vector(results.begin() + 3, results.end()), ElementsAre("a before", "a after"));
}

TEST(Reactors, ParkAnEventThatTheyCannotReactToBehindWhatCameBefore) {
  ReactorFixture f;
  Worker::broken = true;
  f.deliverer().held["counter-a"];
  f.deliverer().fail_before["counter-a"] = 1;
  f.Create("a", "rename=1");
  f.Settle();
  f.Send(std::make_unique<rooms::v1::RenameRoomRequest>(Rename("a", "fail")));
  f.Settle();
  EXPECT_EQ(f.Status().parked_keys, 0) << "the rename before it is still being tried";
  f.deliverer().held.clear();
  f.RunFor(absl::Seconds(5));
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=1", "fail", "1"));
  const auto parked = f.reactors().ListParked("worker", 0, 10);
  ASSERT_EQ(parked->size(), 1U);
  EXPECT_EQ(parked->front().parked.what(), "event leftfold.rooms.v1.RoomRenamed");
}

TEST(Reactors, ParkAnEventWhoseRowsTheirTablesDoNotTake) {
  ReactorFixture f;
  f.Create("a", "note=before refused");
  f.Create("b", "note=other");
  f.Settle();
  EXPECT_THAT(f.Results(), UnorderedElementsAre(HasSubstr("lf:worker:"), "b other",
                                                "alarm parked ROOM_NOT_FOUND"));
  EXPECT_EQ(f.Status().state, ReactorState::kLive);
}

TEST(Reactors, WaitForWhatMayPass) {
  ReactorFixture f;
  Worker::busy = true;
  f.Create("a", "note=early");
  f.Create("b", "busy note=late");
  f.Settle();
  EXPECT_THAT(f.Results(), ElementsAre("a early"));
  f.RunFor(absl::Seconds(5));
  EXPECT_THAT(f.Results(), ElementsAre("a early"));
  EXPECT_EQ(f.Status().state, ReactorState::kHeldUp);
  EXPECT_EQ(f.Status().reason, "at position 3: busy");
  Worker::busy = false;
  f.RunFor(absl::Seconds(2));
  EXPECT_THAT(f.Results(), ElementsAre("a early", "b late"));
  EXPECT_EQ(f.Status().state, ReactorState::kLive);
  EXPECT_EQ(f.Status().reason, "");
}

TEST(Reactors, LoadAStateFromTheLog) {
  ReactorFixture f;
  f.Create("a", "load");
  f.Settle();
  EXPECT_THAT(f.Results(), ElementsAre("loaded load"));
}

TEST(ReactorTimers, GoOffOnceAtTheirTime) {
  ReactorFixture f;
  f.Create("a", "wake=t=60 later=u=30=x");
  f.RunFor(absl::Seconds(29));
  EXPECT_THAT(f.Results(), IsEmpty());
  EXPECT_EQ(f.Status().timers, 2);
  f.RunFor(absl::Seconds(2));
  EXPECT_THAT(f.Results(), ElementsAre("a x done"));
  f.RunFor(absl::Seconds(30));
  EXPECT_THAT(f.Results(), ElementsAre("a x done", "woken t"));
  f.RunFor(absl::Hours(1));
  EXPECT_THAT(f.Results(), ElementsAre("a x done", "woken t"));
  EXPECT_EQ(f.Outbox(), 0);
}

TEST(ReactorTimers, AreTakenBackAndReplacedByTheirNames) {
  ReactorFixture f;
  f.Create("a", "wake=t=60 wake=u=60 later=v=60=x");
  f.Create("b", "cancel=t wake=u=90 cancel=nothing");
  f.RunFor(absl::Seconds(70));
  EXPECT_THAT(f.Results(), ElementsAre("a x done"));
  f.RunFor(absl::Seconds(30));
  EXPECT_THAT(f.Results(), ElementsAre("a x done", "woken u"));
  EXPECT_EQ(f.Outbox(), 0);
}

TEST(ReactorTimers, LeaveTheirNamesWhenTheyAreDelivered) {
  ReactorFixture f;
  f.deliverer().held["counter-a"];
  f.Create("a", "later=t=10=x");
  f.RunFor(absl::Seconds(11));
  f.Create("b", "later=t=60=y");  // While x is under way.
  f.Settle();
  f.Restart();
  f.Settle();
  EXPECT_THAT(f.Results(), ElementsAre("a x done"));
  f.Create("c", "cancel=t");
  f.RunFor(absl::Minutes(5));
  EXPECT_THAT(f.Results(), ElementsAre("a x done"));
  EXPECT_EQ(f.Outbox(), 0);
}

TEST(ReactorTimers, LeaveTheirNamesWhenTheyPark) {
  ReactorFixture f;
  f.Create("alarm", "plain");
  f.deliverer().fail_before["counter-a"] = 3;
  f.Create("a", "later=t=10=x");
  f.RunFor(absl::Seconds(20));
  f.Restart();
  EXPECT_EQ(f.Status().parked_keys, 1);
  f.Create("b", "later=t=60=y");
  f.deliverer().held["counter-a"];
  f.reactors().Retry("worker", "counter-a", "ann", [](const auto&) {});
  f.Settle();
  f.Restart();
  f.Settle();
  f.Create("c", "cancel=t");
  f.RunFor(absl::Minutes(5));
  EXPECT_THAT(f.Results(), Contains("a x done"));
  EXPECT_THAT(f.Results(), ::testing::Not(Contains("b y done")));
  EXPECT_EQ(f.Outbox(), 0);
}

TEST(ReactorTimers, AreTakenBackByOnesThatAreDueAtTheSameTime) {
  ReactorFixture f;
  f.Create("a", "wake=stop-u=60");
  f.Create("b", "wake=u=60");
  f.RunFor(absl::Minutes(5));
  EXPECT_THAT(f.Results(), ElementsAre("woken stop-u"));
  EXPECT_EQ(f.Outbox(), 0);
}

TEST(ReactorTimers, GoOffOnceAfterADowntime) {
  ReactorFixture f;
  f.Create("a", "wake=t=60");
  f.Settle();
  f.Crash();
  f.clock().jump = absl::Hours(5);
  f.Start();
  f.Settle();
  EXPECT_THAT(f.Results(), ElementsAre("woken t"));
  f.Restart();
  f.RunFor(absl::Hours(1));
  EXPECT_THAT(f.Results(), ElementsAre("woken t"));
}

TEST(ReactorTimers, NoticeAJumpOfTheClock) {
  ReactorFixture f;
  f.Create("a", "wake=t=3600");
  f.Settle();
  f.clock().jump = absl::Hours(2);
  f.RunFor(kClockLookEvery);
  EXPECT_THAT(f.Results(), ElementsAre("woken t"));
}

TEST(ReactorRetries, WaitForTheirDelayWhateverTheClockDoes) {
  ReactorFixture f;
  f.deliverer().fail_before["counter-a"] = 2;
  f.deliverer().held["counter-b"];
  f.Create("a", "rename=1");
  f.Create("b", "rename=2");
  f.Settle();
  f.clock().jump = -absl::Hours(5);
  f.deliverer().Release("counter-b");
  f.RunFor(absl::Minutes(1));
  EXPECT_EQ(f.Status().parked_keys, 0);
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=1", "1"));
  EXPECT_THAT(f.Names("b"), ElementsAre("rename=2", "2"));
  EXPECT_GE(f.Status().attempt_seconds->Sum(), 0) << "an attempt took less than nothing";
}

// Jumps by hours, forward and back, and restarts: never before the clock says so, never more than
// a look after it says so, never twice.
TEST(ReactorTimers, GoOffOnceWhateverTheClockDoes) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    ReactorFixture f(seed);
    std::mt19937_64 random(seed);
    const auto below = [&](std::uint64_t n) { return static_cast<int>(random() % n); };
    std::map<std::string, absl::Time> due;  // By what the reactor notes.
    std::set<std::string> told;
    for (int step = 0; step < 60; ++step) {
      if (below(3) == 0) f.clock().jump += absl::Minutes(below(600) - 300);
      if (below(10) == 0) f.Restart();
      if (step < 40) {
        const std::string id = fmt::format("c{}", step);
        const int seconds = below(21'600);  // Of six hours.
        f.Create(id, fmt::format("wake={}={}", id, seconds));
        f.Settle();
        due["woken " + id] =
            f.store().ReadStream("counter-" + id, {})->front().recorded_at + absl::Seconds(seconds);
      }
      f.RunFor(kClockLookEvery + absl::Seconds(below(1800)));
      const absl::Time now = f.clock().Now();
      const std::vector<std::string> woken = f.Results();
      for (const auto& [timer, at] : due) {
        const auto times = std::count(woken.begin(), woken.end(), timer);
        EXPECT_GE(times, at < now - kClockLookEvery ? 1 : 0) << timer << " is late at " << step;
        EXPECT_LE(times, at <= now || told.contains(timer) ? 1 : 0) << timer << ", step " << step;
        if (times == 1) told.insert(timer);
      }
    }
    f.clock().jump += absl::Hours(240);
    f.RunFor(kClockLookEvery);
    EXPECT_EQ(f.Results().size(), due.size());
    EXPECT_EQ(f.Outbox(), 0);
  }
}

TEST(ReactorTimers, LetAKeyGoOnThatTheyAreTakenOutOf) {
  ReactorFixture f;
  f.deliverer().fail_before["counter-a"] = 3;
  f.Create("a", "rename=1 wake=t=20");
  f.RunFor(absl::Seconds(10));
  f.Send(std::make_unique<rooms::v1::RenameRoomRequest>(Rename("a", "note=behind")));
  f.RunFor(absl::Seconds(20));  // The timer goes off behind what is parked.
  ASSERT_TRUE(f.reactors().Pause("worker", "test").ok());
  f.reactors().Skip("worker", f.IdOfFirst("a"), "lost", "ann", [](const auto&) {});
  f.Settle();
  f.Create("b", "cancel=t");
  f.Settle();
  ASSERT_TRUE(f.reactors().Resume("worker").ok());
  f.Settle();
  EXPECT_THAT(f.Results(), Contains("a behind"));
  EXPECT_THAT(f.Results(), ::testing::Not(Contains("woken t")));
  EXPECT_EQ(f.Outbox(), 0);
}

TEST(Reactors, KeepStillWhilePausedAlsoOverARestart) {
  ReactorFixture f;
  ASSERT_TRUE(f.reactors().Pause("worker", "holiday").ok());
  f.Create("a", "rename=b");
  f.RunFor(absl::Seconds(5));
  f.Restart();
  f.RunFor(absl::Seconds(5));
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=b"));
  EXPECT_EQ(f.Status().state, ReactorState::kPaused);
  EXPECT_EQ(f.Status().reason, "holiday");
  ASSERT_TRUE(f.reactors().Resume("worker").ok());
  f.Settle();
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=b", "b"));
}

TEST(Reactors, CallHttpWithAnIdempotencyKeyAndTryServerErrorsAgain) {
  ReactorFixture f;
  f.deliverer().replies["/pay"] = {503, 0, 402};
  f.Create("a", "http=/pay");
  f.RunFor(absl::Seconds(10));
  EXPECT_THAT(f.Results(), ElementsAre("http 402"));
  ASSERT_EQ(f.deliverer().requests.size(), 3U);
  for (const HttpRequest& request : f.deliverer().requests) {
    EXPECT_THAT(request.headers,
                Contains(std::pair<std::string, std::string>("Idempotency-Key", f.IdOfFirst("a"))));
    EXPECT_EQ(request.timeout, Worker::kRetry.timeout);
  }
}

TEST(Reactors, GiveWhatAnotherEventOfTheSamePositionLedToAnotherId) {
  std::set<std::string> ids;
  for (int log = 0; log < 2; ++log) {
    ReactorFixture f;
    f.Create("a", "http=/pay");
    f.Settle();
    ASSERT_EQ(f.deliverer().log.size(), 1U);
    EXPECT_THAT(f.deliverer().log.front(), ::testing::StartsWith("lf:worker:1-"));
    ids.insert(f.deliverer().log.front());
  }
  EXPECT_EQ(ids.size(), 2U) << "a log that was cut off may have had the first";
}

TEST(Reactors, WriteAMailOnceAndKeepItsHeadersApart) {
  ReactorFixture f;
  f.deliverer().fail_after["counter-a"] = 1;
  f.Create("a", "mail=ann@example.org");
  f.RunFor(absl::Seconds(10));
  std::vector<std::string> texts;
  for (const auto& file : std::filesystem::directory_iterator(f.deliverer().mail.path())) {
    std::ifstream in(file.path());
    texts.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  std::string id = f.IdOfFirst("a");
  std::replace(id.begin(), id.end(), ':', '.');
  EXPECT_THAT(texts, ElementsAre("Message-ID: <" + id +
                                 "@leftfold>\r\nTo: ann@example.org\r\n"
                                 "Subject: hello Bcc: you\r\n"
                                 "MIME-Version: 1.0\r\n"
                                 "Content-Type: text/plain; charset=utf-8\r\n"
                                 "Content-Transfer-Encoding: 8bit\r\n\r\nfrom a counter"
                                 "\r\n"));
}

TEST(Reactors, WriteALongSubjectInWordsOfWholeCharactersWithinALine) {
  ReactorFixture f;
  std::string subject = "x";
  for (int i = 0; i < 40; ++i) subject += "a\xC3\xA4\xE2\x82\xAC";  // Of 1, 2 and 3 bytes.
  f.Create("a", "mail=ann@example.org=" + subject);
  f.Settle();
  const std::filesystem::directory_iterator mails(f.deliverer().mail.path());
  ASSERT_NE(mails, std::filesystem::directory_iterator());
  std::ifstream in(mails->path());
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  const std::size_t begin = text.find("Subject: ") + 9;
  const std::string field = text.substr(begin, text.find("\r\nMIME") - begin);
  std::string decoded;
  for (const absl::string_view word : absl::StrSplit(field, "\r\n ")) {
    EXPECT_LE(word.size(), 75U);
    ASSERT_TRUE(ToStd(word).starts_with("=?UTF-8?B?") && ToStd(word).ends_with("?=")) << word;
    std::string part;
    ASSERT_TRUE(absl::Base64Unescape(word.substr(10, word.size() - 12), &part));
    EXPECT_NE(static_cast<unsigned char>(part.front()) & 0xC0, 0x80) << "in a character";
    decoded += part;
  }
  EXPECT_EQ(decoded, subject);
}

// A reactor that began after other events.
struct Latecomer : Worker {
  static constexpr std::string_view kName = "latecomer";
  static constexpr StartAt kStart = StartAt::kNow;
};

TEST(Reactors, BeginFromNowWhenTheyDeclareIt) {
  ReactorFixture f;
  f.Create("a", "note=old");
  Registry registry;
  registry.Add<testing::Counter>();
  registry.Add<Latecomer>();
  LogStateLoader loader(registry, f.store(), nullptr);
  auto runner = ReactorRunner::Open(registry.reactors().front(), f.store(), loader, "");
  ASSERT_TRUE(runner.ok()) << runner.status();
  EXPECT_EQ((*runner)->checkpoint(), f.store().GetHead().position);
}

TEST(Reactors, StopOnALogThatIsNotTheirs) {
  ReactorFixture f;
  f.Create("a", "note=x");
  f.Settle();
  f.Crash();
  auto other = NewMemoryEventStore(f.scheduler().Serial(), f.scheduler().Pool(), f.clock());
  LogStateLoader loader(f.registry(), *other, nullptr);
  const auto runner = ReactorRunner::Open(f.registry().reactors().front(), *other, loader,
                                          f.folder() + "/worker.db");
  EXPECT_EQ(runner.status().code(), absl::StatusCode::kDataLoss) << runner.status();
}

TEST(Reactors, WriteNothingWhereNothingComesOfAnEvent) {
  ReactorFixture f;
  const auto written = [&] {
    auto reader = sql::OpenReactorReader(f.folder() + "/worker.db");
    return sql::ReadCheckpoint(**reader)->position;
  };
  f.Create("a", "quiet");
  f.Settle();
  EXPECT_EQ(f.Status().checkpoint, f.store().GetHead().position);
  EXPECT_EQ(f.Status().events, 1);
  EXPECT_EQ(written(), kBeforeFirst);
  f.Create("b", "note=1");
  f.Settle();
  EXPECT_EQ(written(), f.store().GetHead().position);
}

TEST(Reactors, OpenAFileThatCouldNotBeOpenedWhenTheyAreResumed) {
  ReactorFixture f;
  f.Crash();
  std::filesystem::rename(f.folder(), f.folder() + ".away");
  std::ofstream(f.folder()) << "where the folder should be";
  f.Start();
  f.Create("a", "rename=b");
  f.Settle();
  EXPECT_EQ(f.Status().state, ReactorState::kStopped);
  EXPECT_FALSE(f.reactors().Resume("worker").ok());
  std::filesystem::remove(f.folder());
  std::filesystem::rename(f.folder() + ".away", f.folder());
  EXPECT_FALSE(f.reactors().Pause("worker", "not opened yet").ok());
  EXPECT_TRUE(f.reactors().Resume("worker").ok());
  f.Settle();
  EXPECT_EQ(f.Status().state, ReactorState::kLive);
  EXPECT_THAT(f.Names("a"), ElementsAre("rename=b", "b"));
}

TEST(Reactors, OpenOnceTheLogIsBack) {
  ReactorFixture f;
  f.Create("a", "rename=b");
  f.Settle();
  f.Crash();
  f.log().unreadable = true;
  f.Start();
  f.RunFor(absl::Seconds(5));
  EXPECT_EQ(f.Status().state, ReactorState::kHeldUp);
  f.log().unreadable = false;
  f.RunFor(absl::Seconds(5));
  EXPECT_EQ(f.Status().state, ReactorState::kLive);
}

TEST(Reactors, PassOverEventsThatComeAgain) {
  ReactorFixture f;
  f.Create("a", "note=1");
  f.Create("b", "note=2");
  f.Settle();
  f.Crash();
  LogStateLoader loader(f.registry(), f.store(), nullptr);
  auto runner = ReactorRunner::Open(f.registry().reactors().front(), f.store(), loader, "");
  ASSERT_TRUE(runner.ok());
  const auto events = f.store().ReadAll({})->events;
  (*runner)->Step(EventRun{events, 0, {}}, f.clock().Now());
  (*runner)->Step(EventRun{events, 0, {}}, f.clock().Now());
  EXPECT_EQ((*runner)->counts().duplicates.value(), std::ssize(events));
  EXPECT_EQ((*runner)->connection().Value("SELECT count(*) FROM result"), 2);
}

}  // namespace
}  // namespace leftfold::reacting
