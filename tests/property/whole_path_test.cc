// All engines together on one thread: command, log, views, query and watch, stepped by the test in
// an order that a seed decides.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "leftfold/rooms/v1/commands.pb.h"
#include "leftfold/rooms/v1/queries.pb.h"
#include "testing/fake_clock.h"
#include "testing/temporary_folder.h"
#include "tests/property/whole_path_fixture.h"

namespace leftfold {
namespace {

using testing::FakeClock;
using testing::Must;
using testing::TemporaryFolder;
using testing::Threads;
using testing::WholePath;

const Registry& Rooms() {
  static const Registry* const kRegistry = [] {
    auto* registry = new Registry;
    RegisterAllDomains(*registry);
    return registry;
  }();
  return *kRegistry;
}

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

}  // namespace
}  // namespace leftfold
