// What an operator does with views: pauses, switches, rollbacks, parked events, and the next
// version beside the running one; and what verify finds.
#include <gmock/gmock.h>
#include <sqlite3.h>

#include "core/reject.h"
#include "read_api/view_pool.h"
#include "server/served_views.h"
#include "testing/forwarding_store.h"
#include "tests/integration/projector_views_fixture.h"
#include "tests/unit/projector_parking_fixture.h"

namespace leftfold::projecting {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class ProjectorOperator : public ProjectorViews {
 protected:
  ProjectorOperator() { registry_.Add<Trails>(); }
  ~ProjectorOperator() override { projector_.reset(); }

  void RenameAndRun(const std::vector<std::string>& renames) {
    Rename(store_, renames);
    store_.Wake();
    Run();
  }
  absl::StatusOr<RebuildProgress> Do(absl::StatusOr<std::unique_ptr<Rebuild>> rebuild) {
    if (!rebuild.ok()) return rebuild.status();
    return ToTheEnd(**rebuild);
  }
  absl::StatusOr<RebuildProgress> RebuildTrails(RebuildAction action) {
    return Do(projector_->NewRebuild("trails", action, kBeforeFirst));
  }
  std::string ServedTrails() { return TrailsOf(listener_.files["trails"]); }
  const sql::Skip skip_{"ann", "it is a test", absl::FromUnixSeconds(1'800'000'000)};
};

TEST_F(ProjectorOperator, APausedViewStaysWhereItIsUntilItIsResumed) {
  StartAndRun();
  Write({"a"});
  Run();
  ASSERT_TRUE(projector_->PauseView("names", "an inquiry").ok());
  EXPECT_EQ(ReasonOf(listener_.reasons["names"]), "VIEW_PAUSED");
  Write({"b"});
  Run();
  EXPECT_EQ(Served(), "1: a");
  EXPECT_EQ(StatusOf("names").state, ViewState::kPaused);
  EXPECT_THAT(StatusOf("names").reason, HasSubstr("an inquiry"));
  EXPECT_EQ(StatusOf("count").checkpoint, Position{2});
  listener_.lines.clear();
  ASSERT_TRUE(projector_->ResumeView("names").ok());
  EXPECT_EQ(listener_.lines.front(), "applied names 1 ") << "who waits is to wait again";
  Run();
  EXPECT_EQ(Served(), "2: a b");
  EXPECT_EQ(StatusOf("names").state, ViewState::kLive);
  Write({"c"});
  Run();
  EXPECT_EQ(Served(), "3: a b c");
}

TEST_F(ProjectorOperator, APauseOutlivesARestartAndASwitch) {
  StartAndRun();
  Write({"a"});
  Run();
  ASSERT_TRUE(projector_->PauseView("names", "an inquiry").ok());
  Write({"b"});
  StartAndRun();
  EXPECT_EQ(StatusOf("names").state, ViewState::kPaused);
  EXPECT_EQ(Served(), "1: a");
  EXPECT_TRUE(listener_.Has("stopped names"));
  ASSERT_TRUE(DoRebuild(RebuildAction::kSwitch).ok());
  Write({"c"});
  Run();
  EXPECT_EQ(Served(), "2: a b");
  EXPECT_EQ(listener_.lines.back(), "applied count 3 all");
  EXPECT_EQ(StatusOf("names").state, ViewState::kPaused);
  ASSERT_TRUE(projector_->ResumeView("names").ok());
  Run();
  EXPECT_EQ(Served(), "3: a b c");
  StartAndRun();
  EXPECT_EQ(StatusOf("names").state, ViewState::kLive);
}

TEST_F(ProjectorOperator, ABuildCanBePausedToo) {
  store_.AddNames({"a", "b"});
  Open(store_);
  ASSERT_TRUE(projector_->PauseView("names", "later").ok());
  projector_->Start();
  Run();
  EXPECT_FALSE(listener_.Has("serving names"));
  ASSERT_TRUE(projector_->ResumeView("names").ok());
  Run();
  EXPECT_EQ(Served(), "2: a b");
}

TEST_F(ProjectorOperator, ResumeLetsAStoppedViewTryAgain) {
  StartAndRun();
  Write({"a"});
  Run();
  const RecordedEvent lost = store_.Add("room-b", rooms::v1::RoomCreated());
  store_.AddNames({"c"});
  store_.Remove(lost.position);
  store_.Wake();
  Run();
  ASSERT_EQ(StatusOf("names").state, ViewState::kStopped);
  ASSERT_TRUE(projector_->ResumeView("names").ok());
  Run();
  EXPECT_EQ(StatusOf("names").state, ViewState::kStopped) << "it is as it was";
  store_.events.insert(store_.events.end() - 1, lost);  // Restored from a backup.
  ASSERT_TRUE(projector_->ResumeView("names").ok());
  Run();
  EXPECT_EQ(StatusOf("names").state, ViewState::kLive);
  EXPECT_EQ(StatusOf("names").checkpoint, Position{3});
}

// While it lives, a COMMIT on one file is through and its statement fails all the same: as when the
// write-ahead log cannot be copied back after it. Connections count that were opened after Allow.
class FailingCommits {
 public:
  static void Allow() {
    if (!sql::Connection::OpenMemory().ok()) Die("SQLite cannot be configured");
    sqlite3_auto_extension(reinterpret_cast<void (*)()>(&OnOpen));
  }
  explicit FailingCommits(std::string file) { Failing() = std::move(file); }
  ~FailingCommits() {
    Failing().clear();
    sqlite3_cancel_auto_extension(reinterpret_cast<void (*)()>(&OnOpen));
  }

 private:
  static std::string& Failing() {
    static std::string file;
    return file;
  }
  static int OnOpen(sqlite3* database, const char**, const sqlite3_api_routines*) {
    sqlite3_progress_handler(database, 1, &OnStep, database);
    sqlite3_commit_hook(database, &OnCommit, database);
    return SQLITE_OK;
  }
  static int OnCommit(void* database) {
    const char* file = sqlite3_db_filename(static_cast<sqlite3*>(database), "main");
    if (file != nullptr && Failing() == file) committing_ = static_cast<sqlite3*>(database);
    return 0;
  }
  // Comes once more when the COMMIT has been done, before it says so.
  static int OnStep(void* database) {
    if (committing_ != database || sqlite3_get_autocommit(committing_) == 0) return 0;
    committing_ = nullptr;
    return 1;
  }
  static inline sqlite3* committing_ = nullptr;
};

TEST_F(ProjectorOperator, AResumedViewFoldsNothingTwiceAfterACommitThatFailedAndIsThere) {
  FailingCommits::Allow();
  StartAndRun();
  Write({"a"});
  Run();
  {
    const FailingCommits failing(listener_.files["names"]);
    Write({"b"});
    Run();
  }
  ASSERT_EQ(StatusOf("names").state, ViewState::kStopped) << StatusOf("names").reason;
  EXPECT_EQ(Served(), "2: a b");
  listener_.lines.clear();
  ASSERT_TRUE(projector_->ResumeView("names").ok());
  EXPECT_EQ(listener_.lines.front(), "applied names 2 b") << "watchers are told";
  Write({"c"});
  Run();
  EXPECT_EQ(StatusOf("names").state, ViewState::kLive) << StatusOf("names").reason;
  EXPECT_EQ(Served(), "3: a b c");
}

TEST_F(ProjectorOperator, AnUnknownViewIsNamedWithThoseThatThereAre) {
  StartAndRun();
  for (const absl::Status& status :
       {projector_->PauseView("nemes", "x"), projector_->ResumeView("nemes"),
        projector_->NewSwitch("nemes", 1).status(), projector_->NewRollback("nemes").status(),
        projector_->ListParked("nemes", {}, 1).status(),
        projector_->RetryParked("nemes", "s").status(),
        projector_->SkipParked("nemes", Position{1}, skip_)}) {
    EXPECT_EQ(ReasonOf(status), "VIEW_NOT_FOUND");
    EXPECT_THAT(std::string(status.message()), HasSubstr("names, count, trails"));
  }
}

TEST_F(ProjectorOperator, AKeptGenerationCatchesUpAndIsServed) {
  store_.AddNames({"a", "b", "c"});
  StartAndRun();
  ASSERT_TRUE(DoRebuild(RebuildAction::kKeep, Position{2}).ok());
  EXPECT_THAT(StatusOf("names").other_generations, ElementsAre(2));
  const absl::Status none = projector_->NewSwitch("names", 7).status();
  EXPECT_EQ(ReasonOf(none), "GENERATION_NOT_FOUND");
  EXPECT_THAT(std::string(none.message()), HasSubstr("there are 2"));
  EXPECT_EQ(ReasonOf(projector_->NewSwitch("names", 1).status()), "GENERATION_NOT_FOUND");
  const auto switched = Do(projector_->NewSwitch("names", 2));
  ASSERT_TRUE(switched.ok()) << switched.status();
  EXPECT_EQ(listener_.files["names"], PathOf(2));
  EXPECT_EQ(Served(), "3: a b c");
  EXPECT_EQ(StatusOf("names").previous_generation, 1);
  // Now it is one like others: two switches on it is gone.
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(DoRebuild(RebuildAction::kSwitch).ok());
  EXPECT_THAT(Files(), UnorderedElementsAre("1-3.db", "1-4.db"));
}

TEST_F(ProjectorOperator, RollbackServesTheGenerationBeforeOnceItHasCaughtUp) {
  store_.AddNames({"a"});
  StartAndRun();
  EXPECT_EQ(ReasonOf(projector_->NewRollback("names").status()), "GENERATION_NOT_FOUND");
  ASSERT_TRUE(DoRebuild(RebuildAction::kSwitch).ok());
  Write({"b", "c"});
  Run();
  listener_.lines.clear();
  int written = 0;
  store_.on_read = [&] {
    if (written < 3) Write({fmt::format("n{}", ++written)});
  };
  const auto rolled = Do(projector_->NewRollback("names"));
  ASSERT_TRUE(rolled.ok()) << rolled.status();
  EXPECT_EQ(rolled->generation, 1);
  EXPECT_EQ(listener_.files["names"], PathOf(1));
  EXPECT_GE(rolled->position, Position{3}) << "what is read went back";
  // Who resumes from what the other file said gets everything anew.
  const auto reader = *sql::OpenViewReader(PathOf(1));
  EXPECT_FALSE(sql::ChangesAfter(*reader, rolled->position, 10)->has_value());
  EXPECT_TRUE(sql::ChangesAfter(*reader, rolled->position.Next(), 10)->has_value());
  Run();
  EXPECT_EQ(Served(), "6: a b c n1 n2 n3");
  EXPECT_EQ(StatusOf("names").previous_generation, 2);
  // The restart serves it, and keeps the other one to go back to.
  StartAndRun();
  EXPECT_EQ(StatusOf("names").generation, 1);
  EXPECT_THAT(Files(), UnorderedElementsAre("1-1.db", "1-2.db"));
  ASSERT_TRUE(Do(projector_->NewRollback("names")).ok());
  EXPECT_EQ(StatusOf("names").generation, 2);
  EXPECT_EQ(Served(), "6: a b c n1 n2 n3");
  // The next one made has a number of its own, and the oldest goes.
  ASSERT_TRUE(DoRebuild(RebuildAction::kSwitch).ok());
  EXPECT_THAT(Files(), UnorderedElementsAre("1-2.db", "1-3.db"));
}

TEST_F(ProjectorOperator, ASwitchThatIsAbandonedOrFailsLeavesBothFiles) {
  store_.AddNames({"a"});
  StartAndRun();
  ASSERT_TRUE(DoRebuild(RebuildAction::kSwitch).ok());
  Write({"b"});
  Run();
  ASSERT_TRUE(projector_->NewRollback("names").ok());  // And let go.
  store_.failure = absl::UnavailableError("no route");
  EXPECT_FALSE(Do(projector_->NewRollback("names")).ok());
  store_.failure = absl::OkStatus();
  EXPECT_THAT(Files(), UnorderedElementsAre("1-1.db", "1-2.db"));
  EXPECT_EQ(StatusOf("names").generation, 2);
  EXPECT_EQ(Served(), "2: a b");
}

TEST_F(ProjectorOperator, ListViewsTellsLagSizeParkedAndRebuilding) {
  StartAndRun();
  RenameAndRun({"a:poison", "b:1"});
  ViewStatus status = StatusOf("trails");
  EXPECT_EQ(status.parked_events, 1);
  EXPECT_GT(status.bytes, 0);
  EXPECT_EQ(status.oldest_unapplied, absl::InfiniteFuture());
  ASSERT_TRUE(projector_->PauseView("trails", "x").ok());
  RenameAndRun({"b:2", "b:3"});
  status = StatusOf("trails");
  EXPECT_EQ(status.lag_events, 2);
  EXPECT_EQ(status.oldest_unapplied, store_.events[2].recorded_at);
  ASSERT_TRUE(projector_->ResumeView("trails").ok());
  {
    const auto rebuild = projector_->NewRebuild("trails", RebuildAction::kVerify, kBeforeFirst);
    ASSERT_TRUE(rebuild.ok());
    EXPECT_EQ(StatusOf("trails").state, ViewState::kRebuilding);
  }
  EXPECT_EQ(StatusOf("trails").state, ViewState::kLive);
}

TEST_F(ProjectorOperator, AProcessThatOnlyReadsTellsWhatItCanKnow) {
  StartAndRun();
  ASSERT_TRUE(RebuildTrails(RebuildAction::kSwitch).ok());
  RenameAndRun({"a:poison", "b:1"});
  read_api::ViewPool pool(registry_, executor_);
  const auto trails = [&](EventStore* log) {
    return ListServedViews(registry_, pool, folder_.path(), log).back();  // By name.
  };
  EXPECT_EQ(trails(nullptr).state, ViewState::kCatchingUp) << "nothing is served yet";
  pool.OnServing("trails", listener_.files["trails"]);
  pool.OnApplied("trails", Position{2}, {});
  ViewStatus status = trails(nullptr);
  EXPECT_EQ(status.name, "trails");
  EXPECT_EQ(status.state, ViewState::kServed);
  EXPECT_TRUE(status.lag_unknown);
  EXPECT_EQ(status.lag_events, 0);
  EXPECT_EQ(status.checkpoint, Position{2});
  EXPECT_EQ(status.parked_events, 1);
  EXPECT_EQ(status.generation, 2);
  EXPECT_EQ(status.previous_generation, 1);
  Rename(store_, {"b:2", "b:3"});
  status = trails(&store_);
  EXPECT_EQ(status.state, ViewState::kLive);
  EXPECT_FALSE(status.lag_unknown);
  EXPECT_EQ(status.lag_events, 2);
  EXPECT_EQ(status.oldest_unapplied, store_.events[2].recorded_at);
  pool.OnStopped("trails", absl::InvalidArgumentError("stopped at position 3"));
  status = trails(nullptr);
  EXPECT_EQ(status.state, ViewState::kStopped);
  EXPECT_EQ(status.reason, "stopped at position 3");
}

TEST_F(ProjectorOperator, ParkedEventsAreListedSkippedAndRetried) {
  StartAndRun();
  RenameAndRun({"a:poison", "a:1", "b:1"});
  EXPECT_EQ(StatusOf("trails").state, ViewState::kLive);
  auto listed = projector_->ListParked("trails", kBeforeFirst, 10);
  ASSERT_TRUE(listed.ok()) << listed.status();
  ASSERT_EQ(listed->size(), 2U);
  EXPECT_EQ(projector_->ListParked("trails", Position{1}, 10)->size(), 1U);
  const int written = listener_.written["trails"];
  ASSERT_TRUE(projector_->SkipParked("trails", Position{1}, skip_).ok());
  EXPECT_EQ(StatusOf("trails").parked_events, 1);
  ASSERT_TRUE(projector_->RetryParked("trails", "room-a").ok());
  EXPECT_EQ(StatusOf("trails").parked_events, 0);
  EXPECT_EQ(ServedTrails(), "3: a=1 b=1");
  EXPECT_EQ(listener_.written["trails"], written + 2) << "readers must not keep what was before";
  listed = projector_->ListParked("trails", kBeforeFirst, 10);
  ASSERT_EQ(listed->size(), 1U);
  EXPECT_EQ(listed->front().skip->by, "ann");
  projector_->Stop();
  EXPECT_EQ(ReasonOf(projector_->RetryParked("trails", "room-a").status()), "STOPPING");
}

TEST_F(ProjectorOperator, ARebuildParksByItselfAndSkipsWhatWasSkipped) {
  StartAndRun();
  RenameAndRun({"a:poison", "a:1", "b:poison", "b:1"});
  ASSERT_TRUE(projector_->SkipParked("trails", Position{1}, skip_).ok());
  ASSERT_TRUE(projector_->RetryParked("trails", "room-a").ok());
  const auto verified = RebuildTrails(RebuildAction::kVerify);
  ASSERT_TRUE(verified.ok()) << verified.status();
  EXPECT_EQ(verified->difference, "");
  ASSERT_TRUE(RebuildTrails(RebuildAction::kSwitch).ok());
  EXPECT_EQ(ServedTrails(), "4: a=1");
  EXPECT_EQ(StatusOf("trails").parked_events, 2);
  EXPECT_TRUE(projector_->ListParked("trails", kBeforeFirst, 1)->front().skip.has_value());
}

TEST_F(ProjectorOperator, ASkipDuringARebuildHoldsInBoth) {
  StartAndRun();
  RenameAndRun({"a:poison", "a:1"});
  for (const RebuildAction action : {RebuildAction::kVerify, RebuildAction::kSwitch}) {
    auto rebuild = projector_->NewRebuild("trails", action, kBeforeFirst);
    ASSERT_TRUE(rebuild.ok());
    ASSERT_TRUE((*rebuild)->Step().ok());
    if (action == RebuildAction::kVerify) {
      ASSERT_TRUE(projector_->SkipParked("trails", Position{1}, skip_).ok());
      ASSERT_TRUE(projector_->RetryParked("trails", "room-a").ok());
    } else {
      RenameAndRun({"a:poison", "a:2"});
      ASSERT_TRUE(projector_->SkipParked("trails", Position{3}, skip_).ok());
      ASSERT_TRUE(projector_->RetryParked("trails", "room-a").ok());
    }
    const auto ended = ToTheEnd(**rebuild);
    ASSERT_TRUE(ended.ok()) << ended.status();
    EXPECT_EQ(ended->difference, "");
  }
  EXPECT_EQ(ServedTrails(), "4: a=1,2");
  EXPECT_EQ(StatusOf("trails").parked_events, 0);
}

TEST_F(ProjectorOperator, WhatWasRetriedIsNotParkedAgainByARebuild) {
  StartAndRun();
  RenameAndRun({"a:later", "a:1", "b:later", "allow:x"});
  ASSERT_TRUE(projector_->RetryParked("trails", "room-a").ok());
  EXPECT_EQ(ServedTrails(), "4: a=later,1 allow=x");
  EXPECT_EQ(RebuildTrails(RebuildAction::kVerify)->difference, "");
  ASSERT_TRUE(RebuildTrails(RebuildAction::kSwitch).ok());
  EXPECT_EQ(ServedTrails(), "4: a=later,1 allow=x");
  EXPECT_EQ(StatusOf("trails").parked_events, 1) << "that one nobody retried";
}

// ---- the next version of a view

// Names with another shape.
struct NamesV2 : NotAsked {
  static constexpr std::string_view kName = "names";
  static constexpr int kVersion = 2;
  static constexpr std::string_view kSchema =
      "CREATE TABLE name(position INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT";
  using Handles = Types<rooms::v1::RoomCreated>;
  static void On(const rooms::v1::RoomCreated& event, const EventMeta& meta, WriteTx& tx) {
    tx.Exec("INSERT INTO name VALUES (?, upper(?))", meta.position(), event.name());
    tx.Touch(event.name());
  }
};

class ProjectorNextVersion : public ProjectorViews {
 protected:
  ProjectorNextVersion() { next_.Add<NamesV2>(); }
  ~ProjectorNextVersion() override { projector_.reset(); }
  absl::StatusOr<RebuildProgress> Prepare() {
    auto prepared = Rebuild::Prepare(next_.views().front(), store_, executor_, folder_.path());
    if (!prepared.ok()) return prepared.status();
    return ToTheEnd(**prepared);
  }
  void Start(const Registry& registry) {
    projector_.reset();
    listener_.lines.clear();
    projector_ = *Projector::Open(registry, store_, executor_, clock_, &listener_, folder_.path());
    projector_->Start();
  }
  Registry next_;
};

TEST_F(ProjectorNextVersion, PreparedBesideTheOldOneIsServedAtTheRestart) {
  store_.AddNames({"a", "b"});
  StartAndRun();
  int written = 0;
  store_.on_read = [&] {
    if (written++ == 0) Write({"c"});
  };
  const auto prepared = Prepare();
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  EXPECT_EQ(prepared->position, Position{3});
  Run();
  EXPECT_EQ(Served(), "3: a b c") << "the old version goes on";
  Write({"d"});
  Run();
  Start(next_);
  EXPECT_EQ(listener_.lines.front(), "serving names") << "before anything was folded";
  EXPECT_EQ(Served(), "3: A B C");
  Run();
  EXPECT_EQ(Served(), "4: A B C D");
  EXPECT_FALSE(listener_.Has("building names"));
  // Back to the old binary: its generation goes on.
  Write({"e"});
  Run();
  Start(registry_);
  EXPECT_EQ(listener_.lines.front(), "serving names");
  EXPECT_EQ(Served(), "4: a b c d");
  Run();
  EXPECT_EQ(Served(), "5: a b c d e");
  // And forth, without a preparation.
  Start(next_);
  EXPECT_EQ(listener_.lines.front(), "serving names");
  Run();
  EXPECT_EQ(Served(), "5: A B C D E");
}

TEST_F(ProjectorNextVersion, UnpreparedIsBuiltAndSaysHowFarItIs) {
  store_.AddNames({"a", "b"});
  StartAndRun();
  Start(next_);
  EXPECT_EQ(listener_.lines.front(), "building names");
  Run();
  EXPECT_EQ(Served(), "2: A B");
  EXPECT_EQ(RowsOf(PathOf(1)), "2: a b") << "for the old binary";
}

TEST_F(ProjectorNextVersion, PreparedAgainGoesOnWhereItWas) {
  store_.AddNames({"a"});
  StartAndRun();
  ASSERT_TRUE(Prepare().ok());
  Write({"b"});
  const auto again = Prepare();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->position, Position{2});
  EXPECT_THAT(Files(), UnorderedElementsAre("1-1.db", "2-2.db"));
}

TEST_F(ProjectorNextVersion, APreparationThatWasInterruptedIsBegunAnew) {
  store_.AddNames({"a", "b"});
  StartAndRun();
  auto killed = Rebuild::Prepare(next_.views().front(), store_, executor_, folder_.path());
  ASSERT_TRUE((*killed)->Step().ok());
  EXPECT_EQ(Prepare().status().code(), absl::StatusCode::kUnavailable) << "one is under way";
  // What the disk holds at a kill.
  std::filesystem::copy(folder_.path(), folder_.path() + "-killed",
                        std::filesystem::copy_options::recursive);
  killed->reset();
  projector_.reset();
  std::filesystem::remove_all(folder_.path());
  std::filesystem::rename(folder_.path() + "-killed", folder_.path());
  EXPECT_THAT(Files(), UnorderedElementsAre("1-1.db", "2-2.db"));
  ASSERT_TRUE(Prepare().ok());
  EXPECT_THAT(Files(), UnorderedElementsAre("1-1.db", "2-2.db"));
  Start(next_);
  EXPECT_EQ(Served(), "2: A B");
}

TEST_F(ProjectorNextVersion, AStartDuringThePreparationWaitsForIt) {
  store_.AddNames({"a", "b"});
  StartAndRun();
  auto preparing = Rebuild::Prepare(next_.views().front(), store_, executor_, folder_.path());
  ASSERT_TRUE((*preparing)->Step().ok());
  Start(next_);
  Run();
  EXPECT_THAT(listener_.lines, Each("stopped names"));
  ASSERT_TRUE(ToTheEnd(**preparing).ok());
  preparing->reset();
  executor_.Advance(kResumeDelay);
  EXPECT_EQ(Served(), "2: A B");
  EXPECT_FALSE(listener_.Has("building names"));
  EXPECT_EQ(Prepare().status().code(), absl::StatusCode::kUnavailable) << "its server runs";
}

TEST_F(ProjectorNextVersion, APreparedFileOfAnotherLogIsNotServed) {
  store_.AddNames({"a", "b", "c"});
  StartAndRun();
  ASSERT_TRUE(Prepare().ok());
  projector_.reset();
  FakeStore restored;
  restored.AddNames({"a", "x"});
  projector_ = *Projector::Open(next_, restored, executor_, clock_, &listener_, folder_.path());
  projector_->Start();
  Run();
  EXPECT_EQ(Served(), "2: A X");
  projector_.reset();
}

// ---- what verify finds

// Count with a mistake, for the events numbered 3.
template <int kTimes>
struct CountWithMistake : Count {
  static void On(const rooms::v1::RoomCreated& event, const EventMeta& meta, WriteTx& tx) {
    const bool live = wrong && meta.position() == Position{3};
    for (int n = live ? kTimes : 1; n > 0; --n) Count::On(event, meta, tx);
  }
  static inline bool wrong = true;
};

class ProjectorPlantedBug : public ProjectorViews {
 protected:
  ~ProjectorPlantedBug() override { projector_.reset(); }
  std::string DifferenceAfter(const Registry& registry, bool& wrong) {
    store_.AddNames({"a", "b", "c", "d"});
    wrong = true;
    projector_ = *Projector::Open(registry, store_, executor_, clock_, &listener_, folder_.path());
    projector_->Start();
    Run();
    EXPECT_EQ(StatusOf("count").state, ViewState::kLive);
    wrong = false;
    const auto rebuild = projector_->NewRebuild("count", RebuildAction::kVerify, kBeforeFirst);
    EXPECT_TRUE(rebuild.ok()) << rebuild.status();
    return ToTheEnd(**rebuild)->difference;
  }
};

TEST_F(ProjectorPlantedBug, AnEventThatWasSkippedIsFound) {
  Registry registry;
  registry.Add<CountWithMistake<0>>();
  EXPECT_EQ(DifferenceAfter(registry, CountWithMistake<0>::wrong),
            "table count, row id = 1, column rooms: live 3, rebuilt 4");
}

TEST_F(ProjectorPlantedBug, AnEventThatWasAppliedTwiceIsFound) {
  Registry registry;
  registry.Add<CountWithMistake<2>>();
  EXPECT_EQ(DifferenceAfter(registry, CountWithMistake<2>::wrong),
            "table count, row id = 1, column rooms: live 5, rebuilt 4");
}

// The rows of a batch reach the disk and its checkpoint does not: the batch is folded again.
TEST_F(ProjectorPlantedBug, RowsThatWereCommittedWithoutTheCheckpointAreFound) {
  Registry registry;
  registry.Add<Count>();
  store_.AddNames({"a", "b"});
  projector_ = *Projector::Open(registry, store_, executor_, clock_, &listener_, folder_.path());
  projector_->Start();
  Run();
  const std::string path = listener_.files["count"];
  const auto before = *sql::ReadCheckpoint(**sql::OpenViewReader(path));
  Write({"c"});
  Run();
  projector_.reset();
  {
    auto raw = sql::Connection::Open(path, {.role = sql::Role::kWriter});
    ASSERT_TRUE((*raw)->Begin().ok());
    sql::WriteCheckpoint(**raw, before);
    ASSERT_TRUE((*raw)->Commit().ok());
  }
  projector_ = *Projector::Open(registry, store_, executor_, clock_, &listener_, folder_.path());
  projector_->Start();
  Run();
  const auto rebuild = projector_->NewRebuild("count", RebuildAction::kVerify, kBeforeFirst);
  EXPECT_EQ(ToTheEnd(**rebuild)->difference,
            "table count, row id = 1, column rooms: live 4, rebuilt 3");
}

// A store that leaves an event out is no way to skip one: the view notices and stops.
TEST_F(ProjectorPlantedBug, AStoreThatLeavesAnEventOutIsFoundByTheView) {
  class Forgetful final : public testing::ForwardingStore {
   public:
    using ForwardingStore::ForwardingStore;
    absl::StatusOr<ReadAllResult> ReadAll(const ReadAllOptions& options) override {
      auto read = ForwardingStore::ReadAll(options);
      if (read.ok()) {
        std::erase_if(read->events, [](const auto& e) { return e.position == Position{3}; });
      }
      return read;
    }
  } forgetful(store_);
  store_.AddNames({"a", "b", "c", "d"});
  Open(forgetful);
  projector_->Start();
  Run();
  EXPECT_EQ(StatusOf("names").state, ViewState::kStopped);
  EXPECT_EQ(StatusOf("names").checkpoint, Position{2});
  projector_.reset();
}

}  // namespace
}  // namespace leftfold::projecting
