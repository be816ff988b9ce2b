// All views of a registry on a virtual executor: building, serving, stopping, reopening,
// rebuilding.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "core/reject.h"
#include "projector/projector.h"
#include "testing/damage.h"
#include "tests/integration/projector_views_fixture.h"

namespace leftfold::projecting {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST_F(ProjectorViews, AreServedAtOnceWhereTheLogIsEmpty) {
  Open(store_);
  EXPECT_THAT(listener_.lines, ElementsAre("serving names", "applied names 0 ", "serving count",
                                           "applied count 0 "));
  EXPECT_EQ(StatusOf("names").state, ViewState::kLive);
}

TEST_F(ProjectorViews, AreBuiltThenServedThenLive) {
  store_.AddNames({"a", "b"});
  StartAndRun();
  EXPECT_EQ(listener_.lines[0], "building names");
  EXPECT_TRUE(listener_.Has("serving names"));
  EXPECT_EQ(Served(), "2: a b");
  Write({"c"});
  Run();
  EXPECT_EQ(listener_.lines.back().substr(0, 8), "applied ");
  EXPECT_TRUE(listener_.Has("applied names 3 c"));
  EXPECT_TRUE(listener_.Has("applied count 3 all"));
  EXPECT_EQ(Served(), "3: a b c");
}

TEST_F(ProjectorViews, CostNothingWhileThereIsNothingToFold) {
  store_.AddNames({"a"});
  StartAndRun();
  EXPECT_EQ(executor_.size(), 0U);
  EXPECT_EQ(store_.waiting(), 2U);
  const int reads = store_.reads;
  Run();
  EXPECT_EQ(store_.reads, reads);
}

TEST_F(ProjectorViews, AreServedWhenTheyReachTheHeadOfTheBeginningWhileOthersGoOnWriting) {
  store_.AddNames({"a", "b"});
  Open(store_);
  store_.on_read = [this] { store_.AddNames({fmt::format("n{}", store_.reads)}); };
  projector_->Start();
  for (int i = 0; i < 6; ++i) executor_.RunOne();
  EXPECT_TRUE(listener_.Has("serving names"));
  store_.on_read = nullptr;
}

TEST_F(ProjectorViews, APoisonEventStopsItsViewAloneWithReasonAndPosition) {
  store_.AddNames({"a"});
  StartAndRun();
  Write({"b", "poison", "d"});
  Run();
  const ViewStatus names = StatusOf("names");
  EXPECT_EQ(names.state, ViewState::kStopped);
  EXPECT_EQ(names.checkpoint, Position{2});
  EXPECT_EQ(names.lag_events, 2);
  EXPECT_THAT(names.reason, HasSubstr("stopped at position 3: "));
  EXPECT_THAT(std::string(listener_.reasons["names"].message()), HasSubstr("position 3"));
  EXPECT_TRUE(listener_.Has("applied names 2 b"));
  EXPECT_EQ(Served(), "2: a b");
  EXPECT_EQ(StatusOf("count").state, ViewState::kLive);
  Write({"e"});
  Run();
  EXPECT_EQ(StatusOf("count").checkpoint, Position{5});
  EXPECT_EQ(StatusOf("names").checkpoint, Position{2});
  EXPECT_EQ(executor_.size(), 0U);
}

TEST_F(ProjectorViews, WhyAViewHasStoppedIsWrittenDownUntilItGoesOn) {
  const auto written = [&] { return WhyStopped(1); };
  StartAndRun();
  EXPECT_TRUE(written().ok());
  const RecordedEvent lost = store_.Add("room-a", rooms::v1::RoomCreated());
  store_.AddNames({"b"});
  store_.Remove(lost.position);
  store_.Wake();
  Run();
  EXPECT_EQ(ReasonOf(written()), "DATA_LOSS");
  EXPECT_EQ(std::string(written().message()), StatusOf("names").reason);
  EXPECT_THAT(StatusOf("names").reason, HasSubstr("stopped at position 1: "));
  projector_.reset();
  EXPECT_FALSE(written().ok()) << "nobody lets it go on";
  store_.events.insert(store_.events.begin(), lost);  // Restored from a backup.
  StartAndRun();
  EXPECT_TRUE(written().ok()) << written();
  Write({"poison"});
  Run();
  EXPECT_EQ(written().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(written().message()), StatusOf("names").reason);
  EXPECT_TRUE(WhyStopped(2).ok()) << "another version";
}

TEST_F(ProjectorViews, WhyAViewHasStoppedIsWrittenDownOnceTheDiskTakesIt) {
  namespace fs = std::filesystem;
  StartAndRun();
  const fs::path in_its_way = fs::path(folder_.path()) / "names" / "1.stopped.new";
  fs::create_directory(in_its_way);
  const RecordedEvent lost = store_.Add("room-a", rooms::v1::RoomCreated());
  Write({"b"});
  store_.Remove(lost.position);
  Run();
  EXPECT_EQ(StatusOf("names").state, ViewState::kStopped);
  EXPECT_TRUE(WhyStopped(1).ok()) << "it cannot be written";
  listener_.lines.clear();
  executor_.Advance(kResumeDelay);
  EXPECT_TRUE(WhyStopped(1).ok());
  fs::remove(in_its_way);
  executor_.Advance(kResumeDelay);
  EXPECT_EQ(std::string(WhyStopped(1).message()), StatusOf("names").reason);
  EXPECT_THAT(listener_.lines, IsEmpty()) << "it stays as it was told";
  EXPECT_EQ(executor_.size(), 0U);
  // It can be resumed before that, too.
  fs::create_directory(in_its_way);
  ASSERT_TRUE(projector_->ResumeView("names").ok());
  Run();
  EXPECT_EQ(StatusOf("names").state, ViewState::kStopped);
  EXPECT_TRUE(WhyStopped(1).ok()) << "it cannot be written";
  store_.events.insert(store_.events.begin(), lost);  // Restored from a backup.
  ASSERT_TRUE(projector_->ResumeView("names").ok());
  executor_.Advance(kResumeDelay);
  EXPECT_EQ(StatusOf("names").state, ViewState::kLive);
  EXPECT_EQ(executor_.size(), 0U);
}

TEST_F(ProjectorViews, APoisonEventStopsAViewThatIsStillBuilt) {
  store_.AddNames({"a", "poison"});
  StartAndRun();
  EXPECT_EQ(StatusOf("names").state, ViewState::kStopped);
  EXPECT_TRUE(listener_.Has("stopped names"));
  EXPECT_FALSE(listener_.Has("serving names"));
  EXPECT_TRUE(listener_.Has("serving count"));
}

TEST_F(ProjectorViews, ReopenedGoOnAtTheirCheckpoint) {
  store_.AddNames({"a", "b"});
  StartAndRun();
  projector_.reset();
  store_.AddNames({"c"});
  listener_.lines.clear();
  StartAndRun();
  EXPECT_EQ(StatusOf("names").generation, 1);
  EXPECT_FALSE(listener_.Has("building names"));
  EXPECT_TRUE(listener_.Has("applied names 3 c"));
  EXPECT_EQ(Served(), "3: a b c");
}

TEST_F(ProjectorViews, AreBuiltAnewWhereTheirFileIsMissingOrDamaged) {
  store_.AddNames({"a", "b"});
  StartAndRun();
  projector_.reset();
  std::filesystem::remove(PathOf(1));
  StartAndRun();
  EXPECT_EQ(Served(), "2: a b");
  EXPECT_EQ(StatusOf("names").state, ViewState::kLive);
  projector_.reset();
  std::ofstream(listener_.files["names"], std::ios::trunc) << std::string(8'192, 'x');
  StartAndRun();
  EXPECT_EQ(Served(), "2: a b");
  EXPECT_EQ(StatusOf("names").state, ViewState::kLive);
  EXPECT_EQ(StatusOf("count").generation, 1);
}

TEST_F(ProjectorViews, WaitForAFileThatIsThereAndCannotBeOpened) {
  store_.AddNames({"a", "b"});
  StartAndRun();
  projector_.reset();
  const std::string away = folder_.path() + "/away";
  std::filesystem::rename(PathOf(1), away);
  std::filesystem::create_symlink(PathOf(1), PathOf(1));
  listener_.lines.clear();
  StartAndRun();
  EXPECT_EQ(StatusOf("names").state, ViewState::kStopped);
  EXPECT_THAT(StatusOf("names").reason, HasSubstr("cannot open"));
  std::filesystem::remove(PathOf(1));
  std::filesystem::rename(away, PathOf(1));
  executor_.Advance(kResumeDelay);
  EXPECT_EQ(StatusOf("names").state, ViewState::kLive);
  EXPECT_EQ(StatusOf("names").generation, 1);
  EXPECT_FALSE(listener_.Has("building names"));
  EXPECT_EQ(Served(), "2: a b");
}

TEST_F(ProjectorViews, AreBuiltAnewWhereAPageTurnsOutToBeDamaged) {
  store_.AddNames({"a", "b"});
  StartAndRun();
  projector_.reset();
  testing::DamageRootPage(PathOf(1), "name");
  listener_.lines.clear();
  StartAndRun();
  EXPECT_FALSE(listener_.Has("stopped names"));
  Write({"c"});
  Run();
  EXPECT_TRUE(listener_.Has("stopped names"));
  EXPECT_TRUE(listener_.Has("building names"));
  EXPECT_EQ(Served(), "3: a b c");
  EXPECT_EQ(listener_.files["names"], PathOf(2));
  EXPECT_EQ(StatusOf("names").state, ViewState::kLive);
  EXPECT_EQ(StatusOf("count").generation, 1);
}

TEST_F(ProjectorViews, AreNeitherServedNorReplacedWhereTheLogHasLostItsEnd) {
  store_.AddNames({"a", "b", "c"});
  StartAndRun();
  projector_.reset();
  FakeStore restored;
  restored.AddNames({"a", "x"});
  listener_ = {};
  Open(restored);
  projector_->Start();
  Run();
  EXPECT_THAT(listener_.lines, UnorderedElementsAre("stopped names", "stopped count"));
  EXPECT_EQ(StatusOf("names").state, ViewState::kStopped);
  EXPECT_THAT(StatusOf("names").reason, HasSubstr("rebuild the view"));
  EXPECT_EQ(RowsOf(PathOf(1)), "3: a b c");
  EXPECT_EQ(executor_.size(), 0U);
  EXPECT_EQ(ReasonOf(projector_->NewRebuild("names", RebuildAction::kVerify, {}).status()),
            "DATA_LOSS");
  // Somebody decided: it is rebuilt from the log that there is, and goes on.
  ASSERT_TRUE(DoRebuild(RebuildAction::kSwitch).ok());
  EXPECT_EQ(Served(), "2: a x");
  restored.AddNames({"y"});
  Run();
  EXPECT_EQ(Served(), "3: a x y");
  EXPECT_EQ(StatusOf("names").state, ViewState::kLive);
}

TEST_F(ProjectorViews, TryAgainWhenTheStoreCannotBeReached) {
  store_.AddNames({"a"});
  StartAndRun();
  store_.failure = absl::UnavailableError("no route");
  Write({"b"});
  Run();
  EXPECT_EQ(StatusOf("names").state, ViewState::kStopped);
  EXPECT_TRUE(listener_.Has("stopped names"));
  store_.failure = absl::OkStatus();
  executor_.Advance(kResumeDelay);
  EXPECT_EQ(Served(), "2: a b");
  EXPECT_EQ(StatusOf("names").state, ViewState::kLive);
  EXPECT_EQ(listener_.lines.back().substr(0, 7), "applied");
}

TEST_F(ProjectorViews, GoOnWithoutAWordWhenTheStoreWasAwayForAMoment) {
  store_.AddNames({"a"});
  StartAndRun();
  store_.failure = Reject(core::v1::ERROR_REASON_STOPPING, "the server of the log is stopping");
  Write({"b"});
  Run();
  EXPECT_EQ(Served(), "1: a");
  EXPECT_THAT(StatusOf("names").reason, ::testing::HasSubstr("the server of the log is stopping"));
  EXPECT_EQ(StatusOf("names").state, ViewState::kCatchingUp);
  EXPECT_FALSE(listener_.Has("stopped names")) << "its readers find it behind, not stopped";
  store_.failure = absl::OkStatus();
  executor_.Advance(kStoreAwayDelay);
  EXPECT_EQ(Served(), "2: a b");
  EXPECT_EQ(StatusOf("names").state, ViewState::kLive);
}

TEST_F(ProjectorViews, GoOnWhenTheStoreIsBackAndHasNothingNew) {
  for (const absl::Status& failure :
       {Reject(core::v1::ERROR_REASON_STOPPING, "the server of the log is stopping"),
        absl::UnavailableError("no route")}) {
    SCOPED_TRACE(failure);
    StartAndRun();
    Write({"a"});
    executor_.Advance(absl::ZeroDuration());
    store_.failure = failure;
    executor_.Advance(kBatchRestMin);  // They look whether there is more.
    EXPECT_NE(StatusOf("names").reason, "");
    store_.failure = absl::OkStatus();
    listener_.lines.clear();
    executor_.Advance(kResumeDelay);
    EXPECT_EQ(StatusOf("names").state, ViewState::kLive);
    EXPECT_EQ(StatusOf("names").reason, "");
    EXPECT_EQ(listener_.lines.front().substr(0, 7), "applied");
  }
}

TEST_F(ProjectorViews, AreOpenedLaterWhereTheStoreCannotBeReachedAtFirst) {
  store_.AddNames({"a"});
  StartAndRun();
  projector_.reset();
  store_.failure = absl::UnavailableError("no route");
  StartAndRun();
  EXPECT_EQ(StatusOf("names").state, ViewState::kStopped);
  store_.failure = absl::OkStatus();
  executor_.Advance(kResumeDelay);
  EXPECT_EQ(StatusOf("names").state, ViewState::kLive);
  EXPECT_EQ(StatusOf("names").generation, 1);
}

TEST_F(ProjectorViews, AreOpenedLaterWithoutAWordWhenTheStoreWasAwayForAMoment) {
  store_.AddNames({"a"});
  StartAndRun();
  projector_.reset();
  listener_.lines.clear();
  store_.failure = Reject(core::v1::ERROR_REASON_STOPPING, "the server of the log is stopping");
  StartAndRun();
  EXPECT_THAT(listener_.lines, IsEmpty()) << "nobody is told that it needs an operator";
  EXPECT_EQ(StatusOf("names").state, ViewState::kCatchingUp);
  EXPECT_THAT(StatusOf("names").reason, HasSubstr("the server of the log is stopping"));
  store_.failure = absl::OkStatus();
  executor_.Advance(kStoreAwayDelay);
  EXPECT_EQ(StatusOf("names").state, ViewState::kLive);
  EXPECT_EQ(Served(), "1: a");
}

TEST_F(ProjectorViews, KeepTheirFilesWhereItCannotBeReadWhichIsServed) {
  namespace fs = std::filesystem;
  const fs::path current = fs::path(folder_.path()) / "names" / "CURRENT";
  store_.AddNames({"a"});
  StartAndRun();
  projector_.reset();
  const std::vector<std::string> files = Files();
  fs::rename(current, current.string() + ".kept");
  fs::create_directory(current);
  StartAndRun();
  EXPECT_EQ(StatusOf("names").state, ViewState::kStopped);
  EXPECT_EQ(Files(), files);
  projector_.reset();
  fs::remove(current);
  fs::rename(current.string() + ".kept", current);
  StartAndRun();
  EXPECT_EQ(StatusOf("names").state, ViewState::kLive);
  EXPECT_EQ(StatusOf("names").generation, 1);
}

TEST_F(ProjectorViews, TheirTasksDoNothingAfterStop) {
  store_.AddNames({"a"});
  StartAndRun();
  Write({"b"});
  ASSERT_GT(executor_.size(), 0U);
  listener_.lines.clear();
  projector_->Stop();
  projector_.reset();
  Run();
  EXPECT_THAT(listener_.lines, IsEmpty());
  Write({"c"});  // Wakes nobody who would post.
  EXPECT_EQ(executor_.size(), 0U);
  EXPECT_EQ(RowsOf(PathOf(1)), "1: a");
}

TEST_F(ProjectorViews, RestAfterManyEventsUnlessSomebodyWatches) {
  listener_.watched = "count";
  StartAndRun();
  std::vector<std::string> many;
  for (int i = 0; i < 100; ++i) many.push_back(fmt::format("n{}", i));
  Write(many);
  executor_.Advance(absl::ZeroDuration());
  ASSERT_EQ(StatusOf("names").checkpoint, Position{100});
  Write({"next"});
  executor_.Advance(kBatchRestWatchedMin);
  EXPECT_EQ(StatusOf("count").checkpoint, Position{101});
  executor_.Advance(kBatchRestMin);
  EXPECT_EQ(StatusOf("names").checkpoint, Position{100});
  executor_.Advance(100 * kBatchRestPerEvent);
  EXPECT_EQ(StatusOf("names").checkpoint, Position{101});
}

TEST_F(ProjectorViews, RestNoLongerThanWhatComesMeanwhileIsInMemory) {
  StartAndRun();
  Write({"first"});
  executor_.Advance(absl::ZeroDuration());
  constexpr int kCame = 800;
  constexpr absl::Duration kTook = absl::Milliseconds(5);
  const absl::Duration rest = kTook * (kRestEventsMax / kCame);
  ASSERT_GT(rest, kBatchRestMin);
  ASSERT_LT(rest + kTook, kBatchRestMax);
  std::vector<std::string> many;
  for (int i = 0; i < kCame; ++i) many.push_back(fmt::format("n{}", i));
  Write(many);
  clock_.Advance(kTook);
  executor_.Advance(kBatchRestMin);
  ASSERT_EQ(StatusOf("names").checkpoint, Position{1 + kCame});
  Write({"next"});
  executor_.Advance(rest - kTook);
  EXPECT_EQ(StatusOf("names").checkpoint, Position{1 + kCame});
  executor_.Advance(2 * kTook);
  EXPECT_EQ(StatusOf("names").checkpoint, Position{2 + kCame});
}

TEST_F(ProjectorViews, RestAfterFewEventsUnlessSomebodyWatches) {
  listener_.watched = "count";
  StartAndRun();
  Write({"first"});
  executor_.Advance(absl::ZeroDuration());
  ASSERT_EQ(StatusOf("names").checkpoint, Position{1}) << "the first is folded at once";
  Write({"next"});
  executor_.Advance(kBatchRestWatchedMin);
  EXPECT_EQ(StatusOf("count").checkpoint, Position{2});
  EXPECT_EQ(StatusOf("names").checkpoint, Position{1});
  executor_.Advance(kBatchRestMin);
  EXPECT_EQ(StatusOf("names").checkpoint, Position{2});
}

TEST_F(ProjectorViews, ThatAreWatchedRestLongerWhereTheirBatchesTakeLonger) {
  listener_.watched = "count";
  StartAndRun();
  constexpr absl::Duration kTook = absl::Microseconds(300);
  static_assert(kBatchRestWatchedMin < kTook && kTook < kBatchRestWatchedMax);
  listener_.on_applied = [&](std::string_view view) {
    if (view == "count") clock_.Advance(kTook);
  };
  Write({"first"});
  executor_.Advance(absl::ZeroDuration());
  ASSERT_EQ(StatusOf("count").checkpoint, Position{1});
  Write({"next"});
  executor_.Advance(kTook - absl::Microseconds(1));
  EXPECT_EQ(StatusOf("count").checkpoint, Position{1});
  listener_.on_applied = [&](std::string_view) { clock_.Advance(absl::Seconds(1)); };
  executor_.Advance(absl::Microseconds(1));
  EXPECT_EQ(StatusOf("count").checkpoint, Position{2});
  Write({"last"});
  executor_.Advance(kBatchRestWatchedMax);
  EXPECT_EQ(StatusOf("count").checkpoint, Position{3});
}

// Each takes a page.
std::vector<std::string> LongNames(int count) {
  constexpr int kMostOfAPage = 3'000;
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back(fmt::format("{:x<{}}", i, kMostOfAPage));
  return names;
}

TEST_F(ProjectorViews, CopyPagesBackOnceWhatTheyFoldedWasTold) {
  StartAndRun();
  const std::int64_t before = testing::SizeOf(PathOf(1));
  std::int64_t when_told = 0;
  listener_.on_applied = [&](std::string_view view) {
    if (view == "names") when_told = testing::SizeOf(PathOf(1));
  };
  Write(LongNames(kCopyBackPages));
  executor_.Advance(absl::ZeroDuration());
  EXPECT_EQ(when_told, before);
  EXPECT_GT(testing::SizeOf(PathOf(1)), before);
}

TEST_F(ProjectorViews, CopyManyPagesBackInTheCommit) {
  StartAndRun();
  std::int64_t when_told = 0;
  listener_.on_applied = [&](std::string_view view) {
    if (view == "names") when_told = testing::SizeOf(PathOf(1));
  };
  Write(LongNames(sql::kViewCommitCheckpointPages));
  Run();
  EXPECT_GT(when_told, std::int64_t{sql::kViewCommitCheckpointPages} * 4'000);
}

TEST_F(ProjectorViews, ThatCopyADamagedPageBackAreBuiltAnew) {
  StartAndRun();
  listener_.on_applied = [&](std::string_view view) {
    if (view != "names") return;
    listener_.on_applied = nullptr;
    const std::string wal = PathOf(1) + "-wal";
    testing::FlipBit(wal, testing::SizeOf(wal) - 100, 5);
  };
  const std::vector<std::string> names = LongNames(kCopyBackPages);
  Write(names);
  Run();
  EXPECT_TRUE(listener_.Has("building names"));
  EXPECT_EQ(StatusOf("names").generation, 2);
  EXPECT_EQ(Served(), fmt::format("{}: {}", names.size(), fmt::join(names, " ")));
}

TEST_F(ProjectorViews, WhoWaitsForEventsOfTheLogEndsARest) {
  StartAndRun();
  std::vector<std::string> many;
  for (int i = 0; i < 100; ++i) many.push_back(fmt::format("n{}", i));
  Write(many);
  executor_.Advance(absl::ZeroDuration());
  ASSERT_EQ(StatusOf("names").checkpoint, Position{100});
  Write({"next"});
  const int heads = store_.heads;
  listener_.hurry("names", Position{102});
  EXPECT_EQ(store_.heads, heads) << "a store that is away would hold up who waits";
  executor_.Advance(absl::ZeroDuration());
  EXPECT_EQ(StatusOf("names").checkpoint, Position{101});
  EXPECT_EQ(StatusOf("count").checkpoint, Position{100}) << "nobody waits for it";
  Write({"then"});
  executor_.Advance(absl::ZeroDuration());
  EXPECT_EQ(StatusOf("names").checkpoint, Position{101})
      << "102 was not there when it went to rest";
  listener_.hurry("names", Position{102});
  executor_.Advance(absl::ZeroDuration());
  EXPECT_EQ(StatusOf("names").checkpoint, Position{102});
  Run();
  EXPECT_EQ(StatusOf("count").checkpoint, Position{102});
  const int reads = store_.reads;
  Write({"more"});
  Run();
  EXPECT_EQ(StatusOf("names").checkpoint, Position{103});
  EXPECT_EQ(store_.reads, reads + 3) << "a rest that was ended has no task of its own";
  listener_.hurry("nothing", Position{1});
}

TEST_F(ProjectorViews, DoNotRestWhileTheLogHasWhatWasWaitedForMeanwhile) {
  StartAndRun();
  listener_.on_applied = [&](std::string_view view) {
    if (store_.events.size() > 1) return;
    store_.AddNames({"b"});
    listener_.hurry(view, Position{2});  // Before it has a rest that could be ended.
  };
  Write({"a"});
  executor_.Advance(absl::ZeroDuration());
  EXPECT_EQ(StatusOf("names").checkpoint.value + StatusOf("count").checkpoint.value, 3)
      << "who waits for one of them";
  listener_.on_applied = nullptr;
  Run();
  const auto hurry = listener_.hurry;
  projector_.reset();
  hurry("names", Position{1});
  EXPECT_EQ(executor_.size(), 0U) << "after the end nobody hurries";
}

TEST_F(ProjectorViews, FollowTheHeadWithOneReadForAll) {
  StartAndRun();
  const int before = store_.reads;
  Write({"a"});
  Run();
  // The batch, and each view's look whether there is more.
  EXPECT_EQ(store_.reads, before + 3);
}

using ProjectorRebuild = ProjectorViews;

TEST_F(ProjectorRebuild, SwitchesWhileOthersWriteAndNeverGoesBack) {
  store_.AddNames({"a", "b", "c"});
  StartAndRun();
  listener_.lines.clear();
  const auto rebuild = NewRebuild(RebuildAction::kSwitch);
  int written = 0;
  store_.on_read = [&] {
    if (written < 4) Write({fmt::format("n{}", ++written)});
  };
  const auto result = ToTheEnd(*rebuild);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->generation, 2);
  EXPECT_EQ(listener_.files["names"], PathOf(2));
  Run();
  EXPECT_EQ(Served(), "7: a b c n1 n2 n3 n4");
  std::int64_t applied = 0;
  for (const std::string& line : listener_.lines) {
    if (!line.starts_with("applied names ")) continue;
    const std::int64_t next = std::stoll(line.substr(14));
    EXPECT_GE(next, applied);
    applied = next;
  }
  EXPECT_EQ(applied, 7);
  EXPECT_EQ(StatusOf("names").generation, 2);
}

TEST_F(ProjectorRebuild, KeepsTheGenerationBeforeAndRemovesOlderOnes) {
  store_.AddNames({"a"});
  StartAndRun();
  ASSERT_TRUE(DoRebuild(RebuildAction::kSwitch).ok());
  EXPECT_THAT(Files(), UnorderedElementsAre("1-1.db", "1-2.db"));
  ASSERT_TRUE(DoRebuild(RebuildAction::kSwitch).ok());
  EXPECT_THAT(Files(), UnorderedElementsAre("1-2.db", "1-3.db"));
  StartAndRun();
  EXPECT_EQ(StatusOf("names").generation, 3);
}

TEST_F(ProjectorRebuild, OfAViewThatLagsIsNotSwitchedToBeforeItIsThere) {
  store_.AddNames({"a", "b"});
  StartAndRun();
  const auto rebuild = NewRebuild(RebuildAction::kSwitch);
  ASSERT_TRUE(rebuild->Step().ok());  // Built to the head.
  Write({"c"});
  store_.on_read = [this] {
    store_.on_read = nullptr;
    Write({"d"});
    Run();  // The live view is ahead meanwhile.
  };
  ASSERT_TRUE(ToTheEnd(*rebuild).ok());
  EXPECT_EQ(Served(), "4: a b c d");
}

TEST_F(ProjectorRebuild, VerifyFindsTheViewEqualAndLeavesNothing) {
  store_.AddNames({"a", "b"});
  StartAndRun();
  const auto result = DoRebuild(RebuildAction::kVerify);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->finished);
  EXPECT_EQ(result->equal, true);
  EXPECT_EQ(result->position, Position{2});
  EXPECT_THAT(Files(), ElementsAre("1-1.db"));
  Write({"c"});
  Run();
  EXPECT_EQ(Served(), "3: a b c");
}

TEST_F(ProjectorRebuild, VerifyNamesThePlantedDifference) {
  store_.AddNames({"a", "b", "c"});
  StartAndRun();
  ForgeRow2(1);
  const auto result = DoRebuild(RebuildAction::kVerify);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->equal, false);
  EXPECT_EQ(result->difference, kForgedRow2);
  EXPECT_EQ(Served(), "3: a forged c");
}

TEST_F(ProjectorRebuild, VerifyFindsMissingAndAddedRows) {
  store_.AddNames({"a", "b"});
  StartAndRun();
  auto raw = sql::Connection::Open(PathOf(1), {.role = sql::Role::kWriter});
  ASSERT_TRUE((*raw)->Run("DELETE FROM name WHERE position = 2").ok());
  EXPECT_EQ(DoRebuild(RebuildAction::kVerify)->difference,
            "table name: the row position = 2 is only in the rebuilt view");
  ASSERT_TRUE((*raw)->Run("INSERT INTO name VALUES (2, 'b'), (9, 'z')").ok());
  EXPECT_EQ(DoRebuild(RebuildAction::kVerify)->difference,
            "table name: the row position = 9 is only in the live view");
}

TEST_F(ProjectorRebuild, VerifyComparesAtOnePositionWhileTheLiveViewGoesOn) {
  std::vector<std::string> names;
  for (std::int64_t i = 0; i <= kCompareRowsMax; ++i) names.push_back(fmt::format("n{}", i));
  store_.AddNames(names);
  StartAndRun();
  const auto rebuild = NewRebuild(RebuildAction::kVerify);
  int comparing = 0;
  std::int64_t compared = 0;
  while (true) {
    const auto progress = rebuild->Step();
    ASSERT_TRUE(progress.ok()) << progress.status();
    if (progress->comparing) ++comparing;
    EXPECT_GE(progress->compared_rows, std::exchange(compared, progress->compared_rows));
    EXPECT_LE(compared, progress->rows_to_compare);
    Write({fmt::format("more{}", store_.events.size())});
    Run();
    ASSERT_EQ(StatusOf("names").checkpoint, store_.GetHead().position) << "it is held back";
    if (!progress->finished) continue;
    EXPECT_EQ(progress->equal, true) << progress->difference;
    EXPECT_EQ(progress->position, progress->compared_at);
    EXPECT_GT(compared, kCompareRowsMax);
    EXPECT_EQ(compared, progress->rows_to_compare);
    EXPECT_LT(progress->compared_at.value + comparing, store_.GetHead().position.value);
    break;
  }
  EXPECT_GE(comparing, 2) << "they are counted, and are more than one step compares";
}

TEST_F(ProjectorRebuild, SwitchTellsWhatItComparedAndServesItAllTheSame) {
  store_.AddNames({"a", "b"});
  StartAndRun();
  auto result = DoRebuild(RebuildAction::kSwitch);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->equal, true) << result->difference;
  EXPECT_EQ(result->compared_at, Position{2});
  EXPECT_EQ(result->content_hash, DoRebuild(RebuildAction::kVerify)->content_hash);
  ForgeRow2(2);
  result = DoRebuild(RebuildAction::kSwitch);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->equal, false);
  EXPECT_EQ(result->difference, kForgedRow2);
  EXPECT_EQ(Served(), "2: a b");
}

TEST_F(ProjectorRebuild, TellsNothingOfWhatWasNotCompared) {
  store_.AddNames({"a", "b"});
  Open(store_);  // The first build is not done.
  auto result = DoRebuild(RebuildAction::kSwitch);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->equal, std::nullopt);
  EXPECT_THAT(result->not_compared, HasSubstr("nothing to compare with"));
  EXPECT_EQ(DoRebuild(RebuildAction::kKeep, Position{1})->equal, std::nullopt);
  ASSERT_EQ(DoRebuild(RebuildAction::kSwitch)->equal, true);
  const auto rollback = projector_->NewRollback("names");
  ASSERT_TRUE(rollback.ok()) << rollback.status();
  result = ToTheEnd(**rollback);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->equal, std::nullopt);
}

TEST_F(ProjectorRebuild, KeepStopsAtThePositionAndItsFileStays) {
  store_.AddNames({"a", "b", "c"});
  StartAndRun();
  const auto result = DoRebuild(RebuildAction::kKeep, Position{2});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->position, Position{2});
  EXPECT_EQ(result->file, PathOf(2));
  EXPECT_EQ(RowsOf(PathOf(2)), "2: a b");
  EXPECT_EQ(Served(), "3: a b c");
  StartAndRun();
  EXPECT_EQ(StatusOf("names").generation, 1);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(DoRebuild(RebuildAction::kSwitch).ok());
  EXPECT_EQ(RowsOf(PathOf(2)), "2: a b");
  EXPECT_EQ(Served(), "3: a b c");
}

TEST_F(ProjectorRebuild, KeepNeedsAPositionOfTheLog) {
  store_.AddNames({"a"});
  StartAndRun();
  for (const std::int64_t until : {-1, 0, 2}) {
    const auto refused = projector_->NewRebuild("names", RebuildAction::kKeep, Position{until});
    EXPECT_EQ(ReasonOf(refused.status()), "INVALID_FIELDS");
  }
}

TEST_F(ProjectorRebuild, IsRefusedForAnUnknownViewAndWhileOneRuns) {
  StartAndRun();
  const auto unknown = projector_->NewRebuild("nemes", RebuildAction::kSwitch, {});
  EXPECT_EQ(ReasonOf(unknown.status()), "VIEW_NOT_FOUND");
  EXPECT_THAT(std::string(unknown.status().message()), HasSubstr("names, count"));
  auto first = NewRebuild(RebuildAction::kSwitch);
  const auto second = projector_->NewRebuild("names", RebuildAction::kVerify, {});
  EXPECT_EQ(ReasonOf(second.status()), "REBUILD_RUNNING");
  EXPECT_TRUE(projector_->NewRebuild("count", RebuildAction::kVerify, {}).ok());
  first.reset();
  EXPECT_TRUE(DoRebuild(RebuildAction::kSwitch).ok());
}

TEST_F(ProjectorRebuild, AbandonedLeavesTheServedOneAlone) {
  store_.AddNames({"a", "b"});
  StartAndRun();
  {
    const auto rebuild = NewRebuild(RebuildAction::kSwitch);
    ASSERT_TRUE(rebuild->Step().ok());
    EXPECT_THAT(Files(), UnorderedElementsAre("1-1.db", "1-2.db"));
  }
  EXPECT_THAT(Files(), ElementsAre("1-1.db"));
  EXPECT_EQ(Served(), "2: a b");
}

TEST_F(ProjectorRebuild, InterruptedByACrashIsClearedAtTheNextStart) {
  store_.AddNames({"a", "b"});
  StartAndRun();
  auto rebuild = NewRebuild(RebuildAction::kSwitch);
  ASSERT_TRUE(rebuild->Step().ok());
  // What the disk holds at the crash.
  const std::string crashed = folder_.path() + "-crashed";
  std::filesystem::copy(folder_.path(), crashed, std::filesystem::copy_options::recursive);
  rebuild.reset();
  projector_.reset();
  std::filesystem::remove_all(folder_.path());
  std::filesystem::rename(crashed, folder_.path());
  EXPECT_THAT(Files(), UnorderedElementsAre("1-1.db", "1-2.db"));
  StartAndRun();
  EXPECT_THAT(Files(), ElementsAre("1-1.db"));
  EXPECT_EQ(Served(), "2: a b");
}

TEST_F(ProjectorRebuild, ThatMeetsAPoisonEventFailsAndSwitchesNothing) {
  store_.AddNames({"a", "poison"});
  StartAndRun();
  const auto result = DoRebuild(RebuildAction::kSwitch);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("position 2"));
  EXPECT_FALSE(listener_.Has("serving names"));
  EXPECT_THAT(Files(), ElementsAre("1-1.db"));
}

TEST_F(ProjectorRebuild, WakesAViewThatHadStopped) {
  store_.AddNames({"a", "b", "c"});
  StartAndRun();
  const RecordedEvent lost = store_.Add("room-d", rooms::v1::RoomCreated());
  store_.AddNames({"e"});
  store_.Remove(lost.position);
  store_.Wake();
  Run();
  EXPECT_EQ(StatusOf("names").state, ViewState::kStopped);
  store_.events.insert(store_.events.end() - 1, lost);  // Restored from a backup.
  EXPECT_FALSE(WhyStopped(1).ok());
  ASSERT_TRUE(DoRebuild(RebuildAction::kSwitch).ok());
  EXPECT_TRUE(WhyStopped(1).ok());
  EXPECT_EQ(StatusOf("names").state, ViewState::kLive);
  Write({"f"});
  Run();
  EXPECT_EQ(Served(), "6: a b c  e f");
}

// Damages the served file of the view Names where the next fold finds it.
class ProjectorRebuildOfDamaged : public ProjectorRebuild {
 protected:
  void StartDamaged() {
    store_.AddNames({"a", "b"});
    StartAndRun();
    projector_.reset();
    testing::DamageRootPage(PathOf(1), "name");
    StartAndRun();
    listener_.lines.clear();
  }
};

TEST_F(ProjectorRebuildOfDamaged, ServesTheNewOneThoughNobodyHadFoundTheDamage) {
  StartDamaged();
  const auto result = DoRebuild(RebuildAction::kSwitch);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->equal, std::nullopt);
  EXPECT_THAT(result->not_compared, HasSubstr("checksum"));
  EXPECT_EQ(listener_.files["names"], PathOf(2));
  Write({"c"});
  Run();
  EXPECT_EQ(Served(), "3: a b c");
  EXPECT_FALSE(listener_.Has("stopped names"));
}

TEST_F(ProjectorRebuildOfDamaged, VerifyTellsOfTheDamageAndTheViewIsBuiltAnew) {
  StartDamaged();
  EXPECT_EQ(DoRebuild(RebuildAction::kVerify).status().code(), absl::StatusCode::kDataLoss);
  Write({"c"});
  Run();
  EXPECT_EQ(Served(), "3: a b c");
  EXPECT_EQ(StatusOf("names").state, ViewState::kLive);
  EXPECT_EQ(DoRebuild(RebuildAction::kVerify)->equal, true);
}

TEST_F(ProjectorRebuildOfDamaged, IsSwitchedToWhileTheDamagedOneIsBuiltAnew) {
  StartDamaged();
  auto rebuild = NewRebuild(RebuildAction::kSwitch);
  ASSERT_TRUE(rebuild->Step().ok());
  // The live view finds the damage, and begins to build; it is not let finish.
  Write({"c"});
  while (!listener_.Has("building names")) ASSERT_TRUE(executor_.RunOne());
  const auto switched = ToTheEnd(*rebuild);
  ASSERT_TRUE(switched.ok()) << switched.status();
  EXPECT_EQ(Served(), "3: a b c");
  EXPECT_EQ(listener_.files["names"], PathOf(2));
  rebuild.reset();
  Write({"d"});
  Run();
  EXPECT_EQ(Served(), "4: a b c d");
  EXPECT_EQ(StatusOf("names").state, ViewState::kLive);
}

TEST_F(ProjectorRebuildOfDamaged, VerifyHasNothingToCompareWithWhileItIsBuiltAnew) {
  StartDamaged();
  const auto rebuild = NewRebuild(RebuildAction::kVerify);
  Write({"c"});
  while (!listener_.Has("building names")) ASSERT_TRUE(executor_.RunOne());
  EXPECT_EQ(ReasonOf(ToTheEnd(*rebuild).status()), "VIEW_REBUILDING");
  Run();
  EXPECT_EQ(Served(), "3: a b c");
}

TEST_F(ProjectorRebuild, WorksWithoutRunningTheViews) {
  store_.AddNames({"a", "b"});
  Open(store_);
  const auto result = DoRebuild(RebuildAction::kSwitch);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(Served(), "2: a b");
  EXPECT_EQ(executor_.size(), 0U);
  EXPECT_EQ(ReasonOf(projector_->NewRebuild("count", RebuildAction::kVerify, {}).status()),
            "VIEW_REBUILDING");
  StartAndRun();
  EXPECT_EQ(StatusOf("names").checkpoint, Position{2});
}

TEST_F(ProjectorRebuild, AtTheSameTimeAsAnotherReadsWhatThatHasRead) {
  store_.AddNames({"a", "b"});
  Open(store_);
  const auto first = NewRebuild(RebuildAction::kSwitch);
  auto second = projector_->NewRebuild("count", RebuildAction::kSwitch, kBeforeFirst);
  ASSERT_TRUE(second.ok()) << second.status();
  ASSERT_TRUE(first->Step().ok());
  const int reads = store_.reads;
  const auto progress = (*second)->Step();
  ASSERT_TRUE(progress.ok()) << progress.status();
  EXPECT_EQ(progress->done, 2);
  EXPECT_EQ(store_.reads, reads);
}

TEST_F(ProjectorRebuild, WhileItFoldsATaskReadsWhatFollows) {
  for (std::size_t i = 0; i <= kBuildBatchEventsMax; ++i) store_.Add("room-a", "Noted", "");
  Open(store_);
  const auto rebuild = NewRebuild(RebuildAction::kSwitch);
  ASSERT_TRUE(rebuild->Step().ok());
  ASSERT_TRUE(executor_.RunOne());
  const int reads = store_.reads;
  const auto progress = rebuild->Step();
  ASSERT_TRUE(progress.ok()) << progress.status();
  EXPECT_EQ(progress->done, static_cast<std::int64_t>(kBuildBatchEventsMax) + 1);
  EXPECT_EQ(store_.reads, reads);
}

TEST_F(ProjectorRebuild, OfAnEmptyLogSwitchesToAnEmptyView) {
  StartAndRun();
  const auto result = DoRebuild(RebuildAction::kSwitch);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->position, kBeforeFirst);
  EXPECT_EQ(Served(), "0: ");
}

TEST_F(ProjectorRebuild, SwitchesNothingAfterStop) {
  store_.AddNames({"a"});
  StartAndRun();
  const auto rebuild = NewRebuild(RebuildAction::kSwitch);
  projector_->Stop();
  EXPECT_EQ(ReasonOf(ToTheEnd(*rebuild).status()), "STOPPING");
}

// Rebuilds whose steps are tasks.
class ProjectorStartedRebuild : public ProjectorViews {
 protected:
  // The projector answers what still runs.
  ~ProjectorStartedRebuild() override { projector_.reset(); }
  absl::Status Begin(RebuildAction action) {
    auto cancel =
        projector_->StartRebuild("names", action, kBeforeFirst,
                                 {.progress = [this](const RebuildProgress&) { ++steps_; },
                                  .done =
                                      [this](const absl::StatusOr<RebuildProgress>& result) {
                                        results_.push_back(result);
                                      }});
    if (!cancel.ok()) return cancel.status();
    cancel_ = *std::move(cancel);
    return absl::OkStatus();
  }
  int steps_ = 0;
  std::vector<absl::StatusOr<RebuildProgress>> results_;
  std::function<void()> cancel_;
};

TEST_F(ProjectorStartedRebuild, StepsOnTheExecutorAndAnswersOnce) {
  store_.AddNames({"a", "b"});
  StartAndRun();
  ASSERT_TRUE(Begin(RebuildAction::kSwitch).ok());
  EXPECT_EQ(ReasonOf(Begin(RebuildAction::kSwitch)), "REBUILD_RUNNING");
  Write({"c"});
  Run();
  ASSERT_EQ(results_.size(), 1U);
  ASSERT_TRUE(results_[0].ok()) << results_[0].status();
  EXPECT_EQ(results_[0]->generation, 2);
  EXPECT_GE(steps_, 2);
  EXPECT_EQ(Served(), "3: a b c");
  cancel_();
  EXPECT_EQ(results_.size(), 1U);
  EXPECT_EQ(executor_.size(), 0U);
}

TEST_F(ProjectorStartedRebuild, CanBeCancelled) {
  store_.AddNames({"a"});
  StartAndRun();
  ASSERT_TRUE(Begin(RebuildAction::kSwitch).ok());
  executor_.RunOne();
  cancel_();
  ASSERT_EQ(results_.size(), 1U);
  EXPECT_EQ(results_[0].status().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(Files(), ElementsAre("1-1.db"));
  cancel_();
  Run();
  EXPECT_EQ(results_.size(), 1U);
  EXPECT_EQ(StatusOf("names").generation, 1);
  EXPECT_TRUE(Begin(RebuildAction::kVerify).ok());  // Ends with the test.
}

TEST_F(ProjectorStartedRebuild, EndsWithTheProjector) {
  store_.AddNames({"a"});
  StartAndRun();
  ASSERT_TRUE(Begin(RebuildAction::kSwitch).ok());
  projector_.reset();
  ASSERT_EQ(results_.size(), 1U);
  EXPECT_EQ(ReasonOf(results_[0].status()), "STOPPING");
  EXPECT_THAT(Files(), ElementsAre("1-1.db"));
  Run();
  cancel_();
  EXPECT_EQ(results_.size(), 1U);
}

TEST_F(ProjectorStartedRebuild, IsRefusedAfterStop) {
  StartAndRun();
  projector_->Stop();
  EXPECT_EQ(ReasonOf(Begin(RebuildAction::kSwitch)), "STOPPING");
  EXPECT_THAT(Files(), ElementsAre("1-1.db"));
}

}  // namespace
}  // namespace leftfold::projecting
