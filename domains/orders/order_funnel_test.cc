#include "domains/orders/order_funnel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "domains/orders/test_events.h"
#include "testing/given.h"

namespace leftfold::orders {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class OrderFunnelTest : public ::testing::Test {
 protected:
  v1::OrderCounts Funnel() { return view_.Ask(v1::GetFunnelRequest())->counts(); }
  absl::StatusOr<v1::GetSeriesResponse> Series(const std::string& text) {
    return view_.Ask(Parse<v1::GetSeriesRequest>(text));
  }

  testing::ViewFixture<OrderFunnel> view_{"order"};
};

TEST_F(OrderFunnelTest, OrdersAreCountedByHowFarTheyCame) {
  view_.Fold("a", Placed()).Fold("b", Placed()).Fold("c", Placed());
  view_.Fold("a", Validated()).Fold("b", Validated()).Fold("c", v1::OrderInvalidated());
  view_.Fold("a", Paid());
  const auto expected = Parse<v1::OrderCounts>(R"(
    number_orders: 3 number_orders_validated: 2 number_orders_invalid: 1
    number_orders_payment_valid: 1)");
  EXPECT_EQ(Funnel().DebugString(), expected.DebugString());
}

TEST_F(OrderFunnelTest, EveryEventCountsInItsSeries) {
  const auto counts_of = [&]<class Event>(const Event& event) {
    testing::ViewFixture<OrderFunnel> view("order");
    view.Fold("a", event);
    return view.Ask(v1::GetFunnelRequest())->counts().ShortDebugString();
  };
  EXPECT_EQ(counts_of(v1::OrderPlaced()), "number_orders: 1");
  EXPECT_EQ(counts_of(v1::OrderValidated()), "number_orders_validated: 1");
  EXPECT_EQ(counts_of(v1::OrderPaid()), "number_orders_payment_valid: 1");
  EXPECT_EQ(counts_of(v1::OrderApproved()), "number_orders_approved: 1");
  EXPECT_EQ(counts_of(v1::AgentAssigned()), "number_orders_driver_assigned: 1");
  EXPECT_EQ(counts_of(v1::FoodPickedUp()), "number_orders_picked: 1");
  EXPECT_EQ(counts_of(v1::OrderDelivered()), "number_orders_delivered: 1");
  EXPECT_EQ(counts_of(v1::OrderInvalidated()), "number_orders_invalid: 1");
  EXPECT_EQ(counts_of(v1::OrderPaymentDeclined()), "number_orders_declined: 1");
  EXPECT_EQ(counts_of(v1::OrderRejected()), "number_orders_rejected: 1");
  EXPECT_EQ(counts_of(v1::ApprovalTimedOut()), "number_orders_rejected: 1");
  EXPECT_EQ(counts_of(v1::OrderCancelled()), "number_orders_cancelled: 1");
  EXPECT_EQ(counts_of(v1::OrderRefunded()), "number_orders_refunded: 1");
  EXPECT_EQ(counts_of(v1::OrderPaymentFailed()), "number_orders_payment_failed: 1");
  EXPECT_EQ(counts_of(v1::NoAgentAvailable()), "number_orders_no_agent: 1");
  EXPECT_EQ(counts_of(v1::DeliveryFailed()), "number_orders_delivery_failed: 1");
  EXPECT_EQ(counts_of(v1::OrderExpired()), "number_orders_expired: 1");
  EXPECT_EQ(counts_of(v1::RefundStuck()), "number_orders_refund_stuck: 1");
}

TEST_F(OrderFunnelTest, AnOrderCountsOnceHoweverOftenItHappens) {
  view_.Fold("a", Placed());
  view_.TakeTouched();
  view_.Fold("a", OfAgent<v1::AgentAssigned>("ann"));
  EXPECT_THAT(view_.TakeTouched(), ElementsAre("funnel"));
  view_.Wait(absl::Hours(1)).Fold("a", OfAgent<v1::AgentAssigned>("bob"));
  EXPECT_THAT(view_.TakeTouched(), IsEmpty());
  EXPECT_EQ(Funnel().number_orders_driver_assigned(), 1);
  const auto series = Series(
      "interval: SERIES_INTERVAL_HOUR to { seconds: 5000000 }"
      "from { seconds: 1 }");
  EXPECT_TRUE(series.ok()) << series.status();
  EXPECT_THAT(series->points(), IsEmpty());
}

TEST_F(OrderFunnelTest, OrdersAreCountedByMinuteHourAndDay) {
  view_.Fold("a", Placed());                                  // 00:00:00
  view_.Wait(absl::Seconds(57)).Fold("b", Placed());          // 00:00:58
  view_.Fold("b", Validated()).Fold("c", Placed());           // 00:00:59, 00:01:00
  view_.Wait(absl::Hours(1)).Fold("c", Validated());          // 01:01:01
  view_.Wait(absl::Hours(24)).Fold("a", v1::OrderExpired());  // the next day, 01:01:02
  const std::string two_days = "from { seconds: 1767225600 } to { seconds: 1767398400 }";
  const auto points = [&](const std::string& interval, const std::string& span) {
    const auto answer = Series("interval: SERIES_INTERVAL_" + interval + " " + span);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer->DebugString();
  };
  EXPECT_EQ(points("DAY", two_days), Parse<v1::GetSeriesResponse>(R"(
    points { start { seconds: 1767225600 } counts { number_orders: 3 number_orders_validated: 2 } }
    points { start { seconds: 1767312000 } counts { number_orders_expired: 1 } })")
                                         .DebugString());
  EXPECT_EQ(points("HOUR", two_days), Parse<v1::GetSeriesResponse>(R"(
    points { start { seconds: 1767225600 } counts { number_orders: 3 number_orders_validated: 1 } }
    points { start { seconds: 1767229200 } counts { number_orders_validated: 1 } }
    points { start { seconds: 1767315600 } counts { number_orders_expired: 1 } })")
                                          .DebugString());
  // The first moment is in the first minute, and what is after the end is not sent.
  EXPECT_EQ(points("MINUTE", "from { seconds: 1767225630 } to { seconds: 1767229200 }"),
            Parse<v1::GetSeriesResponse>(R"(
    points { start { seconds: 1767225600 } counts { number_orders: 2 number_orders_validated: 1 } }
    points { start { seconds: 1767225660 } counts { number_orders: 1 } })")
                .DebugString());
  EXPECT_EQ(points("MINUTE", "from { seconds: 1767225630 } to { seconds: 1767225660 }"),
            Parse<v1::GetSeriesResponse>(R"(
    points { start { seconds: 1767225600 } counts { number_orders: 2 number_orders_validated: 1 } }
    )")
                .DebugString());
}

TEST_F(OrderFunnelTest, ASpanThatIsNoneOrTooLongIsRefused) {
  const std::string from = "from { seconds: 1767225600 } ";
  for (const std::string& text :
       {from + "to { seconds: 1767225601 }",
        from + "interval: SERIES_INTERVAL_DAY to { seconds: 1767225600 }",
        from + "interval: SERIES_INTERVAL_DAY to { seconds: 1767225599 nanos: 999999999 }",
        from + "interval: SERIES_INTERVAL_MINUTE to { seconds: 1767315600 nanos: 1 }"}) {
    EXPECT_EQ(ReasonOf(Series(text).status()), "INVALID_FIELDS") << text;
  }
  EXPECT_TRUE(Series(from + "interval: SERIES_INTERVAL_MINUTE to { seconds: 1767315600 }").ok());
  EXPECT_EQ(ReasonOf(Series("interval: SERIES_INTERVAL_DAY to { seconds: -1 }").status()),
            "INVALID_TIME");
}

TEST_F(OrderFunnelTest, AWatchHasTheSameCounts) {
  const v1::WatchFunnelRequest watch;
  EXPECT_EQ(OrderFunnel::Key(watch), "funnel");
  EXPECT_TRUE(view_.Ask(watch)->has_counts());
  view_.Fold("a", Placed());
  EXPECT_EQ(view_.Ask(watch)->counts().number_orders(), 1);
}

TEST_F(OrderFunnelTest, NothingServedWalksAWholeTable) {
  Funnel();
  EXPECT_TRUE(Series("interval: SERIES_INTERVAL_DAY to { seconds: 1 }").ok());
  EXPECT_THAT(view_.Scans(), IsEmpty());
}

}  // namespace
}  // namespace leftfold::orders
