// A real server whose disk is really full, and then is not.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "leftfold/admin/v1/admin.grpc.pb.h"
#include "leftfold/orders/v1/commands.grpc.pb.h"
#include "leftfold/orders/v1/queries.grpc.pb.h"
#include "testing/environment.h"
#include "testing/grpc_error.h"
#include "testing/nap.h"
#include "testing/parse.h"
#include "testing/rooms_client.h"
#include "testing/small_disk.h"
#include "testing/store_client.h"

namespace leftfold {
namespace {

using testing::ErrorOf;
using testing::GrpcError;
using testing::JsonRecord;
using testing::NewContext;

constexpr std::uint64_t kDiskFills = 10;
constexpr std::uint64_t kSomeDiskFills = 2;
constexpr std::int64_t kLeft = 1 << 20;  // For the appends of a round.
constexpr std::size_t kLarge = 100'000;
constexpr int kAppendsMax = 1'000;  // Far more than fit.
// Bounds what never comes.
constexpr std::chrono::seconds kGoesOnWithin(60);

class DiskFull : public ::testing::Test {
 protected:
  static std::uint64_t Fills() {
    return testing::CasesOrSome("LEFTFOLD_DISK_FILLS", kDiskFills, kSomeDiskFills);
  }
  grpc::Status Append(std::size_t bytes) {
    store::v1::AppendRequest request;
    const std::string json =
        '"' + std::string(bytes, static_cast<char>('a' + acked_.size() % 26)) + '"';
    *request.add_records() = JsonRecord("note-" + std::to_string(acked_.size() % 7), json);
    store::v1::AppendResponse response;
    const grpc::Status status = store_->Append(NewContext().get(), request, &response);
    if (status.ok()) acked_[response.receipt().position()] = json;
    return status;
  }
  static void ExpectDiskFull(const grpc::Status& status) {
    const GrpcError error = ErrorOf(status);
    EXPECT_EQ(error.code, grpc::StatusCode::RESOURCE_EXHAUSTED) << error.message;
    EXPECT_EQ(error.reason, "DISK_FULL");
    EXPECT_TRUE(error.has_retry_info);
  }
  // Appends until it is refused.
  void AppendUntilFull(std::size_t bytes) {
    grpc::Status status;
    for (int i = 0; i < kAppendsMax && status.ok(); ++i) status = Append(bytes);
    ExpectDiskFull(status);
  }
  // All that was acknowledged is there, as it was sent, and nothing else.
  void ExpectWhatWasAcknowledged() {
    const auto context = NewContext();
    const auto reader = store_->ReadAll(context.get(), {});
    std::map<std::int64_t, std::string> read;
    for (store::v1::ReadAllResponse response; reader->Read(&response);) {
      for (const auto& event : response.events()) {
        if (event.has_json()) read[event.position()] = event.json();
      }
    }
    const grpc::Status status = reader->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_TRUE(read == acked_) << read.size() << " events, " << acked_.size() << " acknowledged";
  }
  void ExpectReadsGoOn() {
    ExpectWhatWasAcknowledged();
    store::v1::ReadStreamRequest stream;
    stream.set_stream("note-0");
    const auto context = NewContext();
    const auto reader = store_->ReadStream(context.get(), stream);
    store::v1::ReadStreamResponse response;
    EXPECT_TRUE(reader->Read(&response) && response.events_size() > 0);
    while (reader->Read(&response)) {
    }
    EXPECT_TRUE(reader->Finish().ok());
    EXPECT_EQ(NameOfRoom(""), "Oak");
    admin::v1::ListViewsResponse views;
    EXPECT_TRUE(admin_->ListViews(NewContext().get(), {}, &views).ok());
  }
  // As the view has it at this position.
  std::string NameOfRoom(const std::string& position) {
    rooms::v1::GetRoomRequest request;
    request.set_room_id("oak");
    request.set_min_position(position);
    rooms::v1::GetRoomResponse response;
    grpc::Status status;
    // Views try again by themselves every few seconds.
    for (;; testing::Nap()) {
      status = rooms_->Call(request, &response);
      const std::string reason = ErrorOf(status).reason;
      if (reason != "READ_MODEL_BEHIND" && reason != "VIEW_STOPPED") break;
    }
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.room().name();
  }

  // Nothing is wrong with any of its files.
  void ExpectEndsWhole() {
    // The server's end waits for connections to close, which those without calls never see to.
    store_ = nullptr;
    admin_ = nullptr;
    rooms_ = nullptr;
    server_.process.Kill(SIGTERM);
    EXPECT_EQ(server_.process.Wait(), 0);
    const std::string data = disk_.path() + "/data";
    for (const std::vector<std::string>& tool :
         {std::vector<std::string>{"verify"}, {"replay", "--all", "--verify"}}) {
      std::vector<std::string> command = {LEFTFOLD_BINARY};
      command.insert(command.end(), tool.begin(), tool.end());
      command.insert(command.end(), {"--data", data});
      const testing::Ran ran = testing::ChildProcess(disk_.Inside(command)).Finish();
      EXPECT_EQ(ran.exit_code, 0) << ran.output;
    }
  }

  testing::SmallDisk disk_;
  testing::ServerProcess server_{
      disk_.Inside(testing::ServerProcess::CommandOf(LEFTFOLD_BINARY, disk_.path() + "/data"))};
  std::unique_ptr<store::v1::EventStoreService::Stub> store_ =
      testing::ConnectToStore(server_.write_address);
  std::unique_ptr<admin::v1::AdminService::Stub> admin_ = admin::v1::AdminService::NewStub(
      grpc::CreateChannel(server_.admin_address, grpc::InsecureChannelCredentials()));
  std::unique_ptr<testing::RoomsClient> rooms_ =
      std::make_unique<testing::RoomsClient>(server_.write_address, server_.read_address);
  std::map<std::int64_t, std::string> acked_;  // By position; the raw ones.
};

TEST_F(DiskFull, AppendsAreRefusedReadsGoOnAndSpaceBringsAppendsBack) {
  rooms::v1::CreateRoomRequest create;
  create.set_room_id("oak");
  create.set_name("Oak");
  rooms::v1::CreateRoomResponse created;
  ASSERT_TRUE(rooms_->Call(create, &created).ok());
  ASSERT_EQ(NameOfRoom(created.receipt().position()), "Oak");
  for (std::uint64_t round = 0; round < Fills(); ++round) {
    SCOPED_TRACE(round);
    disk_.Fill(kLeft);
    AppendUntilFull(kLarge);
    disk_.Fill(0);
    AppendUntilFull(1);
    rooms::v1::RenameRoomRequest rename;
    rename.set_room_id("oak");
    rename.set_name("Elm");
    rename.set_command_id("rename-" + std::to_string(round));
    rooms::v1::RenameRoomResponse renamed;
    ExpectDiskFull(rooms_->Call(rename, &renamed));
    ExpectReadsGoOn();
    disk_.Empty();
    const grpc::Status status = Append(kLarge);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_TRUE(rooms_->Call(rename, &renamed).ok());
    EXPECT_FALSE(renamed.receipt().duplicate());
    EXPECT_EQ(NameOfRoom(renamed.receipt().position()), "Elm");
    rename.set_name("Oak");
    rename.set_command_id("back-" + std::to_string(round));
    ASSERT_TRUE(rooms_->Call(rename, &renamed).ok());
    EXPECT_EQ(NameOfRoom(renamed.receipt().position()), "Oak");
    ExpectWhatWasAcknowledged();
  }
  ExpectEndsWhole();
}

// Which of them meets the full disk first is up to what is left.
class OrdersOnAFullDisk : public DiskFull {
 protected:
  template <class Stub, class Request, class Response>
  grpc::Status Send(Stub& stub,
                    grpc::Status (Stub::*rpc)(grpc::ClientContext*, const Request&, Response*),
                    const std::string& text) {
    Response response;
    const grpc::Status status =
        (stub.*rpc)(NewContext().get(), testing::Parse<Request>(text), &response);
    if (status.ok()) position_ = response.receipt().position();
    return status;
  }
  void OpenShop() {
    using Stub = orders::v1::RestaurantCommandService::Stub;
    const auto stub = orders::v1::RestaurantCommandService::NewStub(Channel(server_.write_address));
    for (const grpc::Status& status :
         {Send(*stub, &Stub::RegisterRestaurant,
               "restaurant_id: 'roma' name: 'Roma' currency: 'EUR' "
               "approval_mode: APPROVAL_MODE_AUTO"),
          Send(*stub, &Stub::AddMenuItem,
               "restaurant_id: 'roma' item_id: 'pizza' name: 'Pizza' price_minor: 900"),
          Send(*stub, &Stub::OpenRestaurant, "restaurant_id: 'roma'")}) {
      ASSERT_TRUE(status.ok()) << status.error_message();
    }
  }
  grpc::Status Place(const std::string& id) {
    return Send(*orders_, &orders::v1::OrderCommandService::Stub::PlaceOrder,
                fmt::format("order_id: '{0}' customer_id: 'ada' restaurant_id: 'roma' address: "
                            "'here' lines {{ item_id: 'pizza' qty: 1 }} command_id: 'place-{0}'",
                            id));
  }
  // A reactor has validated it, and the view tells.
  void AwaitValid(const std::string& id) {
    orders::v1::GetOrderRequest request;
    request.set_order_id(id);
    request.set_min_position(position_);
    orders::v1::GetOrderResponse response;
    const auto end = std::chrono::steady_clock::now() + kGoesOnWithin;
    while (response.order().status() != orders::v1::ORDER_STATUS_AWAITING_PAYMENT) {
      const grpc::Status status = queries_->GetOrder(NewContext().get(), request, &response);
      const std::string reason = ErrorOf(status).reason;
      ASSERT_TRUE(status.ok() || reason == "READ_MODEL_BEHIND" || reason == "VIEW_STOPPED")
          << status.error_message();
      ASSERT_LT(std::chrono::steady_clock::now(), end) << id << " does not go on";
      testing::Nap();
    }
  }
  int Events(const std::string& category) {
    store::v1::ReadAllRequest request;
    if (!category.empty()) request.mutable_filter()->add_categories(category);
    const auto context = NewContext();
    const auto reader = store_->ReadAll(context.get(), request);
    int events = 0;
    for (store::v1::ReadAllResponse response; reader->Read(&response);) {
      for (const auto& event : response.events()) events += event.stream().starts_with("order-");
    }
    EXPECT_TRUE(reader->Finish().ok());
    return events;
  }
  static std::shared_ptr<grpc::Channel> Channel(const std::string& address) {
    return grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  }

  std::unique_ptr<orders::v1::OrderCommandService::Stub> orders_ =
      orders::v1::OrderCommandService::NewStub(Channel(server_.write_address));
  std::unique_ptr<orders::v1::OrderQueryService::Stub> queries_ =
      orders::v1::OrderQueryService::NewStub(Channel(server_.read_address));
  std::string position_;  // Of the last command.
};

TEST_F(OrdersOnAFullDisk, LogReactorsViewsAndIndexGoOnByThemselvesWhenThereIsSpace) {
  constexpr std::uint64_t kLeftMax = 300'000;
  std::mt19937_64 random(testing::Seed());
  ASSERT_NO_FATAL_FAILURE(OpenShop());
  std::vector<std::string> placed;
  for (std::uint64_t round = 0; round < Fills() / 2 && !HasFailure(); ++round) {
    SCOPED_TRACE(round);
    disk_.Fill(static_cast<std::int64_t>(random() % kLeftMax));
    grpc::Status status;
    std::string id;
    for (int i = 0; i < kAppendsMax && status.ok(); ++i) {
      id = fmt::format("o{}-{}", round, i);
      status = Place(id);
      if (status.ok()) placed.push_back(id);
    }
    ExpectDiskFull(status);
    disk_.Empty();
    status = Place(id);
    ASSERT_TRUE(status.ok()) << status.error_message();
    placed.push_back(id);
    for (const std::string& order : placed) ASSERT_NO_FATAL_FAILURE(AwaitValid(order));
    EXPECT_EQ(Events("order"), 2 * static_cast<int>(placed.size()));
    EXPECT_EQ(Events(""), 2 * static_cast<int>(placed.size()));
  }
  orders_ = nullptr;
  queries_ = nullptr;
  ExpectEndsWhole();
}

}  // namespace
}  // namespace leftfold
