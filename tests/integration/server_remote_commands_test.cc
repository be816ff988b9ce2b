// Commands to the process that writes, as that process sees them, and what becomes of those that it
// does not answer.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/registry.h"
#include "core/reject.h"
#include "leftfold/rooms/v1/commands.grpc.pb.h"
#include "rpc/status.h"
#include "server/remote_commands.h"
#include "server/thread_pool.h"

namespace leftfold {
namespace {

using ReceiptOrStatus = absl::StatusOr<core::v1::CommandReceipt>;

// Gives each call of CreateRoom the next answer of its script, then accepts.
class Writer final : public rooms::v1::RoomCommandService::Service {
 public:
  grpc::Status CreateRoom(grpc::ServerContext* context, const rooms::v1::CreateRoomRequest* request,
                          rooms::v1::CreateRoomResponse* response) override {
    id = request->command_id();
    for (const auto& [name, value] : context->client_metadata()) {
      headers[std::string(name.data(), name.size())] = std::string(value.data(), value.size());
    }
    const std::size_t call = calls++;
    if (call < script.size()) return script[call];
    response->mutable_receipt()->set_aggregate_id(request->room_id());
    return grpc::Status::OK;
  }

  std::vector<grpc::Status> script;
  std::atomic<std::size_t> calls = 0;
  std::string id;
  std::map<std::string, std::string> headers;
};

class RemoteCommandsTest : public ::testing::Test {
 protected:
  RemoteCommandsTest() {
    RegisterAllDomains(registry_);
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&writer_);
    server_ = builder.BuildAndStart();
    commands_ =
        std::make_unique<RemoteCommands>(grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                                                             grpc::InsecureChannelCredentials()),
                                         "secret", pool_);
  }
  ~RemoteCommandsTest() override {
    commands_->Stop();
    pool_.Stop();
  }
  ReceiptOrStatus Send(std::unique_ptr<google::protobuf::Message> command, bool trusted = true) {
    const CommandEntry* entry = registry_.FindCommand(command->GetDescriptor()->full_name());
    std::promise<ReceiptOrStatus> answer;
    commands_->Handle(*entry, std::move(command),
                      {.actor = "reactor:ticker",
                       .correlation_id = correlation_id_,
                       .causation_id = "event",
                       .traceparent = "",
                       .headers = {},
                       .trusted = trusted},
                      [&](ReceiptOrStatus given) { answer.set_value(std::move(given)); });
    return answer.get_future().get();
  }
  ReceiptOrStatus Create() {
    auto command = std::make_unique<rooms::v1::CreateRoomRequest>();
    command->set_room_id("oak");
    command->set_command_id("lf:ticker:7:0");
    return Send(std::move(command));
  }

  std::string correlation_id_ = "all";
  Registry registry_;
  Writer writer_;
  std::unique_ptr<grpc::Server> server_;
  ThreadPool pool_{"pool", 1};
  std::unique_ptr<RemoteCommands> commands_;
};

TEST_F(RemoteCommandsTest, SendWhatTheWriterWouldHaveKnown) {
  const ReceiptOrStatus answer = Create();
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->aggregate_id(), "oak");
  EXPECT_EQ(writer_.id, "lf:ticker:7:0");
  EXPECT_EQ(writer_.headers.at("authorization"), "Bearer secret");
  EXPECT_EQ(writer_.headers.at("lf-reactor"), "reactor:ticker");
  EXPECT_EQ(writer_.headers.at("x-correlation-id"), "all");
  EXPECT_EQ(writer_.headers.at("x-causation-id"), "event");
  EXPECT_FALSE(writer_.headers.contains("traceparent"));
}

TEST_F(RemoteCommandsTest, AreSentAgainUntilTheyAreAnswered) {
  writer_.script = {{grpc::StatusCode::UNAVAILABLE, "Socket closed"},
                    rpc::ToGrpc(Reject(core::v1::ERROR_REASON_STOPPING, "the server is stopping")),
                    {grpc::StatusCode::CANCELLED, "gone"}};
  EXPECT_TRUE(Create().ok());
  EXPECT_EQ(writer_.calls, 4u);
}

TEST_F(RemoteCommandsTest, GiveRefusalsAsTheyAre) {
  writer_.script = {rpc::ToGrpc(Reject(core::v1::ERROR_REASON_QUEUE_FULL, "come back")),
                    rpc::ToGrpc(Reject(core::v1::ERROR_REASON_VERSION_CONFLICT, "too late"))};
  const ReceiptOrStatus full = Create();
  EXPECT_EQ(full.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(full.status()), "QUEUE_FULL");
  EXPECT_EQ(ReasonOf(Create().status()), "VERSION_CONFLICT");
  EXPECT_EQ(writer_.calls, 2u);
}

TEST_F(RemoteCommandsTest, TakeAWriterWithAnotherTokenForAFaultAndNotForAResult) {
  writer_.script = {rpc::ToGrpc(Reject(core::v1::ERROR_REASON_TOKEN_REQUIRED, "no token")),
                    rpc::ToGrpc(Reject(core::v1::ERROR_REASON_COMMAND_ID_RESERVED, "lf:"))};
  for (int n = 0; n < 2; ++n) {
    const absl::Status status = Create().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("`token`"));
  }
}

// Raw appends may store such ids.
TEST_F(RemoteCommandsTest, LeaveOutAnIdThatIsNoHeader) {
  for (const std::string& id : {std::string("\xC3\xBC"), std::string(20'000, 'a')}) {
    correlation_id_ = id;
    writer_.headers.clear();
    EXPECT_TRUE(Create().ok());
    EXPECT_FALSE(writer_.headers.contains("x-correlation-id"));
  }
}

TEST_F(RemoteCommandsTest, RefuseSystemCommandsOfWhoIsNotTrusted) {
  const ReceiptOrStatus answer = Send(std::make_unique<rooms::v1::StartSessionRequest>(), false);
  EXPECT_EQ(ReasonOf(answer.status()), "TOKEN_REQUIRED");
}

}  // namespace
}  // namespace leftfold
