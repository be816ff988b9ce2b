// A real server whose disk is really full, and then is not.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "leftfold/admin/v1/admin.grpc.pb.h"
#include "testing/grpc_error.h"
#include "testing/rooms_client.h"
#include "testing/small_disk.h"
#include "testing/store_client.h"

namespace leftfold {
namespace {

using testing::ErrorOf;
using testing::GrpcError;
using testing::JsonRecord;
using testing::NewContext;

constexpr int kDiskFills = 2;
constexpr std::int64_t kLeft = 6 << 20;  // For the appends of a round.
constexpr std::size_t kLarge = 100'000;
constexpr int kAppendsMax = 1'000;  // Far more than fit.

class DiskFull : public ::testing::Test {
 protected:
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
    do {
      status = rooms_->Call(request, &response);
    } while (ErrorOf(status).reason == "READ_MODEL_BEHIND" ||
             ErrorOf(status).reason == "VIEW_STOPPED");
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.room().name();
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
  for (int round = 0; round < kDiskFills; ++round) {
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
  testing::Ran verified = testing::ChildProcess(disk_.Inside({LEFTFOLD_BINARY, "verify", "--data",
                                                              disk_.path() + "/data"}))
                              .Finish();
  EXPECT_EQ(verified.exit_code, 0) << verified.output;
  // The server's end waits for connections to close, which those without calls never see to.
  store_ = nullptr;
  admin_ = nullptr;
  rooms_ = nullptr;
  server_.process.Kill(SIGTERM);
  EXPECT_EQ(server_.process.Wait(), 0);
}

}  // namespace
}  // namespace leftfold
