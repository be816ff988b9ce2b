// Command sessions over real gRPC, on the commands of rooms.
#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "core/registry.h"
#include "leftfold/commands/v1/command_session.grpc.pb.h"
#include "leftfold/rooms/v1/commands.pb.h"
#include "server/app.h"
#include "testing/grpc_error.h"
#include "testing/temporary_folder.h"
#include "tests/integration/started_app.h"

namespace leftfold {
namespace {

using commands::v1::CommandResult;
using commands::v1::CommandSessionRequest;
using commands::v1::CommandSessionResponse;
using commands::v1::SessionCommand;
using testing::ErrorOf;
using testing::GrpcError;

class CommandSessionTest : public ::testing::Test {
 protected:
  CommandSessionTest() {
    RegisterAllDomains(registry_);
    app_ = testing::StartedApp(registry_, testing::OptionsOn(folder_.path()));
    stub_ = commands::v1::CommandSessionService::NewStub(
        grpc::CreateChannel(app_->write_address(), grpc::InsecureChannelCredentials()));
  }

  static SessionCommand CommandOf(std::uint64_t id, const google::protobuf::Message& request) {
    SessionCommand command;
    command.set_id(id);
    command.mutable_command()->PackFrom(request);
    return command;
  }
  static SessionCommand Create(std::uint64_t id, const std::string& room,
                               const std::string& command_id = "") {
    rooms::v1::CreateRoomRequest request;
    request.set_room_id(room);
    request.set_name("Room " + room);
    request.set_command_id(command_id);
    return CommandOf(id, request);
  }
  static SessionCommand Rename(std::uint64_t id, const std::string& room, const std::string& name) {
    rooms::v1::RenameRoomRequest request;
    request.set_room_id(room);
    request.set_name(name);
    return CommandOf(id, request);
  }
  // Sends the commands in one message, and gets all answers.
  std::map<std::uint64_t, CommandResult> Send(const std::vector<SessionCommand>& commands) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(60)));
    const auto session = stub_->CommandSession(&context);
    CommandSessionRequest request;
    for (const SessionCommand& command : commands) *request.add_commands() = command;
    EXPECT_TRUE(session->Write(request));
    session->WritesDone();
    std::map<std::uint64_t, CommandResult> results;
    CommandSessionResponse response;
    while (session->Read(&response)) {
      for (const CommandResult& result : response.results())
        EXPECT_TRUE(results.emplace(result.id(), result).second) << "answered twice";
    }
    EXPECT_TRUE(session->Finish().ok());
    return results;
  }
  static GrpcError Refusal(const CommandResult& result) {
    return ErrorOf(grpc::Status(static_cast<grpc::StatusCode>(result.error().code()),
                                result.error().message(), result.error().SerializeAsString()));
  }

  testing::TemporaryFolder folder_;
  Registry registry_;
  std::unique_ptr<App> app_;
  std::unique_ptr<commands::v1::CommandSessionService::Stub> stub_;
};

TEST_F(CommandSessionTest, CommandsOnOneAggregateAreDecidedInTheirOrder) {
  const auto results =
      Send({Create(1, "oak"), Rename(2, "oak", "Elm"), Rename(3, "oak", "Ash"), Create(4, "fir")});
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(results.at(1).receipt().version(), 0);
  EXPECT_EQ(results.at(2).receipt().version(), 1);
  EXPECT_EQ(results.at(3).receipt().version(), 2);
  EXPECT_EQ(results.at(4).receipt().aggregate_id(), "fir");
}

TEST_F(CommandSessionTest, ARefusedCommandIsAnsweredAsItsRpcWouldAndTheNextGoesOn) {
  rooms::v1::RenameRoomRequest unknown_field;
  unknown_field.set_room_id("oak");
  unknown_field.GetReflection()->MutableUnknownFields(&unknown_field)->AddVarint(99, 1);
  SessionCommand malformed = Rename(6, "oak", "Elm");
  malformed.mutable_command()->set_value("\xff");
  const auto results =
      Send({Rename(1, "oak", "Elm"), Create(2, "oak"), Create(3, "oak"),
            CommandOf(4, core::v1::CommandReceipt()), CommandOf(5, unknown_field), malformed,
            CommandOf(7, rooms::v1::CreateRoomRequest()), SessionCommand()});
  EXPECT_EQ(Refusal(results.at(1)).reason, "ROOM_NOT_FOUND");
  EXPECT_TRUE(results.at(2).has_receipt());
  EXPECT_EQ(Refusal(results.at(3)).reason, "ROOM_EXISTS");
  const GrpcError unknown = Refusal(results.at(4));
  EXPECT_EQ(unknown.reason, "UNKNOWN_COMMAND");
  EXPECT_EQ(unknown.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(unknown.metadata.at("type"), "leftfold.core.v1.CommandReceipt");
  EXPECT_EQ(Refusal(results.at(5)).reason, "UNKNOWN_FIELD");
  EXPECT_EQ(Refusal(results.at(6)).reason, "MALFORMED_REQUEST");
  EXPECT_EQ(Refusal(results.at(7)).code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Refusal(results.at(0)).reason, "UNKNOWN_COMMAND");
}

TEST_F(CommandSessionTest, ACommandSentAgainInAnotherSessionGetsItsReceiptAgain) {
  const auto first = Send({Create(1, "oak", "c-1")});
  const auto again = Send({Create(9, "oak", "c-1")});
  EXPECT_FALSE(first.at(1).receipt().duplicate());
  EXPECT_TRUE(again.at(9).receipt().duplicate());
  EXPECT_EQ(again.at(9).receipt().position(), first.at(1).receipt().position());
}

TEST_F(CommandSessionTest, ManyMessagesArePipelinedAndTheirAnswersComeTogether) {
  constexpr int kMessages = 100, kEach = 50;
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(60)));
  const auto session = stub_->CommandSession(&context);
  std::set<std::uint64_t> answered;
  int messages = 0;
  std::jthread reading([&] {
    CommandSessionResponse response;
    for (; session->Read(&response); ++messages) {
      for (const CommandResult& result : response.results()) {
        EXPECT_TRUE(answered.insert(result.id()).second) << "answered twice";
        EXPECT_TRUE(result.has_receipt()) << result.error().message();
      }
    }
  });
  std::uint64_t id = 0;
  for (int m = 0; m < kMessages; ++m) {
    CommandSessionRequest request;
    for (int i = 0; i < kEach; ++i) {
      ++id;
      const std::string room = "r" + std::to_string(i);
      *request.add_commands() =
          m == 0 ? Create(id, room) : Rename(id, room, "name " + std::to_string(m));
    }
    ASSERT_TRUE(session->Write(request));
  }
  session->WritesDone();
  reading.join();
  EXPECT_TRUE(session->Finish().ok());
  EXPECT_EQ(answered.size(), static_cast<std::size_t>(kMessages) * kEach);
  EXPECT_LT(messages, kMessages * kEach / 2) << "answers are coalesced";
}

TEST_F(CommandSessionTest, AStoppingServerAnswersTheSessionsCommandsAndEndsIt) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(60)));
  const auto session = stub_->CommandSession(&context);
  CommandSessionRequest request;
  *request.add_commands() = Create(7, "oak");
  ASSERT_TRUE(session->Write(request));
  CommandSessionResponse response;
  ASSERT_TRUE(session->Read(&response));
  EXPECT_EQ(response.results(0).id(), 7u);
  std::jthread stop([this] { app_->StopWriteSide(); });
  EXPECT_FALSE(session->Read(&response));
  EXPECT_EQ(ErrorOf(session->Finish()).reason, "STOPPING");
}

}  // namespace
}  // namespace leftfold
