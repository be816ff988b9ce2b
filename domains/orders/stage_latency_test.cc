#include "domains/orders/stage_latency.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "domains/orders/test_events.h"
#include "testing/given.h"

namespace leftfold::orders {
namespace {

// The fixture gives every event one second more than the one before.
class StageLatencyTest : public ::testing::Test {
 protected:
  v1::GetStageLatencyResponse Ask(const std::string& interval = "DAY") {
    const auto answer = view_.Ask(Parse<v1::GetStageLatencyRequest>(
        "interval: SERIES_INTERVAL_" + interval +
        " from { seconds: 1767225600 } to { seconds: 1767312000 }"));
    EXPECT_TRUE(answer.ok()) << answer.status();
    return *answer;
  }
  template <class Event>
  StageLatencyTest& After(absl::Duration time, const Event& event) {
    view_.Wait(time - absl::Seconds(1)).Fold("o1", event);
    return *this;
  }

  testing::ViewFixture<StageLatency> view_{"order"};
};

TEST_F(StageLatencyTest, EveryStageIsMeasuredFromItsBeginToItsEnd) {
  view_.Fold("o1", Placed());
  After(absl::Milliseconds(1'010), Validated());
  After(absl::Minutes(10), PaymentRequested());  // The customer thinks: no stage runs.
  After(absl::Milliseconds(1'020), Paid());
  After(absl::Milliseconds(1'030), v1::OrderApproved());
  After(absl::Milliseconds(1'040), OfAgent<v1::AgentAssigned>("ann"));
  After(absl::Milliseconds(1'050), OfAgent<v1::FoodPickedUp>("ann"));
  After(absl::Milliseconds(2'000), OfAgent<v1::OrderDelivered>("ann"));
  const v1::StageLatencies overall = Ask().overall();
  const auto expect = [](const v1::StageLatency& latency, std::int64_t millis) {
    EXPECT_EQ(latency.count(), 1);
    EXPECT_NEAR(static_cast<double>(latency.p50_ms()), static_cast<double>(millis), 16);
    EXPECT_EQ(latency.p50_ms(), latency.p99_ms());
    EXPECT_EQ(latency.p50_ms(), latency.p95_ms());
  };
  expect(overall.validation(), 1'010);
  expect(overall.payment(), 1'020);
  expect(overall.approval(), 1'030);
  expect(overall.assignment(), 1'040);
  expect(overall.pickup(), 1'050);
  EXPECT_EQ(overall.delivery().count(), 1);
  EXPECT_NEAR(static_cast<double>(overall.delivery().p95_ms()), 2'000, 31);
}

TEST_F(StageLatencyTest, AStageThatFailsCountsToo) {
  view_.Fold("a", Placed()).Fold("a", v1::OrderInvalidated());
  view_.Fold("b", Placed()).Fold("b", Validated()).Fold("b", PaymentRequested());
  view_.Fold("b", Declined()).Fold("b", PaymentRequested(2)).Fold("b", Paid("p2"));
  view_.Fold("b", v1::OrderRejected());
  view_.Fold("c", Placed()).Fold("c", Paid()).Fold("c", v1::ApprovalTimedOut());
  view_.Fold("d", Placed()).Fold("d", v1::OrderApproved()).Fold("d", v1::NoAgentAvailable());
  view_.Fold("e", Placed()).Fold("e", v1::FoodPickedUp()).Fold("e", v1::DeliveryFailed());
  const v1::StageLatencies overall = Ask().overall();
  EXPECT_EQ(overall.validation().count(), 5);
  EXPECT_EQ(overall.payment().count(), 2);
  EXPECT_EQ(overall.approval().count(), 2);
  EXPECT_EQ(overall.assignment().count(), 1);
  EXPECT_FALSE(overall.has_pickup());
  EXPECT_EQ(overall.delivery().count(), 1);
}

TEST_F(StageLatencyTest, AnAgentWhoIsTakenOffLeavesNoPickupAndTheSearchBeginsAnew) {
  view_.Fold("o1", Placed()).Fold("o1", v1::OrderApproved());
  view_.Fold("o1", OfAgent<v1::AgentAssigned>("ann"));
  After(absl::Minutes(9), OfAgent<v1::AgentUnassigned>("ann"));
  After(absl::Seconds(2), OfAgent<v1::AgentAssigned>("bob"));
  const v1::StageLatencies overall = Ask().overall();
  EXPECT_EQ(overall.assignment().count(), 2);
  EXPECT_LT(overall.assignment().p99_ms(), 2'040);
  EXPECT_FALSE(overall.has_pickup());
}

TEST_F(StageLatencyTest, AnOrderThatIsOverIsNotMeasuredAnyMore) {
  view_.Fold("a", Placed()).Fold("a", v1::OrderCancelled()).Fold("a", Validated());
  view_.Fold("b", Placed()).Fold("b", v1::OrderExpired()).Fold("b", Paid());
  view_.Fold("b", v1::OrderApproved());
  EXPECT_FALSE(Ask().overall().has_validation());
  view_.Fold("c", Placed()).Fold("c", v1::OrderInvalidated()).Fold("c", Validated());
  view_.Fold("d", Placed()).Fold("d", v1::OrderPaymentFailed()).Fold("d", Validated());
  EXPECT_EQ(Ask().overall().validation().count(), 1);
  EXPECT_EQ(Ask().points_size(), 1);
}

TEST_F(StageLatencyTest, StagesAreGroupedByWhenTheyEnded) {
  for (int i = 0; i < 10; ++i) {
    const std::string id = std::to_string(i);
    view_.Fold(id, Placed()).Wait(absl::Minutes(10)).Fold(id, Validated());
  }
  const v1::GetStageLatencyResponse hours = Ask("HOUR");
  ASSERT_EQ(hours.points_size(), 2);
  EXPECT_EQ(hours.points(0).start().seconds(), 1'767'225'600);
  EXPECT_EQ(hours.points(0).stages().validation().count(), 5);
  EXPECT_EQ(hours.points(1).start().seconds(), 1'767'229'200);
  EXPECT_EQ(hours.points(1).stages().validation().count(), 5);
  EXPECT_EQ(hours.overall().validation().count(), 10);
  EXPECT_EQ(Ask("MINUTE").points_size(), 10);
  EXPECT_EQ(Ask("DAY").points_size(), 1);
}

TEST_F(StageLatencyTest, PercentilesAreOfAllStagesThatEnded) {
  for (int i = 1; i <= 100; ++i) {
    const std::string id = std::to_string(i);
    view_.Fold(id, Placed()).Wait(absl::Milliseconds(10 * i) - absl::Seconds(1));
    view_.Fold(id, Validated());
  }
  const v1::StageLatency latency = Ask().overall().validation();
  EXPECT_EQ(latency.count(), 100);
  EXPECT_NEAR(static_cast<double>(latency.p50_ms()), 500, 8);
  EXPECT_NEAR(static_cast<double>(latency.p95_ms()), 950, 15);
  EXPECT_NEAR(static_cast<double>(latency.p99_ms()), 990, 16);
}

TEST_F(StageLatencyTest, ASpanThatIsNoneIsRefused) {
  EXPECT_EQ(ReasonOf(view_.Ask(v1::GetStageLatencyRequest()).status()), "INVALID_FIELDS");
}

TEST_F(StageLatencyTest, NothingServedWalksAWholeTable) {
  Ask();
  EXPECT_THAT(view_.Scans(), ::testing::IsEmpty());
}

}  // namespace
}  // namespace leftfold::orders
