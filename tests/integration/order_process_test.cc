// An order from placing to delivery, over real gRPC, files, threads and a payment provider over
// HTTP.

#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>

#include "core/registry.h"
#include "core/webhook_signature.h"
#include "leftfold/admin/v1/reactors.grpc.pb.h"
#include "leftfold/orders/v1/commands.grpc.pb.h"
#include "leftfold/orders/v1/queries.grpc.pb.h"
#include "server/app.h"
#include "server/http_client.h"
#include "server/inbound_server.h"
#include "testing/parse.h"
#include "testing/temporary_folder.h"
#include "tools/simulate_payments.h"

namespace leftfold {
namespace {

using ::testing::HasSubstr;
using testing::Parse;

class OrderProcessOverGrpc : public ::testing::Test {
 protected:
  OrderProcessOverGrpc() { RegisterAllDomains(registry_); }

  void Start(const HttpServices& services) {
    ServeOptions options;
    options.data = folder_.path();
    options.write_listen = options.read_listen = options.admin_listen = "127.0.0.1:0";
    options.inbound_listen = "127.0.0.1:0";
    options.services = services;
    auto app = App::Start(registry_, options);
    ASSERT_TRUE(app.ok()) << app.status();
    app_ = *std::move(app);
    const auto credentials = grpc::InsecureChannelCredentials();
    const auto write = grpc::CreateChannel(app_->write_address(), credentials);
    restaurants_ = orders::v1::RestaurantCommandService::NewStub(write);
    agents_ = orders::v1::AgentCommandService::NewStub(write);
    orders_ = orders::v1::OrderCommandService::NewStub(write);
    queries_ = orders::v1::OrderQueryService::NewStub(
        grpc::CreateChannel(app_->read_address(), credentials));
    reactors_ =
        admin::v1::ReactorService::NewStub(grpc::CreateChannel(app_->admin_address(), credentials));
  }

  static void SetDeadline(grpc::ClientContext& context) {
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(60)));
  }
  template <class Service, class Request, class Response>
  void Do(Service& service,
          grpc::Status (Service::*rpc)(grpc::ClientContext*, const Request&, Response*),
          const std::string& text) {
    grpc::ClientContext context;
    SetDeadline(context);
    Response response;
    const grpc::Status status = (service.*rpc)(&context, Parse<Request>(text), &response);
    ASSERT_TRUE(status.ok()) << text << ": " << status.error_message();
    position_ = response.receipt().position();
  }
  void OpenAndOrder() {
    Do(*restaurants_, &orders::v1::RestaurantCommandService::Stub::RegisterRestaurant,
       "restaurant_id: 'roma' name: 'Roma' currency: 'EUR' approval_mode: APPROVAL_MODE_AUTO");
    Do(*restaurants_, &orders::v1::RestaurantCommandService::Stub::AddMenuItem,
       "restaurant_id: 'roma' item_id: 'pizza' name: 'Pizza' price_minor: 900");
    Do(*restaurants_, &orders::v1::RestaurantCommandService::Stub::OpenRestaurant,
       "restaurant_id: 'roma'");
    Do(*agents_, &orders::v1::AgentCommandService::Stub::RegisterAgent,
       "agent_id: 'bo' name: 'Bo'");
    Do(*agents_, &orders::v1::AgentCommandService::Stub::AgentGoOnline, "agent_id: 'bo'");
    Do(*orders_, &orders::v1::OrderCommandService::Stub::PlaceOrder,
       "order_id: 'o1' customer_id: 'ada' restaurant_id: 'roma' address: 'here' "
       "lines { item_id: 'pizza' qty: 2 }");
  }
  void Pay() {
    Do(*orders_, &orders::v1::OrderCommandService::Stub::PayForOrder,
       "order_id: 'o1' customer_id: 'ada' payment_id: 'p1' method_type: 'card' "
       "payment_token: 'tok_charged_no_answer' amount_minor: 1800");
  }
  // Waits until the order is there.
  void Await(orders::v1::OrderStatus status) {
    grpc::ClientContext context;
    SetDeadline(context);
    orders::v1::WatchOrderRequest request;
    request.set_order_id("o1");
    request.set_min_position(position_);
    const auto watch = queries_->WatchOrder(&context, request);
    orders::v1::WatchOrderResponse response;
    orders::v1::OrderStatus seen = orders::v1::ORDER_STATUS_UNSPECIFIED;
    while (seen != status && watch->Read(&response)) {
      if (response.has_order()) seen = response.order().status();
    }
    EXPECT_EQ(orders::v1::OrderStatus_Name(seen), orders::v1::OrderStatus_Name(status));
    context.TryCancel();
  }

  // The status that the server answers a message of the provider with.
  int Tell(const std::string& path, const std::string& body, const std::string& secret,
           const std::string& method = "POST") {
    std::promise<int> status;
    http_.Send({.method = method,
                .url = "http://" + app_->inbound_address() + path,
                .headers = {{std::string(kWebhookSignatureHeader),
                             WebhookSignature(secret, absl::Now(), body)}},
                .body = body},
               [&](const absl::StatusOr<HttpReply>& reply) {
                 status.set_value(reply.ok() ? reply->status : 0);
               });
    return status.get_future().get();
  }

  CurlHttpClient http_;
  testing::TemporaryFolder folder_;
  Registry registry_;
  std::unique_ptr<App> app_;
  std::unique_ptr<orders::v1::RestaurantCommandService::Stub> restaurants_;
  std::unique_ptr<orders::v1::AgentCommandService::Stub> agents_;
  std::unique_ptr<orders::v1::OrderCommandService::Stub> orders_;
  std::unique_ptr<orders::v1::OrderQueryService::Stub> queries_;
  std::unique_ptr<admin::v1::ReactorService::Stub> reactors_;
  std::string position_;
};

TEST_F(OrderProcessOverGrpc, BringsAnOrderFromPlacingToDelivery) {
  tools::SimulatePaymentsOptions options;
  options.listen = "127.0.0.1:0";
  options.hold = absl::ZeroDuration();
  const auto provider = tools::PaymentsServer::Start(options);
  ASSERT_TRUE(provider.ok()) << provider.status();
  Start({{"payments", {"http://" + (*provider)->address(), "sk_test"}}});
  OpenAndOrder();
  Await(orders::v1::ORDER_STATUS_AWAITING_PAYMENT);
  Pay();
  Await(orders::v1::ORDER_STATUS_AGENT_ASSIGNED);
  Do(*orders_, &orders::v1::OrderCommandService::Stub::ConfirmPickup,
     "order_id: 'o1' agent_id: 'bo'");
  Do(*orders_, &orders::v1::OrderCommandService::Stub::ConfirmDelivery,
     "order_id: 'o1' agent_id: 'bo'");
  Await(orders::v1::ORDER_STATUS_DELIVERED);
  EXPECT_EQ((*provider)->stats().charges_succeeded(), 1);
  EXPECT_EQ((*provider)->stats().captured_minor(), 1800);
}

// The provider charges, but none of its answers arrives; it tells by its webhook.
TEST_F(OrderProcessOverGrpc, HearsOfAPaymentByTheProvidersWebhook) {
  Start({{"payments",
          {.url = "http://127.0.0.1:1", .api_key = "sk_test", .webhook_secret = "whsec"}}});
  OpenAndOrder();
  Await(orders::v1::ORDER_STATUS_AWAITING_PAYMENT);
  Pay();
  Await(orders::v1::ORDER_STATUS_PAYMENT_PROCESSING);
  tools::PaymentSimulator provider({.webhooks = true});
  provider.Handle({.method = "POST",
                   .path = "/v1/charges",
                   .authorization = "Bearer sk_test",
                   .idempotency_key = "p1",
                   .body = R"({"amount_minor": 1800, "currency": "EUR", "token": "tok_visa"})"},
                  absl::Now());
  const auto told = provider.TakeDue(1, absl::Now());
  ASSERT_EQ(told.size(), 1u);
  const std::string& body = told[0].body;
  EXPECT_EQ(Tell("/payments", body, "other"), 401);
  EXPECT_EQ(Tell("/payments", "{}", "whsec"), 400);
  EXPECT_EQ(Tell("/payments", std::string(kInboundBodyBytesMax + 1, 'x'), "whsec"), 413);
  EXPECT_EQ(Tell("/else", body, "whsec"), 404);
  EXPECT_EQ(Tell("/payments", body, "whsec", "PUT"), 405);
  Await(orders::v1::ORDER_STATUS_PAYMENT_PROCESSING);
  EXPECT_EQ(Tell("/payments", body, "whsec"), 200);
  EXPECT_EQ(Tell("/payments", body, "whsec"), 200);
  Await(orders::v1::ORDER_STATUS_AGENT_ASSIGNED);
}

TEST_F(OrderProcessOverGrpc, HearsNobodyWithoutASecret) {
  Start({});
  EXPECT_EQ(Tell("/payments", "{}", ""), 503);
}

TEST_F(OrderProcessOverGrpc, SaysWhatToSetWhereThereIsNoProvider) {
  Start({});
  OpenAndOrder();
  Await(orders::v1::ORDER_STATUS_AWAITING_PAYMENT);
  Pay();
  Await(orders::v1::ORDER_STATUS_PAYMENT_PROCESSING);
  grpc::ClientContext context;
  SetDeadline(context);
  admin::v1::WatchErrorsRequest request;
  request.set_after_position(0);
  const auto watch = reactors_->WatchErrors(&context, request);
  admin::v1::WatchErrorsResponse error;
  ASSERT_TRUE(watch->Read(&error));
  EXPECT_EQ(error.parked().reactor(), "charge_payment");
  EXPECT_EQ(error.parked().attempts(), 1);
  EXPECT_THAT(error.parked().error(), HasSubstr("LEFTFOLD_PAYMENTS_URL"));
  context.TryCancel();
}

}  // namespace
}  // namespace leftfold
