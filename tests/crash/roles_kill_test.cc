// Each role in a process of its own, killed with -9 or asked to stop at random moments, and started
// again in any order, while commands are written and a watch is open: the others go on, every
// acknowledged command is there once, and every view, and what the watch was told, equals the fold.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "leftfold/orders/v1/commands.grpc.pb.h"
#include "testing/environment.h"
#include "testing/nap.h"
#include "testing/parse.h"
#include "testing/rooms_client.h"
#include "tests/crash/deployment.h"
#include "tools/simulate_payments.h"

namespace leftfold {
namespace {

using testing::Deployment;
using testing::kPatience;
using testing::Layout;
using testing::RoomsClient;

constexpr int kRoleKills = 8;
constexpr int kRenamedRooms = 5;

// What one writer was acknowledged, and what one watch was told. Thread-safe.
class Rooms {
 public:
  void Acknowledge(const std::string& room, const std::string& name, std::int64_t position) {
    const std::lock_guard lock(mu_);
    EXPECT_GT(position, position_) << "a command was acknowledged twice, or out of order";
    position_ = position;
    names_[room] = name;
    ++acknowledged_;
    changed_.notify_all();
  }
  void Tell(const std::map<std::string, std::string>& told) {
    const std::lock_guard lock(mu_);
    told_ = told;
    changed_.notify_all();
  }
  int acknowledged() {
    const std::lock_guard lock(mu_);
    return acknowledged_;
  }
  std::int64_t position() {
    const std::lock_guard lock(mu_);
    return position_;
  }
  std::map<std::string, std::string> names() {
    const std::lock_guard lock(mu_);
    return names_;
  }
  void AwaitAcknowledged(int count) {
    std::unique_lock lock(mu_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [&] { return acknowledged_ >= count; }))
        << "commands do not go on";
  }
  void AwaitTold() {
    std::unique_lock lock(mu_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [&] { return told_ == names_; }))
        << "the watch does not go on";
    EXPECT_EQ(told_, names_);
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  std::map<std::string, std::string> names_;
  std::map<std::string, std::string> told_;
  std::int64_t position_ = 0;
  int acknowledged_ = 0;
};

template <class Request, class Response>
bool Send(RoomsClient& client, const std::string& room, int n, Response& response) {
  Request request;
  request.set_room_id(room);
  request.set_name("name-" + std::to_string(n));
  request.set_command_id("command-" + std::to_string(n));
  return client.Call(request, &response).ok();
}

// Sends each command until it is acknowledged.
void Write(Deployment& deployment, Rooms& rooms, const std::atomic<bool>& over) {
  std::unique_ptr<RoomsClient> client;
  for (int n = 0; !over; ++n) {
    const std::string room = "room" + std::to_string(n % kRenamedRooms);
    core::v1::CommandReceipt receipt;
    while (true) {
      if (client == nullptr) client = deployment.Connect("write");
      if (client == nullptr) return;
      rooms::v1::CreateRoomResponse created;
      rooms::v1::RenameRoomResponse renamed;
      const bool sent = n < kRenamedRooms
                            ? Send<rooms::v1::CreateRoomRequest>(*client, room, n, created)
                            : Send<rooms::v1::RenameRoomRequest>(*client, room, n, renamed);
      receipt = n < kRenamedRooms ? created.receipt() : renamed.receipt();
      if (sent) break;
      client = nullptr;
    }
    rooms.Acknowledge(room, "name-" + std::to_string(n), std::stoll(receipt.position()));
  }
}

// Watches the list of rooms; goes on where it was when its server is gone.
class Watch {
 public:
  Watch(Deployment& deployment, Rooms& rooms) : deployment_(deployment), rooms_(rooms) {}

  void Run() {
    while (const std::unique_ptr<RoomsClient> client = deployment_.Connect("read")) {
      auto context = std::make_shared<grpc::ClientContext>();
      {
        const std::lock_guard lock(mu_);
        if (over_) return;
        context_ = context;
      }
      rooms::v1::WatchRoomsRequest request;
      if (position_ >= 0) request.set_resume_position(std::to_string(position_));
      const auto reader = client->queries().WatchRooms(context.get(), request);
      round_.clear();
      for (rooms::v1::WatchRoomsResponse message; reader->Read(&message);) Take(message);
      reader->Finish().IgnoreError();
    }
  }
  void End() {
    const std::lock_guard lock(mu_);
    over_ = true;
    if (context_ != nullptr) context_->TryCancel();
  }
  int rounds() const { return rounds_; }

 private:
  void Take(const rooms::v1::WatchRoomsResponse& message) {
    if (message.has_room()) round_[message.room().room_id()] = message.room().name();
    if (!message.removed_key().empty()) told_.erase(message.removed_key());
    if (message.position().empty()) return;
    const std::int64_t position = std::stoll(message.position());
    if (message.heartbeat()) {
      EXPECT_GE(position, position_);
    } else {
      EXPECT_GT(position, position_) << "a watch went back";
      ++rounds_;
    }
    position_ = position;
    if (message.snapshot_complete()) told_.clear();
    for (auto& [room, name] : round_) told_[room] = name;
    round_.clear();
    rooms_.Tell(told_);
  }

  Deployment& deployment_;
  Rooms& rooms_;
  std::int64_t position_ = -1;
  std::map<std::string, std::string> told_;
  std::map<std::string, std::string> round_;  // Not complete yet.
  std::atomic<int> rounds_ = 0;
  std::mutex mu_;
  std::shared_ptr<grpc::ClientContext> context_;
  bool over_ = false;
};

// The answer of the reading process at the position of the last command.
void ExpectAnswers(Deployment& deployment, Rooms& rooms) {
  const auto client = deployment.Connect("read");
  rooms::v1::ListRoomsRequest request;
  request.set_min_position(std::to_string(rooms.position()));
  rooms::v1::ListRoomsResponse response;
  grpc::Status status;
  const auto end = std::chrono::steady_clock::now() + kPatience;
  do {
    status = client->Call(request, &response);  // Waits itself.
  } while (!status.ok() && std::chrono::steady_clock::now() < end);
  ASSERT_TRUE(status.ok()) << status.error_message();
  std::map<std::string, std::string> answered;
  for (const auto& room : response.rooms()) answered[room.room_id()] = room.name();
  EXPECT_EQ(answered, rooms.names());
}

int AnySignal(std::mt19937_64& random) { return random() % 3 == 0 ? SIGTERM : SIGKILL; }

std::mt19937_64 Random() { return std::mt19937_64(testing::Seed()); }

// Orders while the process that decides and the one that reacts are killed: each is paid once, and
// comes to its agent.
class OrdersKill : public ::testing::Test {
 protected:
  static constexpr int kOrders = 6;
  static constexpr int kOrderRounds = 6;

  // Each command is sent until it is answered.
  template <class Stub, class Request, class Response>
  void Do(Deployment::Connector<Stub> connect,
          grpc::Status (Stub::*rpc)(grpc::ClientContext*, const Request&, Response*),
          const std::string& text) {
    auto request = testing::Parse<Request>(text);
    request.set_command_id("test-" + std::to_string(commands_++));
    Response response;
    const grpc::Status status = deployment_.Do("write", connect, rpc, request, response);
    EXPECT_TRUE(status.ok()) << text << ": " << status.error_message();
  }
  // Events of the type in the log.
  int Count(const std::string& type) {
    const testing::Ran ran = testing::RunShell(LEFTFOLD_BINARY " tail --data " +
                                               deployment_.FolderOf(kWriting) + " --type " + type);
    EXPECT_EQ(ran.exit_code, 0) << ran.output;
    return static_cast<int>(std::count(ran.output.begin(), ran.output.end(), '\n'));
  }
  void Await(const std::string& type, int count) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (Count(type) < count && std::chrono::steady_clock::now() < end) {
      testing::Nap();
    }
    EXPECT_EQ(Count(type), count) << type;
  }

  static constexpr std::size_t kWriting = 0, kReacting = 1;
  Deployment deployment_{{"", {{"write", "data"}, {"react", "data", true}}}};
  int commands_ = 0;
};

TEST_F(OrdersKill, WhateverIsKilledEachOrderIsPaidOnceAndComesToItsAgent) {
  std::mt19937_64 random = Random();
  tools::SimulatePaymentsOptions options;
  options.listen = "127.0.0.1:0";
  const auto provider = tools::PaymentsServer::Start(options);
  ASSERT_TRUE(provider.ok()) << provider.status();
  setenv("LEFTFOLD_PAYMENTS_URL", ("http://" + (*provider)->address()).c_str(), 1);
  setenv("LEFTFOLD_PAYMENTS_API_KEY", "sk_test", 1);
  ASSERT_NO_FATAL_FAILURE(deployment_.Start(kWriting));
  ASSERT_NO_FATAL_FAILURE(deployment_.Start(kReacting));
  using Restaurants = orders::v1::RestaurantCommandService;
  using Agents = orders::v1::AgentCommandService;
  using Orders = orders::v1::OrderCommandService;
  Do(&Restaurants::NewStub, &Restaurants::Stub::RegisterRestaurant,
     "restaurant_id: 'roma' name: 'Roma' currency: 'EUR' approval_mode: APPROVAL_MODE_AUTO");
  Do(&Restaurants::NewStub, &Restaurants::Stub::AddMenuItem,
     "restaurant_id: 'roma' item_id: 'pizza' name: 'Pizza' price_minor: 900");
  Do(&Restaurants::NewStub, &Restaurants::Stub::OpenRestaurant, "restaurant_id: 'roma'");
  std::jthread chaos([&](const std::stop_token& over) {
    for (int round = 0; round < kOrderRounds && !over.stop_requested(); ++round) {
      std::array<std::size_t, 2> parts = {kWriting, kReacting};
      std::shuffle(parts.begin(), parts.end(), random);
      const auto killed = 1 + random() % parts.size();
      for (std::size_t i = 0; i < killed; ++i) deployment_.Stop(parts[i], AnySignal(random));
      for (std::size_t i = 0; i < killed; ++i) deployment_.Start(parts[killed - 1 - i]);
    }
  });
  for (int n = 0; n < kOrders; ++n) {
    const std::string id = std::to_string(n);
    Do(&Agents::NewStub, &Agents::Stub::RegisterAgent, "agent_id: 'a" + id + "' name: 'Bo'");
    Do(&Agents::NewStub, &Agents::Stub::AgentGoOnline, "agent_id: 'a" + id + "'");
    Do(&Orders::NewStub, &Orders::Stub::PlaceOrder,
       "order_id: 'o" + id +
           "' customer_id: 'ada' restaurant_id: 'roma' address: 'here' "
           "lines { item_id: 'pizza' qty: 1 }");
    Await("leftfold.orders.v1.OrderValidated", n + 1);
    Do(&Orders::NewStub, &Orders::Stub::PayForOrder,
       "order_id: 'o" + id + "' customer_id: 'ada' payment_id: 'p" + id +
           "' method_type: 'card' payment_token: 'tok_visa' amount_minor: 900");
  }
  chaos.join();
  Await("leftfold.orders.v1.AgentAssigned", kOrders);
  EXPECT_EQ(Count("leftfold.payments.v1.PaymentSucceeded"), kOrders);
  EXPECT_EQ(Count("leftfold.orders.v1.AgentReserved"), kOrders);
  EXPECT_EQ(Count("leftfold.core.v1.DeliveryParked"), 0);
  EXPECT_EQ((*provider)->stats().charges_succeeded(), kOrders);
  EXPECT_EQ((*provider)->stats().captured_minor(), 900 * kOrders);
  unsetenv("LEFTFOLD_PAYMENTS_URL");
  unsetenv("LEFTFOLD_PAYMENTS_API_KEY");
}

class RolesKill : public ::testing::TestWithParam<Layout> {};

TEST_P(RolesKill, WhateverIsKilledTheOthersGoOnAndAllConverges) {
  std::mt19937_64 random = Random();
  const auto pick = [&](int most) { return std::uniform_int_distribution<int>(0, most)(random); };
  Deployment deployment(GetParam());
  const std::size_t writing = deployment.PartWith("write");
  Rooms rooms;
  Watch watch(deployment, rooms);
  std::atomic<bool> over = false;
  std::vector<std::jthread> clients;
  clients.emplace_back([&] { Write(deployment, rooms, over); });
  clients.emplace_back([&] { watch.Run(); });
  std::vector<std::size_t> down(deployment.size());
  for (std::size_t part = 0; part < down.size(); ++part) down[part] = part;
  for (int round = 0; round <= kRoleKills; ++round) {
    std::shuffle(down.begin(), down.end(), random);
    while (!down.empty()) {
      // What is up goes on without what is down.
      if (deployment.IsUp(writing)) rooms.AwaitAcknowledged(rooms.acknowledged() + pick(40));
      ASSERT_NO_FATAL_FAILURE(deployment.Start(down.back()));
      down.pop_back();
    }
    if (round == kRoleKills || ::testing::Test::HasFailure()) break;
    rooms.AwaitAcknowledged(rooms.acknowledged() + pick(60));
    for (std::size_t part = 0; part < deployment.size(); ++part) down.push_back(part);
    std::shuffle(down.begin(), down.end(), random);
    down.resize(1 + static_cast<std::size_t>(pick(static_cast<int>(down.size()) - 1)));
    for (const std::size_t part : down) deployment.Stop(part, AnySignal(random));
  }
  rooms.AwaitAcknowledged(kRenamedRooms);
  over = true;
  clients.front().join();
  ExpectAnswers(deployment, rooms);
  rooms.AwaitTold();
  EXPECT_GT(watch.rounds(), 0);
  watch.End();
  deployment.End();
  const std::string log = deployment.FolderOf(writing);
  const std::string views = deployment.FolderOf(deployment.PartWith("project"));
  for (const std::string& line :
       {"replay --all --verify --data " + views, "verify --data " + log}) {
    const testing::Ran ran = testing::RunShell(LEFTFOLD_BINARY " " + line);
    EXPECT_EQ(ran.exit_code, 0) << ran.output;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Layouts, RolesKill,
    ::testing::Values(
        Layout{"FilesOnOneHost", {{"write", "data"}, {"project", "data"}, {"read", "data"}}},
        Layout{"ReadingBesideTheProjectorOverFiles", {{"write", "data"}, {"project,read", "data"}}},
        Layout{"LogOverGrpc", {{"write", "log"}, {"project", "views", true}, {"read", "views"}}},
        Layout{"ReadingBesideTheProjector", {{"write", "log"}, {"project,read", "views", true}}}),
    [](const auto& layout) { return layout.param.name; });

}  // namespace
}  // namespace leftfold
