// A real server with the real payment simulator, killed at each step of each reactor that an order
// needs (core/kill_points.h) and started again: the order ends as if nothing had been.
#include <absl/strings/str_split.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "leftfold/admin/v1/reactors.grpc.pb.h"
#include "leftfold/orders/v1/commands.grpc.pb.h"
#include "leftfold/orders/v1/queries.grpc.pb.h"
#include "testing/child_process.h"
#include "testing/parse.h"
#include "testing/temporary_folder.h"

namespace leftfold {
namespace {

using namespace orders::v1;  // NOLINT(google-build-using-namespace)
using testing::ChildProcess;
using ::testing::HasSubstr;
using testing::Ran;
using testing::RunShell;
using testing::ServerProcess;

constexpr absl::Duration kAnswerPatience =
    absl::Seconds(60);  // Bounds a call that is never answered.

// Kill points in the order in which the reactor comes to them, each in the process after the one
// that the point before has killed.
struct Case {
  std::string reactor;
  std::vector<std::string> points;
  std::string card = "tok_visa";
  bool fails = false;  // The food does not arrive; the money goes back.
  bool pays_all = false;
};
void PrintTo(const Case& one, std::ostream* out) { *out << one.reactor; }

const std::vector<std::string> kCommandPoints = {"intake_begun",   "intake_committed",
                                                 "delivery_taken", "command_accepted",
                                                 "result_begun",   "result_committed"};
// Of a reactor that asks the provider, which answers late, and tells the log what it said.
const std::vector<std::string> kProviderPoints = {
    "intake_begun",     "intake_committed", "delivery_taken", "answered",        "result_begun",
    "result_committed", "timer_fired",      "answered",       "command_accepted"};

class KillPoints : public ::testing::TestWithParam<Case> {
 protected:
  KillPoints()
      : provider_(
            // Later than a restart of the server, so that it comes to wait.
            {LEFTFOLD_BINARY, "simulate-payments", "--listen", "127.0.0.1:0", "--late-after", "5"}),
        provider_address_(provider_.ValueAfter("payments listening on ")) {}

  // "": it is killed nowhere. Returns 0 when it serves; else how it ended before it did, since
  // reactors go on at once.
  int Start(const std::string& kill_at) {
    std::vector<std::string> command = {"/usr/bin/env", "LEFTFOLD_KILL_AT=" + kill_at,
                                        "LEFTFOLD_PAYMENTS_URL=http://" + provider_address_,
                                        "LEFTFOLD_PAYMENTS_API_KEY=sk_test"};
    const auto serve = ServerProcess::CommandOf(LEFTFOLD_BINARY, Data());
    command.insert(command.end(), serve.begin(), serve.end());
    int exit_code = 0;
    server_ = ServerProcess::TryStart(command, &exit_code);
    if (server_ == nullptr) return exit_code;
    const auto credentials = grpc::InsecureChannelCredentials();
    const auto write = grpc::CreateChannel(server_->write_address, credentials);
    customers_ = CustomerCommandService::NewStub(write);
    restaurants_ = RestaurantCommandService::NewStub(write);
    agents_ = AgentCommandService::NewStub(write);
    orders_ = OrderCommandService::NewStub(write);
    queries_ = OrderQueryService::NewStub(grpc::CreateChannel(server_->read_address, credentials));
    reactors_ = admin::v1::ReactorService::NewStub(
        grpc::CreateChannel(server_->admin_address, credentials));
    return 0;
  }
  void Stop() {
    server_->process.Kill(SIGTERM);
    EXPECT_EQ(server_->process.Wait(), 0);
  }
  std::string Data() const { return folder_.path() + "/data"; }

  static void SetDeadline(grpc::ClientContext& context) {
    context.set_deadline(absl::ToChronoTime(absl::Now() + kAnswerPatience));
  }
  // false: the server is gone. What it had decided before is not decided again.
  template <class Stub, class Request, class Response>
  bool Do(Stub& stub, grpc::Status (Stub::*rpc)(grpc::ClientContext*, const Request&, Response*),
          const std::string& text) {
    auto request = testing::Parse<Request>(text);
    request.set_command_id(Request::descriptor()->name());  // Each is sent once.
    grpc::ClientContext context;
    SetDeadline(context);
    Response response;
    const grpc::Status status = (stub.*rpc)(&context, request, &response);
    EXPECT_TRUE(status.ok() || status.error_code() == grpc::StatusCode::UNAVAILABLE)
        << text << ": " << status.error_message();
    if (status.ok()) position_ = response.receipt().position();
    return status.ok();
  }
  // Waits until the order is there, or further on. false: the server is gone.
  bool Await(OrderStatus least) {
    grpc::ClientContext context;
    SetDeadline(context);
    WatchOrderRequest request;
    request.set_order_id("o1");
    request.set_min_position(position_);
    const auto watch = queries_->WatchOrder(&context, request);
    WatchOrderResponse response;
    OrderStatus seen = ORDER_STATUS_UNSPECIFIED;
    while (seen < least && watch->Read(&response)) {
      if (response.has_order()) seen = response.order().status();
    }
    context.TryCancel();
    return seen >= least;
  }
  // Waits until all reactors have done what there is to do. false: the server is gone.
  bool AwaitRest() {
    while (true) {
      grpc::ClientContext context;
      SetDeadline(context);
      admin::v1::ListReactorsResponse all;
      if (!reactors_->ListReactors(&context, {}, &all).ok()) return false;
      if (std::all_of(all.reactors().begin(), all.reactors().end(), [](const auto& reactor) {
            return reactor.lag_events() == 0 && reactor.waiting() == 0;
          })) {
        return true;
      }
    }
  }

  bool Open() {
    return Do(*restaurants_, &RestaurantCommandService::Stub::RegisterRestaurant,
              "restaurant_id: 'roma' name: 'Roma' currency: 'EUR' "
              "approval_mode: APPROVAL_MODE_AUTO") &&
           Do(*restaurants_, &RestaurantCommandService::Stub::AddMenuItem,
              "restaurant_id: 'roma' item_id: 'pizza' name: 'Pizza' price_minor: 900") &&
           Do(*restaurants_, &RestaurantCommandService::Stub::OpenRestaurant,
              "restaurant_id: 'roma'") &&
           Do(*customers_, &CustomerCommandService::Stub::RegisterCustomer,
              "customer_id: 'ada' username: 'ada' email: 'ada@example.com'") &&
           Do(*agents_, &AgentCommandService::Stub::RegisterAgent, "agent_id: 'bo' name: 'Bo'") &&
           Do(*agents_, &AgentCommandService::Stub::AgentGoOnline, "agent_id: 'bo'") && AwaitRest();
  }
  // What customer and agent do, as far as they have not done it. false: the server is gone.
  bool Order(const Case& one) {
    using Orders = OrderCommandService::Stub;
    return Do(*orders_, &Orders::PlaceOrder,
              "order_id: 'o1' customer_id: 'ada' restaurant_id: 'roma' address: 'here' "
              "lines { item_id: 'pizza' qty: 2 }") &&
           Await(ORDER_STATUS_AWAITING_PAYMENT) &&
           (one.pays_all ? Do(*orders_, &Orders::PayAllOrders,
                              "bulk_payment_id: 'all' customer_id: 'ada' method_type: 'card' "
                              "payment_token: 'tok_visa'")
                         : Do(*orders_, &Orders::PayForOrder,
                              fmt::format("order_id: 'o1' customer_id: 'ada' payment_id: 'p1' "
                                          "method_type: 'card' payment_token: '{}' "
                                          "amount_minor: 1800",
                                          one.card))) &&
           Await(ORDER_STATUS_AGENT_ASSIGNED) &&
           Do(*orders_, &Orders::ConfirmPickup, "order_id: 'o1' agent_id: 'bo'") &&
           (one.fails ? Do(*orders_, &Orders::ReportDeliveryFailed,
                           "order_id: 'o1' agent_id: 'bo' reason: 'nobody there'")
                      : Do(*orders_, &Orders::ConfirmDelivery, "order_id: 'o1' agent_id: 'bo'")) &&
           Await(one.fails ? ORDER_STATUS_REFUNDED : ORDER_STATUS_DELIVERED) && AwaitRest();
  }

  // How many events there are of each type.
  std::map<std::string, int> Events() {
    const Ran ran = RunShell(LEFTFOLD_BINARY " tail --data " + Data());
    EXPECT_EQ(ran.exit_code, 0) << ran.output;
    std::map<std::string, int> events;
    for (const absl::string_view line : absl::StrSplit(ran.output, '\n', absl::SkipEmpty())) {
      const std::pair<absl::string_view, absl::string_view> after =
          absl::StrSplit(line, absl::MaxSplits(R"("type":"leftfold.)", 1));
      ++events[std::string(after.second.substr(0, after.second.find('"')))];
    }
    return events;
  }
  std::string Statistics() {
    return RunShell("curl -s -H 'Authorization: Bearer sk_test' http://" + provider_address_ +
                    "/v1/stats")
        .output;
  }

  const testing::TemporaryFolder folder_;
  ChildProcess provider_;
  const std::string provider_address_;
  std::unique_ptr<ServerProcess> server_;
  std::string position_;  // Of the last command.
  std::unique_ptr<CustomerCommandService::Stub> customers_;
  std::unique_ptr<RestaurantCommandService::Stub> restaurants_;
  std::unique_ptr<AgentCommandService::Stub> agents_;
  std::unique_ptr<OrderCommandService::Stub> orders_;
  std::unique_ptr<OrderQueryService::Stub> queries_;
  std::unique_ptr<admin::v1::ReactorService::Stub> reactors_;
};

TEST_P(KillPoints, WhereverItIsKilledTheOrderEndsAsItShould) {
  const Case& one = GetParam();
  ASSERT_EQ(Start(""), 0);
  ASSERT_TRUE(Open());
  Stop();
  for (const std::string& point : one.points) {
    int ended = Start(one.reactor + "/" + point);
    if (server_ != nullptr) {
      ASSERT_FALSE(Order(one)) << one.reactor << " did not come to " << point;
      server_->process.Kill(SIGTERM);  // Nothing, where it is killed.
      ended = server_->process.Wait();
    }
    ASSERT_EQ(ended, 128 + SIGKILL) << point;
  }
  ASSERT_EQ(Start(""), 0);
  ASSERT_TRUE(Order(one));
  Stop();
  auto events = Events();
  EXPECT_EQ(events["orders.v1.BulkPaymentBegun"], one.pays_all ? 1 : 0);
  EXPECT_EQ(events["payments.v1.PaymentInitiated"], 1);
  EXPECT_EQ(events["payments.v1.PaymentSucceeded"], 1);
  EXPECT_EQ(events["payments.v1.RefundSucceeded"], one.fails ? 1 : 0);
  EXPECT_EQ(events["orders.v1.AgentReserved"], 1);
  EXPECT_EQ(events["orders.v1.AgentAssigned"], 1);
  EXPECT_EQ(events["orders.v1.AgentReleased"], 1);
  EXPECT_EQ(events["orders.v1.OrderDelivered"], one.fails ? 0 : 1);
  EXPECT_EQ(events["core.v1.DeliveryParked"], 0);
  const std::string statistics = Statistics();
  EXPECT_THAT(statistics, HasSubstr(R"("charges_succeeded":"1")"));
  EXPECT_THAT(statistics, HasSubstr(R"("captured_minor":"1800")"));
  EXPECT_THAT(statistics, HasSubstr(fmt::format(R"("refunded_minor":"{}")", one.fails ? 1800 : 0)));
  for (const char* line : {"replay --all --verify", "verify"}) {
    const Ran ran = RunShell(fmt::format("{} {} --data {}", LEFTFOLD_BINARY, line, Data()));
    EXPECT_EQ(ran.exit_code, 0) << ran.output;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Reactors, KillPoints,
    ::testing::Values(Case{"validate_order", kCommandPoints}, Case{"start_charge", kCommandPoints},
                      Case{"charge_payment", kProviderPoints, "tok_late"},
                      Case{"apply_payment_result", kCommandPoints},
                      Case{"restaurant_approval", kCommandPoints},
                      // Its second command reserves the agent, the third one assigns it.
                      Case{"agent_assignment",
                           {"intake_begun", "intake_committed", "delivery_taken:2",
                            "command_accepted", "result_begun", "result_committed",
                            "command_accepted", "result_begun", "result_committed"}},
                      Case{"release_agent", kCommandPoints},
                      Case{"compensate", kCommandPoints, "tok_visa", true},
                      Case{"refund_charge", kProviderPoints, "tok_refund_late", true},
                      Case{"notify_customer",
                           {"intake_begun", "intake_committed", "delivery_taken", "answered",
                            "result_begun", "result_committed"}},
                      Case{"deadlines", {"intake_begun", "intake_committed"}},
                      // Pays, then tells how many orders that were.
                      Case{.reactor = "pay_all_orders",
                           .points = {"intake_begun", "intake_committed", "delivery_taken",
                                      "command_accepted", "result_begun", "result_committed",
                                      "command_accepted", "result_begun", "result_committed"},
                           .pays_all = true}),
    [](const auto& one) { return one.param.reactor; });

TEST(KillPoint, WhatIsNoPointIsToldWithAllThatThereAre) {
  const Ran ran = RunShell("LEFTFOLD_KILL_AT=lunch " LEFTFOLD_BINARY
                           " serve --data /proc/none --metrics-listen ''");
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.output, HasSubstr("LEFTFOLD_KILL_AT is lunch; it must be [<owner>/]<point>"));
  EXPECT_THAT(ran.output, HasSubstr("result_committed"));
}

}  // namespace
}  // namespace leftfold
