// Orders over real gRPC on real files: batches of commands, and customers found by their names.
#include <absl/time/clock.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <set>
#include <string>

#include "core/registry.h"
#include "leftfold/orders/v1/commands.grpc.pb.h"
#include "server/app.h"
#include "server/command_service.h"
#include "testing/grpc_error.h"
#include "testing/temporary_folder.h"
#include "tests/integration/started_app.h"

namespace leftfold {
namespace {

using testing::ErrorOf;
using testing::GrpcError;

class OrdersOverGrpc : public ::testing::Test {
 protected:
  OrdersOverGrpc() {
    RegisterAllDomains(registry_);
    StartServer();
  }

  void StartServer() {
    app_.reset();
    app_ = testing::StartedApp(registry_, testing::OptionsOn(folder_.path()));
    const auto channel =
        grpc::CreateChannel(app_->write_address(), grpc::InsecureChannelCredentials());
    customers_ = orders::v1::CustomerCommandService::NewStub(channel);
    orders_ = orders::v1::OrderCommandService::NewStub(channel);
    process_ = orders::v1::OrderProcessCommandService::NewStub(channel);
  }

  template <class Service, class Request, class Response>
  static grpc::Status Call(Service& service,
                           grpc::Status (Service::*rpc)(grpc::ClientContext*, const Request&,
                                                        Response*),
                           const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(60)));
    return (service.*rpc)(&context, request, response);
  }

  // The customer's id.
  std::string Enter(const std::string& username) {
    orders::v1::EnterAppRequest request;
    request.set_username(username);
    orders::v1::EnterAppResponse response;
    const grpc::Status status =
        Call(*customers_, &orders::v1::CustomerCommandService::Stub::EnterApp, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.receipt().aggregate_id();
  }

  grpc::Status RegisterCustomer(const std::string& id, const std::string& username) {
    orders::v1::RegisterCustomerRequest request;
    request.set_customer_id(id);
    request.set_username(username);
    orders::v1::RegisterCustomerResponse response;
    return Call(*customers_, &orders::v1::CustomerCommandService::Stub::RegisterCustomer, request,
                &response);
  }

  grpc::Status PlaceAll(const orders::v1::PlaceOrdersRequest& request,
                        orders::v1::PlaceOrdersResponse* response) {
    return Call(*orders_, &orders::v1::OrderCommandService::Stub::PlaceOrders, request, response);
  }

  static orders::v1::PlaceOrderRequest OrderOf(const std::string& id) {
    orders::v1::PlaceOrderRequest order;
    order.set_order_id(id);
    order.set_customer_id("ada");
    order.set_restaurant_id("roma");
    order.set_address("1 Mill Lane");
    orders::v1::OrderLine& line = *order.add_lines();
    line.set_item_id("pizza");
    line.set_qty(1);
    return order;
  }

  // Of `orders` without ids.
  static orders::v1::PlaceOrdersRequest BatchOf(int orders, const std::string& command_id) {
    orders::v1::PlaceOrdersRequest request;
    for (int i = 0; i < orders; ++i) *request.add_orders() = OrderOf("");
    request.set_command_id(command_id);
    return request;
  }

  static GrpcError Refusal(const core::v1::CommandOutcome& outcome) {
    const auto& error = outcome.error();
    return ErrorOf(grpc::Status(static_cast<grpc::StatusCode>(error.code()), error.message(),
                                error.SerializeAsString()));
  }

  testing::TemporaryFolder folder_;
  Registry registry_;
  std::unique_ptr<App> app_;
  std::unique_ptr<orders::v1::CustomerCommandService::Stub> customers_;
  std::unique_ptr<orders::v1::OrderCommandService::Stub> orders_;
  std::unique_ptr<orders::v1::OrderProcessCommandService::Stub> process_;
};

TEST_F(OrdersOverGrpc, WhoEntersIsFoundByTheNameInAnyCaseAlsoAfterARestart) {
  const std::string ada = Enter("Ada");
  EXPECT_EQ(ada.size(), 36u);
  EXPECT_EQ(Enter("ADA"), ada);
  ASSERT_TRUE(RegisterCustomer("c1", "Bob").ok());
  EXPECT_EQ(Enter("bob"), "c1");
  const GrpcError taken = ErrorOf(RegisterCustomer("c2", "ada"));
  EXPECT_EQ(taken.code, grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(taken.reason, "USERNAME_TAKEN");
  EXPECT_EQ(taken.domain, "leftfold.orders.v1");
  StartServer();
  EXPECT_EQ(Enter("ada"), ada);
  EXPECT_EQ(Enter("bob"), "c1");
  EXPECT_NE(Enter("eve"), ada);
}

TEST_F(OrdersOverGrpc, ABatchPlacesAThousandOrdersOnceHoweverOftenItIsSent) {
  const orders::v1::PlaceOrdersRequest request = BatchOf(kBatchCommandsMax, "burst");
  orders::v1::PlaceOrdersResponse first;
  ASSERT_TRUE(PlaceAll(request, &first).ok());
  ASSERT_EQ(first.results_size(), kBatchCommandsMax);
  std::set<std::string> ids;
  for (const auto& outcome : first.results()) {
    ASSERT_TRUE(outcome.has_receipt()) << outcome.error().message();
    EXPECT_FALSE(outcome.receipt().duplicate());
    ids.insert(outcome.receipt().aggregate_id());
  }
  EXPECT_EQ(static_cast<int>(ids.size()), kBatchCommandsMax);
  orders::v1::PlaceOrdersResponse again;
  ASSERT_TRUE(PlaceAll(request, &again).ok());
  ASSERT_EQ(again.results_size(), kBatchCommandsMax);
  for (int i = 0; i < kBatchCommandsMax; ++i) {
    EXPECT_TRUE(again.results(i).receipt().duplicate());
    EXPECT_EQ(again.results(i).receipt().aggregate_id(), first.results(i).receipt().aggregate_id());
  }
}

TEST_F(OrdersOverGrpc, EachOrderOfABatchIsPlacedOrRefusedForItself) {
  orders::v1::PlaceOrdersRequest request;
  *request.add_orders() = OrderOf("o1");
  *request.add_orders() = OrderOf("o1");
  *request.add_orders() = OrderOf("o2");
  request.mutable_orders(2)->clear_lines();
  *request.add_orders() = OrderOf("o3");
  orders::v1::PlaceOrdersResponse response;
  ASSERT_TRUE(PlaceAll(request, &response).ok());
  ASSERT_EQ(response.results_size(), 4);
  EXPECT_EQ(response.results(0).receipt().aggregate_id(), "o1");
  const GrpcError exists = Refusal(response.results(1));
  EXPECT_EQ(exists.code, grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(exists.reason, "ORDER_EXISTS");
  EXPECT_EQ(exists.metadata.at("order_id"), "o1");
  EXPECT_EQ(Refusal(response.results(2)).reason, "EMPTY_ORDER");
  EXPECT_EQ(Refusal(response.results(2)).field_violations, 1);
  EXPECT_EQ(response.results(3).receipt().aggregate_id(), "o3");
  EXPECT_EQ(response.results(3).receipt().version(), 0);
}

TEST_F(OrdersOverGrpc, OrdersOfABatchHaveItsCommandIdAndTheirPlaceUnlessTheyHaveOne) {
  orders::v1::PlaceOrdersRequest request = BatchOf(2, "burst");
  request.mutable_orders(0)->set_command_id("mine");
  orders::v1::PlaceOrdersResponse batch;
  ASSERT_TRUE(PlaceAll(request, &batch).ok());
  int place = 0;
  for (const char* id : {"mine", "burst/1"}) {
    orders::v1::PlaceOrderRequest alone = OrderOf("");
    alone.set_command_id(id);
    orders::v1::PlaceOrderResponse response;
    ASSERT_TRUE(
        Call(*orders_, &orders::v1::OrderCommandService::Stub::PlaceOrder, alone, &response).ok());
    EXPECT_TRUE(response.receipt().duplicate());
    EXPECT_EQ(response.receipt().aggregate_id(), batch.results(place++).receipt().aggregate_id());
  }
}

TEST_F(OrdersOverGrpc, ABatchThatIsTooLargeOrMalformedIsRefusedAsAWhole) {
  orders::v1::PlaceOrdersResponse response;
  const GrpcError large = ErrorOf(PlaceAll(BatchOf(kBatchCommandsMax + 1, "burst"), &response));
  EXPECT_EQ(large.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(large.reason, "BATCH_TOO_LARGE");
  EXPECT_EQ(large.metadata.at("maximum"), "1000");
  EXPECT_EQ(large.metadata.at("actual"), "1001");
  const std::string longest(kBatchCommandIdBytesMax, 'x');
  EXPECT_EQ(ErrorOf(PlaceAll(BatchOf(1, longest + "x"), &response)).reason, "INVALID_FIELDS");
  EXPECT_EQ(ErrorOf(PlaceAll(BatchOf(1, "a b"), &response)).reason, "INVALID_FIELDS");
  ASSERT_TRUE(PlaceAll(BatchOf(kBatchCommandsMax, longest), &response).ok());
  EXPECT_TRUE(response.results(kBatchCommandsMax - 1).has_receipt());
  EXPECT_FALSE(response.results(kBatchCommandsMax - 1).receipt().duplicate());
  response.Clear();
  ASSERT_TRUE(PlaceAll(BatchOf(1, "lf:burst"), &response).ok());
  EXPECT_EQ(Refusal(response.results(0)).reason, "COMMAND_ID_RESERVED");
  response.Clear();
  ASSERT_TRUE(PlaceAll(orders::v1::PlaceOrdersRequest(), &response).ok());
  EXPECT_EQ(response.results_size(), 0);
}

TEST_F(OrdersOverGrpc, WhatReactorsSendNeedsTheToken) {
  orders::v1::TimeOutApprovalRequest request;
  request.set_order_id("o1");
  orders::v1::TimeOutApprovalResponse response;
  const GrpcError refused =
      ErrorOf(Call(*process_, &orders::v1::OrderProcessCommandService::Stub::TimeOutApproval,
                   request, &response));
  EXPECT_EQ(refused.code, grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(refused.reason, "TOKEN_REQUIRED");
}

}  // namespace
}  // namespace leftfold
