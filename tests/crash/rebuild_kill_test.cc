// kill -9 while views are rebuilt and rolled back under writers, readers and watchers: no query
// fails, no state is wrong or goes back, nothing is lost.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "leftfold/admin/v1/admin.grpc.pb.h"
#include "testing/child_process.h"
#include "testing/environment.h"
#include "testing/rooms_client.h"
#include "testing/temporary_folder.h"

namespace leftfold {
namespace {

using testing::RoomsClient;
using testing::ServerProcess;

constexpr int kRebuildKills = 4;
constexpr int kWriters = 16;
constexpr int kWatchers = 100;
constexpr int kRebuiltRooms = 4;

std::string RoomOf(int n) { return "room" + std::to_string(n % kRebuiltRooms); }

class Round {
 public:
  Round(const ServerProcess& server, int round) : server_(server), round_(round) {}

  // Each write is read back; the room has at least its version then.
  void Write(int writer) {
    RoomsClient client(server_.write_address, server_.read_address);
    for (int i = 0; !killed; ++i) {
      rooms::v1::RenameRoomRequest rename;
      rename.set_room_id(RoomOf(writer));
      rename.set_name(std::to_string(round_) + "-" + std::to_string(writer) + "-" +
                      std::to_string(i));
      rooms::v1::RenameRoomResponse renamed;
      grpc::Status status = client.Call(rename, &renamed);
      if (killed) return;
      EXPECT_TRUE(status.ok()) << status.error_message();
      rooms::v1::GetRoomRequest get;
      get.set_room_id(rename.room_id());
      get.set_min_position(renamed.receipt().position());
      rooms::v1::GetRoomResponse room;
      status = client.Call(get, &room);
      if (killed) return;
      EXPECT_TRUE(status.ok()) << status.error_message();
      EXPECT_GE(room.room().version(), renamed.receipt().version());
      if (room.room().version() == renamed.receipt().version()) {
        EXPECT_EQ(room.room().name(), rename.name());
      }
      ++answered;
    }
  }

  // Positions rise and versions never go back, whatever is switched.
  void Watch(int watcher) {
    RoomsClient client(server_.write_address, server_.read_address);
    grpc::ClientContext context;
    rooms::v1::WatchRoomRequest request;
    request.set_room_id(RoomOf(watcher));
    const auto reader = client.queries().WatchRoom(&context, request);
    rooms::v1::WatchRoomResponse message;
    std::int64_t position = -1;
    std::int64_t version = -1;
    while (reader->Read(&message)) {
      const std::int64_t next = std::stoll(message.position());
      if (message.heartbeat()) continue;
      EXPECT_GT(next, position);
      EXPECT_GE(message.room().version(), version);
      position = next;
      version = message.room().version();
      ++delivered;
    }
    const grpc::Status end = reader->Finish();
    EXPECT_TRUE(killed) << end.error_message();
  }

  // One view after the other is rebuilt, and rolled back.
  void Rebuild(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto stub = admin::v1::AdminService::NewStub(
        grpc::CreateChannel(server_.admin_address, grpc::InsecureChannelCredentials()));
    while (!killed) {
      const bool back = random() % 2 == 0 && switched > 0;
      const grpc::Status status = back ? Roll(*stub) : Build(*stub);
      if (killed) return;
      EXPECT_TRUE(status.ok()) << status.error_message();
      ++switched;
    }
  }

  std::atomic<bool> killed = false;
  std::atomic<int> answered = 0;
  std::atomic<int> delivered = 0;
  std::atomic<int> switched = 0;

 private:
  static grpc::Status Build(admin::v1::AdminService::Stub& stub) {
    grpc::ClientContext context;
    admin::v1::RebuildViewRequest request;
    request.set_view("room_directory");
    request.set_action(admin::v1::RebuildViewRequest::ACTION_SWITCH);
    const auto reader = stub.RebuildView(&context, request);
    admin::v1::RebuildViewResponse response;
    while (reader->Read(&response)) {
    }
    return reader->Finish();
  }
  static grpc::Status Roll(admin::v1::AdminService::Stub& stub) {
    grpc::ClientContext context;
    admin::v1::RollbackViewRequest request;
    request.set_view("room_directory");
    const auto reader = stub.RollbackView(&context, request);
    admin::v1::RollbackViewResponse response;
    while (reader->Read(&response)) {
    }
    return reader->Finish();
  }

  const ServerProcess& server_;
  const int round_;
};

TEST(RebuildKill, NoQueryFailsAndNothingIsWrongOrLost) {
  const std::uint64_t seed = testing::Seed();
  SCOPED_TRACE("LEFTFOLD_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const testing::TemporaryFolder folder;
  int switched = 0;
  for (int n = 0; n < kRebuildKills; ++n) {
    ServerProcess server(LEFTFOLD_BINARY, folder.path());
    if (n == 0) {
      RoomsClient client(server.write_address, server.read_address);
      for (int room = 0; room < kRebuiltRooms; ++room) {
        rooms::v1::CreateRoomRequest create;
        create.set_room_id(RoomOf(room));
        create.set_name("new");
        rooms::v1::CreateRoomResponse created;
        ASSERT_TRUE(client.Call(create, &created).ok());
        rooms::v1::GetRoomRequest get;
        get.set_room_id(RoomOf(room));
        get.set_min_position(created.receipt().position());
        rooms::v1::GetRoomResponse got;
        ASSERT_TRUE(client.Call(get, &got).ok());
      }
    }
    Round round(server, n);
    const int enough = std::uniform_int_distribution<int>(3, 12)(random);
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < kWatchers; ++i) threads.emplace_back([&round, i] { round.Watch(i); });
      for (int i = 0; i < kWriters; ++i) threads.emplace_back([&round, i] { round.Write(i); });
      threads.emplace_back([&round, s = random()] { round.Rebuild(s); });
      while (round.switched < enough || round.delivered < 2 * kWatchers) {
        if (::testing::Test::HasFailure()) break;
        std::this_thread::yield();
      }
      round.killed = true;
      server.process.Kill(SIGKILL);
    }
    EXPECT_EQ(server.process.Wait(), 128 + SIGKILL);
    switched += round.switched;
    ASSERT_FALSE(::testing::Test::HasFailure());
  }
  RecordProperty("switched", switched);
  for (const std::string tool : {" replay --all --verify", " verify"}) {
    const testing::Ran ran = testing::RunShell(LEFTFOLD_BINARY + tool + " --data " + folder.path());
    EXPECT_EQ(ran.exit_code, 0) << ran.output;
  }
}

}  // namespace
}  // namespace leftfold
