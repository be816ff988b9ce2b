// Every command to an order in every state: what it leads to, or exactly why it is refused.
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "domains/orders/order.h"
#include "domains/orders/test_events.h"
#include "testing/given.h"

namespace leftfold::orders {
namespace {

using testing::Given;
using testing::Past;

template <class... Es>
Past<Order> After(Past<Order> past, const Es&... events) {
  (past.Add(events), ...);
  return past;
}

std::map<std::string, Past<Order>> States() {
  std::map<std::string, Past<Order>> all;
  const auto none = Given<Order>();
  const auto placed = After(none, Placed());
  const auto validated = After(placed, Validated());
  const auto paying = After(validated, PaymentRequested());
  const auto declined = After(paying, Declined());
  const auto last_try = After(declined, PaymentRequested(2), Declined(2), PaymentRequested(3));
  const auto paid = After(paying, Paid());
  const auto asked = After(paid, v1::ApprovalRequested());
  const auto approved = After(asked, v1::OrderApproved());
  const auto searching = After(approved, v1::AgentSearchStarted());
  const auto assigned = After(searching, OfAgent<v1::AgentAssigned>("ann"));
  const auto picked_up = After(assigned, OfAgent<v1::FoodPickedUp>("ann"));
  const auto failed = After(picked_up, OfAgent<v1::DeliveryFailed>("ann"));
  const auto rejected = After(asked, v1::OrderRejected());
  const auto timed_out = After(asked, v1::ApprovalTimedOut());
  const auto no_agent = After(searching, v1::NoAgentAvailable());
  const auto expired = Parse<v1::OrderExpired>("stage: ORDER_STAGE_PAYMENT");
  const auto late = Parse<v1::OrderExpired>("stage: ORDER_STAGE_APPROVAL");
  const auto refunding = After(rejected, RefundRequested(v1::REFUND_CAUSE_REJECTED));
  const auto stuck = After(refunding, v1::RefundStuck());
  all.emplace("none", none);
  all.emplace("placed", placed);
  all.emplace("invalid", After(placed, v1::OrderInvalidated()));
  all.emplace("validated", validated);
  all.emplace("paying", paying);
  all.emplace("declined", declined);
  all.emplace("last_try", last_try);
  all.emplace("payment_failed", After(last_try, Declined(3), v1::OrderPaymentFailed()));
  all.emplace("paid", paid);
  all.emplace("asked", asked);
  all.emplace("approved", approved);
  all.emplace("searching", searching);
  all.emplace("assigned", assigned);
  all.emplace("unassigned", After(assigned, OfAgent<v1::AgentUnassigned>("ann")));
  all.emplace("picked_up", picked_up);
  all.emplace("delivered", After(picked_up, OfAgent<v1::OrderDelivered>("ann")));
  all.emplace("failed", failed);
  all.emplace("failed_refunding", After(failed, RefundRequested(v1::REFUND_CAUSE_DELIVERY_FAILED)));
  all.emplace("rejected", rejected);
  all.emplace("timed_out", timed_out);
  all.emplace("no_agent", no_agent);
  all.emplace("no_agent_refunding", After(no_agent, RefundRequested(v1::REFUND_CAUSE_NO_AGENT)));
  all.emplace("cancelled", After(validated, v1::OrderCancelled()));
  all.emplace("cancelled_paying", After(paying, v1::OrderCancelled()));
  all.emplace("cancelled_paid", After(asked, v1::OrderCancelled()));
  all.emplace("expired", After(validated, expired));
  all.emplace("expired_paying", After(paying, expired));
  all.emplace("expired_paid", After(asked, late));
  all.emplace("late_refunding", After(paying, v1::OrderCancelled(), Paid(),
                                      RefundRequested(v1::REFUND_CAUSE_CANCELLED)));
  all.emplace("refunding", refunding);
  all.emplace("stuck", stuck);
  all.emplace("refunded", After(refunding, v1::OrderRefunded()));
  return all;
}

// Names of the events, "nothing", or the reason of the refusal.
template <class Command>
std::string ResultOf(const Past<Order>& past, const std::string& text) {
  const auto outcome = past.When(Parse<Command>(text));
  const auto& result = outcome.result();
  if (!result.ok()) return ReasonOf(result.status());
  std::vector<std::string> events;
  for (const auto& event : result->events) {
    std::visit([&](const auto& e) { events.push_back(e.GetDescriptor()->name()); }, event);
  }
  return events.empty() ? "nothing" : absl::StrJoin(events, " ");
}

struct Row {
  std::string command;
  std::string (*result)(const Past<Order>& past, const std::string& text);
  std::string text;
  // In the states that are not below; "none" has ORDER_NOT_FOUND unless it is.
  std::string otherwise;
  // Result by states, with blanks between.
  std::vector<std::pair<std::string, std::string>> results;
};

template <class Command>
Row When(std::string text, std::string otherwise,
         std::vector<std::pair<std::string, std::string>> results) {
  return {Command::descriptor()->name(), ResultOf<Command>, std::move(text), std::move(otherwise),
          std::move(results)};
}

std::vector<Row> Rows() {
  return {
      When<v1::PlaceOrderRequest>(
          R"(customer_id: "ada" restaurant_id: "roma" address: "1 Mill Lane"
             lines { item_id: "pizza" qty: 2 })",
          "ORDER_EXISTS", {{"OrderPlaced", "none"}}),
      When<v1::ConfirmOrderValidRequest>(
          R"(priced_lines { item_id: "pizza" name: "Pizza" qty: 2 unit_price_minor: 900 }
             priced_lines { item_id: "cola" name: "Cola" qty: 1 unit_price_minor: 250 }
             total_minor: 2050 currency: "EUR")",
          "NOT_AWAITING_VALIDATION", {{"OrderValidated", "placed"}}),
      When<v1::MarkOrderInvalidRequest>("reasons { code: INVALID_REASON_RESTAURANT_CLOSED }",
                                        "NOT_AWAITING_VALIDATION",
                                        {{"OrderInvalidated", "placed"}}),
      When<v1::PayForOrderRequest>(
          R"(customer_id: "ada" payment_id: "p9" method_type: "card" payment_token: "tok_1"
             amount_minor: 2050 card_last4: "4242")",
          "ORDER_CLOSED",
          {{"PaymentRequested", "validated declined"},
           {"ORDER_NOT_VALIDATED", "placed"},
           {"PAYMENT_IN_PROGRESS", "paying last_try"},
           {"ATTEMPTS_EXHAUSTED", "payment_failed"},
           {"ALREADY_PAID",
            "paid asked approved searching assigned unassigned picked_up delivered"}}),
      When<v1::RecordPaymentOutcomeRequest>(
          R"(payment_id: "p1" outcome: PAYMENT_OUTCOME_SUCCEEDED)", "nothing",
          {{"UNKNOWN_PAYMENT", "placed invalid validated cancelled expired"},
           {"CONFLICTING_OUTCOME", "declined last_try payment_failed"},
           {"OrderPaid", "paying"},
           {"OrderPaid RefundRequested", "cancelled_paying expired_paying"}}),
      When<v1::RecordPaymentOutcomeRequest>(
          R"(payment_id: "p1" outcome: PAYMENT_OUTCOME_DECLINED decline_code: "x")",
          "CONFLICTING_OUTCOME",
          {{"UNKNOWN_PAYMENT", "placed invalid validated cancelled expired"},
           {"nothing", "declined last_try payment_failed"},
           {"OrderPaymentDeclined", "paying cancelled_paying expired_paying"}}),
      When<v1::RecordPaymentOutcomeRequest>(
          R"(payment_id: "p3" outcome: PAYMENT_OUTCOME_DECLINED decline_code: "x")",
          "UNKNOWN_PAYMENT",
          {{"nothing", "payment_failed"}, {"OrderPaymentDeclined OrderPaymentFailed", "last_try"}}),
      When<v1::RequestApprovalRequest>(
          "respond_by { seconds: 1 }", "NOT_AWAITING_APPROVAL",
          {{"ApprovalRequested", "paid"},
           {"nothing", "asked"},
           {"ALREADY_DECIDED",
            "approved searching assigned unassigned picked_up delivered failed failed_refunding "
            "rejected no_agent no_agent_refunding refunding stuck refunded"}}),
      When<v1::ApproveOrderRequest>(
          R"(restaurant_id: "roma" prep_minutes: 20)", "NOT_AWAITING_APPROVAL",
          {{"OrderApproved", "paid asked"},
           {"nothing",
            "approved searching assigned unassigned picked_up delivered failed failed_refunding "
            "no_agent no_agent_refunding"},
           {"ALREADY_DECIDED", "rejected refunding stuck refunded"}}),
      When<v1::RejectOrderRequest>(
          R"(restaurant_id: "roma" reason: "no oven")", "NOT_AWAITING_APPROVAL",
          {{"OrderRejected", "paid asked"},
           {"nothing", "rejected refunding stuck refunded"},
           {"ALREADY_DECIDED",
            "approved searching assigned unassigned picked_up delivered failed failed_refunding "
            "no_agent no_agent_refunding"}}),
      When<v1::TimeOutApprovalRequest>(
          "", "NOT_AWAITING_APPROVAL",
          {{"ApprovalTimedOut", "asked"},
           {"nothing", "timed_out"},
           {"ALREADY_DECIDED",
            "approved searching assigned unassigned picked_up delivered failed failed_refunding "
            "rejected no_agent no_agent_refunding refunding stuck refunded"}}),
      When<v1::StartAgentSearchRequest>("deadline { seconds: 1 }", "NOT_AWAITING_AGENT",
                                        {{"AgentSearchStarted", "approved unassigned"},
                                         {"nothing", "searching"},
                                         {"ALREADY_ASSIGNED", "assigned picked_up"}}),
      When<v1::AssignAgentRequest>(
          R"(agent_id: "ann")", "NOT_AWAITING_AGENT",
          {{"AgentAssigned", "approved searching unassigned"}, {"nothing", "assigned picked_up"}}),
      When<v1::AssignAgentRequest>(R"(agent_id: "bob")", "NOT_AWAITING_AGENT",
                                   {{"AgentAssigned", "approved searching unassigned"},
                                    {"ALREADY_ASSIGNED", "assigned picked_up"}}),
      When<v1::MarkNoAgentAvailableRequest>(R"(tried: "ann")", "NOT_AWAITING_AGENT",
                                            {{"NoAgentAvailable", "approved searching unassigned"},
                                             {"nothing", "no_agent no_agent_refunding"},
                                             {"ALREADY_ASSIGNED", "assigned picked_up"}}),
      When<v1::UnassignAgentRequest>(R"(agent_id: "ann" reason: "flat tyre")", "WRONG_STATE",
                                     {{"AgentUnassigned", "assigned"}}),
      When<v1::UnassignAgentRequest>(R"(agent_id: "bob" reason: "flat tyre")", "WRONG_STATE",
                                     {{"NOT_ASSIGNED_AGENT", "assigned"}}),
      When<v1::ConfirmPickupRequest>(R"(agent_id: "ann")", "WRONG_STATE",
                                     {{"FoodPickedUp", "assigned"}, {"nothing", "picked_up"}}),
      When<v1::ConfirmPickupRequest>(R"(agent_id: "bob")", "WRONG_STATE",
                                     {{"NOT_ASSIGNED_AGENT", "assigned picked_up"}}),
      When<v1::ConfirmDeliveryRequest>(R"(agent_id: "ann")", "WRONG_STATE",
                                       {{"OrderDelivered", "picked_up"},
                                        {"NOT_PICKED_UP", "assigned"},
                                        {"nothing", "delivered"}}),
      When<v1::ConfirmDeliveryRequest>(R"(agent_id: "bob")", "WRONG_STATE",
                                       {{"NOT_ASSIGNED_AGENT", "assigned picked_up delivered"}}),
      When<v1::ReportDeliveryFailedRequest>(R"(agent_id: "ann" reason: "fell")", "WRONG_STATE",
                                            {{"DeliveryFailed", "picked_up"},
                                             {"NOT_PICKED_UP", "assigned"},
                                             {"nothing", "failed failed_refunding"}}),
      When<v1::ReportDeliveryFailedRequest>(
          R"(agent_id: "bob" reason: "fell")", "WRONG_STATE",
          {{"NOT_ASSIGNED_AGENT", "assigned picked_up failed failed_refunding"}}),
      When<v1::CancelOrderRequest>(
          R"(customer_id: "ada")", "ORDER_CLOSED",
          {{"OrderCancelled", "placed validated paying declined last_try paid asked"},
           {"nothing", "cancelled cancelled_paying cancelled_paid late_refunding"},
           {"TOO_LATE_TO_CANCEL", "approved searching assigned unassigned picked_up"}}),
      When<v1::ExpireOrderRequest>(
          "stage: ORDER_STAGE_VALIDATION", "WRONG_STATE",
          {{"OrderExpired", "placed"}, {"nothing", "expired expired_paying expired_paid"}}),
      When<v1::ExpireOrderRequest>("stage: ORDER_STAGE_PAYMENT", "WRONG_STATE",
                                   {{"OrderExpired", "validated paying declined last_try"},
                                    {"nothing", "expired expired_paying expired_paid"}}),
      When<v1::ExpireOrderRequest>(
          "stage: ORDER_STAGE_APPROVAL", "WRONG_STATE",
          {{"OrderExpired", "paid asked"}, {"nothing", "expired expired_paying expired_paid"}}),
      When<v1::RequestRefundRequest>(
          "", "NOTHING_TO_REFUND",
          {{"RefundRequested", "rejected timed_out no_agent failed cancelled_paid expired_paid"},
           {"nothing",
            "failed_refunding no_agent_refunding late_refunding refunding stuck refunded"}}),
      When<v1::ConfirmRefundRequest>(R"(refund_id: "r1")", "UNKNOWN_REFUND",
                                     {{"OrderRefunded",
                                       "failed_refunding no_agent_refunding late_refunding "
                                       "refunding stuck"},
                                      {"nothing", "refunded"}}),
      When<v1::ConfirmRefundRequest>(R"(refund_id: "r2")", "UNKNOWN_REFUND", {}),
      When<v1::MarkRefundStuckRequest>(
          R"(refund_id: "r1" error: "timeout")", "UNKNOWN_REFUND",
          {{"RefundStuck", "failed_refunding no_agent_refunding late_refunding refunding"},
           {"nothing", "stuck"},
           {"NOT_REFUNDING", "refunded"}}),
      When<v1::RetryRefundRequest>(
          "", "REFUND_NOT_STUCK",
          {{"RefundRequested", "stuck"},
           {"nothing", "failed_refunding no_agent_refunding late_refunding refunding"}}),
  };
}

TEST(OrderStates, EveryCommandInEveryStateIsAcceptedOrRefusedForItsReason) {
  const auto states = States();
  std::set<std::string> tried;
  for (const Row& row : Rows()) {
    tried.insert(row.command);
    std::map<std::string, std::string> expected = {{"none", "ORDER_NOT_FOUND"}};
    for (const auto& [result, names] : row.results) {
      for (const std::string& name : std::vector<std::string>(absl::StrSplit(names, ' '))) {
        ASSERT_TRUE(states.contains(name)) << name;
        expected[name] = result;
      }
    }
    for (const auto& [name, past] : states) {
      const auto exception = expected.find(name);
      EXPECT_EQ(row.result(past, row.text),
                exception == expected.end() ? row.otherwise : exception->second)
          << row.command << " {" << row.text << "} to an order that is " << name;
    }
  }
  EXPECT_EQ(tried.size(), Order::Commands::kSize) << "a command has no row";
}

// Whose command it is comes before the order's state: others learn nothing of it.
TEST(OrderStates, AnotherCustomerAndAnotherRestaurantAreRefusedInEveryState) {
  for (const auto& [name, past] : States()) {
    if (name == "none") continue;
    SCOPED_TRACE(name);
    past.When(Parse<v1::CancelOrderRequest>(R"(customer_id: "eve")"))
        .ThenRejected("NOT_ORDER_OWNER");
    past.When(Parse<v1::PayForOrderRequest>(R"(customer_id: "eve" method_type: "card"
                                               payment_token: "tok_1" amount_minor: 2050)"))
        .ThenRejected("NOT_ORDER_OWNER");
    past.When(Parse<v1::ApproveOrderRequest>(R"(restaurant_id: "oslo")"))
        .ThenRejected("WRONG_RESTAURANT");
    past.When(Parse<v1::RejectOrderRequest>(R"(restaurant_id: "oslo" reason: "no")"))
        .ThenRejected("WRONG_RESTAURANT");
  }
}

TEST(OrderStates, EachStatusOfTheContractIsOneOfThem) {
  std::set<int> statuses;
  for (const auto& [name, past] : States()) statuses.insert(past.state().status());
  EXPECT_EQ(static_cast<int>(statuses.size()), v1::OrderStatus_descriptor()->value_count());
}

}  // namespace
}  // namespace leftfold::orders
