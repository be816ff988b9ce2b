// Webhooks of the real server to the example function of docs/examples, in a real Python: what the
// function answers is done once, in order, whoever of the two is killed meanwhile.
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <future>
#include <iterator>
#include <memory>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "leftfold/admin/v1/webhooks.grpc.pb.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "leftfold/store/v1/event_store.grpc.pb.h"
#include "server/http_client.h"
#include "testing/child_process.h"
#include "testing/grpc_error.h"
#include "testing/reserved_port.h"
#include "testing/rooms_client.h"
#include "testing/temporary_folder.h"

namespace leftfold {
namespace {

using admin::v1::WebhookService;
using ::testing::AllOf;
using testing::ChildProcess;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::RoomsClient;
using testing::ServerProcess;

constexpr char kGuide[] = LEFTFOLD_SOURCE_DIR "/docs/guide/webhooks.md";

std::string Guide() {
  std::ifstream file(kGuide);
  EXPECT_TRUE(file) << kGuide;
  return {std::istreambuf_iterator<char>(file), {}};
}

// What the guide says to start the function with.
std::string LineThatServes() {
  std::smatch found;
  const std::string guide = Guide();
  EXPECT_TRUE(std::regex_search(guide, found, std::regex("\n(WEBHOOK_SECRET=.*--serve) 8099\n")));
  return found[1];
}

class WebhookExample : public ::testing::Test {
 protected:
  WebhookExample() { StartServer(); }

  void StartServer() {
    server_.emplace(LEFTFOLD_BINARY, folder_.path() + "/data");
    client_.emplace(server_->write_address, server_->read_address);
  }
  void KillServer() {
    server_->process.Kill(SIGKILL);
    server_->process.Wait();
    server_.reset();
  }
  void StartFunction() {
    function_.emplace(std::vector<std::string>{
        "/bin/bash", "-c",
        "cd '" LEFTFOLD_SOURCE_DIR "' && exec env " + LineThatServes() + " " + port_});
    ASSERT_EQ(function_->ValueAfter("listening on "), port_);
  }
  void KillFunction() {
    function_->Kill(SIGKILL);
    function_->Wait();
    function_.reset();
  }

  // The webhook of the guide, with this port and short delays.
  void CreateWebhook() {
    std::smatch found;
    const std::string guide = Guide();
    ASSERT_TRUE(std::regex_search(guide, found, std::regex("-d '(\\{\"webhook\": [^']*)'")));
    admin::v1::CreateWebhookRequest request;
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(found[1].str(), &request).ok());
    admin::v1::Webhook& webhook = *request.mutable_webhook();
    webhook.set_url("http://127.0.0.1:" + port_ + "/");
    webhook.add_event_types("leftfold.rooms.v1.RoomRenamed");
    webhook.mutable_retry()->set_attempts(100);
    webhook.mutable_retry()->mutable_first_delay()->set_nanos(10'000'000);
    webhook.mutable_retry()->mutable_ceiling()->set_nanos(200'000'000);
    const grpc::Status status = Send(request);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  grpc::Status Send(const admin::v1::CreateWebhookRequest& request) {
    admin::v1::CreateWebhookResponse response;
    grpc::ClientContext context;
    const auto stub = WebhookService::NewStub(
        grpc::CreateChannel(server_->admin_address, grpc::InsecureChannelCredentials()));
    return stub->CreateWebhook(&context, request, &response);
  }

  void Create(const std::string& id, const std::string& name) {
    rooms::v1::CreateRoomRequest request;
    request.set_room_id(id);
    request.set_name(name);
    rooms::v1::CreateRoomResponse response;
    const grpc::Status status = client_->Call(request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    position_ = response.receipt().position();
  }
  void Rename(const std::string& id, const std::string& name) {
    rooms::v1::RenameRoomRequest request;
    request.set_room_id(id);
    request.set_name(name);
    rooms::v1::RenameRoomResponse response;
    const grpc::Status status = client_->Call(request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    position_ = response.receipt().position();
  }
  // Returns when the room has the description.
  void AwaitDescription(const std::string& id, const std::string& description) {
    rooms::v1::WatchRoomRequest request;
    request.set_room_id(id);
    request.set_min_position(position_);
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + RoomsClient::kDeadline));
    const auto watch = client_->queries().WatchRoom(&context, request);
    rooms::v1::WatchRoomResponse seen;
    while (watch->Read(&seen)) {
      if (seen.room().description() == description) return context.TryCancel();
    }
    ADD_FAILURE() << id << ": " << seen.room().description() << " instead of " << description;
  }
  // All descriptions that the room has had, in their order.
  std::vector<std::string> Descriptions(const std::string& id) {
    store::v1::ReadStreamRequest request;
    request.set_stream("room-" + id);
    const auto stub = store::v1::EventStoreService::NewStub(
        grpc::CreateChannel(server_->write_address, grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    const auto reader = stub->ReadStream(&context, request);
    std::vector<std::string> descriptions;
    store::v1::ReadStreamResponse page;
    while (reader->Read(&page)) {
      for (const core::v1::RecordedEvent& event : page.events()) {
        rooms::v1::RoomDescriptionChanged changed;
        if (!event.message().UnpackTo(&changed)) continue;
        descriptions.push_back(changed.description());
        EXPECT_THAT(event.command_id(), HasSubstr("lf:webhook.describe_rooms.1:"));
      }
    }
    return descriptions;
  }

  testing::TemporaryFolder folder_;
  std::optional<ServerProcess> server_;
  std::optional<RoomsClient> client_;
  std::optional<ChildProcess> function_;
  const testing::ReservedPort reserved_;
  std::string port_ = std::to_string(reserved_.number());
  std::string position_;  // Of the last command.
};

TEST_F(WebhookExample, DescribesEveryRoomOnceAndInOrderWhoeverIsKilled) {
  StartFunction();
  CreateWebhook();
  Create("a", "A");
  AwaitDescription("a", "A, open to all");

  KillFunction();
  Create("b", "B1");
  Rename("b", "B2");
  Rename("a", "A2");
  KillServer();
  StartServer();
  Rename("b", "B3");
  StartFunction();
  AwaitDescription("b", "B3, open to all");
  AwaitDescription("a", "A2, open to all");

  KillServer();
  StartServer();
  Rename("a", "A3");
  AwaitDescription("a", "A3, open to all");
  EXPECT_THAT(Descriptions("a"),
              ElementsAre("A, open to all", "A2, open to all", "A3, open to all"));
  EXPECT_THAT(Descriptions("b"),
              ElementsAre("B1, open to all", "B2, open to all", "B3, open to all"));
}

TEST_F(WebhookExample, AFileWithFaultsStopsTheStart) {
  KillServer();
  std::ofstream(folder_.path() + "/data/webhooks.json") << R"({"webhooks": [{"name": "A"}]})";
  const testing::Ran ran = testing::RunShell(fmt::format(
      "{}", fmt::join(ServerProcess::CommandOf(LEFTFOLD_BINARY, folder_.path() + "/data"), " ")));
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.output, AllOf(HasSubstr("/data/webhooks.json cannot be used"),
                                HasSubstr("webhooks[0].name"), HasSubstr("webhooks[0].url")));
}

TEST_F(WebhookExample, IsRefusedWithAReasonAndAllViolations) {
  admin::v1::CreateWebhookRequest request;
  request.mutable_webhook()->set_name("a b");
  const testing::GrpcError error = testing::ErrorOf(Send(request));
  EXPECT_EQ(error.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(error.reason, "INVALID_FIELDS");
  EXPECT_EQ(error.field_violations, 3);
  port_ = "1";
  CreateWebhook();
  request.mutable_webhook()->set_name("describe_rooms");
  request.mutable_webhook()->add_event_types("x.Y");
  request.mutable_webhook()->set_url("http://127.0.0.1/");
  EXPECT_EQ(testing::ErrorOf(Send(request)).reason, "WEBHOOK_EXISTS");
}

TEST_F(WebhookExample, RefusesWhatIsNotSignedWithItsSecret) {
  StartFunction();
  CurlHttpClient client;
  for (const HttpHeaders& headers :
       {HttpHeaders{}, HttpHeaders{{"X-Leftfold-Signature", "t=1767225600,v1=00"}}}) {
    std::promise<absl::StatusOr<HttpReply>> answer;
    client.Send({.method = "POST",
                 .url = "http://127.0.0.1:" + port_ + "/",
                 .headers = headers,
                 .body = "{}"},
                [&](absl::StatusOr<HttpReply> reply) { answer.set_value(std::move(reply)); });
    const absl::StatusOr<HttpReply> reply = answer.get_future().get();
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->status, 401);
    EXPECT_THAT(reply->body, HasSubstr("the signature is not ours"));
  }
}

}  // namespace
}  // namespace leftfold
