// Webhooks are made, changed, listed and deleted on many threads while they deliver: what is
// answered is so, and the server ends in time.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/registry.h"
#include "leftfold/admin/v1/reactors.grpc.pb.h"
#include "leftfold/admin/v1/webhooks.grpc.pb.h"
#include "server/app.h"
#include "testing/grpc_error.h"
#include "testing/rooms_client.h"
#include "testing/temporary_folder.h"
#include "tests/integration/started_app.h"

namespace leftfold {
namespace {

using admin::v1::ReactorService;
using admin::v1::WebhookService;
using ::testing::ElementsAre;

class WebhookThreads : public ::testing::Test {
 protected:
  WebhookThreads() {
    RegisterAllDomains(registry_);
    Start();
  }
  void Start() {
    app_ = testing::StartedApp(registry_, testing::OptionsOn(folder_.path()));
    channel_ = grpc::CreateChannel(app_->admin_address(), grpc::InsecureChannelCredentials());
    stub_ = WebhookService::NewStub(channel_);
  }
  grpc::Status Create(const std::string& name) {
    admin::v1::CreateWebhookRequest request;
    *request.mutable_webhook() = Hook(name);
    admin::v1::CreateWebhookResponse response;
    grpc::ClientContext context;
    return stub_->CreateWebhook(&context, request, &response);
  }
  grpc::Status Update(const std::string& name) {
    admin::v1::UpdateWebhookRequest request;
    *request.mutable_webhook() = Hook(name);
    admin::v1::UpdateWebhookResponse response;
    grpc::ClientContext context;
    return stub_->UpdateWebhook(&context, request, &response);
  }
  grpc::Status Delete(const std::string& name) {
    admin::v1::DeleteWebhookRequest request;
    request.set_name(name);
    admin::v1::DeleteWebhookResponse response;
    grpc::ClientContext context;
    return stub_->DeleteWebhook(&context, request, &response);
  }
  std::vector<std::string> Listed() {
    admin::v1::ListWebhooksResponse response;
    grpc::ClientContext context;
    EXPECT_TRUE(stub_->ListWebhooks(&context, {}, &response).ok());
    std::vector<std::string> names;
    for (const admin::v1::Webhook& webhook : response.webhooks()) names.push_back(webhook.name());
    return names;
  }
  int Reactors() {
    admin::v1::ListReactorsResponse response;
    grpc::ClientContext context;
    EXPECT_TRUE(ReactorService::NewStub(channel_)->ListReactors(&context, {}, &response).ok());
    return response.reactors_size();
  }
  // Nobody listens on port 1: every call fails at once.
  static admin::v1::Webhook Hook(const std::string& name) {
    admin::v1::Webhook webhook;
    webhook.set_name(name);
    webhook.add_event_types("leftfold.rooms.v1.RoomCreated");
    webhook.set_url("http://127.0.0.1:1/");
    webhook.set_start(admin::v1::Webhook::START_BEGINNING);
    webhook.mutable_retry()->mutable_first_delay()->set_nanos(1'000'000);
    return webhook;
  }

  testing::TemporaryFolder folder_;
  Registry registry_;
  std::unique_ptr<App> app_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<WebhookService::Stub> stub_;
};

TEST_F(WebhookThreads, ChangeThemWhileTheyDeliver) {
  constexpr int kRounds = 10;
  {
    std::vector<std::jthread> threads;
    for (const std::string name : {"a", "b", "c"}) {
      threads.emplace_back([this, name] {
        for (int i = 0; i < kRounds; ++i) {
          EXPECT_TRUE(Create(name).ok());
          EXPECT_EQ(Create(name).error_code(), grpc::StatusCode::ALREADY_EXISTS);
          EXPECT_TRUE(Update(name).ok());
          EXPECT_THAT(Listed(), ::testing::Contains(name));
          if (i + 1 == kRounds && name != "c") continue;
          EXPECT_TRUE(Delete(name).ok());
        }
      });
    }
    threads.emplace_back([this] {
      testing::RoomsClient client(app_->write_address(), app_->read_address());
      for (int i = 0; i < 10 * kRounds; ++i) {
        rooms::v1::CreateRoomRequest request;
        request.set_name("Oak");
        rooms::v1::CreateRoomResponse response;
        EXPECT_TRUE(client.Call(request, &response).ok());
        Reactors();
      }
    });
  }
  EXPECT_THAT(Listed(), ElementsAre("a", "b"));
  const int reactors = Reactors();
  app_->Stop();
  app_.reset();
  Start();
  EXPECT_THAT(Listed(), ElementsAre("a", "b"));
  EXPECT_EQ(Reactors(), reactors);
}

using WebhooksOverGrpc = WebhookThreads;

TEST_F(WebhooksOverGrpc, WithFieldsThatAreUnknownAreRefused) {
  admin::v1::CreateWebhookRequest create;
  *create.mutable_webhook() = Hook("a");
  auto* webhook = create.mutable_webhook();
  webhook->GetReflection()->MutableUnknownFields(webhook)->AddVarint(1'000, 1);
  admin::v1::CreateWebhookResponse created;
  grpc::ClientContext context;
  EXPECT_EQ(testing::ErrorOf(stub_->CreateWebhook(&context, create, &created)).reason,
            "UNKNOWN_FIELD");
  EXPECT_THAT(Listed(), ElementsAre());
  ASSERT_TRUE(Create("a").ok());
  admin::v1::UpdateWebhookRequest update;
  *update.mutable_webhook() = *webhook;
  admin::v1::UpdateWebhookResponse updated;
  grpc::ClientContext other;
  EXPECT_EQ(testing::ErrorOf(stub_->UpdateWebhook(&other, update, &updated)).reason,
            "UNKNOWN_FIELD");
}

}  // namespace
}  // namespace leftfold
