#include "domains/orders/order.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/money.h"
#include "core/timestamp.h"
#include "domains/orders/checks.h"
#include "domains/orders/test_events.h"
#include "testing/given.h"
#include "testing/no_money.h"

namespace leftfold::orders {
namespace {

using testing::Given;
using testing::GoldenFold;
using testing::kTestNow;
using testing::Past;

// Now is 2026-01-01T00:00Z; the id is "id-1".

v1::PlaceOrderRequest Place() {
  return Parse<v1::PlaceOrderRequest>(R"(
    customer_id: "ada" restaurant_id: "roma" address: "1 Mill Lane"
    lines { item_id: "pizza" qty: 2 } lines { item_id: "cola" qty: 1 })");
}

v1::PayForOrderRequest Pay(const std::string& payment_id) {
  auto command = Parse<v1::PayForOrderRequest>(R"(
    customer_id: "ada" method_type: "card" payment_token: "tok_1" amount_minor: 2050
    card_last4: "4242")");
  command.set_payment_id(payment_id);
  return command;
}

v1::ConfirmOrderValidRequest Confirm() {
  v1::ConfirmOrderValidRequest command;
  *command.mutable_priced_lines() = Validated().priced_lines();
  command.set_total_minor(2050);
  command.set_currency("EUR");
  return command;
}

v1::RecordPaymentOutcomeRequest Record(const std::string& payment_id, v1::PaymentOutcome outcome) {
  v1::RecordPaymentOutcomeRequest command;
  command.set_payment_id(payment_id);
  command.set_outcome(outcome);
  if (outcome == v1::PAYMENT_OUTCOME_DECLINED) command.set_decline_code("insufficient_funds");
  return command;
}

template <class Command, class Change>
void ExpectInvalid(Command command, Change change, const std::string& reason) {
  change(command);
  SCOPED_TRACE(command.ShortDebugString());
  Given<Order>().When(command).ThenInvalid(reason);
}

TEST(Order, IsPlacedAndValidatedAsItWasSent) {
  Given<Order>().When(Place()).Then(Placed());
  Given<Order>(Placed()).When(Confirm()).Then(Validated());
  const auto again = Given<Order>(Placed()).When(Place()).ThenRejected("ORDER_EXISTS");
  EXPECT_EQ(again.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(again.metadata("order_id"), "id-1");
}

TEST(Order, ThatIsMalformedIsNotPlaced) {
  const auto expect = [](auto change, const std::string& reason) {
    ExpectInvalid(Place(), change, reason);
  };
  expect([](auto& c) { c.clear_lines(); }, "EMPTY_ORDER");
  expect([](auto& c) { c.mutable_lines(1)->set_qty(0); }, "INVALID_QUANTITY");
  expect([](auto& c) { c.mutable_lines(1)->set_qty(-1); }, "INVALID_QUANTITY");
  expect([](auto& c) { c.mutable_lines(1)->set_qty(kQuantityMax + 1); }, "INVALID_QUANTITY");
  expect([](auto& c) { c.mutable_lines(0)->set_item_id("a b"); }, "INVALID_ID");
  expect([](auto& c) { c.clear_customer_id(); }, "INVALID_ID");
  expect([](auto& c) { c.clear_restaurant_id(); }, "INVALID_ID");
  expect([](auto& c) { c.set_address(" \n"); }, "ADDRESS_MISSING");
  expect([](auto& c) { c.set_address("a\x01"); }, "INVALID_TEXT");
  expect([](auto& c) { c.set_address(std::string(kAddressBytesMax + 1, 'x')); }, "INVALID_TEXT");
  expect(
      [](auto& c) {
        while (c.lines_size() <= kOrderLinesMax) *c.add_lines() = c.lines(0);
      },
      "TOO_MANY_LINES");
  v1::PlaceOrderRequest largest = Place();
  largest.set_address("1 Mill Lane\n" + std::string(kAddressBytesMax - 12, 'x'));
  while (largest.lines_size() < kOrderLinesMax) *largest.add_lines() = largest.lines(0);
  largest.mutable_lines(0)->set_qty(kQuantityMax);
  EXPECT_TRUE(Given<Order>().When(largest).result().ok());
}

TEST(Order, IsOnlyPricedAsItsLinesAre) {
  const auto mismatch = [](auto change) {
    auto command = Confirm();
    change(command);
    Given<Order>(Placed()).When(command).ThenRejected("LINES_MISMATCH");
  };
  mismatch([](auto& c) {
    c.mutable_priced_lines(1)->set_qty(2);
    c.set_total_minor(2300);
  });
  mismatch([](auto& c) { c.mutable_priced_lines(1)->set_item_id("wine"); });
  mismatch([](auto& c) {
    c.mutable_priced_lines()->RemoveLast();
    c.set_total_minor(1800);
  });
  mismatch([](auto& c) {
    *c.add_priced_lines() = c.priced_lines(1);
    c.set_total_minor(2300);
  });
  const auto invalid = [](auto change, const std::string& reason) {
    ExpectInvalid(Confirm(), change, reason);
  };
  invalid([](auto& c) { c.set_total_minor(2051); }, "INVALID_TOTAL");
  invalid([](auto& c) { c.clear_priced_lines(); }, "EMPTY_ORDER");
  for (const char* currency : testing::kNoCurrencies)
    invalid([&](auto& c) { c.set_currency(currency); }, "INVALID_CURRENCY");
  invalid([](auto& c) { c.mutable_priced_lines(0)->set_unit_price_minor(0); }, "INVALID_PRICE");
  invalid([](auto& c) { c.mutable_priced_lines(0)->set_unit_price_minor(kPriceMinorMax + 1); },
          "INVALID_PRICE");
  invalid([](auto& c) { c.mutable_priced_lines(0)->clear_name(); }, "INVALID_NAME");
  invalid([](auto& c) { c.mutable_priced_lines(0)->set_qty(0); }, "INVALID_QUANTITY");
  invalid(
      [](auto& c) {
        while (c.priced_lines_size() <= kOrderLinesMax) *c.add_priced_lines() = c.priced_lines(0);
      },
      "TOO_MANY_LINES");
}

TEST(Order, IsInvalidForReasons) {
  const auto command = Parse<v1::MarkOrderInvalidRequest>(
      "reasons { code: INVALID_REASON_ITEM_SOLD_OUT item_id: 'cola' }");
  Given<Order>(Placed()).When(command).Then(Parse<v1::OrderInvalidated>(
      "reasons { code: INVALID_REASON_ITEM_SOLD_OUT item_id: 'cola' }"));
  ExpectInvalid(
      command, [](auto& c) { c.clear_reasons(); }, "NO_REASONS");
  ExpectInvalid(
      command, [](auto& c) { c.mutable_reasons(0)->clear_code(); }, "NO_REASONS");
  ExpectInvalid(
      command, [](auto& c) { c.mutable_reasons(0)->set_item_id("a b"); }, "INVALID_ID");
  ExpectInvalid(
      command,
      [](auto& c) {
        while (c.reasons_size() <= kInvalidReasonsMax) *c.add_reasons() = c.reasons(0);
      },
      "NO_REASONS");
}

TEST(Order, IsPaidWithWhatItCosts) {
  const auto validated = Given<Order>(Placed(), Validated());
  validated.When(Pay("p1")).Then(PaymentRequested());
  for (const std::int64_t amount : {0, 2049, 2051, -2050}) {
    auto command = Pay("p1");
    command.set_amount_minor(amount);
    const auto refusal = validated.When(command).ThenRejected("AMOUNT_MISMATCH");
    EXPECT_EQ(refusal.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(refusal.metadata("total_minor"), "2050");
    EXPECT_EQ(refusal.metadata("amount_minor"), std::to_string(amount));
  }
}

TEST(Order, APaymentGetsAnIdThatTheReceiptHas) {
  const auto outcome = Given<Order>(Placed(), Validated()).When(Pay(""));
  const auto& decided = outcome.decided();
  const auto& requested = std::get<v1::PaymentRequested>(decided.events.at(0));
  EXPECT_EQ(requested.payment_id().size(), 36U);
  EXPECT_EQ(decided.created_id, requested.payment_id());
  EXPECT_EQ(Given<Order>(Placed(), Validated()).When(Pay("p7")).decided().created_id, "p7");
}

TEST(Order, NoCardNumberGoesIntoAnEvent) {
  const auto expect = [](auto change) {
    ExpectInvalid(Pay("p1"), change, "INVALID_PAYMENT_METHOD");
  };
  for (const std::string& token : testing::NoPaymentTokens())
    expect([&](auto& c) { c.set_payment_token(token); });
  for (const char* last4 : {"424", "42424", "abcd", "4242424242424242"}) {
    expect([&](auto& c) { c.set_card_last4(last4); });
  }
  for (const char* method : {"", "Card", "a card"}) {
    expect([&](auto& c) { c.set_method_type(method); });
  }
  expect([](auto& c) { c.set_method_type(std::string(kPaymentMethodBytesMax + 1, 'x')); });
}

TEST(Order, MayBePaidThreeTimes) {
  Past<Order> past = Given<Order>(Placed(), Validated());
  for (int attempt = 1; attempt <= kPaymentAttemptsMax; ++attempt) {
    const std::string id = "p" + std::to_string(attempt);
    past.When(Pay(id)).Then(PaymentRequested(attempt));
    past.Add(PaymentRequested(attempt));
    const auto declined = past.When(Record(id, v1::PAYMENT_OUTCOME_DECLINED));
    if (attempt == kPaymentAttemptsMax) {
      v1::OrderPaymentFailed failed;
      failed.set_reason("insufficient_funds");
      declined.Then(Declined(attempt), failed);
      past.When(Record(id, v1::PAYMENT_OUTCOME_SUCCEEDED)).Then(Paid(id));
    } else {
      declined.Then(Declined(attempt));
      past.Add(Declined(attempt));
      past.When(Pay(id)).ThenRejected("PAYMENT_EXISTS");
    }
  }
}

TEST(Order, APaymentTakesItsIdForAllOrders) {
  const auto paid = Given<Order>(Placed(), Validated()).As("o1").When(Pay("p1"));
  ASSERT_EQ(paid.decided().claims.size(), 1U);
  const Claim& claim = paid.decided().claims[0];
  EXPECT_EQ(claim.kind, Claim::Kind::kTake);
  EXPECT_EQ(claim.scope, "order_payment");
  EXPECT_EQ(claim.value, "p1");
  EXPECT_EQ(ReasonOf(claim.taken), "PAYMENT_EXISTS");
  EXPECT_EQ(MetadataOf(claim.taken, "order_id"), "o1");
  EXPECT_EQ(MetadataOf(claim.taken, "payment_id"), "p1");
  EXPECT_THAT(std::string(claim.taken.message()), ::testing::HasSubstr("take another id"));
  const auto made = Given<Order>(Placed(), Validated()).When(Pay(""));
  EXPECT_EQ(made.decided().claims.at(0).value, made.decided().created_id);
}

TEST(Order, CostsNoMoreThanOnePaymentTakes) {
  v1::ConfirmOrderValidRequest command = Confirm();
  command.clear_priced_lines();
  for (int i = 0; i < 20; ++i) {
    *command.add_priced_lines() = Parse<v1::PricedLine>(
        fmt::format("item_id: 'i{}' name: 'i' qty: 50 unit_price_minor: {}", i, kPriceMinorMax));
  }
  command.set_total_minor(kAmountMinorMax);
  Given<Order>().When(command).ThenRejected("ORDER_NOT_FOUND");
  *command.add_priced_lines() =
      Parse<v1::PricedLine>("item_id: 'mint' name: 'Mint' qty: 1 unit_price_minor: 1");
  command.set_total_minor(kAmountMinorMax + 1);
  const auto refusal = Given<Order>().When(command).ThenInvalid("INVALID_TOTAL");
  EXPECT_EQ(refusal.metadata("maximum"), "1000000000000");
}

TEST(Order, AnOutcomeIsOneOfTwo) {
  ExpectInvalid(
      Record("p1", v1::PAYMENT_OUTCOME_SUCCEEDED), [](auto& c) { c.clear_outcome(); },
      "INVALID_OUTCOME");
  ExpectInvalid(
      Record("p1", v1::PAYMENT_OUTCOME_DECLINED), [](auto& c) { c.clear_decline_code(); },
      "INVALID_TEXT");
  ExpectInvalid(
      Record("p1", v1::PAYMENT_OUTCOME_DECLINED),
      [](auto& c) { c.set_decline_code(std::string(kDeclineCodeBytesMax + 1, 'x')); },
      "INVALID_TEXT");
}

TEST(Order, APaymentThatSucceedsAfterTheEndIsRefundedAtOnce) {
  const auto expect = [](const Past<Order>& past, v1::RefundCause cause) {
    const auto outcome = past.When(Record("p1", v1::PAYMENT_OUTCOME_SUCCEEDED));
    auto refund = RefundRequested(cause);
    refund.set_refund_id(std::get<v1::RefundRequested>(outcome.decided().events.at(1)).refund_id());
    EXPECT_EQ(refund.refund_id().size(), 36U);
    outcome.Then(Paid(), refund);
    auto later = past;
    later.Add(Paid());
    later.Add(refund);
    EXPECT_EQ(later.state().status(), v1::ORDER_STATUS_REFUNDING);
    later.When(Record("p1", v1::PAYMENT_OUTCOME_SUCCEEDED)).ThenNothing();
  };
  const auto expired = Parse<v1::OrderExpired>("stage: ORDER_STAGE_PAYMENT");
  expect(Given<Order>(Placed(), Validated(), PaymentRequested(), v1::OrderCancelled()),
         v1::REFUND_CAUSE_CANCELLED);
  expect(Given<Order>(Placed(), Validated(), PaymentRequested(), expired),
         v1::REFUND_CAUSE_EXPIRED);
}

TEST(Order, APaymentThatIsDeclinedAfterTheEndLeavesItEnded) {
  auto past = Given<Order>(Placed(), Validated(), PaymentRequested(), v1::OrderCancelled());
  auto declined = Declined();
  declined.set_attempts_left(0);
  past.When(Record("p1", v1::PAYMENT_OUTCOME_DECLINED)).Then(declined);
  past.Add(declined);
  EXPECT_EQ(past.state().status(), v1::ORDER_STATUS_CANCELLED);
  past.When(v1::RequestRefundRequest()).ThenRejected("NOTHING_TO_REFUND");
}

TEST(Order, TheRestaurantIsAskedAndSaysWhenTheFoodIsReady) {
  const auto paid = Given<Order>(Placed(), Validated(), PaymentRequested(), Paid());
  v1::RequestApprovalRequest request;
  *request.mutable_respond_by() = ToProto(kTestNow + absl::Minutes(5));
  v1::ApprovalRequested requested;
  requested.set_restaurant_id("roma");
  *requested.mutable_respond_by() = request.respond_by();
  paid.When(request).Then(requested);
  ExpectInvalid(
      request, [](auto& c) { c.clear_respond_by(); }, "INVALID_TIME");

  auto approve = Parse<v1::ApproveOrderRequest>("restaurant_id: 'roma' prep_minutes: 20");
  v1::OrderApproved approved;
  approved.set_by("roma");
  *approved.mutable_ready_at() = ToProto(kTestNow + absl::Minutes(20));
  paid.When(approve).Then(approved);
  approve.set_by("Luigi");
  approved.set_by("Luigi");
  paid.When(approve).Then(approved);
  for (const int minutes : {-1, kPrepMinutesMax + 1}) {
    ExpectInvalid(
        approve, [&](auto& c) { c.set_prep_minutes(minutes); }, "INVALID_PREP_MINUTES");
  }
  paid.When(Parse<v1::RejectOrderRequest>("restaurant_id: 'roma' reason: 'no oven'"))
      .Then(Parse<v1::OrderRejected>("by: 'roma' reason: 'no oven'"));
}

// Whoever comes second is told so, and nothing happens.
TEST(Order, OfCancellationAndApprovalExactlyOneWins) {
  auto past =
      Given<Order>(Placed(), Validated(), PaymentRequested(), Paid(), v1::ApprovalRequested());
  const auto cancel = Parse<v1::CancelOrderRequest>("customer_id: 'ada' reason: 'hungry no more'");
  const auto approve = Parse<v1::ApproveOrderRequest>("restaurant_id: 'roma'");
  const auto cancelled = Parse<v1::OrderCancelled>("by: 'ada' reason: 'hungry no more'");
  past.When(cancel).Then(cancelled);
  auto by_operator = cancel;
  by_operator.set_by("ann");
  auto cancelled_by_operator = cancelled;
  cancelled_by_operator.set_by("ann");
  past.When(by_operator).Then(cancelled_by_operator);
  auto after_cancel = past;
  after_cancel.Add(cancelled);
  EXPECT_EQ(after_cancel.When(approve).ThenRejected("NOT_AWAITING_APPROVAL").code(),
            absl::StatusCode::kFailedPrecondition);
  auto after_approval = past;
  after_approval.Add(v1::OrderApproved());
  EXPECT_EQ(after_approval.When(cancel).ThenRejected("TOO_LATE_TO_CANCEL").code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(Order, GoesFromAgentToAgentUntilOneHasTheFood) {
  auto past = Given<Order>(Placed(), Validated(), PaymentRequested(), Paid(), v1::OrderApproved());
  const auto search = Parse<v1::StartAgentSearchRequest>("deadline { seconds: 1767226000 }");
  const auto started = Parse<v1::AgentSearchStarted>("deadline { seconds: 1767226000 }");
  past.When(search).Then(started);
  ExpectInvalid(
      search, [](auto& c) { c.mutable_deadline()->set_nanos(-1); }, "INVALID_TIME");
  past.Add(started);
  past.When(OfAgent<v1::AssignAgentRequest>("ann")).Then(OfAgent<v1::AgentAssigned>("ann"));
  past.Add(OfAgent<v1::AgentAssigned>("ann"));
  const auto unassigned = Parse<v1::AgentUnassigned>("agent_id: 'ann' reason: 'flat tyre'");
  past.When(Parse<v1::UnassignAgentRequest>("agent_id: 'ann' reason: 'flat tyre'"))
      .Then(unassigned);
  past.Add(unassigned);
  past.When(search).Then(started);
  past.Add(OfAgent<v1::AgentAssigned>("bob"));
  const auto refusal =
      past.When(OfAgent<v1::ConfirmPickupRequest>("ann")).ThenRejected("NOT_ASSIGNED_AGENT");
  EXPECT_EQ(refusal.metadata("agent_id"), "ann");
  EXPECT_EQ(refusal.metadata("status"), "AGENT_ASSIGNED");
  past.When(OfAgent<v1::ConfirmPickupRequest>("bob")).Then(OfAgent<v1::FoodPickedUp>("bob"));
  past.Add(OfAgent<v1::FoodPickedUp>("bob"));
  past.When(OfAgent<v1::ConfirmDeliveryRequest>("bob")).Then(OfAgent<v1::OrderDelivered>("bob"));
  past.When(Parse<v1::ReportDeliveryFailedRequest>("agent_id: 'bob' reason: 'fell'"))
      .Then(Parse<v1::DeliveryFailed>("agent_id: 'bob' reason: 'fell'"));
}

TEST(Order, SaysWhichAgentsWereTried) {
  auto past = Given<Order>(Placed(), Validated(), PaymentRequested(), Paid(), v1::OrderApproved());
  auto command = Parse<v1::MarkNoAgentAvailableRequest>("tried: 'ann' tried: 'bob'");
  past.When(command).Then(Parse<v1::NoAgentAvailable>("tried: 'ann' tried: 'bob'"));
  ExpectInvalid(
      command, [](auto& c) { c.set_tried(0, "a b"); }, "INVALID_ID");
  while (command.tried_size() < kTriedAgentsMax) command.add_tried("ann");
  EXPECT_TRUE(past.When(command).result().ok());
  ExpectInvalid(
      command, [](auto& c) { c.add_tried("ann"); }, "INVALID_FIELDS");
}

TEST(Order, ExpiresInAStageThatThereIs) {
  Given<Order>(Placed())
      .When(Parse<v1::ExpireOrderRequest>("stage: ORDER_STAGE_VALIDATION"))
      .Then(Parse<v1::OrderExpired>("stage: ORDER_STAGE_VALIDATION"));
  Given<Order>(Placed()).When(v1::ExpireOrderRequest()).ThenInvalid("INVALID_STAGE");
}

TEST(Order, ARefundSaysWhyAndHowMuch) {
  const auto asked =
      Given<Order>(Placed(), Validated(), PaymentRequested(), Paid(), v1::ApprovalRequested());
  const auto expect = [](const Past<Order>& past, v1::RefundCause cause) {
    const auto outcome = past.When(v1::RequestRefundRequest());
    const auto& decided = outcome.decided();
    EXPECT_EQ(decided.created_id.size(), 36U);
    auto expected = RefundRequested(cause);
    expected.set_refund_id(decided.created_id);
    outcome.Then(expected);
  };
  const auto with = [&](const auto&... events) {
    auto past = asked;
    (past.Add(events), ...);
    return past;
  };
  expect(with(v1::OrderRejected()), v1::REFUND_CAUSE_REJECTED);
  expect(with(v1::ApprovalTimedOut()), v1::REFUND_CAUSE_APPROVAL_TIMED_OUT);
  expect(with(v1::OrderApproved(), v1::NoAgentAvailable()), v1::REFUND_CAUSE_NO_AGENT);
  expect(with(v1::OrderApproved(), v1::AgentAssigned(), v1::FoodPickedUp(), v1::DeliveryFailed()),
         v1::REFUND_CAUSE_DELIVERY_FAILED);
  expect(with(v1::OrderCancelled()), v1::REFUND_CAUSE_CANCELLED);
  expect(with(v1::OrderExpired()), v1::REFUND_CAUSE_EXPIRED);
}

TEST(Order, AStuckRefundIsTriedAgainUnderItsId) {
  auto past = Given<Order>(Placed(), Validated(), PaymentRequested(), Paid(), v1::OrderRejected(),
                           RefundRequested(v1::REFUND_CAUSE_REJECTED));
  const auto stuck = Parse<v1::RefundStuck>("refund_id: 'r1' error: 'timeout'");
  past.When(Parse<v1::MarkRefundStuckRequest>("refund_id: 'r1' error: 'timeout'")).Then(stuck);
  past.When(Parse<v1::MarkRefundStuckRequest>("refund_id: 'r1'")).ThenInvalid("INVALID_TEXT");
  past.Add(stuck);
  past.When(v1::RetryRefundRequest()).Then(RefundRequested(v1::REFUND_CAUSE_REJECTED, 2));
  past.Add(RefundRequested(v1::REFUND_CAUSE_REJECTED, 2));
  past.Add(stuck);
  past.When(v1::RetryRefundRequest()).Then(RefundRequested(v1::REFUND_CAUSE_REJECTED, 3));
  past.When(Parse<v1::ConfirmRefundRequest>("refund_id: 'r1'"))
      .Then(Parse<v1::OrderRefunded>("refund_id: 'r1'"));
}

TEST(Order, PeoplesReasonsAreBounded) {
  const std::string long_text(kReasonBytesMax + 1, 'x');
  auto cancel = Parse<v1::CancelOrderRequest>("customer_id: 'ada'");
  cancel.set_reason(long_text);
  Given<Order>().When(cancel).ThenInvalid("INVALID_TEXT");
  cancel.clear_reason();
  cancel.set_by(std::string(kNameBytesMax + 1, 'x'));
  Given<Order>().When(cancel).ThenInvalid("INVALID_TEXT");
  auto reject = Parse<v1::RejectOrderRequest>("restaurant_id: 'roma' reason: ' '");
  Given<Order>().When(reject).ThenInvalid("INVALID_TEXT");
  reject.set_reason(long_text);
  Given<Order>().When(reject).ThenInvalid("INVALID_TEXT");
  reject.set_reason("no oven");
  reject.set_by(std::string(kNameBytesMax + 1, 'x'));
  Given<Order>().When(reject).ThenInvalid("INVALID_TEXT");
}

// Evolve is total, so that one story has every event.
TEST(Order, ItsStatesMeanWhatTheyMeantInSnapshots) {
  GoldenFold<Order> fold;
  fold.Add(Placed())
      .Add(Validated())
      .Add(PaymentRequested(1))
      .Add(Declined(1))
      .Add(PaymentRequested(2))
      .Add(Paid("p2"))
      .Add(v1::ApprovalRequested())
      .Add(v1::OrderApproved())
      .Add(v1::AgentSearchStarted())
      .Add(OfAgent<v1::AgentAssigned>("ann"))
      .Add(OfAgent<v1::AgentUnassigned>("ann"))
      .Add(OfAgent<v1::AgentAssigned>("bob"))
      .Add(OfAgent<v1::FoodPickedUp>("bob"))
      .Add(OfAgent<v1::OrderDelivered>("bob"))
      .Add(OfAgent<v1::DeliveryFailed>("bob"))
      .Add(RefundRequested(v1::REFUND_CAUSE_DELIVERY_FAILED))
      .Add(v1::RefundStuck())
      .Add(v1::OrderRefunded())
      .Add(v1::OrderInvalidated())
      .Add(v1::OrderPaymentFailed())
      .Add(v1::OrderRejected())
      .Add(v1::ApprovalTimedOut())
      .Add(v1::NoAgentAvailable())
      .Add(v1::OrderCancelled())
      .Add(Parse<v1::OrderExpired>("stage: ORDER_STAGE_APPROVAL"));
  EXPECT_EQ(fold.Value(), "ce66ae40074150d8")
      << "Evolve or the state has changed: bump kStateVersion, then put the new value here";
  EXPECT_EQ(Order::kStateVersion, 1) << "bumped: put the number and the new value here";
}

}  // namespace
}  // namespace leftfold::orders
