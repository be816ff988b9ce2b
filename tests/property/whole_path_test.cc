// All engines together on one thread: command, log, views, query and watch, stepped by the test in
// an order that a seed decides.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "leftfold/rooms/v1/commands.pb.h"
#include "leftfold/rooms/v1/queries.pb.h"
#include "testing/environment.h"
#include "testing/fake_clock.h"
#include "testing/temporary_folder.h"
#include "tests/crash/separate_process.h"
#include "tests/property/historic_bugs.h"
#include "tests/property/whole_path_fixture.h"
#include "tests/property/whole_path_story.h"

namespace leftfold {
namespace {

using testing::FakeClock;
using testing::Must;
using testing::TemporaryFolder;
using testing::Threads;
using testing::WholePath;
using whole_path::ReactorBug;
using whole_path::Rooms;
using whole_path::WholePathStory;

// Takes every message of one room's watch at once.
class RoomSink final : public read_api::WatchSink {
 public:
  void Write(std::string_view message) override {
    ASSERT_TRUE(got.emplace_back().ParseFromString(std::string(message)));
    watcher->OnWritten(true);
  }
  void Finish(const absl::Status& status) override { end = status; }

  std::shared_ptr<read_api::Watcher> watcher;
  std::vector<rooms::v1::WatchRoomResponse> got;
  std::optional<absl::Status> end;
};

TEST(WholePath, IsDrivenByStepsAlone) {
  const std::int64_t threads = Threads();
  const TemporaryFolder folder;
  const FakeClock clock;
  WholePath path(Rooms(), clock, folder.path(), 1);
  auto& scheduler = path.scheduler();

  rooms::v1::CreateRoomRequest create;
  create.set_room_id("oak");
  create.set_name("Oak");
  std::optional<core::v1::CommandReceipt> receipt;
  path.Command(create, {}, [&](absl::StatusOr<core::v1::CommandReceipt> answer) {
    receipt = Must(std::move(answer));
  });
  EXPECT_FALSE(receipt.has_value()) << "answered before any step";
  while (!receipt) ASSERT_TRUE(scheduler.RunOne()) << "nothing to run, and no answer";
  EXPECT_EQ(receipt->position(), "1");

  rooms::v1::GetRoomRequest get;
  get.set_room_id("oak");
  get.set_min_position(receipt->position());
  std::optional<rooms::v1::GetRoomResponse> room;
  path.Query(get, [&](absl::StatusOr<Answer> answer) {
    room = static_cast<const rooms::v1::GetRoomResponse&>(*Must(std::move(answer)));
  });
  while (!room) ASSERT_TRUE(scheduler.RunOne()) << "nothing to run, and no answer";
  EXPECT_EQ(room->room().name(), "Oak");
  EXPECT_EQ(room->applied_position(), "1");
  EXPECT_EQ(room->room().created_at().seconds(), FakeClock::kStartSeconds);

  rooms::v1::WatchRoomRequest watch;
  watch.set_room_id("oak");
  const auto sink = std::make_shared<RoomSink>();
  sink->watcher = path.Watch(watch, sink);
  sink->watcher->Start();
  rooms::v1::RenameRoomRequest rename;
  rename.set_room_id("oak");
  rename.set_name("Old oak");
  scheduler.RunReady();
  ASSERT_EQ(sink->got.size(), 1);
  EXPECT_EQ(sink->got[0].room().name(), "Oak");
  path.Command(rename, {}, [](const auto& answer) { EXPECT_TRUE(answer.ok()) << answer.status(); });
  scheduler.RunFor(absl::Seconds(1));
  ASSERT_EQ(sink->got.size(), 2);
  EXPECT_EQ(sink->got[1].room().name(), "Old oak");
  EXPECT_EQ(sink->got[1].position(), "2");

  // From now on there are only the heartbeats of the open watch, and then nothing at all.
  scheduler.RunFor(absl::Seconds(1));
  const std::int64_t steps = scheduler.RunFor(10 * read_api::kHeartbeatInterval);
  EXPECT_EQ(sink->got.size(), 12);
  EXPECT_LE(steps, 50) << "somebody polls";
  sink->watcher->Cancel();
  scheduler.RunUntilIdle(10);
  ASSERT_TRUE(sink->end.has_value());
  EXPECT_EQ(sink->end->code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(scheduler.RunOne()) << "not idle";
  sink->watcher.reset();
  EXPECT_EQ(Threads(), threads) << "an engine has started a thread";
}

// A view rests after a batch; who asks for what the log has already does not wait for that.
TEST(WholePath, AQueryForAPositionOfTheLogIsAnsweredBeforeTheViewHasRested) {
  const TemporaryFolder folder;
  const FakeClock clock;
  WholePath path(Rooms(), clock, folder.path(), 1);
  auto& scheduler = path.scheduler();
  std::string position;
  for (int i = 0; i < 20; ++i) {
    SCOPED_TRACE(i);
    position.clear();
    rooms::v1::CreateRoomRequest create;
    create.set_room_id(fmt::format("oak{}", i));
    create.set_name(fmt::format("Oak {}", i));
    path.Command(create, {}, [&](absl::StatusOr<core::v1::CommandReceipt> answer) {
      position = Must(std::move(answer)).position();
    });
    while (position.empty()) ASSERT_TRUE(scheduler.RunOne());
    const absl::Duration before = scheduler.elapsed();
    rooms::v1::GetRoomRequest get;
    get.set_room_id(create.room_id());
    get.set_min_position(position);
    bool answered = false;
    path.Query(get, [&](absl::StatusOr<Answer> answer) {
      EXPECT_TRUE(answer.ok()) << answer.status();
      answered = true;
    });
    scheduler.RunReady();
    EXPECT_TRUE(answered);
    EXPECT_EQ(scheduler.elapsed(), before) << "it rests, and lets the query wait";
  }
}

TEST(WholePath, TheReceiptOfNoChangeHasThePositionOfItsVersion) {
  const TemporaryFolder folder;
  const FakeClock clock;
  WholePath path(Rooms(), clock, folder.path(), 1);
  rooms::v1::CreateRoomRequest create;
  create.set_room_id("oak");
  create.set_name("Oak");
  rooms::v1::RenameRoomRequest rename;
  rename.set_room_id("oak");
  rename.set_name("Oak");
  core::v1::CommandReceipt created;
  core::v1::CommandReceipt renamed;
  path.Command(create, {}, [&](auto receipt) { created = Must(std::move(receipt)); });
  // Decided while the creation is on its way to the disk.
  path.Command(rename, {}, [&](auto receipt) { renamed = Must(std::move(receipt)); });
  path.scheduler().RunReady();
  EXPECT_EQ(created.position(), "1");
  EXPECT_EQ(renamed.position(), "1");
  EXPECT_TRUE(renamed.has_version());
  EXPECT_EQ(renamed.version(), 0);
}

TEST(WholePath, AcknowledgedMeansOnceInLogViewsWatchesAndEffects) {
  std::size_t effects = 0;
  const std::uint64_t first = testing::Seed();
  const std::uint64_t stories = testing::HasSeed() ? 1 : testing::Cases("LEFTFOLD_STORIES", 200);
  for (std::uint64_t seed = first; seed < first + stories && !HasFailure(); ++seed) {
    SCOPED_TRACE("LEFTFOLD_SEED=" + std::to_string(seed));
    const TemporaryFolder folder(testing::FolderInMemory());
    WholePathStory story(seed, folder.path(), folder.path() + "/first", {});
    story.Live();
    effects += story.effects();
  }
  EXPECT_GT(effects, stories) << "the clerk has nothing to do";
  fmt::print("{} stories from seed {}, {} calls by the reactor\n", stories, first, effects);
}

TEST(WholePath, ALogThatIsAwayNowAndThenLosesNothing) {
  const std::uint64_t first = testing::Seed();
  const std::uint64_t stories = testing::HasSeed() ? 1 : testing::Cases("LEFTFOLD_STORIES", 50);
  for (std::uint64_t seed = first; seed < first + stories && !HasFailure(); ++seed) {
    SCOPED_TRACE("LEFTFOLD_SEED=" + std::to_string(seed));
    const TemporaryFolder folder(testing::FolderInMemory());
    bool away = true;
    const auto through = [&](EventStore& log, Executor& executor) {
      return std::make_unique<testing::GoesAway>(log, executor, seed, away);
    };
    WholePathStory story(seed, folder.path(), folder.path() + "/first",
                         {.through = through, .away = &away});
    story.Live();
  }
}

// Whether the story of a seed is found to go wrong, by an expectation, or because something that
// must go well does not; in a process of its own. Dies when that ends in any other way.
bool GoesWrong(std::uint64_t seed, const WholePathStory::Options& options) {
  const testing::Ended ended = testing::InSeparateProcess([&] {
    if (freopen("/dev/null", "w", stdout) == nullptr) _exit(1);
    const TemporaryFolder folder(testing::FolderInMemory());
    WholePathStory story(seed, folder.path(), folder.path() + "/first", options);
    story.Live();
    return ::testing::Test::HasFailure() ? "it is found" : "";
  });
  if (ended.code == 0) return !ended.text.empty();
  if (!ended.Wrong().empty()) Die(fmt::format("story {}: {}", seed, ended.Wrong()));
  return true;  // It died and said why.
}

template <class Bug>
WholePathStory::Options With(std::uint64_t seed) {
  return {.through = [seed](EventStore& log, Executor& executor) {
    return std::make_unique<Bug>(log, executor, seed);
  }};
}
template <ReactorBug bug>
WholePathStory::Options WithReactor(std::uint64_t) {
  return {.bug = bug};
}

// Bugs that others have had are found, by as many stories as `make test` tells.
TEST(WholePath, HistoricBugsThatAreBuiltInAreFound) {
  constexpr std::uint64_t kStories = 10;
  const auto found = [](const auto& with) {
    std::uint64_t seed = 1;
    while (seed <= kStories && !GoesWrong(seed, with(seed))) ++seed;
    return seed <= kStories;
  };
  // All before the first expectation: a failure of this test would be one of the stories, too.
  const bool without_bug = GoesWrong(1, With<testing::StoreWithABug>(1));
  const bool skipped = found(With<testing::SkipsEvents>);
  const bool lost = found(With<testing::LosesAppends>);
  const bool forgotten = found(With<testing::ForgetsCommands>);
  const bool not_woken = found(With<testing::LosesWakeUps>);
  const bool handed_over = found(With<testing::HandsOverByNotification>);
  const bool passed_over = found(With<testing::PassesOverEvents>);
  const bool starts_anywhere = found(WithReactor<ReactorBug::kForgetsItsCheckpoint>);
  const bool without_id = found(WithReactor<ReactorBug::kDeliversWithoutId>);
  EXPECT_FALSE(without_bug);
  EXPECT_TRUE(skipped);
  EXPECT_TRUE(lost);
  EXPECT_TRUE(forgotten);
  EXPECT_TRUE(not_woken);
  EXPECT_TRUE(handed_over);
  EXPECT_TRUE(passed_over);
  EXPECT_TRUE(starts_anywhere);
  EXPECT_TRUE(without_id);
}

// While commands, queries and watches go on, and the process is killed at any moment.
TEST(WholePath, AHundredSwitchesOfViewsFailNoQueryAndLoseNoUpdate) {
  const std::uint64_t seed = testing::Seed();
  SCOPED_TRACE("LEFTFOLD_SEED=" + std::to_string(seed));
  const TemporaryFolder folder(testing::FolderInMemory());
  WholePathStory story(seed, folder.path(), folder.path() + "/first", {.switches = 100});
  story.Live();
  RecordProperty("crashes", story.crashes());
  RecordProperty("queries", static_cast<int>(story.answers()));
}

// Even the ids of events are the same when clients name their commands; the store's own id is not,
// so both stories begin with a copy of one empty log.
TEST(WholePath, TheSameSeedGivesTheSameLogAndAnswers) {
  const std::uint64_t first = testing::Seed();
  const std::uint64_t stories = testing::HasSeed() ? 1 : 4;
  const TemporaryFolder folder(testing::FolderInMemory());
  const std::string empty = folder.path() + "/empty";
  std::filesystem::create_directory(empty);
  const FakeClock clock;
  { const WholePath path(Rooms(), clock, empty, 0); }
  for (std::uint64_t seed = first; seed < first + stories && !HasFailure(); ++seed) {
    SCOPED_TRACE("LEFTFOLD_SEED=" + std::to_string(seed));
    std::vector<std::vector<std::string>> logs;
    std::vector<std::vector<std::string>> traces;
    for (int n = 0; n < 2; ++n) {
      const std::string own = fmt::format("{}/{}-{}", folder.path(), seed, n);
      std::filesystem::create_directory(own);
      const std::string first_data = own + "/first";
      std::filesystem::copy(empty, first_data, std::filesystem::copy_options::recursive);
      WholePathStory story(seed, own, first_data, {.ids_always = true, .switches = 0});
      story.Live();
      logs.push_back(whole_path::LogInWords(story.store()));
      traces.push_back(story.trace());
    }
    EXPECT_EQ(logs[0], logs[1]);
    const auto [one, other] =
        std::mismatch(traces[0].begin(), traces[0].end(), traces[1].begin(), traces[1].end());
    EXPECT_EQ(one == traces[0].end() ? "the end" : *one,
              other == traces[1].end() ? "the end" : *other);
  }
}

}  // namespace
}  // namespace leftfold
