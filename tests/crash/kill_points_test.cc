// A real server with the real payment simulator, killed at each step of each reactor that an order
// needs and started again: the order ends as if nothing had been.
#include "tests/crash/kill_points.h"

#include <absl/strings/str_cat.h>

#include "leftfold/orders/v1/commands.grpc.pb.h"
#include "testing/http_server.h"
#include "tools/payment_simulator.h"

namespace leftfold {
namespace {

using namespace orders::v1;  // NOLINT(google-build-using-namespace)
using ::testing::HasSubstr;
using testing::KillCase;
using testing::Ran;
using testing::RunShell;
using testing::Stage;

// What becomes of an order.
struct OrderStory {
  std::string ends_with;
  std::string card = "tok_visa";
  bool pays = true;
  bool refunds = false;
};
const std::map<std::string, OrderStory> kOrderStories = {
    {"delivered", {"OrderDelivered"}},
    {"charged late", {"OrderDelivered", "tok_late"}},
    {"paid with all", {"OrderDelivered"}},
    {"returned", {"OrderRefunded", "tok_visa", true, true}},
    {"refunded late", {"OrderRefunded", "tok_refund_late", true, true}},
    {"refunded again", {"OrderRefunded", "tok_refund_fails_1", true, true}},
    {"without agent", {"OrderRefunded", "tok_visa", true, true}},
    {"unpaid", {"OrderExpired", "", false}},
};
constexpr std::size_t kPlaced = 0, kPaid = 1, kTaken = 2;  // Stages.

const std::vector<std::string> kCommandPoints = {"intake_begun",   "intake_committed",
                                                 "delivery_taken", "command_accepted",
                                                 "result_begun",   "result_committed"};
const std::vector<std::string> kAskPoints = {"intake_begun",   "intake_committed",
                                             "delivery_taken", "answered",
                                             "result_begun",   "result_committed"};
// Of a timer that asks the provider, which tells the log what it said.
const std::vector<std::string> kAskAgainPoints = {"timer_fired",      "delivery_taken",
                                                  "answered",         "result_begun",
                                                  "result_committed", "command_accepted"};

const std::vector<KillCase> kOrderCases = {
    {"delivered", kPlaced, "validate_order", kCommandPoints},
    {"delivered", kPlaced, "deadlines", {"intake_begun", "intake_committed"}},
    {"delivered", kPaid, "deadlines", {"intake_begun", "intake_committed"}},
    {"delivered", kPaid, "start_charge", kCommandPoints},
    {"delivered", kPaid, "apply_payment_result", kCommandPoints},
    {"delivered", kPaid, "restaurant_approval", kCommandPoints},
    // Its second command reserves the agent, the third one assigns it.
    {"delivered",
     kPaid,
     "agent_assignment",
     {"intake_begun", "intake_committed", "delivery_taken:2", "command_accepted", "result_begun",
      "result_committed", "command_accepted", "result_begun", "result_committed"}},
    {"delivered", kTaken, "release_agent", kCommandPoints},
    {"delivered",
     kPaid,
     "notify_customer",
     {"intake_begun", "intake_committed", "delivery_taken", "file_written", "answered",
      "result_begun", "result_committed"}},
    {"charged late", kPaid, "charge_payment", kAskPoints},
    {"charged late", kPaid + 1, "charge_payment", kAskAgainPoints},
    // Pays, then tells how many orders that were.
    {"paid with all",
     kPaid,
     "pay_all_orders",
     {"intake_begun", "intake_committed", "delivery_taken", "command_accepted", "result_begun",
      "result_committed", "command_accepted", "result_begun", "result_committed"}},
    {"returned", kTaken, "compensate", kCommandPoints},
    {"refunded late", kTaken, "refund_charge", kAskPoints},
    {"refunded late", kTaken + 1, "refund_charge", kAskAgainPoints},
    {"refunded again",
     kTaken + 1,
     "compensate",
     {"timer_fired", "delivery_taken", "command_accepted", "result_begun", "result_committed"}},
    {"without agent",
     kPaid + 1,
     "agent_assignment",
     {"timer_fired", "result_begun", "delivery_taken", "command_accepted", "result_begun",
      "result_committed"}},
    // Once the log has the order's end, the command's result is not wanted any more.
    {"unpaid", kPlaced + 1, "deadlines", {"timer_fired", "delivery_taken", "command_accepted"}},
    {"unpaid", kPlaced + 1, "deadlines", {"result_begun"}},
    {"unpaid", kPlaced + 1, "deadlines", {"result_committed"}},
};

class KillPoints : public testing::KilledStories {
 protected:
  KillPoints()
      : provider_({.late_after = absl::Minutes(10)}),
        provider_server_([this](const testing::HttpSeen& seen) {
          const auto header = [&](const std::string& name) {
            return seen.headers.contains(name) ? seen.headers.at(name) : "";
          };
          const auto answer = provider_.Handle({.method = seen.method,
                                                .path = seen.target,
                                                .authorization = header("authorization"),
                                                .idempotency_key = header("idempotency-key"),
                                                .body = seen.body},
                                               absl::Now() + clock_.ahead());
          return testing::HttpAnswer(answer.body, fmt::format("{} -", answer.status));
        }) {}

  std::vector<std::string> Environment() override {
    return {"LEFTFOLD_PAYMENTS_URL=" + provider_server_.url(), "LEFTFOLD_PAYMENTS_API_KEY=sk_test"};
  }
  void Connect(const std::shared_ptr<grpc::Channel>& write) override {
    customers_ = CustomerCommandService::NewStub(write);
    restaurants_ = RestaurantCommandService::NewStub(write);
    agents_ = AgentCommandService::NewStub(write);
    orders_ = OrderCommandService::NewStub(write);
  }
  bool Prepare() override {
    using Restaurants = RestaurantCommandService::Stub;
    return Do(*restaurants_, &Restaurants::RegisterRestaurant, "all",
              "restaurant_id: 'roma' name: 'Roma' currency: 'EUR' "
              "approval_mode: APPROVAL_MODE_AUTO") &&
           Do(*restaurants_, &Restaurants::AddMenuItem, "all",
              "restaurant_id: 'roma' item_id: 'pizza' name: 'Pizza' price_minor: 900") &&
           Do(*restaurants_, &Restaurants::OpenRestaurant, "all", "restaurant_id: 'roma'") &&
           Do(*customers_, &CustomerCommandService::Stub::RegisterCustomer, "all",
              "customer_id: 'ada' username: 'ada' email: 'ada@example.com'") &&
           Do(*agents_, &AgentCommandService::Stub::RegisterAgent, "all",
              "agent_id: 'bo' name: 'Bo'") &&
           GoOnline("all");
  }
  bool GoOnline(const std::string& of) {
    return Do(*agents_, &AgentCommandService::Stub::AgentGoOnline, of, "agent_id: 'bo'");
  }

  std::vector<Stage> StagesOf(const std::string& story, const std::string& id) override {
    using Orders = OrderCommandService::Stub;
    const auto act = [this, id](auto rpc, const std::string& text) {
      return [this, id, rpc, text = absl::StrCat("order_id: '", id, "' ", text)] {
        return Do(*orders_, rpc, id, text);
      };
    };
    const Stage place = {act(&Orders::PlaceOrder,
                             "customer_id: 'ada' restaurant_id: 'roma' address: 'here' "
                             "lines { item_id: 'pizza' qty: 2 }"),
                         {{"deadlines", 1}}};
    const Stage pay = {act(&Orders::PayForOrder,
                           fmt::format("customer_id: 'ada' payment_id: 'pay-{}' method_type: "
                                       "'card' payment_token: '{}' amount_minor: 1800",
                                       id, kOrderStories.at(story).card))};
    const auto take = act(&Orders::ConfirmPickup, "agent_id: 'bo'");
    const auto bring = act(&Orders::ConfirmDelivery, "agent_id: 'bo'");
    const auto give_back =
        act(&Orders::ReportDeliveryFailed, "agent_id: 'bo' reason: 'nobody there'");
    const Stage deliver = {[=] { return take() && bring(); }};
    const Stage fail = {[=] { return take() && give_back(); }};
    const auto waits_for = [](Stage stage, std::map<std::string, int> timers) {
      stage.timers = std::move(timers);
      return stage;
    };
    const auto after = [](absl::Duration time) { return Stage{.later = time}; };
    if (story == "unpaid") return {place, after(absl::Minutes(31))};
    if (story == "charged late") {
      return {place, waits_for(pay, {{"charge_payment", 1}, {"deadlines", 1}}),
              after(absl::Minutes(15)), deliver};
    }
    if (story == "paid with all") {
      return {place,
              {[this, id] {
                return Do(*orders_, &Orders::PayAllOrders, id,
                          absl::StrCat("bulk_payment_id: '", id,
                                       "' customer_id: 'ada' method_type: 'card' "
                                       "payment_token: 'tok_visa'"));
              }},
              deliver};
    }
    if (story == "returned") return {place, pay, fail};
    if (story == "refunded late")
      return {place, pay, waits_for(fail, {{"refund_charge", 1}}), after(absl::Minutes(15))};
    if (story == "refunded again")
      return {place, pay, waits_for(fail, {{"compensate", 1}}), after(absl::Minutes(2))};
    if (story == "without agent") {
      Stage without = place;
      without.act = [this, id, place] {
        return Do(*agents_, &AgentCommandService::Stub::AgentGoOffline, id, "agent_id: 'bo'") &&
               place.act();
      };
      return {without,
              waits_for(pay, {{"agent_assignment", 1}}),
              after(absl::Minutes(16)),
              {[this, id] { return GoOnline(id); }}};
    }
    return {place, pay, deliver};
  }

  tools::PaymentSimulator provider_;
  testing::HttpServer provider_server_;
  std::unique_ptr<CustomerCommandService::Stub> customers_;
  std::unique_ptr<RestaurantCommandService::Stub> restaurants_;
  std::unique_ptr<AgentCommandService::Stub> agents_;
  std::unique_ptr<OrderCommandService::Stub> orders_;
};

TEST_F(KillPoints, WhereverItIsKilledTheOrderEndsAsItShould) {
  const auto points = testing::Cases("LEFTFOLD_KILL_POINTS", testing::PointsOf(kOrderCases));
  ASSERT_NO_FATAL_FAILURE(TellSome(kOrderCases, points));
  for (const std::string& story : Stories())
    EXPECT_EQ(CountTold(story, "orders.v1." + kOrderStories.at(story).ends_with + " by "), 1);
  const auto paid = CountStories([](const auto& story) { return kOrderStories.at(story).pays; });
  const auto refunded =
      CountStories([](const auto& story) { return kOrderStories.at(story).refunds; });
  EXPECT_EQ(CountEvents("leftfold.payments.v1.PaymentSucceeded"), paid);
  EXPECT_EQ(CountEvents("leftfold.payments.v1.RefundSucceeded"), refunded);
  EXPECT_EQ(CountEvents("leftfold.orders.v1.AgentReserved"),
            CountEvents("leftfold.orders.v1.AgentReleased"));
  EXPECT_EQ(provider_.stats().charges_succeeded(), paid);
  EXPECT_EQ(provider_.stats().references_charged_twice(), 0);
  EXPECT_EQ(provider_.stats().captured_minor(), 1800 * paid);
  EXPECT_EQ(provider_.stats().refunded_minor(), 1800 * refunded);
}

// All but those of rooms, which are killed in room_kill_points_test.
TEST(KillPoint, ThereAreCasesForEachReactor) {
  std::set<std::string> reactors = testing::ReactorsOf(RegisterAllDomains);
  for (const std::string& name : testing::ReactorsOf(rooms::Register)) reactors.erase(name);
  EXPECT_EQ(testing::ReactorsOf(kOrderCases), reactors);
}

TEST(KillPoint, WhatIsNoPointIsToldWithAllThatThereAre) {
  const Ran ran = RunShell("LEFTFOLD_KILL_AT=lunch " LEFTFOLD_BINARY
                           " serve --data /proc/none --metrics-listen ''");
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.output, HasSubstr("LEFTFOLD_KILL_AT is lunch; it must be [<owner>/]<point>"));
  EXPECT_THAT(ran.output, HasSubstr("result_committed"));
}

}  // namespace
}  // namespace leftfold
