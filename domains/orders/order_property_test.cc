// Random commands to an order: whatever comes in whatever order, money moves once each way, what is
// final stays so, and nothing goes backwards.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "domains/orders/order.h"
#include "domains/orders/test_events.h"
#include "testing/environment.h"
#include "testing/given.h"

namespace leftfold::orders {
namespace {

constexpr int kOrders = 4'000;
constexpr int kCommands = 80;

// How far the status is on its way; only within one number it may go to and fro.
int RankOf(v1::OrderStatus status) {
  switch (status) {
    case v1::ORDER_STATUS_UNSPECIFIED:
      return 0;
    case v1::ORDER_STATUS_PLACED:
      return 1;
    case v1::ORDER_STATUS_AWAITING_PAYMENT:
    case v1::ORDER_STATUS_PAYMENT_PROCESSING:
      return 2;
    case v1::ORDER_STATUS_AWAITING_APPROVAL:
      return 3;
    case v1::ORDER_STATUS_AWAITING_AGENT:
    case v1::ORDER_STATUS_AGENT_ASSIGNED:
      return 4;
    case v1::ORDER_STATUS_PICKED_UP:
      return 5;
    case v1::ORDER_STATUS_REFUNDING:
    case v1::ORDER_STATUS_REFUND_STUCK:
      return 7;
    case v1::ORDER_STATUS_INVALID:
    case v1::ORDER_STATUS_PAYMENT_FAILED:
    case v1::ORDER_STATUS_DELIVERED:
    case v1::ORDER_STATUS_REFUNDED:
      return 8;
    default:  // Closed, with a refund if it is paid.
      return 6;
  }
}
constexpr int kFinalRank = 8;

// One order under random commands.
class Life {
 public:
  explicit Life(std::mt19937_64& random) : random_(random) {}

  void Step() {
    const std::function<bool()> commands[] = {
        [&] {
          return Send<v1::PlaceOrderRequest>(R"(customer_id: "ada" restaurant_id: "roma"
            address: "1 Mill Lane" lines { item_id: "pizza" qty: 2 })");
        },
        [&] {
          return Send<v1::ConfirmOrderValidRequest>(R"(priced_lines { item_id: "pizza" name: "P"
            qty: 2 unit_price_minor: 900 } total_minor: 1800 currency: "EUR")");
        },
        [&] {
          return Rarely() && Send<v1::MarkOrderInvalidRequest>(
                                 "reasons { code: INVALID_REASON_RESTAURANT_CLOSED }");
        },
        [&] {
          v1::PayForOrderRequest command;
          command.set_customer_id("ada");
          command.set_payment_id(PaymentId());
          command.set_method_type("card");
          command.set_payment_token("tok_1");
          command.set_amount_minor(Rarely() ? 1 : 1800);
          return Send(command);
        },
        [&] {
          v1::RecordPaymentOutcomeRequest command;
          command.set_payment_id(PaymentId());
          command.set_outcome(Half() ? v1::PAYMENT_OUTCOME_SUCCEEDED
                                     : v1::PAYMENT_OUTCOME_DECLINED);
          command.set_decline_code("declined");
          return Send(command);
        },
        [&] { return Send<v1::RequestApprovalRequest>("respond_by { seconds: 1 }"); },
        [&] { return Send<v1::ApproveOrderRequest>(R"(restaurant_id: "roma")"); },
        [&] {
          return Rarely() &&
                 Send<v1::RejectOrderRequest>(R"(restaurant_id: "roma" reason: "no oven")");
        },
        [&] { return Rarely() && Send(v1::TimeOutApprovalRequest()); },
        [&] { return Send<v1::StartAgentSearchRequest>("deadline { seconds: 1 }"); },
        [&] { return Send(OfAgent<v1::AssignAgentRequest>(AgentId())); },
        [&] { return Rarely() && Send(v1::MarkNoAgentAvailableRequest()); },
        [&] { return Rarely() && Send(Failing<v1::UnassignAgentRequest>()); },
        [&] { return Send(OfAgent<v1::ConfirmPickupRequest>(AgentId())); },
        [&] { return Send(OfAgent<v1::ConfirmDeliveryRequest>(AgentId())); },
        [&] { return Send(Failing<v1::ReportDeliveryFailedRequest>()); },
        [&] { return Rarely() && Send<v1::CancelOrderRequest>(R"(customer_id: "ada")"); },
        [&] {
          v1::ExpireOrderRequest command;
          command.set_stage(static_cast<v1::OrderStage>(1 + Below(3)));
          return Rarely() && Send(command);
        },
        [&] { return Half() && Send(v1::RequestRefundRequest()); },
        [&] { return Half() && Send(OfRefund<v1::ConfirmRefundRequest>()); },
        [&] {
          auto command = OfRefund<v1::MarkRefundStuckRequest>();
          command.set_error("timeout");
          return Send(command);
        },
        [&] { return Send(v1::RetryRefundRequest()); },
    };
    commands[Below(static_cast<int>(std::size(commands)))]();
  }

  const Order::State& state() const { return state_; }
  const std::map<std::string, int>& events() const { return events_; }

 private:
  int Below(int bound) { return std::uniform_int_distribution<int>(0, bound - 1)(random_); }
  bool Half() { return Below(2) == 0; }
  bool Rarely() { return Below(8) == 0; }
  std::string PaymentId() { return "p" + std::to_string(1 + Below(4)); }
  std::string AgentId() { return Half() ? "ann" : "bob"; }

  template <class Command>
  Command Failing() {
    auto command = OfAgent<Command>(AgentId());
    command.set_reason("flat tyre");
    return command;
  }
  template <class Command>
  Command OfRefund() {
    Command command;
    command.set_refund_id(state_.refund_id().empty() || Rarely() ? "other" : state_.refund_id());
    return command;
  }

  template <class Command>
  bool Send(const std::string& text) {
    return Send(Parse<Command>(text));
  }

  // Twice: what was accepted leads to nothing more.
  template <class Command>
  bool Send(const Command& command) {
    Violations violations;
    Order::Validate(command, violations);
    EXPECT_TRUE(violations.empty()) << command.ShortDebugString();
    if (!DecideOnce(command)) return false;
    const auto again = Order::Decide(command, state_, Context());
    EXPECT_TRUE(!again.ok() || again->events.empty())
        << Command::descriptor()->name() << " does it again";
    return true;
  }

  CommandContext Context() {
    return {testing::kTestNow, "tester", "id-1", "command-" + std::to_string(++commands_)};
  }

  // True when something happened.
  template <class Command>
  bool DecideOnce(const Command& command) {
    const auto decision = Order::Decide(command, state_, Context());
    if (!decision.ok()) {
      EXPECT_NE(ReasonOf(decision.status()), "") << decision.status();
      return false;
    }
    const int before = RankOf(state_.status());
    for (const auto& event : decision->events) std::visit([&](const auto& e) { Apply(e); }, event);
    if (decision->events.empty()) return false;
    EXPECT_LT(before, kFinalRank) << "after the end: " << Command::descriptor()->name();
    EXPECT_LE(before, RankOf(state_.status())) << "backwards: " << Command::descriptor()->name();
    return true;
  }

  template <class Event>
  void Apply(const Event& event) {
    ++events_[Event::descriptor()->name()];
    Look(event);
    Order::Evolve(state_, event);
  }

  template <class Event>
  void Look(const Event&) {}
  void Look(const v1::PaymentRequested& event) {
    EXPECT_TRUE(payments_.insert(event.payment_id()).second) << "a payment id is used again";
    EXPECT_EQ(captured_, 0) << "paid for again";
  }
  void Look(const v1::OrderPaid& event) {
    EXPECT_TRUE(payments_.contains(event.payment_id()));
    EXPECT_EQ(captured_, 0) << "captured twice";
    captured_ = event.amount_minor();
  }
  void Look(const v1::RefundRequested& event) {
    EXPECT_EQ(event.amount_minor(), captured_);
    EXPECT_EQ(event.attempt_no(), ++refund_attempts_);
    EXPECT_TRUE(refund_id_.empty() || refund_id_ == event.refund_id()) << "a second refund";
    refund_id_ = event.refund_id();
  }
  void Look(const v1::OrderRefunded& event) {
    EXPECT_EQ(event.refund_id(), refund_id_);
    EXPECT_GT(captured_, 0) << "refunded without being paid";
  }

  std::mt19937_64& random_;
  Order::State state_;
  int commands_ = 0;
  std::map<std::string, int> events_;
  std::set<std::string> payments_;
  std::int64_t captured_ = 0;
  std::string refund_id_;
  int refund_attempts_ = 0;
};

TEST(OrderProperty, MoneyMovesOnceEachWayAndNothingGoesBackwards) {
  const std::uint64_t seed = testing::SeedOr(20260101);
  SCOPED_TRACE("LEFTFOLD_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::set<v1::OrderStatus> statuses;
  std::set<std::string> seen;
  for (int i = 0; i < kOrders && !HasFailure(); ++i) {
    Life life(random);
    for (int step = 0; step < kCommands * (1 + i % 3); ++step) {
      life.Step();
      statuses.insert(life.state().status());
    }
    for (const auto& [event, times] : life.events()) {
      seen.insert(event);
      static const std::set<std::string> kOften = {
          "PaymentRequested", "OrderPaymentDeclined", "AgentSearchStarted", "AgentAssigned",
          "AgentUnassigned",  "RefundRequested",      "RefundStuck"};
      EXPECT_TRUE(times == 1 || kOften.contains(event)) << event << " " << times << " times";
      if (event == "PaymentRequested") {
        EXPECT_LE(times, kPaymentAttemptsMax);
      }
    }
  }
  EXPECT_EQ(static_cast<int>(statuses.size()), v1::OrderStatus_descriptor()->value_count())
      << "no order of this test came to some status";
  EXPECT_EQ(seen.size(), Order::Events::kSize) << "no order of this test had some event";
}

}  // namespace
}  // namespace leftfold::orders
