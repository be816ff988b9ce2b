// A view that parks: one stream waits, the others go on, and nothing is passed silently.
#include <gmock/gmock.h>

#include <limits>

#include "core/reject.h"
#include "testing/fake_clock.h"
#include "testing/temporary_folder.h"
#include "tests/unit/projector_parking_fixture.h"

namespace leftfold::projecting {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Mode = ViewRunner::Mode;
using Progress = ViewRunner::Progress;

class ProjectorParking : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    runner_.reset();
    auto runner = ViewRunner::Open(EntryOf<Trails>(), store_, path_, Mode::kServing);
    ASSERT_TRUE(runner.ok()) << runner.status();
    runner_ = *std::move(runner);
  }
  // All that the view parked or skipped: "3 room-a poison", "4 room-a skipped by ann: why".
  std::vector<std::string> Parked() {
    std::vector<std::string> lines;
    const auto reader = *sql::OpenViewReader(path_);
    const auto events = sql::ListParked(*reader, kBeforeFirst, 100).value();
    for (const sql::ParkedEvent& event : events) {
      lines.push_back(
          fmt::format("{} {} {}", event.position.value, event.stream,
                      event.skip ? fmt::format("skipped by {}: {}", event.skip->by, event.skip->why)
                                 : event.reason));
    }
    return lines;
  }
  std::string Rows() { return TrailsOf(path_); }

  const testing::TemporaryFolder folder_;
  const std::string path_ = folder_.path() + "/trails/1-1.db";
  FakeStore store_;
  std::unique_ptr<ViewRunner> runner_;
  const sql::Skip skip_{"ann", "it is a test", absl::FromUnixSeconds(1'800'000'000)};
};

// It is known of a type, not of an event, that it is not handled: batches pass those by.
TEST_F(ProjectorParking, InABatchTooAllOfTheStreamWaits) {
  Rename(store_, {"a:poison"});
  store_.Add("room-b", "test.Other", "x");
  store_.Add("room-a", "test.Other", "x");
  Rename(store_, {"b:1"});
  BatchReader reader(store_);
  const testing::FakeClock clock;
  while (runner_->Step(reader, clock) == Progress::kFolded) {
  }
  EXPECT_EQ(Rows(), "4: b=1");
  EXPECT_EQ(runner_->parked_events(), 2);
}

TEST_F(ProjectorParking, ParksTheStreamInOrderAndGoesOnWithTheOthers) {
  Rename(store_, {"a:1", "b:1", "a:poison", "b:2", "a:2", "a:3", "b:3"});
  EXPECT_EQ(runner_->Step(), Progress::kFolded);
  EXPECT_EQ(Rows(), "7: a=1 b=1,2,3");
  EXPECT_EQ(runner_->parked_events(), 3);
  const auto parked = Parked();
  ASSERT_EQ(parked.size(), 3);
  EXPECT_THAT(parked[0], HasSubstr("3 room-a SQLite error"));
  EXPECT_EQ(parked[1], "5 room-a waits behind position 3 of its stream");
  EXPECT_EQ(parked[2], "6 room-a waits behind position 3 of its stream");
  Rename(store_, {"a:4", "b:4"});
  EXPECT_EQ(runner_->Step(), Progress::kFolded);
  EXPECT_EQ(Rows(), "9: a=1 b=1,2,3,4");
  EXPECT_EQ(runner_->parked_events(), 4);
}

TEST_F(ProjectorParking, KnowsAfterARestartWhichStreamsWait) {
  Rename(store_, {"a:poison", "b:1"});
  runner_->Step();
  Open();
  Rename(store_, {"a:1", "b:2"});
  runner_->Step();
  EXPECT_EQ(Rows(), "4: b=1,2");
  EXPECT_EQ(runner_->parked_events(), 2);
}

TEST_F(ProjectorParking, ParksWhatDoesNotDecode) {
  store_.Add("room-a", rooms::v1::RoomRenamed::descriptor()->full_name(), "\xff");
  Rename(store_, {"b:1", "a:1"});
  EXPECT_EQ(runner_->Step(), Progress::kFolded);
  EXPECT_EQ(Rows(), "3: b=1");
  EXPECT_EQ(runner_->parked_events(), 2);
}

TEST_F(ProjectorParking, ParksManyInOneBatch) {
  for (int i = 0; i < 40; ++i) {
    Rename(store_, {fmt::format("p{}:poison", i), fmt::format("p{}:after", i), "b:x"});
  }
  while (runner_->Step() == Progress::kFolded) {
  }
  EXPECT_EQ(runner_->checkpoint(), Position{120});
  EXPECT_EQ(runner_->parked_events(), 80);
  EXPECT_EQ(runner_->parked().size(), 40U);
  std::string all = "x";
  for (int i = 1; i < 40; ++i) all += ",x";
  EXPECT_EQ(Rows(), "120: b=" + all);
}

TEST_F(ProjectorParking, TheLogsOwnFaultsStopTheView) {
  Rename(store_, {"a:1", "a:2", "b:1"});
  store_.events[1].payload += "x";
  EXPECT_EQ(runner_->Step(), Progress::kStopped);
  EXPECT_EQ(ReasonOf(runner_->stopped()), "DATA_LOSS");
  EXPECT_EQ(Rows(), "1: a=1");
  EXPECT_THAT(Parked(), IsEmpty());
}

TEST_F(ProjectorParking, ABugOfTheFoldStopsTheView) {
  Rename(store_, {"a:clock", "b:1"});
  EXPECT_EQ(runner_->Step(), Progress::kStopped);
  EXPECT_THAT(Parked(), IsEmpty());
}

TEST_F(ProjectorParking, StopsAtItsLimitWithAllBeforeCommitted) {
  Rename(store_, {"a:poison"});
  for (std::int64_t i = 1; i < kParkedEventsMax; ++i) Rename(store_, {"a:1"});
  Rename(store_, {"b:1", "a:2", "b:2"});
  while (runner_->Step() == Progress::kFolded) {
  }
  EXPECT_EQ(ReasonOf(runner_->stopped()), "LIMIT_EXCEEDED");
  EXPECT_EQ(runner_->parked_events(), kParkedEventsMax);
  EXPECT_EQ(Rows(), fmt::format("{}: b=1", kParkedEventsMax + 1));
  ASSERT_TRUE(runner_->SkipParked(Position{1}, skip_).ok());
  runner_->TryAgain();
  EXPECT_EQ(runner_->Step(), Progress::kFolded);
  EXPECT_EQ(Rows(), fmt::format("{}: b=1,2", kParkedEventsMax + 3));
}

TEST_F(ProjectorParking, RetryFoldsInOrderUpToTheFirstThatStillFails) {
  Rename(store_, {"a:later", "a:1", "b:1", "a:poison", "a:2"});
  runner_->Step();
  EXPECT_EQ(runner_->parked_events(), 4);
  const auto in_vain = runner_->RetryParked("room-a");
  ASSERT_TRUE(in_vain.ok()) << in_vain.status();
  EXPECT_EQ(in_vain->folded, 0);
  EXPECT_EQ(in_vain->parked, 4);
  EXPECT_THAT(in_vain->reason, HasSubstr("SQLite error"));
  Rename(store_, {"allow:1"});
  runner_->Step();
  runner_->TakeTouched();
  const auto retried = runner_->RetryParked("room-a");
  ASSERT_TRUE(retried.ok()) << retried.status();
  EXPECT_EQ(retried->folded, 2);
  EXPECT_EQ(retried->parked, 2);
  EXPECT_EQ(Rows(), "6: a=later,1 allow=1 b=1");
  EXPECT_EQ(Parked().size(), 2);
  Rename(store_, {"a:3"});
  runner_->Step();
  EXPECT_EQ(Rows(), "7: a=later,1 allow=1 b=1");
  EXPECT_EQ(runner_->parked_events(), 3);
}

TEST_F(ProjectorParking, WatchersAreToldOfARetryWithTheNextPosition) {
  Rename(store_, {"a:later", "allow:1"});
  runner_->Step();
  runner_->TakeTouched();
  ASSERT_TRUE(runner_->RetryParked("room-a").ok());
  EXPECT_THAT(runner_->TakeTouched(), IsEmpty()) << "this position was told already";
  // Who resumes from the checkpoint has not seen it.
  EXPECT_THAT(**sql::ChangesAfter(runner_->connection(), Position{2}, 10), ElementsAre("a"));
  Rename(store_, {"b:1"});
  runner_->Step();
  EXPECT_THAT(runner_->TakeTouched(), ElementsAre("a", "b"));
  EXPECT_THAT(**sql::ChangesAfter(runner_->connection(), Position{3}, 10), IsEmpty());
}

TEST_F(ProjectorParking, RetryRefusesAnEventThatIsNotWhatWasParked) {
  Rename(store_, {"a:later", "allow:1"});
  runner_->Step();
  store_.events[0].payload += "x";
  EXPECT_EQ(ReasonOf(runner_->RetryParked("room-a").status()), "DATA_LOSS");
  EXPECT_EQ(runner_->parked_events(), 1);
}

TEST_F(ProjectorParking, SkipTakesTheFirstOfAStreamAndIsRecorded) {
  Rename(store_, {"a:poison", "a:1", "b:1"});
  runner_->Step();
  const absl::Status second = runner_->SkipParked(Position{2}, skip_);
  EXPECT_EQ(ReasonOf(second), "NOT_FIRST_PARKED");
  EXPECT_EQ(MetadataOf(second, "first"), "1");
  EXPECT_EQ(ReasonOf(runner_->SkipParked(Position{3}, skip_)), "NOT_PARKED");
  for (const std::int64_t nowhere : {std::int64_t{0}, std::numeric_limits<std::int64_t>::min()})
    EXPECT_EQ(ReasonOf(runner_->SkipParked(Position{nowhere}, skip_)), "NOT_PARKED");
  ASSERT_TRUE(runner_->SkipParked(Position{1}, skip_).ok());
  EXPECT_EQ(ReasonOf(runner_->SkipParked(Position{1}, skip_)), "NOT_PARKED");
  EXPECT_EQ(runner_->parked_events(), 1);
  EXPECT_EQ(runner_->RetryParked("room-a")->folded, 1);
  EXPECT_EQ(Rows(), "3: a=1 b=1");
  EXPECT_THAT(Parked(), ElementsAre("1 room-a skipped by ann: it is a test"));
  EXPECT_EQ(ReasonOf(runner_->RetryParked("room-a").status()), "NOT_PARKED");
  Rename(store_, {"a:2"});
  runner_->Step();
  EXPECT_EQ(Rows(), "4: a=1,2 b=1");
}

TEST_F(ProjectorParking, ASkipHoldsForTheSameEventOnly) {
  Rename(store_, {"a:poison"});
  runner_->Step();
  ASSERT_TRUE(runner_->SkipParked(Position{1}, skip_).ok());
  auto skipped = sql::ReadSkipped(runner_->connection());
  FakeStore other("other");
  Rename(other, {"a:poison"});
  const std::string path = folder_.path() + "/trails/1-2.db";
  const auto built = *ViewRunner::Open(EntryOf<Trails>(), other, path, Mode::kBuilding);
  ASSERT_TRUE(built->TakeSkips(skipped).ok());
  built->Step();
  EXPECT_EQ(built->parked_events(), 1);
}

TEST_F(ProjectorParking, AFileOfBeforeGainsItsTables) {
  Rename(store_, {"b:1"});
  runner_->Step();
  for (const char* sql :
       {"DROP TABLE leftfold_format", "DROP TABLE leftfold_parked", "DROP TABLE leftfold_skipped",
        "ALTER TABLE leftfold_checkpoint DROP COLUMN changes_from"}) {
    ASSERT_TRUE(runner_->connection().Run(sql).ok()) << sql;
  }
  Open();
  Rename(store_, {"a:poison", "b:2"});
  EXPECT_EQ(runner_->Step(), Progress::kFolded);
  EXPECT_EQ(Rows(), "3: b=1,2");
  EXPECT_EQ(runner_->parked_events(), 1);
}

TEST_F(ProjectorParking, AFileOfALaterFormatIsRefused) {
  ASSERT_TRUE(runner_->connection().Run("UPDATE leftfold_format SET format = 99").ok());
  runner_.reset();
  const auto opened = ViewRunner::Open(EntryOf<Trails>(), store_, path_, Mode::kServing);
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("rebuild the view"));
}

}  // namespace
}  // namespace leftfold::projecting
