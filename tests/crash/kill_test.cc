// kill -9 in the middle of a load, then a restart: every acknowledged command is there once, every
// view equals its own rebuild.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "testing/child_process.h"
#include "testing/environment.h"
#include "testing/nap.h"
#include "testing/rooms_client.h"
#include "testing/temporary_folder.h"

namespace leftfold {
namespace {

using testing::RoomsClient;
using testing::ServerProcess;

constexpr int kServerKills = 3;
constexpr int kClients = 8;

struct Acknowledged {
  rooms::v1::RenameRoomRequest request;
  core::v1::CommandReceipt receipt;
};

struct Progress {
  std::atomic<int> answered = 0;
  std::atomic<int> ended = 0;  // Clients.
};

// Sends renames until the server is gone, and keeps what was acknowledged.
void Load(const ServerProcess& server, int round, int client_number, Progress& progress,
          std::mutex& mu, std::vector<Acknowledged>& acknowledged) {
  RoomsClient client(server.write_address, server.read_address);
  rooms::v1::RenameRoomRequest request;
  for (int i = 0;; ++i) {
    request.set_room_id(
        "room" + std::to_string((client_number + i) % 3));  // Shared rooms: lanes have company.
    request.set_name("name-" + std::to_string(round) + "-" + std::to_string(client_number) + "-" +
                     std::to_string(i));
    request.set_command_id("c-" + request.name());
    rooms::v1::RenameRoomResponse response;
    if (!client.Call(request, &response).ok()) {
      ++progress.ended;
      return;
    }
    ++progress.answered;
    const std::lock_guard lock(mu);
    acknowledged.push_back({request, response.receipt()});
  }
}

void ExpectAllThereOnce(const ServerProcess& server,
                        const std::vector<Acknowledged>& acknowledged) {
  RoomsClient client(server.write_address, server.read_address);
  for (const Acknowledged& ack : acknowledged) {
    rooms::v1::RenameRoomResponse again;
    const grpc::Status status = client.Call(ack.request, &again);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_TRUE(again.receipt().duplicate())
        << ack.request.ShortDebugString() << " was acknowledged and is lost";
    EXPECT_EQ(again.receipt().version(), ack.receipt.version());
    EXPECT_EQ(again.receipt().position(), ack.receipt.position());
  }
}

TEST(Kill, AcknowledgedCommandsSurviveAndViewsEqualTheirRebuild) {
  const std::uint64_t seed = testing::Seed();
  SCOPED_TRACE("LEFTFOLD_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const testing::TemporaryFolder folder;
  std::vector<Acknowledged> acknowledged;
  for (int round = 0; round < kServerKills; ++round) {
    ServerProcess server(LEFTFOLD_BINARY, folder.path());
    if (round == 0) {
      RoomsClient client(server.write_address, server.read_address);
      for (int room = 0; room < 3; ++room) {
        rooms::v1::CreateRoomRequest create;
        create.set_room_id("room" + std::to_string(room));
        create.set_name("new");
        rooms::v1::CreateRoomResponse created;
        ASSERT_TRUE(client.Call(create, &created).ok());
      }
    }
    ExpectAllThereOnce(server, acknowledged);
    std::mutex mu;
    Progress progress;
    const int enough = std::uniform_int_distribution<int>(50, 1'500)(random);
    std::vector<std::jthread> clients;
    for (int i = 0; i < kClients; ++i) {
      clients.emplace_back([&, i] { Load(server, round, i, progress, mu, acknowledged); });
    }
    while (progress.answered < enough && progress.ended < kClients) testing::Nap();
    EXPECT_EQ(progress.ended, 0) << "the server died by itself";
    server.process.Kill(SIGKILL);
    EXPECT_EQ(server.process.Wait(), 128 + SIGKILL);
  }
  ServerProcess server(LEFTFOLD_BINARY, folder.path());
  ExpectAllThereOnce(server, acknowledged);
  for (const std::string tool : {" replay --all --verify", " verify"}) {
    const testing::Ran ran = testing::RunShell(LEFTFOLD_BINARY + tool + " --data " + folder.path());
    EXPECT_EQ(ran.exit_code, 0) << ran.output;
  }
}

}  // namespace
}  // namespace leftfold
