#include "domains/orders/notify_customer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "domains/orders/customer.h"
#include "domains/orders/order.h"
#include "domains/orders/test_events.h"
#include "testing/given_reactor.h"

namespace leftfold::orders {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const char kMail[] = "mail ada@example.org: Your order o1";

v1::CustomerRegistered Registered(const std::string& email) {
  auto registered = Parse<v1::CustomerRegistered>("username: 'ada'");
  registered.set_email(email);
  return registered;
}

class NotifyCustomerTest : public ::testing::Test {
 protected:
  testing::ReactorFixture<NotifyCustomer> reactor;
};

TEST_F(NotifyCustomerTest, WritesOnceForEachStageUntilTheOrderIsDelivered) {
  reactor.Holds<Customer>("ada", Registered("ada@example.org"));
  EXPECT_THAT(reactor.React(kOrderStream, Placed()), IsEmpty());
  EXPECT_THAT(reactor.React(kOrderStream, Declined()), ElementsAre(kMail));
  EXPECT_THAT(reactor.React(kOrderStream, Paid()), ElementsAre(kMail));
  EXPECT_THAT(reactor.React(kOrderStream, v1::OrderApproved()), ElementsAre(kMail));
  EXPECT_THAT(reactor.React(kOrderStream, OfAgent<v1::AgentAssigned>("bo")), ElementsAre(kMail));
  EXPECT_THAT(reactor.React(kOrderStream, OfAgent<v1::FoodPickedUp>("bo")), ElementsAre(kMail));
  EXPECT_THAT(reactor.React(kOrderStream, OfAgent<v1::OrderDelivered>("bo")), ElementsAre(kMail));
  EXPECT_THAT(reactor.React(kOrderStream, OfAgent<v1::OrderDelivered>("bo")), IsEmpty());
}

TEST_F(NotifyCustomerTest, WritesWhenTheMoneyIsBack) {
  reactor.Holds<Customer>("ada", Registered("ada@example.org"));
  reactor.React(kOrderStream, Placed());
  EXPECT_THAT(reactor.React(kOrderStream, v1::OrderRejected()), SizeIs(1));
  EXPECT_THAT(reactor.React(kOrderStream, v1::OrderRefunded()), SizeIs(1));
}

TEST_F(NotifyCustomerTest, ForgetsTheAddressOfAnOrderThatIsOverAndNothingWasPaidFor) {
  reactor.Holds<Customer>("ada", Registered("ada@example.org"));
  const auto refunded = [&](const std::string& order) {
    return reactor.React("order-" + order, v1::OrderRefunded());
  };
  for (const std::string id : {"unpaid", "declined", "paying", "late"})
    reactor.React("order-" + id, Placed());
  EXPECT_THAT(reactor.React("order-unpaid", v1::OrderCancelled()), IsEmpty());
  EXPECT_THAT(refunded("unpaid"), IsEmpty());
  reactor.HoldsState("order-declined",
                     Parse<v1::OrderState>("attempts { outcome: PAYMENT_OUTCOME_DECLINED }"));
  EXPECT_THAT(reactor.React("order-declined", v1::OrderExpired()), SizeIs(1));
  EXPECT_THAT(refunded("declined"), IsEmpty());
  reactor.HoldsState("order-paying", Parse<v1::OrderState>("attempts { payment_id: 'p1' }"));
  reactor.React("order-paying", v1::OrderCancelled());
  EXPECT_THAT(refunded("paying"), SizeIs(1));
  reactor.HoldsState("order-late",
                     Parse<v1::OrderState>("attempts { outcome: PAYMENT_OUTCOME_SUCCEEDED }"));
  reactor.React("order-late", v1::OrderCancelled());
  EXPECT_THAT(refunded("late"), SizeIs(1));
}

TEST_F(NotifyCustomerTest, SaysNothingOfAPaymentThatIsDeclinedAfterTheEndAndForgetsTheAddress) {
  reactor.Holds<Customer>("ada", Registered("ada@example.org"));
  auto late = Declined();
  late.set_attempts_left(0);
  reactor.Holds<Order>("o1", Placed(), Validated(), PaymentRequested(), v1::OrderCancelled());
  reactor.React(kOrderStream, Placed());
  EXPECT_THAT(reactor.React(kOrderStream, v1::OrderCancelled()), SizeIs(1));
  reactor.Holds<Order>("o1", Placed(), Validated(), PaymentRequested(), v1::OrderCancelled(), late);
  EXPECT_THAT(reactor.React(kOrderStream, late), IsEmpty());
  EXPECT_THAT(reactor.React(kOrderStream, v1::OrderRefunded()), IsEmpty());
  reactor.Holds<Order>("o2", Placed(), Validated(), PaymentRequested(3), Declined(3),
                       v1::OrderPaymentFailed());
  reactor.React("order-o2", Placed());
  EXPECT_THAT(reactor.React("order-o2", Declined(3)), SizeIs(1));
  EXPECT_THAT(reactor.React("order-o2", v1::OrderPaymentFailed()), SizeIs(1));
}

TEST_F(NotifyCustomerTest, TellsOfACancellationThatIsNotTheCustomersOwn) {
  reactor.Holds<Customer>("ada", Registered("ada@example.org"));
  reactor.Holds<Order>("o1", Placed(), Validated(), PaymentRequested(), Paid());
  reactor.Holds<Order>("o2", Placed());
  const auto cancelled = [&](const std::string& stream, const std::string& by) {
    reactor.React(stream, Placed());
    return reactor.React(stream, Parse<v1::OrderCancelled>("reason: 'no gas' by: '" + by + "'"));
  };
  EXPECT_THAT(cancelled(kOrderStream, "ann"), ElementsAre(kMail));
  EXPECT_THAT(reactor.React(kOrderStream, v1::OrderRefunded()), ElementsAre(kMail));
  EXPECT_THAT(cancelled("order-o2", "ann"), SizeIs(1));
  EXPECT_THAT(reactor.React("order-o2", v1::OrderRefunded()), IsEmpty()) << "nothing was paid";
  reactor.Holds<Order>("o3", Placed());
  EXPECT_THAT(cancelled("order-o3", "ada"), IsEmpty());
}

TEST_F(NotifyCustomerTest, WaitsForALogThatCannotBeReadBeforeItTellsOfAnEnd) {
  reactor.Holds<Customer>("ada", Registered("ada@example.org"));
  reactor.React(kOrderStream, Placed());
  reactor.HoldsNoMore();
  EXPECT_THAT(reactor.React(kOrderStream, v1::OrderExpired()), IsEmpty());
  EXPECT_TRUE(absl::IsUnavailable(reactor.status())) << reactor.status();
  EXPECT_THAT(reactor.React(kOrderStream, v1::OrderCancelled()), IsEmpty());
  EXPECT_TRUE(absl::IsUnavailable(reactor.status())) << reactor.status();
}

TEST_F(NotifyCustomerTest, WaitsWhileTheMailServerIsAway) {
  EXPECT_GE(reactor.patience(), absl::Minutes(10));
}

TEST_F(NotifyCustomerTest, WritesToNobodyWithoutAddress) {
  reactor.Holds<Customer>("ada", Registered(""));
  reactor.React(kOrderStream, Placed());
  EXPECT_THAT(reactor.React(kOrderStream, Paid()), IsEmpty());
  auto of_nobody = Placed();
  of_nobody.set_customer_id("nobody");
  reactor.React("order-o2", of_nobody);
  EXPECT_TRUE(reactor.status().ok()) << reactor.status();
  EXPECT_THAT(reactor.React("order-o2", Paid()), IsEmpty());
}

}  // namespace
}  // namespace leftfold::orders
