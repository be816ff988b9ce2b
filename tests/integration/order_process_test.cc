// An order from placing to delivery, over real gRPC, files, threads and a payment provider over
// HTTP.

#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <future>
#include <latch>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/registry.h"
#include "core/webhook_signature.h"
#include "leftfold/admin/v1/admin.grpc.pb.h"
#include "leftfold/admin/v1/reactors.grpc.pb.h"
#include "leftfold/orders/v1/commands.grpc.pb.h"
#include "leftfold/orders/v1/queries.grpc.pb.h"
#include "server/app.h"
#include "server/http_client.h"
#include "server/inbound_server.h"
#include "testing/grpc_error.h"
#include "testing/nap.h"
#include "testing/parse.h"
#include "testing/temporary_folder.h"
#include "tests/integration/smtp_server.h"
#include "tests/integration/started_app.h"
#include "tools/simulate_payments.h"

namespace leftfold {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Parse;
using ::testing::UnorderedElementsAre;

class OrderProcessOverGrpc : public ::testing::Test {
 protected:
  OrderProcessOverGrpc() { RegisterAllDomains(registry_); }

  void Start(const HttpServices& services, const SmtpOptions& smtp = {}) {
    ServeOptions options = testing::OptionsOn(folder_.path());
    options.smtp = smtp;
    options.inbound_listen = "127.0.0.1:0";
    options.services = services;
    app_ = testing::StartedApp(registry_, options);
    const auto credentials = grpc::InsecureChannelCredentials();
    const auto write = grpc::CreateChannel(app_->write_address(), credentials);
    customers_ = orders::v1::CustomerCommandService::NewStub(write);
    restaurants_ = orders::v1::RestaurantCommandService::NewStub(write);
    agents_ = orders::v1::AgentCommandService::NewStub(write);
    orders_ = orders::v1::OrderCommandService::NewStub(write);
    const auto read = grpc::CreateChannel(app_->read_address(), credentials);
    queries_ = orders::v1::OrderQueryService::NewStub(read);
    restaurant_queries_ = orders::v1::RestaurantQueryService::NewStub(read);
    agent_queries_ = orders::v1::AgentQueryService::NewStub(read);
    reports_ = orders::v1::OrderReportQueryService::NewStub(read);
    errors_ = orders::v1::OrderErrorQueryService::NewStub(read);
    const auto admin = grpc::CreateChannel(app_->admin_address(), credentials);
    reactors_ = admin::v1::ReactorService::NewStub(admin);
    admin_ = admin::v1::AdminService::NewStub(admin);
  }

  // Serves with a payment provider beside it.
  auto StartWithProvider(const SmtpOptions& smtp = {}) {
    tools::SimulatePaymentsOptions options;
    options.listen = "127.0.0.1:0";
    options.hold = absl::ZeroDuration();
    auto provider = tools::PaymentsServer::Start(options);
    if (provider.ok()) Start({{"payments", {"http://" + (*provider)->address(), "sk_test"}}}, smtp);
    return provider;
  }

  static void SetDeadline(grpc::ClientContext& context) {
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(60)));
  }
  template <class Service, class Request, class Response>
  static grpc::Status Try(Service& service,
                          grpc::Status (Service::*rpc)(grpc::ClientContext*, const Request&,
                                                       Response*),
                          const std::string& text, core::v1::CommandReceipt* receipt = nullptr) {
    grpc::ClientContext context;
    SetDeadline(context);
    Response response;
    const grpc::Status status = (service.*rpc)(&context, Parse<Request>(text), &response);
    if (receipt != nullptr) *receipt = response.receipt();
    return status;
  }
  template <class Service, class Request, class Response>
  core::v1::CommandReceipt Do(Service& service,
                              grpc::Status (Service::*rpc)(grpc::ClientContext*, const Request&,
                                                           Response*),
                              const std::string& text) {
    core::v1::CommandReceipt receipt;
    const grpc::Status status = Try(service, rpc, text, &receipt);
    EXPECT_TRUE(status.ok()) << text << ": " << status.error_message();
    if (status.ok()) position_ = receipt.position();
    return receipt;
  }
  // What the query answers at the position of the last command, or later.
  template <class Service, class Request, class Response>
  Response Ask(Service& service,
               grpc::Status (Service::*rpc)(grpc::ClientContext*, const Request&, Response*),
               const std::string& text) {
    grpc::ClientContext context;
    SetDeadline(context);
    auto request = Parse<Request>(text);
    if constexpr (requires { request.set_min_position(position_); })
      request.set_min_position(position_);
    Response response;
    const grpc::Status status = (service.*rpc)(&context, request, &response);
    EXPECT_TRUE(status.ok()) << text << ": " << status.error_message();
    return response;
  }
  // The first message of the watch that has a document.
  template <class Service, class Request, class Response>
  Response First(Service& service,
                 std::unique_ptr<grpc::ClientReader<Response>> (Service::*rpc)(grpc::ClientContext*,
                                                                               const Request&),
                 const std::string& text) {
    grpc::ClientContext context;
    SetDeadline(context);
    auto request = Parse<Request>(text);
    request.set_min_position(position_);
    const auto watch = (service.*rpc)(&context, request);
    Response response;
    const auto* document = Response::descriptor()->FindFieldByNumber(1);
    do {
      if (watch->Read(&response)) continue;
      ADD_FAILURE() << text << ": " << watch->Finish().error_message();
      return response;
    } while (!response.GetReflection()->HasField(response, document));
    context.TryCancel();
    return response;
  }
  void OpenAndOrder(const std::string& approval_mode = "AUTO") {
    Do(*restaurants_, &orders::v1::RestaurantCommandService::Stub::RegisterRestaurant,
       "restaurant_id: 'roma' name: 'Roma' currency: 'EUR' approval_mode: APPROVAL_MODE_" +
           approval_mode);
    Do(*restaurants_, &orders::v1::RestaurantCommandService::Stub::AddMenuItem,
       "restaurant_id: 'roma' item_id: 'pizza' name: 'Pizza' price_minor: 900");
    Do(*restaurants_, &orders::v1::RestaurantCommandService::Stub::OpenRestaurant,
       "restaurant_id: 'roma'");
    Do(*agents_, &orders::v1::AgentCommandService::Stub::RegisterAgent,
       "agent_id: 'bo' name: 'Bo'");
    Do(*agents_, &orders::v1::AgentCommandService::Stub::AgentGoOnline, "agent_id: 'bo'");
    Place("o1");
  }
  void Place(const std::string& order_id) {
    Do(*orders_, &orders::v1::OrderCommandService::Stub::PlaceOrder,
       "order_id: '" + order_id +
           "' customer_id: 'ada' restaurant_id: 'roma' address: 'here' "
           "lines { item_id: 'pizza' qty: 2 }");
  }
  void Pay() {
    Do(*orders_, &orders::v1::OrderCommandService::Stub::PayForOrder,
       "order_id: 'o1' customer_id: 'ada' payment_id: 'p1' method_type: 'card' "
       "payment_token: 'tok_charged_no_answer' amount_minor: 1800");
  }
  // There is no provider.
  void ParkACharge() {
    Start({});
    OpenAndOrder();
    Await(orders::v1::ORDER_STATUS_AWAITING_PAYMENT);
    Pay();
    First(*errors_, &orders::v1::OrderErrorQueryService::Stub::WatchErrors,
          "state: ERROR_STATE_OPEN");
  }
  void PayForAll() {
    Do(*orders_, &orders::v1::OrderCommandService::Stub::PayAllOrders,
       "bulk_payment_id: 'b1' customer_id: 'ada' method_type: 'card' payment_token: 'tok_visa'");
  }
  // Waits until the order is there.
  void Await(orders::v1::OrderStatus status, const std::string& order_id = "o1") {
    grpc::ClientContext context;
    SetDeadline(context);
    orders::v1::WatchOrderRequest request;
    request.set_order_id(order_id);
    request.set_min_position(position_);
    const auto watch = queries_->WatchOrder(&context, request);
    orders::v1::WatchOrderResponse response;
    orders::v1::OrderStatus seen = orders::v1::ORDER_STATUS_UNSPECIFIED;
    while (seen != status && watch->Read(&response)) {
      if (response.has_order()) seen = response.order().status();
    }
    EXPECT_EQ(OrderStatus_Name(seen), OrderStatus_Name(status)) << order_id;
    if (seen == status) position_ = response.position();
    context.TryCancel();
  }

  void Deliver(const std::string& order_id = "o1") {
    const std::string tour = "order_id: '" + order_id + "' agent_id: 'bo'";
    Do(*orders_, &orders::v1::OrderCommandService::Stub::ConfirmPickup, tour);
    Do(*orders_, &orders::v1::OrderCommandService::Stub::ConfirmDelivery, tour);
    Await(orders::v1::ORDER_STATUS_DELIVERED, order_id);
  }
  // The head of the log, and what each reactor delivered, once all of them are done.
  std::map<std::string, std::int64_t> Settled() {
    for (;;) {
      const std::int64_t head =
          Ask(*admin_, &admin::v1::AdminService::Stub::GetLog, "").head_position();
      const auto all = Ask(*reactors_, &admin::v1::ReactorService::Stub::ListReactors, "");
      std::map<std::string, std::int64_t> settled = {{"head", head}};
      bool done = true;
      for (const admin::v1::ReactorStatus& reactor : all.reactors()) {
        done = done && reactor.checkpoint() == head && reactor.waiting() == 0;
        settled[reactor.name()] = reactor.delivered();
      }
      if (done || HasFailure()) return settled;
      testing::Nap();
    }
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
  std::unique_ptr<orders::v1::CustomerCommandService::Stub> customers_;
  std::unique_ptr<orders::v1::RestaurantCommandService::Stub> restaurants_;
  std::unique_ptr<orders::v1::AgentCommandService::Stub> agents_;
  std::unique_ptr<orders::v1::OrderCommandService::Stub> orders_;
  std::unique_ptr<orders::v1::OrderQueryService::Stub> queries_;
  std::unique_ptr<orders::v1::RestaurantQueryService::Stub> restaurant_queries_;
  std::unique_ptr<orders::v1::AgentQueryService::Stub> agent_queries_;
  std::unique_ptr<orders::v1::OrderReportQueryService::Stub> reports_;
  std::unique_ptr<orders::v1::OrderErrorQueryService::Stub> errors_;
  std::unique_ptr<admin::v1::ReactorService::Stub> reactors_;
  std::unique_ptr<admin::v1::AdminService::Stub> admin_;
  std::string position_;
};

TEST_F(OrderProcessOverGrpc, BringsAnOrderFromPlacingToDelivery) {
  const auto provider = StartWithProvider();
  ASSERT_TRUE(provider.ok()) << provider.status();
  OpenAndOrder();
  Await(orders::v1::ORDER_STATUS_AWAITING_PAYMENT);
  Pay();
  Await(orders::v1::ORDER_STATUS_AGENT_ASSIGNED);
  Deliver();
  EXPECT_EQ((*provider)->stats().charges_succeeded(), 1);
  EXPECT_EQ((*provider)->stats().captured_minor(), 1800);
}

TEST_F(OrderProcessOverGrpc, APaymentIdIsOfOneOrder) {
  const auto provider = StartWithProvider();
  ASSERT_TRUE(provider.ok()) << provider.status();
  OpenAndOrder("MANUAL");
  Place("o2");
  const auto pay = [](const std::string& order_id, const std::string& payment_id,
                      const std::string& token) {
    return "order_id: '" + order_id + "' customer_id: 'ada' payment_id: '" + payment_id +
           "' method_type: 'card' amount_minor: 1800 payment_token: '" + token +
           "' command_id: 'pay-" + order_id + "-" + payment_id + "'";
  };
  for (const char* order_id : {"o1", "o2"})
    Await(orders::v1::ORDER_STATUS_AWAITING_PAYMENT, order_id);
  constexpr auto kPay = &orders::v1::OrderCommandService::Stub::PayForOrder;
  const auto receipt = Do(*orders_, kPay, pay("o1", "p1", "tok_declined_insufficient_funds"));
  Await(orders::v1::ORDER_STATUS_AWAITING_PAYMENT);
  const testing::GrpcError taken =
      testing::ErrorOf(Try(*orders_, kPay, pay("o2", "p1", "tok_visa")));
  EXPECT_EQ(taken.code, grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(taken.reason, "PAYMENT_EXISTS");
  EXPECT_THAT(taken.message, HasSubstr("take another id"));
  EXPECT_EQ(Ask(*queries_, &orders::v1::OrderQueryService::Stub::GetOrder, "order_id: 'o2'")
                .order()
                .attempts(),
            0);
  auto again = Do(*orders_, kPay, pay("o1", "p1", "tok_declined_insufficient_funds"));
  EXPECT_TRUE(again.duplicate());
  again.set_duplicate(false);
  EXPECT_EQ(again.ShortDebugString(), receipt.ShortDebugString());
  Do(*orders_, kPay, pay("o1", "p2", "tok_visa"));
  PayForAll();
  for (const char* order_id : {"o1", "o2"})
    Await(orders::v1::ORDER_STATUS_AWAITING_APPROVAL, order_id);
  EXPECT_EQ((*provider)->stats().charges_succeeded(), 2);
}

// A customer takes an order back at the moment at which the restaurant takes it.
TEST_F(OrderProcessOverGrpc, OfACancellationAndAnApprovalAtOnceOneWinsAndNoMoneyIsLost) {
  constexpr int kOrders = 20;
  const auto provider = StartWithProvider();
  ASSERT_TRUE(provider.ok()) << provider.status();
  OpenAndOrder("MANUAL");
  std::vector<std::string> ids = {"o1"};
  for (int i = 2; i <= kOrders; ++i) {
    ids.push_back("o" + std::to_string(i));
    Place(ids.back());
  }
  for (const std::string& id : ids) Await(orders::v1::ORDER_STATUS_AWAITING_PAYMENT, id);
  PayForAll();
  for (const std::string& id : ids) Await(orders::v1::ORDER_STATUS_AWAITING_APPROVAL, id);
  int cancelled = 0;
  bool cancel_is_first = false;
  for (const std::string& id : ids) {
    const auto cancel = [&] {
      return Try(*orders_, &orders::v1::OrderCommandService::Stub::CancelOrder,
                 "order_id: '" + id + "' customer_id: 'ada'");
    };
    const auto approve = [&] {
      return Try(*orders_, &orders::v1::OrderCommandService::Stub::ApproveOrder,
                 "order_id: '" + id + "' restaurant_id: 'roma'");
    };
    cancel_is_first = !cancel_is_first;  // By a moment, if at all.
    std::latch both(2);
    auto other = std::async(std::launch::async, [&] {
      both.arrive_and_wait();
      return cancel_is_first ? approve() : cancel();
    });
    both.arrive_and_wait();
    const grpc::Status here = cancel_is_first ? cancel() : approve();
    const grpc::Status there = other.get();
    const grpc::Status& cancellation = cancel_is_first ? here : there;
    const grpc::Status& approval = cancel_is_first ? there : here;
    ASSERT_NE(cancellation.ok(), approval.ok()) << id;
    const testing::GrpcError lost = testing::ErrorOf(approval.ok() ? cancellation : approval);
    EXPECT_EQ(lost.code, grpc::StatusCode::FAILED_PRECONDITION) << id;
    EXPECT_EQ(lost.reason, approval.ok() ? "TOO_LATE_TO_CANCEL" : "NOT_AWAITING_APPROVAL") << id;
    cancelled += cancellation.ok();
    Await(
        approval.ok() ? orders::v1::ORDER_STATUS_AGENT_ASSIGNED : orders::v1::ORDER_STATUS_REFUNDED,
        id);
    if (approval.ok()) Deliver(id);
  }
  const tools::v1::SimulatorStats money = (*provider)->stats();
  EXPECT_EQ(money.charges_succeeded(), kOrders);
  EXPECT_EQ(money.captured_minor(), kOrders * 1'800);
  EXPECT_EQ(money.refunded_minor(), cancelled * 1'800);
  const auto ledger = Ask(*reports_, &orders::v1::OrderReportQueryService::Stub::GetLedger,
                          "group: LEDGER_GROUP_RESTAURANT");
  ASSERT_EQ(ledger.rows_size(), 1);
  EXPECT_EQ(ledger.rows(0).delivered_minor(), (kOrders - cancelled) * 1'800);
  ASSERT_EQ(ledger.checks_size(), 1);
  EXPECT_EQ(ledger.checks(0).difference_minor(), 0);
}

TEST_F(OrderProcessOverGrpc, WritesEachMailOfAnOrderOnce) {
  testing::SmtpServer mails;
  const SmtpOptions smtp = {.url = mails.url(), .from = "orders@example.org"};
  auto provider = StartWithProvider(smtp);
  ASSERT_TRUE(provider.ok()) << provider.status();
  Do(*customers_, &orders::v1::CustomerCommandService::Stub::RegisterCustomer,
     "customer_id: 'ada' username: 'ada' email: 'ada@example.org'");
  OpenAndOrder();
  Await(orders::v1::ORDER_STATUS_AWAITING_PAYMENT);
  Pay();
  Await(orders::v1::ORDER_STATUS_AGENT_ASSIGNED);
  Deliver();
  Settled();
  app_.reset();
  provider = StartWithProvider(smtp);
  ASSERT_TRUE(provider.ok()) << provider.status();
  Settled();
  std::vector<std::string> texts;
  for (const testing::TakenMail& mail : mails.taken()) {
    EXPECT_THAT(mail.to, HasSubstr("<ada@example.org>"));
    EXPECT_THAT(mail.data, HasSubstr("Subject: Your order o1\r\n"));
    texts.push_back(mail.data.substr(mail.data.find("\r\n\r\n") + 4));
  }
  EXPECT_THAT(texts, ElementsAre(HasSubstr("is paid"), HasSubstr("approved the order"),
                                 HasSubstr("Agent bo has the order"),
                                 HasSubstr("picked up the food"), HasSubstr("delivered the food")));
  app_.reset();
}

TEST_F(OrderProcessOverGrpc, DoesNothingAnewWhenViewsAreRebuilt) {
  const auto provider = StartWithProvider();
  ASSERT_TRUE(provider.ok()) << provider.status();
  OpenAndOrder();
  Await(orders::v1::ORDER_STATUS_AWAITING_PAYMENT);
  Pay();
  Await(orders::v1::ORDER_STATUS_AGENT_ASSIGNED);
  Deliver();
  const auto before = Settled();
  const std::string stats = (*provider)->stats().ShortDebugString();
  for (const std::string view : {"order_directory", "order_errors", "payment_ledger"}) {
    grpc::ClientContext context;
    SetDeadline(context);
    admin::v1::RebuildViewRequest request;
    request.set_view(view);
    request.set_action(admin::v1::RebuildViewRequest::ACTION_SWITCH);
    const auto rebuild = admin_->RebuildView(&context, request);
    admin::v1::RebuildViewResponse response;
    while (rebuild->Read(&response)) {
    }
    EXPECT_TRUE(rebuild->Finish().ok());
    EXPECT_EQ(response.outcome().position(), before.at("head")) << view;
  }
  EXPECT_EQ(Settled(), before);
  EXPECT_EQ((*provider)->stats().ShortDebugString(), stats);
}

TEST_F(OrderProcessOverGrpc, IsSeenByEveryQueryAndWatch) {
  const auto provider = StartWithProvider();
  ASSERT_TRUE(provider.ok()) << provider.status();
  OpenAndOrder("MANUAL");
  Await(orders::v1::ORDER_STATUS_AWAITING_PAYMENT);
  PayForAll();
  EXPECT_EQ(First(*queries_, &orders::v1::OrderQueryService::Stub::WatchBulkPayment,
                  "bulk_payment_id: 'b1'")
                .bulk_payment()
                .customer_id(),
            "ada");
  Await(orders::v1::ORDER_STATUS_AWAITING_APPROVAL);
  const auto asked =
      First(*restaurant_queries_, &orders::v1::RestaurantQueryService::Stub::WatchPendingApprovals,
            "restaurant_id: 'roma'");
  EXPECT_EQ(asked.approval().order_id(), "o1");
  position_ = asked.position();
  const auto pending =
      Ask(*restaurant_queries_, &orders::v1::RestaurantQueryService::Stub::ListPendingApprovals,
          "restaurant_id: 'roma'");
  ASSERT_EQ(pending.approvals_size(), 1);
  EXPECT_EQ(pending.approvals(0).total_minor(), 1800);
  Do(*orders_, &orders::v1::OrderCommandService::Stub::ApproveOrder,
     "order_id: 'o1' restaurant_id: 'roma'");
  Await(orders::v1::ORDER_STATUS_AGENT_ASSIGNED);
  EXPECT_EQ(
      Ask(*agent_queries_, &orders::v1::AgentQueryService::Stub::GetAgentJob, "agent_id: 'bo'")
          .job()
          .order_id(),
      "o1");
  EXPECT_EQ(
      First(*agent_queries_, &orders::v1::AgentQueryService::Stub::WatchAgentJob, "agent_id: 'bo'")
          .job()
          .address(),
      "here");
  EXPECT_EQ(
      First(*agent_queries_, &orders::v1::AgentQueryService::Stub::WatchAgents, "").agent().name(),
      "Bo");
  Deliver();
  EXPECT_EQ(First(*queries_, &orders::v1::OrderQueryService::Stub::WatchCustomerOrders,
                  "customer_id: 'ada'")
                .order()
                .order_id(),
            "o1");
  const auto timeline = Ask(*queries_, &orders::v1::OrderQueryService::Stub::GetTimeline,
                            "order_id: 'o1' page_size: 100");
  ASSERT_GE(timeline.entries_size(), 10);
  EXPECT_EQ(timeline.entries(0).type(), "OrderPlaced");
  EXPECT_EQ(timeline.entries().rbegin()->type(), "OrderDelivered");
  using Reports = orders::v1::OrderReportQueryService::Stub;
  EXPECT_EQ(Ask(*reports_, &Reports::GetFunnel, "").counts().number_orders_delivered(), 1);
  EXPECT_EQ(First(*reports_, &Reports::WatchFunnel, "").counts().number_orders_delivered(), 1);
  const std::string today = fmt::format(
      "interval: SERIES_INTERVAL_DAY from {{ seconds: {} }} to {{ seconds: {} }}",
      absl::ToUnixSeconds(absl::Now()) - 86'400, absl::ToUnixSeconds(absl::Now()) + 86'400);
  std::int64_t placed = 0;
  const auto series = Ask(*reports_, &Reports::GetSeries, today);
  for (const orders::v1::SeriesPoint& point : series.points())
    placed += point.counts().number_orders();
  EXPECT_EQ(placed, 1);
  const auto latency = Ask(*reports_, &Reports::GetStageLatency, today);
  EXPECT_EQ(latency.overall().payment().count(), 1);
  EXPECT_EQ(latency.overall().delivery().count(), 1);
  const auto ledger = Ask(*reports_, &Reports::GetLedger, "group: LEDGER_GROUP_ORDER");
  ASSERT_EQ(ledger.rows_size(), 1);
  EXPECT_EQ(ledger.rows(0).delivered_minor(), 1800);
  ASSERT_EQ(ledger.checks_size(), 1);
  EXPECT_EQ(ledger.checks(0).difference_minor(), 0);
}

// A client that lost its connection gets what changed since, and nothing that it has.
TEST_F(OrderProcessOverGrpc, ResumesAWatchOfAnOrder) {
  Start({});
  OpenAndOrder();
  position_ = fmt::to_string(Settled().at("head"));
  using Queries = orders::v1::OrderQueryService::Stub;
  const auto seen = First(*queries_, &Queries::WatchOrder, "order_id: 'o1'");
  Place("o2");
  position_ = fmt::to_string(Settled().at("head"));
  const std::string resume = "order_id: 'o1' resume_position: '" + seen.position() + "'";
  grpc::ClientContext context;
  SetDeadline(context);
  const auto resumed = queries_->WatchOrder(&context, Parse<orders::v1::WatchOrderRequest>(resume));
  // By then the server has begun with the one before.
  EXPECT_EQ(First(*queries_, &Queries::WatchOrder, "order_id: 'o2'").order().order_id(), "o2");
  Do(*orders_, &orders::v1::OrderCommandService::Stub::CancelOrder,
     "order_id: 'o1' customer_id: 'ada' by: 'ann'");
  orders::v1::WatchOrderResponse next;
  do {
    ASSERT_TRUE(resumed->Read(&next));
  } while (!next.has_order());
  EXPECT_EQ(next.order().version(), seen.order().version() + 1);
  EXPECT_EQ(next.order().status(), orders::v1::ORDER_STATUS_CANCELLED);
  context.TryCancel();
  // What changed while nobody watched is told at once.
  position_.clear();
  EXPECT_EQ(First(*queries_, &Queries::WatchOrder, resume).position(), next.position());
}

TEST_F(OrderProcessOverGrpc, ResumesAWatchOfACustomersOrders) {
  Start({});
  OpenAndOrder();
  Place("o2");
  position_ = fmt::to_string(Settled().at("head"));
  // The orders of the first round.
  const auto round = [this](const std::string& resume_position) {
    grpc::ClientContext context;
    SetDeadline(context);
    orders::v1::WatchCustomerOrdersRequest request;
    request.set_customer_id("ada");
    request.set_resume_position(resume_position);
    request.set_min_position(position_);
    const auto watch = queries_->WatchCustomerOrders(&context, request);
    std::vector<std::string> orders;
    orders::v1::WatchCustomerOrdersResponse response;
    do {
      if (!watch->Read(&response)) ADD_FAILURE() << watch->Finish().error_message();
      if (response.has_order()) orders.push_back(response.order().order_id());
    } while (response.position().empty() && !HasFailure());
    context.TryCancel();
    return std::pair(orders, response.position());
  };
  const auto [all, position] = round("");
  EXPECT_THAT(all, UnorderedElementsAre("o1", "o2"));
  Do(*orders_, &orders::v1::OrderCommandService::Stub::CancelOrder,
     "order_id: 'o2' customer_id: 'ada' by: 'ann'");
  EXPECT_THAT(round(position).first, ElementsAre("o2"));
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
  int answer = 0;
  do {
    answer = Tell("/payments", body, "whsec");
  } while (answer == 409);  // It comes before the payment is known: the provider tells again.
  EXPECT_EQ(answer, 200);
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
  EXPECT_EQ(
      First(*errors_, &orders::v1::OrderErrorQueryService::Stub::WatchErrors, "").error().reactor(),
      "charge_payment");
  const auto errors = Ask(*errors_, &orders::v1::OrderErrorQueryService::Stub::ListErrors, "");
  ASSERT_EQ(errors.errors_size(), 1);
  EXPECT_EQ(errors.errors(0).state(), orders::v1::ERROR_STATE_OPEN);
}

TEST_F(OrderProcessOverGrpc, TellsThatWhatWasParkedIsDeliveredOnceItIsRetried) {
  ParkACharge();
  app_.reset();
  const auto provider = StartWithProvider();
  ASSERT_TRUE(provider.ok()) << provider.status();
  {
    grpc::ClientContext context;
    SetDeadline(context);
    admin::v1::RetryParkedDeliveriesRequest retry;
    retry.set_reactor("charge_payment");
    admin::v1::RetryParkedDeliveriesResponse retried;
    const grpc::Status status = reactors_->RetryParkedDeliveries(&context, retry, &retried);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  Await(orders::v1::ORDER_STATUS_AGENT_ASSIGNED);
  EXPECT_EQ(First(*errors_, &orders::v1::OrderErrorQueryService::Stub::WatchErrors,
                  "state: ERROR_STATE_RESOLVED")
                .error()
                .reactor(),
            "charge_payment");
  grpc::ClientContext context;
  SetDeadline(context);
  admin::v1::WatchErrorsRequest request;
  request.set_after_position(0);
  const auto watch = reactors_->WatchErrors(&context, request);
  admin::v1::WatchErrorsResponse parked, retried, delivered;
  ASSERT_TRUE(watch->Read(&parked) && watch->Read(&retried) && watch->Read(&delivered));
  EXPECT_TRUE(retried.has_retry());
  EXPECT_EQ(delivered.by(), "reactor:charge_payment");
  EXPECT_EQ(delivered.delivered().delivery_id(), parked.parked().delivery_id());
  EXPECT_EQ(delivered.delivered().position(), parked.parked().position());
  context.TryCancel();
}

TEST_F(OrderProcessOverGrpc, ListsWhatIsParkedUntilAnOperatorSkipsIt) {
  ParkACharge();
  using Reactors = admin::v1::ReactorService::Stub;
  const std::string reactor = "reactor: 'charge_payment' ";
  auto listed = Ask(*reactors_, &Reactors::ListParkedDeliveries, reactor);
  ASSERT_EQ(listed.deliveries_size(), 1);
  const core::v1::DeliveryParked parked = listed.deliveries(0).delivery();
  EXPECT_EQ(parked.key(), "payment-p1");
  EXPECT_EQ(parked.what(), "http POST service:payments/v1/charges");
  const auto skipped =
      Ask(*reactors_, &Reactors::SkipParkedDelivery,
          reactor + "delivery_id: '" + parked.delivery_id() + "' why: 'paid in cash' by: 'ann'");
  EXPECT_EQ(First(*errors_, &orders::v1::OrderErrorQueryService::Stub::WatchErrors,
                  "state: ERROR_STATE_SKIPPED")
                .error()
                .error_id(),
            parked.delivery_id());
  Settled();
  listed = Ask(*reactors_, &Reactors::ListParkedDeliveries, reactor);
  EXPECT_EQ(listed.deliveries_size(), 0);
  grpc::ClientContext context;
  SetDeadline(context);
  admin::v1::WatchErrorsRequest request;
  request.set_after_position(parked.position());
  const auto watch = reactors_->WatchErrors(&context, request);
  admin::v1::WatchErrorsResponse first, second;
  ASSERT_TRUE(watch->Read(&first) && watch->Read(&second));
  EXPECT_EQ(first.parked().delivery_id(), parked.delivery_id());
  EXPECT_EQ(second.position(), skipped.position());
  EXPECT_EQ(second.by(), "ann");
  EXPECT_EQ(second.skip().delivery_id(), parked.delivery_id());
  EXPECT_EQ(second.skip().why(), "paid in cash");
  context.TryCancel();
}

}  // namespace
}  // namespace leftfold
