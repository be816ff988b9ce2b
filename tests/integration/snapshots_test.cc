// Snapshots in the whole server: they are written beside the log, used after a restart, and their
// file is of no consequence.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "core/registry.h"
#include "event_store/sqlite/sqlite_snapshots.h"
#include "leftfold/rooms/v1/state.pb.h"
#include "server/app.h"
#include "testing/grpc_error.h"
#include "testing/rooms_client.h"
#include "testing/temporary_folder.h"
#include "tests/integration/started_app.h"
#include "write_api/snapshotter.h"

namespace leftfold {
namespace {

namespace fs = std::filesystem;

class Snapshots : public ::testing::Test {
 protected:
  Snapshots() {
    RegisterAllDomains(registry_);
    Start();
  }
  void Start() {
    app_ = testing::StartedApp(registry_, testing::OptionsOn(folder_.path()));
    client_ = std::make_unique<testing::RoomsClient>(app_->write_address(), app_->read_address());
  }
  // What was asked for is written before the server has gone.
  void Stop() {
    client_.reset();
    app_.reset();
  }
  void CreateOak() {
    rooms::v1::CreateRoomRequest request;
    rooms::v1::CreateRoomResponse response;
    request.set_room_id("oak");
    request.set_name("Oak");
    const grpc::Status status = client_->Call(request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  // "v<version>", else the reason of the refusal.
  std::string Rename(const std::string& name) {
    rooms::v1::RenameRoomRequest request;
    rooms::v1::RenameRoomResponse response;
    request.set_room_id("oak");
    request.set_name(name);
    const grpc::Status status = client_->Call(request, &response);
    return status.ok() ? fmt::format("v{}", response.receipt().version())
                       : testing::ErrorOf(status).reason;
  }
  void RenameOften(std::int64_t times) {
    for (std::int64_t i = 0; i < times; ++i) Rename(fmt::format("name {}", i));
  }
  std::string log() const { return folder_.path() + "/log"; }
  std::optional<Snapshot> Found() { return SqliteSnapshots(log()).Find("room-oak"); }

  const testing::TemporaryFolder folder_;
  Registry registry_;
  std::unique_ptr<App> app_;
  std::unique_ptr<testing::RoomsClient> client_;
};

TEST_F(Snapshots, AreWrittenBesideTheLogAndUsedAfterARestart) {
  CreateOak();
  RenameOften(kSnapshotEvery + 20);
  Stop();
  const auto taken = Found();
  ASSERT_TRUE(taken.has_value());
  EXPECT_GE(taken->version.value, kSnapshotEvery - 1);
  rooms::v1::RoomState state;
  ASSERT_TRUE(state.ParseFromString(taken->state));
  EXPECT_EQ(state.name(), fmt::format("name {}", taken->version.value - 1));
  Start();
  EXPECT_EQ(Rename(fmt::format("name {}", kSnapshotEvery + 19)),
            fmt::format("v{}", kSnapshotEvery + 20))
      << "it has this name";
  EXPECT_EQ(Rename("Elm"), fmt::format("v{}", kSnapshotEvery + 21));
  Stop();
  // One that fits and says something else shows that it is read.
  Snapshot planted = *taken;
  planted.state.clear();
  ASSERT_TRUE(SqliteSnapshots(log()).Write({planted}).ok());
  Start();
  EXPECT_EQ(Rename("Ash"), "ROOM_NOT_FOUND");
}

TEST_F(Snapshots, ADamagedOrDeletedFileIsMadeAnewAndAnswersStayTheSame) {
  CreateOak();
  RenameOften(kSnapshotEvery + 20);
  const std::string last = fmt::format("name {}", kSnapshotEvery + 19);
  const std::string version = fmt::format("v{}", kSnapshotEvery + 20);
  Stop();
  const std::string path = log() + "/snapshots.db";
  std::ofstream(path, std::ios::binary | std::ios::trunc) << std::string(20'000, 'x');
  Start();
  EXPECT_EQ(Rename(last), version);
  Stop();
  ASSERT_TRUE(Found().has_value()) << "not taken again";
  EXPECT_EQ(Found()->version.value, kSnapshotEvery + 20);
  fs::remove(path);
  Start();
  EXPECT_EQ(Rename(last), version);
  // Deleted under the running server.
  fs::remove(path);
  RenameOften(kSnapshotEvery);
  Stop();
  EXPECT_TRUE(fs::exists(path));
  ASSERT_TRUE(Found().has_value());
  EXPECT_EQ(Found()->version.value, 2 * kSnapshotEvery + 20);
}

}  // namespace
}  // namespace leftfold
