// SIGTERM in the middle of a load, again and again: every call ends with a status that tells what
// became of it, every acknowledged command is there in the next process, none that was refused is,
// and the process ends with 0 within its limit. LEFTFOLD_SEED gives the moments back,
// LEFTFOLD_DRAINS says how many.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <iostream>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "leftfold/store/v1/event_store.grpc.pb.h"
#include "server/app.h"
#include "testing/child_process.h"
#include "testing/environment.h"
#include "testing/grpc_error.h"
#include "testing/rooms_client.h"
#include "testing/store_client.h"
#include "testing/temporary_folder.h"

namespace leftfold {
namespace {

using testing::ErrorOf;
using testing::GrpcError;
using testing::RoomsClient;
using testing::ServerProcess;

constexpr std::uint64_t kDrains = 1'000;
constexpr std::uint64_t kSomeDrains = 4;
constexpr int kDrainParts = 4;  // That run side by side, where there are many.
constexpr int kDrainClients = 4;
constexpr int kSpareRooms = 3;

struct Renamed {
  rooms::v1::RenameRoomRequest request;
  core::v1::CommandReceipt receipt;
};

class Drain : public ::testing::TestWithParam<int> {
 protected:
  // What a client is told: that the server stops; or there was none any more to send it to. Or, in
  // the moment in which gRPC shuts down, CANCELLED: it was not taken.
  void ExpectEnd(const grpc::Status& status, const std::string& what) {
    const GrpcError error = ErrorOf(status);
    Count(ended_);
    if (error.code == grpc::StatusCode::CANCELLED && error.reason.empty()) {
      ++cancelled_;
      return;
    }
    EXPECT_EQ(error.code, grpc::StatusCode::UNAVAILABLE) << what << ": " << error.message;
    const bool refused = error.message.find("failed to connect") != std::string::npos;
    EXPECT_TRUE(error.reason == "STOPPING" || refused) << what << ": " << error.message;
    EXPECT_TRUE(refused || error.has_retry_info) << what;
  }
  void Rename(const ServerProcess& server, const std::string& name, std::size_t n) {
    RoomsClient client(server.write_address, server.read_address);
    for (int i = 0;; ++i) {
      Renamed renamed;
      renamed.request.set_room_id(
          fmt::format("room{}", (n + static_cast<std::size_t>(i)) % kSpareRooms));
      renamed.request.set_name(fmt::format("{}-{}", name, i));
      renamed.request.set_command_id(renamed.request.name());
      rooms::v1::RenameRoomResponse response;
      const grpc::Status status = client.Call(renamed.request, &response);
      if (!status.ok()) {
        ExpectEnd(status, "a command");
        const std::lock_guard lock(mu_);
        refused_.push_back(renamed.request);
        return;
      }
      renamed.receipt = response.receipt();
      Count(answered_);
      const std::lock_guard lock(mu_);
      renamed_.push_back(std::move(renamed));
    }
  }
  void Watch(const ServerProcess& server) {
    RoomsClient client(server.write_address, server.read_address);
    grpc::ClientContext context;
    const auto reader = client.queries().WatchRooms(&context, {});
    for (rooms::v1::WatchRoomsResponse message; reader->Read(&message);) ++heard_;
    ExpectEnd(reader->Finish(), "a watch");
  }
  void Subscribe(const ServerProcess& server) {
    const auto store = testing::ConnectToStore(server.write_address);
    const auto context = testing::NewContext();
    const auto reader = store->Subscribe(context.get(), {});
    for (store::v1::SubscribeResponse message; reader->Read(&message);) ++heard_;
    ExpectEnd(reader->Finish(), "a subscription");
  }
  // One after the other; what was sent is answered, or the call says that the server stops.
  void AppendInSession(const ServerProcess& server, const std::string& name) {
    const auto store = testing::ConnectToStore(server.write_address);
    const auto context = testing::NewContext();
    const auto session = store->AppendSession(context.get());
    store::v1::AppendSessionResponse response;
    for (std::uint64_t i = 0;; ++i) {
      store::v1::AppendSessionRequest request;
      request.add_appends()->set_id(i);
      *request.mutable_appends(0)->mutable_append() =
          testing::AppendTo(fmt::format("note-{}", name));
      if (!session->Write(request) || !session->Read(&response)) break;
      if (response.results(0).has_error()) continue;
      Count(answered_);
      appended_ = std::max(appended_.load(), response.results(0).receipt().position());
    }
    ExpectEnd(session->Finish(), "a session");
  }

  void Count(std::atomic<std::int64_t>& what) {
    const std::lock_guard lock(mu_);
    ++what;
    changed_.notify_all();
  }
  void AwaitAnswers(std::int64_t enough) {
    std::unique_lock lock(mu_);
    const std::int64_t ended = ended_;
    changed_.wait(lock, [&] { return answered_ >= enough || ended_ != ended; });
    EXPECT_EQ(ended_, ended) << "a call ended before the server was to stop";
  }
  void ExpectAllThere(const ServerProcess& server) {
    RoomsClient client(server.write_address, server.read_address);
    for (const Renamed& renamed : std::exchange(renamed_, {})) {
      rooms::v1::RenameRoomResponse again;
      const grpc::Status status = client.Call(renamed.request, &again);
      ASSERT_TRUE(status.ok()) << status.error_message();
      EXPECT_TRUE(again.receipt().duplicate()) << renamed.request.name() << " is lost";
      EXPECT_EQ(again.receipt().position(), renamed.receipt.position());
    }
    for (const rooms::v1::RenameRoomRequest& request : std::exchange(refused_, {})) {
      rooms::v1::RenameRoomResponse response;
      const grpc::Status status = client.Call(request, &response);
      ASSERT_TRUE(status.ok()) << status.error_message();
      EXPECT_FALSE(response.receipt().duplicate()) << request.name() << " was refused and is there";
    }
    store::v1::GetHeadResponse head;
    const auto store = testing::ConnectToStore(server.write_address);
    ASSERT_TRUE(store->GetHead(testing::NewContext().get(), {}, &head).ok());
    EXPECT_GE(head.position(), appended_) << "an append is lost";
  }
  void Open(const ServerProcess& server) {
    RoomsClient client(server.write_address, server.read_address);
    for (int room = 0; room < kSpareRooms; ++room) {
      rooms::v1::CreateRoomRequest create;
      create.set_room_id(fmt::format("room{}", room));
      create.set_name("new");
      rooms::v1::CreateRoomResponse created;
      ASSERT_TRUE(client.Call(create, &created).ok());
    }
  }

  // In memory: that a process ends takes nothing from the machine.
  testing::TemporaryFolder folder_{testing::FolderInMemory()};
  std::mutex mu_;
  std::condition_variable changed_;
  // Since the last restart.
  std::vector<Renamed> renamed_;
  std::vector<rooms::v1::RenameRoomRequest> refused_;
  std::atomic<std::int64_t> answered_ = 0, heard_ = 0, appended_ = 0;
  std::atomic<std::int64_t> ended_ = 0, cancelled_ = 0;  // Calls.
};

TEST_P(Drain, AnswersEveryCallKeepsWhatItAcknowledgedAndEnds) {
  const std::uint64_t drains =
      testing::CasesOfPart(testing::CasesOrSome("LEFTFOLD_DRAINS", kDrains, kSomeDrains),
                           GetParam(), kDrains / kDrainParts);
  if (drains == 0) GTEST_SKIP() << "another part does all";
  const std::uint64_t seed = testing::Seed();
  std::cout << drains << " drains" << std::endl;
  std::mt19937_64 random(seed + static_cast<std::uint64_t>(GetParam()));
  std::chrono::duration<double> longest{};
  for (std::uint64_t drain = 0; drain < drains && !HasFailure(); ++drain) {
    ServerProcess server(LEFTFOLD_BINARY, folder_.path());
    if (drain == 0) Open(server);
    ExpectAllThere(server);
    std::vector<std::jthread> clients;
    for (std::size_t n = 0; n < kDrainClients; ++n) {
      clients.emplace_back(
          [&, n] { Rename(server, fmt::format("r{}-{}-{}", GetParam(), drain, n), n); });
    }
    clients.emplace_back([&] { AppendInSession(server, std::to_string(drain)); });
    clients.emplace_back([&] { Watch(server); });
    clients.emplace_back([&] { Subscribe(server); });
    const std::int64_t enough = answered_ + std::uniform_int_distribution<int>(1, 80)(random);
    AwaitAnswers(enough);
    const auto begun = std::chrono::steady_clock::now();
    server.process.Kill(SIGTERM);
    EXPECT_EQ(server.process.Wait(), 0);
    longest =
        std::max<std::chrono::duration<double>>(longest, std::chrono::steady_clock::now() - begun);
  }
  EXPECT_LT(longest.count(), absl::ToDoubleSeconds(kDrainLimit));  // The default.
  ServerProcess server(LEFTFOLD_BINARY, folder_.path());
  ExpectAllThere(server);
  server.process.Kill(SIGTERM);
  EXPECT_EQ(server.process.Wait(), 0);
  EXPECT_GT(heard_, 0);
  for (const std::string tool : {" replay --all --verify", " verify"}) {
    const testing::Ran ran =
        testing::RunShell(LEFTFOLD_BINARY + tool + " --data " + folder_.path());
    EXPECT_EQ(ran.exit_code, 0) << ran.output;
  }
  constexpr std::uint64_t kManyDrains = 10;
  EXPECT_TRUE(drains < kManyDrains || cancelled_ * 4 < ended_)
      << cancelled_ << " of " << ended_ << " calls ended without a reason";
  std::cout << answered_ << " answers, " << ended_ << " calls ended, " << cancelled_
            << " of them without a reason; the longest drain took " << longest.count() << " s"
            << std::endl;
}

INSTANTIATE_TEST_SUITE_P(Part, Drain, ::testing::Range(0, kDrainParts));

}  // namespace
}  // namespace leftfold
