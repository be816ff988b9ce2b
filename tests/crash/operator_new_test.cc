// A server whose operator new fails, at the n-th allocation of its start or under load, once or
// from then on. There is nothing in gRPC, protobuf or the standard library to go on with: it ends,
// and says why. No call is answered wrongly before, and after the restart every acknowledged
// command is there once. LEFTFOLD_SEED gives the allocations back, LEFTFOLD_NEW_FAILURES says how
// many are tried. (Allocations of SQLite's: out_of_memory_test.cc.)
#include <absl/time/time.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "testing/child_process.h"
#include "testing/environment.h"
#include "testing/grpc_error.h"
#include "testing/rooms_client.h"
#include "testing/temporary_folder.h"
#include "tests/crash/new_shim.h"
#include "tests/crash/shim_memory.h"

namespace leftfold {
namespace {

using testing::RoomsClient;
using testing::ServerProcess;

constexpr std::uint64_t kNewFailures = 200;
constexpr std::uint64_t kSomeNewFailures = 6;
constexpr std::int64_t kAllocationsUnderLoad = 50'000;
// Failures from one on, without end.
constexpr std::int64_t kForEver = 1'000'000'000'000;
constexpr int kAborted = 128 + SIGABRT;
constexpr absl::Duration kTimeToEnd = absl::Seconds(60);
constexpr char kNoMemory[] = "leftfold: fatal: there is no memory left\n";

// A client with a room of its own: what it sends is decided in its order.
class Renamer {
 public:
  explicit Renamer(std::string room) : room_(std::move(room)) {}

  // Until there is no server any more.
  void SendOn(const ServerProcess& server) {
    RoomsClient client(server.write_address, server.read_address);
    while (SendNext(client) && Look(client)) {
    }
  }
  // All that came since this was called last, again: what was answered has the same answer, once
  // and in its order.
  void SendAgain(const ServerProcess& server) {
    RoomsClient client(server.write_address, server.read_address);
    for (int n = std::exchange(known_, sent_); n < sent_; ++n) {
      core::v1::CommandReceipt receipt;
      ASSERT_TRUE(Send(client, n, receipt)) << room_ << " " << n;
      EXPECT_EQ(receipt.version(), n) << room_;
      const bool was_answered = n < std::ssize(positions_);
      if (was_answered) {
        EXPECT_TRUE(receipt.duplicate()) << room_ << " " << n << " is lost";
        EXPECT_EQ(receipt.position(), positions_[static_cast<std::size_t>(n)]);
      } else {
        positions_.push_back(receipt.position());
      }
    }
    if (sent_ > 0) {
      EXPECT_TRUE(Look(client));
    }
  }
  void SendAllAgain(const ServerProcess& server) {
    known_ = 0;
    SendAgain(server);
  }
  int sent() const { return sent_; }

 private:
  bool SendNext(RoomsClient& client) {
    core::v1::CommandReceipt receipt;
    if (!Send(client, sent_++, receipt)) return false;
    positions_.push_back(receipt.position());
    return true;
  }
  // The first one makes the room.
  bool Send(RoomsClient& client, int n, core::v1::CommandReceipt& receipt) {
    const auto fill = [&](auto& command) {
      command.set_room_id(room_);
      command.set_name(NameOf(n));
      command.set_command_id(NameOf(n));
    };
    if (n == 0) {
      rooms::v1::CreateRoomRequest create;
      fill(create);
      rooms::v1::CreateRoomResponse response;
      if (!IsAnswered(client.Call(create, &response))) return false;
      receipt = response.receipt();
    } else {
      rooms::v1::RenameRoomRequest rename;
      fill(rename);
      rooms::v1::RenameRoomResponse response;
      if (!IsAnswered(client.Call(rename, &response))) return false;
      receipt = response.receipt();
    }
    return true;
  }
  bool Look(RoomsClient& client) {
    rooms::v1::GetRoomRequest get;
    get.set_room_id(room_);
    get.set_min_position(positions_.back());
    rooms::v1::GetRoomResponse response;
    if (!IsAnswered(client.Call(get, &response))) return false;
    EXPECT_EQ(response.room().name(), NameOf(sent_ - 1));
    EXPECT_EQ(response.room().version(), sent_ - 1);
    return true;
  }
  // Nobody is told anything of a server that is gone but that.
  bool IsAnswered(const grpc::Status& status) {
    if (!status.ok()) {
      EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
      EXPECT_EQ(testing::ErrorOf(status).reason, "");
    }
    return status.ok();
  }
  std::string NameOf(int n) const { return fmt::format("{}-{}", room_, n); }

  const std::string room_;
  int sent_ = 0;
  int known_ = 0;                       // So many are known to be there.
  std::vector<std::string> positions_;  // Of those that were answered.
};

class OperatorNew : public ::testing::Test {
 protected:
  // From the n-th allocation from now on.
  void FailFrom(std::int64_t n, std::int64_t failures) {
    new_.shared().failures = failures;
    new_.shared().fail_from = new_.shared().allocations + n;
  }
  void FailNoMore() { new_.shared().fail_from = 0; }
  std::unique_ptr<ServerProcess> TryStart(int* exit_code) {
    const auto command = new_.With(ServerProcess::CommandOf(LEFTFOLD_BINARY, folder_.path()));
    std::vector<std::string> line = {"/bin/bash", "-c", "exec 2>\"$0\"; exec \"$@\"", errors()};
    line.insert(line.end(), command.begin(), command.end());
    return ServerProcess::TryStart(line, exit_code);
  }
  std::string errors() const { return said_.path() + "/errors"; }
  // What the last server said on stderr.
  std::string Errors() const {
    std::ifstream file(errors());
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::unique_ptr<ServerProcess> Start() {
    int exit_code = 0;
    auto server = TryStart(&exit_code);
    EXPECT_NE(server, nullptr) << "it does not start: " << exit_code << "\n" << Errors();
    return server;
  }
  std::int64_t Below(std::int64_t n) {
    return static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(n));
  }

  void FailUnderLoad(ServerProcess& server) {
    FailFrom(1 + Below(kAllocationsUnderLoad), Below(2) == 0 ? 1 : kForEver);
    std::vector<std::jthread> clients;
    for (Renamer& renamer : renamers_)
      clients.emplace_back([&renamer, &server] { renamer.SendOn(server); });
    ExpectItSaidWhy(server.process.WaitAtMost(kTimeToEnd));
    clients.clear();
    FailNoMore();
  }
  // Whether it came to the allocation: not each start needs as many.
  bool FailAtStart(std::int64_t allocations) {
    FailFrom(1 + Below(allocations), Below(2) == 0 ? 1 : kForEver);
    int exit_code = 0;
    const auto server = TryStart(&exit_code);
    bool killed = false;
    if (server != nullptr) {
      killed = !HasFailed();
      if (killed) server->process.Kill(SIGKILL);
      exit_code = server->process.WaitAtMost(kTimeToEnd);
    }
    FailNoMore();
    if (killed && exit_code == 128 + SIGKILL) return false;
    ExpectItSaidWhy(exit_code);
    return true;
  }
  bool HasFailed() const { return new_.shared().allocations >= new_.shared().fail_from; }
  // No other end is right. Other threads may have said something after it.
  void ExpectItSaidWhy(int exit_code) const {
    EXPECT_EQ(exit_code, kAborted) << Errors();
    EXPECT_THAT(Errors(), ::testing::HasSubstr(kNoMemory));
  }

  std::mt19937_64 random_{testing::Seed()};
  // In memory: that a process ends takes nothing from the machine.
  testing::TemporaryFolder folder_{testing::FolderInMemory()};
  testing::TemporaryFolder said_;
  testing::Preloaded<testing::FailingNew> new_{LEFTFOLD_NEW_SHIM, "LEFTFOLD_NEW_FILE"};
  std::vector<Renamer> renamers_{Renamer("ash"), Renamer("elm"), Renamer("oak")};
};

TEST_F(OperatorNew, ThatFailsEndsTheServerWhichKeepsWhatItAcknowledged) {
  const std::uint64_t failures =
      testing::CasesOrSome("LEFTFOLD_NEW_FAILURES", kNewFailures, kSomeNewFailures);
  std::cout << failures << " failures" << std::endl;
  std::uint64_t at_starts = 0;
  for (std::uint64_t failed = 0; failed < failures && !HasFailure();) {
    const std::int64_t before = new_.shared().allocations;
    const auto server = Start();
    ASSERT_NE(server, nullptr);
    const std::int64_t at_start = new_.shared().allocations - before;
    for (Renamer& renamer : renamers_) renamer.SendAgain(*server);
    FailUnderLoad(*server);
    if (++failed == failures || !FailAtStart(at_start)) continue;
    ++failed;
    ++at_starts;
  }
  const auto server = Start();
  ASSERT_NE(server, nullptr);
  int sent = 0;
  for (Renamer& renamer : renamers_) {
    renamer.SendAllAgain(*server);
    sent += renamer.sent();
  }
  server->process.Kill(SIGTERM);
  EXPECT_EQ(server->process.Wait(), 0);
  for (const std::string tool : {" replay --all --verify", " verify"}) {
    const testing::Ran ran =
        testing::RunShell(LEFTFOLD_BINARY + tool + " --data " + folder_.path());
    EXPECT_EQ(ran.exit_code, 0) << ran.output;
  }
  std::cout << at_starts << " failures at a start; " << sent << " commands, each there once"
            << std::endl;
}

}  // namespace
}  // namespace leftfold
