#include "domains/orders/pay_all_orders.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "domains/orders/test_events.h"
#include "testing/given_reactor.h"

namespace leftfold::orders {
namespace {

using testing::Doings;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const char kBulk[] = "bulk_payment-b1";

v1::BulkPaymentRequested WishOf(const std::string& customer_id = "ada") {
  auto wish = Parse<v1::BulkPaymentRequested>(
      "method_type: 'card' payment_token: 'tok_1' card_last4: '4242'");
  wish.set_customer_id(customer_id);
  return wish;
}

class PayAllOrdersTest : public ::testing::Test {
 protected:
  void HasValid(const std::string& order_id) {
    reactor.React("order-" + order_id, Placed());
    reactor.React("order-" + order_id, Validated());
  }
  static v1::PayForOrderRequest Pay(const std::string& order_id) {
    auto pay = Parse<v1::PayForOrderRequest>(
        "customer_id: 'ada' method_type: 'card' payment_token: 'tok_1' amount_minor: 2050 "
        "card_last4: '4242'");
    pay.set_order_id(order_id);
    pay.set_payment_id(BulkPaymentIdOf("b1", order_id));
    return pay;
  }
  static std::string Sent(const std::string& order_id) {
    return fmt::format("PayForOrderRequest {{{}}}", Pay(order_id).ShortDebugString());
  }
  testing::ReactorFixture<PayAllOrders> reactor;
};

TEST_F(PayAllOrdersTest, AsksTheCustomersValidUnpaidOrdersThoseFirstThatWerePlacedFirst) {
  HasValid("o9");
  HasValid("o1");
  reactor.React("order-o2", Placed());
  auto of_eve = Placed();
  of_eve.set_customer_id("eve");
  reactor.React("order-o3", of_eve);
  reactor.React("order-o3", Validated());
  EXPECT_THAT(reactor.React(kBulk, WishOf()), ElementsAre(Sent("o9"), Sent("o1")));
}

TEST_F(PayAllOrdersTest, LeavesOutWhatIsBeingPaidOrOver) {
  for (const std::string id : {"paying", "paid", "cancelled", "expired", "failed"}) HasValid(id);
  reactor.React("order-invalid", Placed());
  reactor.React("order-invalid", v1::OrderInvalidated());
  reactor.React("order-paying", PaymentRequested());
  reactor.React("order-paid", PaymentRequested());
  reactor.React("order-paid", Paid());
  reactor.React("order-cancelled", v1::OrderCancelled());
  reactor.React("order-expired", v1::OrderExpired());
  reactor.React("order-failed", PaymentRequested(3));
  reactor.React("order-failed", Declined(3));
  EXPECT_THAT(reactor.React(kBulk, WishOf()),
              ElementsAre("RecordBulkPaymentBegunRequest {bulk_payment_id: \"b1\"}"));
}

TEST_F(PayAllOrdersTest, AsksAgainAfterADeclinedPayment) {
  HasValid("o1");
  reactor.React("order-o1", PaymentRequested());
  reactor.React("order-o1", Declined());
  EXPECT_THAT(reactor.React(kBulk, WishOf()), ElementsAre(Sent("o1")));
}

TEST_F(PayAllOrdersTest, CountsWhatBeganAndWhatTheOrdersRefused) {
  for (const std::string id : {"o1", "o2", "o3"}) HasValid(id);
  reactor.React(kBulk, WishOf());
  EXPECT_THAT(reactor.Accepted(Pay("o1")), IsEmpty());
  EXPECT_THAT(reactor.Refused(Pay("o2"), v1::ERROR_REASON_ALREADY_PAID), IsEmpty());
  EXPECT_THAT(reactor.Accepted(Pay("o3")),
              ElementsAre("RecordBulkPaymentBegunRequest {bulk_payment_id: \"b1\" "
                          "orders_begun: 2 orders_refused: 1}"));
  EXPECT_THAT(reactor.Accepted(Pay("o3")), IsEmpty());
}

TEST_F(PayAllOrdersTest, CountsWhatAnOperatorSkippedAsRefused) {
  for (const std::string id : {"o1", "o2"}) HasValid(id);
  reactor.React(kBulk, WishOf());
  EXPECT_THAT(reactor.Accepted(Pay("o1")), IsEmpty());
  EXPECT_THAT(reactor.Skipped(Pay("o2")),
              ElementsAre("RecordBulkPaymentBegunRequest {bulk_payment_id: \"b1\" "
                          "orders_begun: 1 orders_refused: 1}"));
}

TEST_F(PayAllOrdersTest, LeavesWhatIsBeyondTheMaximum) {
  for (int i = 0; i <= kBulkPaymentOrdersMax; ++i) HasValid(fmt::format("o{}", i));
  const Doings doings = reactor.React(kBulk, WishOf());
  ASSERT_EQ(doings.size(), static_cast<std::size_t>(kBulkPaymentOrdersMax));
  EXPECT_EQ(doings.back(), Sent(fmt::format("o{}", kBulkPaymentOrdersMax - 1)));
  for (int i = 0; i + 1 < kBulkPaymentOrdersMax; ++i) reactor.Accepted(Pay(fmt::format("o{}", i)));
  EXPECT_THAT(reactor.Accepted(Pay(fmt::format("o{}", kBulkPaymentOrdersMax - 1))),
              ElementsAre(fmt::format("RecordBulkPaymentBegunRequest {{bulk_payment_id: \"b1\" "
                                      "orders_begun: {} orders_left: 1}}",
                                      kBulkPaymentOrdersMax)));
}

}  // namespace
}  // namespace leftfold::orders
