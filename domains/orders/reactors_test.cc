// What each reactor of orders does on each event and answer, agents' assignment apart.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "domains/orders/apply_payment_result.h"
#include "domains/orders/checks.h"
#include "domains/orders/compensate.h"
#include "domains/orders/deadlines.h"
#include "domains/orders/order.h"
#include "domains/orders/release_agent.h"
#include "domains/orders/restaurant.h"
#include "domains/orders/restaurant_approval.h"
#include "domains/orders/start_charge.h"
#include "domains/orders/test_events.h"
#include "domains/orders/validate_order.h"
#include "leftfold/payments/v1/state.pb.h"
#include "testing/given_reactor.h"

namespace leftfold::orders {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::ReactorFixture;
namespace pay = payments::v1;

v1::RestaurantRegistered RegisteredWith(const std::string& more = "") {
  return Parse<v1::RestaurantRegistered>(
      "name: 'Roma' currency: 'EUR' approval_mode: APPROVAL_MODE_AUTO " + more);
}
v1::MenuItemAdded Item(const std::string& id, int price) {
  auto added = Parse<v1::MenuItemAdded>("item_id: '" + id + "' name: '" + id + "'");
  added.set_price_minor(price);
  return added;
}
v1::MenuItemSoldOut SoldOut(const std::string& id) {
  return Parse<v1::MenuItemSoldOut>("item_id: '" + id + "'");
}

class ValidateOrderTest : public ::testing::Test {
 protected:
  ValidateOrderTest() {
    reactor.React("restaurant-roma", RegisteredWith("max_open_orders: 2"));
    reactor.Holds<Restaurant>("roma", RegisteredWith(), v1::RestaurantOpened(), Item("pizza", 900),
                              Item("cola", 250));
  }
  ReactorFixture<ValidateOrder> reactor;
};

TEST_F(ValidateOrderTest, PricesAnOrderByTheMenu) {
  EXPECT_THAT(reactor.React(kOrderStream, Placed()),
              ElementsAre("ConfirmOrderValidRequest {order_id: \"o1\" "
                          "priced_lines { item_id: \"pizza\" name: \"pizza\" qty: 2 "
                          "unit_price_minor: 900 } "
                          "priced_lines { item_id: \"cola\" name: \"cola\" qty: 1 "
                          "unit_price_minor: 250 } total_minor: 2050 currency: \"EUR\"}"));
}

TEST_F(ValidateOrderTest, TellsAllThatIsWrong) {
  reactor.Holds<Restaurant>("roma", RegisteredWith(), Item("cola", 250), SoldOut("cola"));
  auto placed = Placed();
  placed.mutable_lines(1)->set_qty(60);
  *placed.add_lines() = placed.lines(1);
  EXPECT_THAT(reactor.React(kOrderStream, placed),
              ElementsAre("MarkOrderInvalidRequest {order_id: \"o1\" "
                          "reasons { code: INVALID_REASON_RESTAURANT_CLOSED } "
                          "reasons { code: INVALID_REASON_ITEM_NOT_FOUND item_id: \"pizza\" } "
                          "reasons { code: INVALID_REASON_ITEM_SOLD_OUT item_id: \"cola\" } "
                          "reasons { code: INVALID_REASON_QUANTITY_TOO_LARGE "
                          "item_id: \"cola\" }}"));
}

TEST_F(ValidateOrderTest, FindsNoRestaurantThatWasNotRegisteredBefore) {
  auto placed = Placed();
  placed.set_restaurant_id("napoli");
  EXPECT_THAT(reactor.React(kOrderStream, placed),
              ElementsAre("MarkOrderInvalidRequest {order_id: \"o1\" "
                          "reasons { code: INVALID_REASON_RESTAURANT_NOT_FOUND }}"));
}

TEST_F(ValidateOrderTest, FindsAnOrderInvalidThatCostsMoreThanOnePaymentTakes) {
  testing::Past<Restaurant> dear;
  dear.Add(RegisteredWith());
  dear.Add(v1::RestaurantOpened());
  auto placed = Placed();
  placed.clear_lines();
  for (int i = 0; i < 20; ++i) {
    const std::string id = "i" + std::to_string(i);
    dear.Add(Item(id, kPriceMinorMax));
    *placed.add_lines() = Parse<v1::OrderLine>("qty: 50 item_id: '" + id + "'");
  }
  dear.Add(Item("mint", 1));
  reactor.HoldsState("restaurant-roma", dear.state());
  EXPECT_THAT(reactor.React(kOrderStream, placed),
              ElementsAre(::testing::EndsWith("total_minor: 1000000000000 currency: \"EUR\"}")));
  *placed.add_lines() = Parse<v1::OrderLine>("qty: 1 item_id: 'mint'");
  EXPECT_THAT(reactor.React("order-o2", placed),
              ElementsAre("MarkOrderInvalidRequest {order_id: \"o2\" "
                          "reasons { code: INVALID_REASON_TOTAL_TOO_LARGE }}"));
}

TEST_F(ValidateOrderTest, LetsARestaurantHaveOnlySoManyOpenOrders) {
  reactor.React(kOrderStream, Placed());
  reactor.React("order-o2", Placed());
  EXPECT_THAT(reactor.React("order-o3", Placed()),
              ElementsAre("MarkOrderInvalidRequest {order_id: \"o3\" "
                          "reasons { code: INVALID_REASON_RESTAURANT_BUSY }}"));
  reactor.React("order-o2", v1::OrderCancelled());
  EXPECT_THAT(reactor.React("order-o4", Placed()),
              ElementsAre(::testing::StartsWith("ConfirmOrderValidRequest")));
}

TEST_F(ValidateOrderTest, AnOrderThatHasEndedFreesItsPlace) {
  using Ended =
      Types<v1::OrderDelivered, v1::DeliveryFailed, v1::OrderRejected, v1::ApprovalTimedOut,
            v1::NoAgentAvailable, v1::OrderCancelled, v1::OrderExpired, v1::OrderPaymentFailed>;
  reactor.React("order-o1", Placed());
  std::string last = "order-o2";
  reactor.React(last, Placed());
  Ended::ForEach([&]<class Event>() {
    const std::string name = Event::descriptor()->name();
    reactor.React(last, Event());
    last = "order-after." + name;
    EXPECT_THAT(reactor.React(last, Placed()),
                ElementsAre(::testing::StartsWith("ConfirmOrderValidRequest")))
        << name;
  });
}

TEST_F(ValidateOrderTest, WaitsForALogThatCannotBeRead) {
  ReactorFixture<ValidateOrder> blind;
  blind.HoldsNoMore();
  blind.React("restaurant-roma", RegisteredWith());
  EXPECT_THAT(blind.React(kOrderStream, Placed()), IsEmpty());
  EXPECT_TRUE(absl::IsUnavailable(blind.status())) << blind.status();
}

TEST(StartChargeTest, BeginsAPaymentOfTheCustomerForTheOrder) {
  ReactorFixture<StartCharge> reactor;
  reactor.Holds<Order>("o1", Placed(), Validated(), PaymentRequested());
  EXPECT_THAT(reactor.React(kOrderStream, PaymentRequested()),
              ElementsAre("InitiatePaymentRequest {payment_id: \"p1\" payer_id: \"ada\" "
                          "purpose { kind: \"order\" ref_id: \"o1\" } amount_minor: 2050 "
                          "currency: \"EUR\" method_type: \"card\" token: \"tok_1\" "
                          "card_last4: \"4242\"}"));
}

TEST(StartChargeTest, ChargesNothingForAnOrderThatWasClosedMeanwhile) {
  ReactorFixture<StartCharge> reactor;
  reactor.Holds<Order>("o1", Placed(), Validated(), PaymentRequested(), v1::OrderCancelled());
  EXPECT_THAT(reactor.React(kOrderStream, PaymentRequested()),
              ElementsAre("RecordPaymentOutcomeRequest {order_id: \"o1\" payment_id: \"p1\" "
                          "outcome: PAYMENT_OUTCOME_DECLINED decline_code: \"order_closed\"}"));
}

TEST(StartChargeTest, CountsAPaymentThatCannotBeginAsDeclined) {
  ReactorFixture<StartCharge> reactor;
  const auto sent =
      Parse<pay::InitiatePaymentRequest>("payment_id: 'p1' purpose { kind: 'order' ref_id: 'o1' }");
  EXPECT_THAT(reactor.Accepted(sent), IsEmpty());
  EXPECT_THAT(reactor.Refused(sent, pay::ERROR_REASON_PAYMENT_EXISTS),
              ElementsAre("RecordPaymentOutcomeRequest {order_id: \"o1\" payment_id: \"p1\" "
                          "outcome: PAYMENT_OUTCOME_DECLINED decline_code: \"payment_exists\"}"));
}

const char kForOrder[] = "purpose { kind: 'order' ref_id: 'o1' }";
const char kPayment[] = "payment-p1";

TEST(ApplyPaymentResultTest, TellsTheOrder) {
  ReactorFixture<ApplyPaymentResult> reactor;
  EXPECT_THAT(reactor.React(kPayment, Parse<pay::PaymentSucceeded>(kForOrder)),
              ElementsAre("RecordPaymentOutcomeRequest {order_id: \"o1\" payment_id: \"p1\" "
                          "outcome: PAYMENT_OUTCOME_SUCCEEDED}"));
  EXPECT_THAT(reactor.React(kPayment, Parse<pay::PaymentDeclined>(std::string(kForOrder) +
                                                                  "decline_code: 'fraud'")),
              ElementsAre("RecordPaymentOutcomeRequest {order_id: \"o1\" payment_id: \"p1\" "
                          "outcome: PAYMENT_OUTCOME_DECLINED decline_code: \"fraud\"}"));
  EXPECT_THAT(reactor.React(kPayment, Parse<pay::PaymentCancelled>(kForOrder)),
              ElementsAre("RecordPaymentOutcomeRequest {order_id: \"o1\" payment_id: \"p1\" "
                          "outcome: PAYMENT_OUTCOME_DECLINED decline_code: \"cancelled\"}"));
  EXPECT_THAT(reactor.React(kPayment, Parse<pay::PaymentSucceeded>("purpose { kind: 'trip' }")),
              IsEmpty());
}

TEST(ApplyPaymentResultTest, GivesMoneyBackThatTheOrderDoesNotTake) {
  ReactorFixture<ApplyPaymentResult> reactor;
  reactor.HoldsState(kPayment, Parse<pay::PaymentState>("amount_minor: 2050"));
  auto sent = Parse<v1::RecordPaymentOutcomeRequest>(
      "order_id: 'o1' payment_id: 'p1' outcome: PAYMENT_OUTCOME_SUCCEEDED");
  EXPECT_THAT(reactor.Accepted(sent), IsEmpty());
  const auto first = reactor.Refused(sent, v1::ERROR_REASON_CONFLICTING_OUTCOME);
  EXPECT_THAT(first, ElementsAre(::testing::MatchesRegex(
                         "RefundPaymentRequest .payment_id: \"p1\" refund_id: \"[0-9a-f-]{36}\" "
                         "amount_minor: 2050 reason: \".*CONFLICTING_OUTCOME\".")));
  EXPECT_EQ(reactor.Refused(sent, v1::ERROR_REASON_CONFLICTING_OUTCOME), first) << "one refund";
  sent.set_outcome(v1::PAYMENT_OUTCOME_DECLINED);
  EXPECT_THAT(reactor.Refused(sent, v1::ERROR_REASON_ORDER_NOT_FOUND), IsEmpty());
}

TEST(ApplyPaymentResultTest, GivesMoneyBackOfASkippedResultUnlessTheOrderTookIt) {
  ReactorFixture<ApplyPaymentResult> reactor;
  reactor.HoldsState(kPayment, Parse<pay::PaymentState>("amount_minor: 2050"));
  const auto sent = Parse<v1::RecordPaymentOutcomeRequest>(
      "order_id: 'o1' payment_id: 'p1' outcome: PAYMENT_OUTCOME_SUCCEEDED");
  EXPECT_THAT(reactor.Skipped(sent), ElementsAre(::testing::HasSubstr("payment: SKIPPED\"}")));
  reactor.HoldsState(
      kOrderStream,
      Parse<v1::OrderState>("attempts { payment_id: 'p1' outcome: PAYMENT_OUTCOME_SUCCEEDED }"));
  EXPECT_THAT(reactor.Skipped(sent), IsEmpty());
}

TEST(RestaurantApprovalTest, AsksAndAnswersForThoseThatApproveEachOrder) {
  ReactorFixture<RestaurantApproval> reactor;
  reactor.React("restaurant-roma", RegisteredWith());
  auto manual = RegisteredWith();
  manual.set_approval_mode(v1::APPROVAL_MODE_MANUAL);
  reactor.React("restaurant-napoli", manual);
  EXPECT_THAT(reactor.React(kOrderStream, Paid()),
              ElementsAre("RequestApprovalRequest {order_id: \"o1\" "
                          "respond_by { seconds: 1767226203 }}"));
  EXPECT_THAT(reactor.React(kOrderStream, Parse<v1::ApprovalRequested>("restaurant_id: 'roma'")),
              ElementsAre("ApproveOrderRequest {order_id: \"o1\" restaurant_id: \"roma\" "
                          "prep_minutes: 20 by: \"automatic\"}"));
  EXPECT_THAT(reactor.React(kOrderStream, Parse<v1::ApprovalRequested>("restaurant_id: 'napoli'")),
              IsEmpty());
}

TEST(ReleaseAgentTest, FreesTheAgentWhenTheTourIsOver) {
  ReactorFixture<ReleaseAgent> reactor;
  const auto released = [](const std::string& reason) {
    return ElementsAre(
        "ReleaseAgentRequest {agent_id: \"bo\" order_id: \"o1\" "
        "reason: RELEASE_REASON_" +
        reason + "}");
  };
  EXPECT_THAT(reactor.React(kOrderStream, OfAgent<v1::OrderDelivered>("bo")),
              released("DELIVERED"));
  EXPECT_THAT(reactor.React(kOrderStream, OfAgent<v1::DeliveryFailed>("bo")),
              released("DELIVERY_FAILED"));
  EXPECT_THAT(reactor.React(kOrderStream, OfAgent<v1::AgentUnassigned>("bo")),
              released("UNASSIGNED"));
}

TEST(DeadlinesTest, AreThoseOfTheStageInWhichAnOrderIs) {
  ReactorFixture<Deadlines> reactor;
  const auto expires = [](const std::string& after, const std::string& stage) {
    return ElementsAre("at +" + after + "s o1: ExpireOrderRequest {order_id: \"o1\" " +
                       "stage: ORDER_STAGE_" + stage + "}");
  };
  EXPECT_THAT(reactor.React(kOrderStream, Placed()), expires("300", "VALIDATION"));
  EXPECT_THAT(reactor.React(kOrderStream, Validated()), expires("1800", "PAYMENT"));
  EXPECT_THAT(reactor.React(kOrderStream, Paid()), expires("300", "APPROVAL"));
  EXPECT_THAT(reactor.React(kOrderStream,
                            Parse<v1::ApprovalRequested>("respond_by { seconds: 1767226000 }")),
              ElementsAre("at +396s o1: TimeOutApprovalRequest {order_id: \"o1\"}"));
  EXPECT_THAT(reactor.React(kOrderStream, v1::OrderApproved()), ElementsAre("cancel o1"));
  EXPECT_THAT(reactor.React(kOrderStream, v1::OrderCancelled()), ElementsAre("cancel o1"));
}

TEST(CompensateTest, AsksForARefundOfWhateverWentWrong) {
  ReactorFixture<Compensate> reactor;
  const auto asks = ElementsAre("RequestRefundRequest {order_id: \"o1\"}");
  EXPECT_THAT(reactor.React(kOrderStream, v1::OrderRejected()), asks);
  EXPECT_THAT(reactor.React(kOrderStream, v1::ApprovalTimedOut()), asks);
  EXPECT_THAT(reactor.React(kOrderStream, v1::NoAgentAvailable()), asks);
  EXPECT_THAT(reactor.React(kOrderStream, v1::DeliveryFailed()), asks);
  EXPECT_THAT(reactor.React(kOrderStream, v1::OrderCancelled()), asks);
  EXPECT_THAT(reactor.React(kOrderStream, v1::OrderExpired()), asks);
}

class Refunding : public ::testing::Test {
 protected:
  Refunding() {
    reactor.HoldsState(kPayment,
                       Parse<pay::PaymentState>(std::string(kForOrder) +
                                                "refunds { refund_id: 'r1' amount_minor: 2050 }"));
  }
  pay::RefundFailed Failed(int attempt_no) {
    auto failed =
        Parse<pay::RefundFailed>(std::string(kForOrder) + "refund_id: 'r1' error: 'card_closed'");
    failed.set_attempt_no(attempt_no);
    return failed;
  }
  ReactorFixture<Compensate> reactor;
  const std::string stuck =
      "MarkRefundStuckRequest {order_id: \"o1\" refund_id: \"r1\" error: \"card_closed\"}";
};

TEST_F(Refunding, HasTheMoneySentBackAndTellsTheOrder) {
  EXPECT_THAT(reactor.React(kOrderStream, RefundRequested(v1::REFUND_CAUSE_NO_AGENT)),
              ElementsAre("RefundPaymentRequest {payment_id: \"p1\" refund_id: \"r1\" "
                          "amount_minor: 2050 reason: \"no_agent\"}"));
  EXPECT_THAT(reactor.React(kPayment, Parse<pay::RefundSucceeded>(std::string(kForOrder) +
                                                                  "refund_id: 'r1'")),
              ElementsAre("ConfirmRefundRequest {order_id: \"o1\" refund_id: \"r1\"}"));
}

TEST_F(Refunding, TriesAgainLaterAndIsStuckAfterTheLastAttempt) {
  const std::string again =
      ": RefundPaymentRequest {payment_id: \"p1\" refund_id: \"r1\" amount_minor: 2050}";
  EXPECT_THAT(reactor.React(kPayment, Failed(1)), ElementsAre("at +60s 1" + again));
  EXPECT_THAT(reactor.React(kPayment, Failed(2)), ElementsAre("at +120s 2" + again));
  EXPECT_THAT(reactor.React(kPayment, Failed(4)), ElementsAre("at +480s 3" + again));
  EXPECT_THAT(reactor.React(kPayment, Failed(kRefundAttemptsMax)), ElementsAre(stuck));
  // After an operator's RetryRefund it has as many attempts once more.
  EXPECT_THAT(reactor.React(kPayment, Failed(kRefundAttemptsMax + 1)),
              ElementsAre("at +60s 5" + again));
  EXPECT_THAT(reactor.React(kPayment, Failed(2 * kRefundAttemptsMax)), ElementsAre(stuck));
}

TEST_F(Refunding, IsStuckWhenThePaymentRefusesIt) {
  const auto sent = Parse<pay::RefundPaymentRequest>("payment_id: 'p1' refund_id: 'r1'");
  EXPECT_THAT(reactor.Accepted(sent), IsEmpty());
  EXPECT_THAT(reactor.Refused(sent, pay::ERROR_REASON_NOTHING_TO_REFUND),
              ElementsAre("MarkRefundStuckRequest {order_id: \"o1\" refund_id: \"r1\" "
                          "error: \"NOTHING_TO_REFUND\"}"));
  EXPECT_THAT(reactor.Skipped(sent), ElementsAre("MarkRefundStuckRequest {order_id: \"o1\" "
                                                 "refund_id: \"r1\" error: \"SKIPPED\"}"));
}

TEST_F(Refunding, LeavesPaymentsForSomethingElseAlone) {
  for (const int attempt : {1, kRefundAttemptsMax}) {
    auto failed = Failed(attempt);
    failed.mutable_purpose()->set_kind("recipe");
    EXPECT_THAT(reactor.React("payment-p2", failed), IsEmpty()) << attempt;
  }
  EXPECT_THAT(reactor.React("payment-p2",
                            Parse<pay::RefundSucceeded>("refund_id: 'r1' "
                                                        "purpose { kind: 'recipe' ref_id: 'o1' }")),
              IsEmpty());
  EXPECT_TRUE(reactor.status().ok()) << reactor.status();
}

TEST_F(Refunding, ParksWhatNoOrderShows) {
  const auto sent =
      Parse<v1::MarkRefundStuckRequest>("order_id: 'o1' refund_id: 'r1' error: 'card_closed'");
  reactor.Refused(sent, v1::ERROR_REASON_NOT_REFUNDING);
  EXPECT_TRUE(reactor.status().ok());
  reactor.Refused(sent, v1::ERROR_REASON_UNKNOWN_REFUND);
  EXPECT_EQ(reactor.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(reactor.Skipped(sent), IsEmpty());
  EXPECT_TRUE(reactor.status().ok()) << "the operator has seen to it";
}

}  // namespace
}  // namespace leftfold::orders
