#include "domains/orders/order_timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/page.h"
#include "domains/orders/test_events.h"
#include "testing/given.h"

namespace leftfold::orders {
namespace {

class OrderTimelineTest : public ::testing::Test {
 protected:
  static v1::GetTimelineRequest Of(const std::string& id) {
    v1::GetTimelineRequest query;
    query.set_order_id(id);
    return query;
  }
  template <class Event>
  std::string TextAfter(const Event& event) {
    view_.Fold("o1", event);
    auto query = Of("o1");
    query.set_page_size(1'000);
    const auto answer = view_.Ask(query);
    EXPECT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->entries().rbegin()->type(), Event::descriptor()->name());
    return answer->entries().rbegin()->text();
  }

  testing::ViewFixture<OrderTimeline> view_{"order"};
};

TEST_F(OrderTimelineTest, EveryEventIsToldInWords) {
  EXPECT_EQ(TextAfter(Placed()), "ada placed the order at roma, 2 lines, for 1 Mill Lane");
  EXPECT_EQ(TextAfter(Validated()), "The order is valid and costs 20.50 EUR");
  EXPECT_EQ(TextAfter(Parse<v1::OrderInvalidated>(
                R"(reasons { code: INVALID_REASON_ITEM_NOT_FOUND item_id: "cola" })")),
            "The order is invalid: item not found: cola");
  EXPECT_EQ(TextAfter(PaymentRequested()), "Attempt 1 to pay 20.50 EUR by card ending in 4242");
  EXPECT_EQ(TextAfter(Paid()), "The order is paid");
  EXPECT_EQ(TextAfter(Declined()), "Attempt 1 to pay was declined (insufficient_funds), 2 left");
  EXPECT_EQ(TextAfter(Parse<v1::OrderPaymentFailed>(R"(reason: "stolen_card")")),
            "The order could not be paid (stolen_card)");
  EXPECT_EQ(TextAfter(Parse<v1::ApprovalRequested>(
                R"(restaurant_id: "roma" respond_by { seconds: 1767226200 })")),
            "roma was asked to answer until 2026-01-01 00:10:00 UTC");
  EXPECT_EQ(TextAfter(Parse<v1::OrderApproved>(R"(by: "gino" ready_at { seconds: 1767229200 })")),
            "gino approved the order, ready at 2026-01-01 01:00:00 UTC");
  EXPECT_EQ(TextAfter(Parse<v1::OrderRejected>(R"(by: "gino" reason: "no oven")")),
            "gino rejected the order (no oven)");
  EXPECT_EQ(TextAfter(v1::ApprovalTimedOut()), "The restaurant did not answer in time");
  EXPECT_EQ(TextAfter(Parse<v1::AgentSearchStarted>("deadline { seconds: 1767226200 }")),
            "An agent is looked for until 2026-01-01 00:10:00 UTC");
  EXPECT_EQ(TextAfter(OfAgent<v1::AgentAssigned>("ann")), "Agent ann has the order");
  EXPECT_EQ(TextAfter(Parse<v1::AgentUnassigned>(R"(agent_id: "ann" reason: "flat tyre")")),
            "Agent ann does not have the order any more (flat tyre)");
  EXPECT_EQ(TextAfter(Parse<v1::NoAgentAvailable>(R"(tried: "ann" tried: "bob")")),
            "No agent was found in time; tried: 2");
  EXPECT_EQ(TextAfter(OfAgent<v1::FoodPickedUp>("ann")), "Agent ann picked up the food");
  EXPECT_EQ(TextAfter(OfAgent<v1::OrderDelivered>("ann")), "Agent ann delivered the food");
  EXPECT_EQ(TextAfter(OfAgent<v1::DeliveryFailed>("ann")), "Agent ann could not deliver the food");
  EXPECT_EQ(TextAfter(Parse<v1::OrderCancelled>(R"(by: "ada" reason: "too late")")),
            "ada cancelled the order (too late)");
  EXPECT_EQ(TextAfter(Parse<v1::OrderExpired>("stage: ORDER_STAGE_PAYMENT")),
            "The order missed the deadline of its payment");
  EXPECT_EQ(TextAfter(RefundRequested(v1::REFUND_CAUSE_NO_AGENT)),
            "Attempt 1 to give the money back (no agent)");
  EXPECT_EQ(TextAfter(v1::OrderRefunded()), "The money is back with the customer");
  EXPECT_EQ(TextAfter(Parse<v1::RefundStuck>(R"(error: "bank closed")")),
            "The money could not be paid back (bank closed)");
}

TEST_F(OrderTimelineTest, AValueOfALaterBinaryIsUnknown) {
  v1::OrderExpired event;
  event.set_stage(static_cast<v1::OrderStage>(99));
  EXPECT_EQ(TextAfter(event), "The order missed the deadline of its unknown");
}

TEST_F(OrderTimelineTest, TheEventsOfAnOrderArePagedOldestFirst) {
  view_.Fold("o1", Placed()).Fold("o2", Placed()).Fold("o1", Validated());
  view_.Fold("o1", PaymentRequested());
  auto query = Of("o1");
  query.set_page_size(2);
  auto answer = view_.Ask(query);
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_EQ(answer->entries_size(), 2);
  const auto expected = Parse<v1::TimelineEntry>(R"(
    version: 1 type: "OrderValidated" text: "The order is valid and costs 20.50 EUR"
    recorded_at { seconds: 1767225602 })");
  EXPECT_EQ(answer->entries(1).DebugString(), expected.DebugString());
  query.set_page_token(answer->next_page_token());
  answer = view_.Ask(query);
  ASSERT_EQ(answer->entries_size(), 1);
  EXPECT_EQ(answer->entries(0).version(), 2);
  EXPECT_EQ(answer->next_page_token(), "");
}

TEST_F(OrderTimelineTest, AMissingOrderIsNotFoundAndATokenOfNoPageRefused) {
  const auto status = view_.Ask(Of("o1")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(status), "ORDER_NOT_FOUND");
  auto query = Of("o1");
  query.set_page_token(Page::Of(query)->TokenAfter("x"));
  EXPECT_EQ(ReasonOf(view_.Ask(query).status()), "INVALID_PAGE_TOKEN");
}

TEST_F(OrderTimelineTest, NothingServedWalksAWholeTable) {
  view_.Fold("o1", Placed());
  EXPECT_TRUE(view_.Ask(Of("o1")).ok());
  EXPECT_THAT(view_.Scans(), ::testing::IsEmpty());
}

}  // namespace
}  // namespace leftfold::orders
