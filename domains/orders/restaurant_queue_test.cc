#include "domains/orders/restaurant_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/page.h"
#include "domains/orders/test_events.h"
#include "testing/given.h"

namespace leftfold::orders {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::ApprovalRequested Asked(std::int64_t respond_by, const std::string& restaurant_id = "roma") {
  v1::ApprovalRequested event;
  event.set_restaurant_id(restaurant_id);
  event.mutable_respond_by()->set_seconds(respond_by);
  return event;
}

class RestaurantQueueTest : public ::testing::Test {
 protected:
  std::vector<std::string> List(const v1::ListPendingApprovalsRequest& query) {
    std::vector<std::string> ids;
    const auto answer = view_.Ask(query);
    EXPECT_TRUE(answer.ok()) << answer.status();
    for (const v1::PendingApproval& approval : answer->approvals()) {
      ids.push_back(approval.order_id());
    }
    next_ = answer->next_page_token();
    return ids;
  }

  testing::ViewFixture<RestaurantQueue> view_{"order"};
  const v1::ListPendingApprovalsRequest of_roma_ =
      Parse<v1::ListPendingApprovalsRequest>(R"(restaurant_id: "roma")");
  const v1::WatchPendingApprovalsRequest watch_ =
      Parse<v1::WatchPendingApprovalsRequest>(R"(restaurant_id: "roma")");
  std::string next_;
};

TEST_F(RestaurantQueueTest, AnOrderIsPendingFromTheQuestionToTheAnswer) {
  view_.Fold("o1", Validated());
  EXPECT_THAT(List(of_roma_), IsEmpty());
  EXPECT_THAT(view_.TakeTouched(), IsEmpty());
  view_.Fold("o1", Asked(1'767'226'200));
  EXPECT_THAT(view_.TakeTouched(), ElementsAre("o1"));
  const auto answer = view_.Ask(of_roma_);
  ASSERT_EQ(answer->approvals_size(), 1);
  const auto expected = Parse<v1::PendingApproval>(R"(
    order_id: "o1"
    lines { item_id: "pizza" name: "Pizza" qty: 2 unit_price_minor: 900 }
    lines { item_id: "cola" name: "Cola" qty: 1 unit_price_minor: 250 }
    total_minor: 2050 currency: "EUR" respond_by { seconds: 1767226200 })");
  EXPECT_EQ(answer->approvals(0).DebugString(), expected.DebugString());
  view_.Fold("o1", v1::OrderApproved());
  EXPECT_THAT(view_.TakeTouched(), ElementsAre("o1"));
  EXPECT_THAT(List(of_roma_), IsEmpty());
}

TEST_F(RestaurantQueueTest, WhateverEndsTheWaitTakesTheOrderOff) {
  RestaurantQueue::Handles::ForEach([&]<class Event>() {
    if (Event::descriptor() == v1::OrderValidated::descriptor()) return;
    if (Event::descriptor() == v1::ApprovalRequested::descriptor()) return;
    view_.Fold("o1", Validated()).Fold("o1", Asked(1));
    view_.TakeTouched();
    EXPECT_THAT(List(of_roma_), ElementsAre("o1"));
    view_.Fold("o1", Event());
    EXPECT_THAT(List(of_roma_), IsEmpty()) << Event::descriptor()->name();
    EXPECT_THAT(view_.TakeTouched(), ElementsAre("o1")) << Event::descriptor()->name();
    view_.Fold("o1", Event());
    EXPECT_THAT(view_.TakeTouched(), IsEmpty()) << Event::descriptor()->name();
  });
}

TEST_F(RestaurantQueueTest, AnOrderThatNobodyWasAskedForLeavesWithoutAWord) {
  view_.Fold("o1", Validated()).Fold("o1", v1::OrderCancelled());
  EXPECT_THAT(view_.TakeTouched(), IsEmpty());
}

TEST_F(RestaurantQueueTest, TheMostUrgentOrderIsFirst) {
  for (const char* id : {"a", "b", "c", "d"}) view_.Fold(id, Validated());
  view_.Fold("b", Asked(200)).Fold("a", Asked(200)).Fold("c", Asked(100));
  view_.Fold("d", Asked(50, "oslo"));
  v1::ListPendingApprovalsRequest query = of_roma_;
  query.set_page_size(2);
  EXPECT_THAT(List(query), ElementsAre("c", "a"));
  query.set_page_token(next_);
  EXPECT_THAT(List(query), ElementsAre("b"));
  EXPECT_EQ(next_, "");
}

TEST_F(RestaurantQueueTest, APageOfLargeOrdersIsShort) {
  v1::OrderValidated large;
  for (int i = 0; i < 50; ++i) large.add_priced_lines()->set_name(std::string(200, 'x'));
  for (int i = 0; i < 300; ++i) {
    view_.Fold(std::to_string(i), large).Fold(std::to_string(i), Asked(1));
  }
  v1::ListPendingApprovalsRequest query = of_roma_;
  query.set_page_size(1'000);
  const std::size_t first = List(query).size();
  EXPECT_LT(first, 300u);
  query.set_page_token(next_);
  EXPECT_EQ(first + List(query).size(), 300u);
}

TEST_F(RestaurantQueueTest, AQuestionWithoutARestaurantAndATokenOfNoPageAreRefused) {
  EXPECT_EQ(ReasonOf(view_.Ask(v1::ListPendingApprovalsRequest()).status()), "INVALID_ID");
  v1::ListPendingApprovalsRequest query = of_roma_;
  const Page page = *Page::Of(query);
  for (const char* key : {"x", "1", "x\no1"}) {
    query.set_page_token(page.TokenAfter(key));
    EXPECT_EQ(ReasonOf(view_.Ask(query).status()), "INVALID_PAGE_TOKEN") << key;
  }
}

TEST_F(RestaurantQueueTest, AWatchHasThePendingOrdersOfItsRestaurant) {
  for (const char* id : {"a", "b", "c", "d"}) view_.Fold(id, Validated());
  view_.Fold("b", Asked(200)).Fold("a", Asked(300)).Fold("d", Asked(50, "oslo"));
  view_.With([&](ReadTx& tx) {
    EXPECT_THAT(RestaurantQueue::Keys(watch_, "", 1, tx), ElementsAre("a"));
    EXPECT_THAT(RestaurantQueue::Keys(watch_, "a", 5, tx), ElementsAre("b"));
    EXPECT_TRUE(RestaurantQueue::Matches(watch_, "a", tx));
    EXPECT_FALSE(RestaurantQueue::Matches(watch_, "c", tx));
    EXPECT_FALSE(RestaurantQueue::Matches(watch_, "d", tx));
    EXPECT_EQ(RestaurantQueue::Answer(watch_, "a", tx)->approval().respond_by().seconds(), 300);
    EXPECT_TRUE(absl::IsNotFound(RestaurantQueue::Answer(watch_, "c", tx).status()));
  });
}

TEST_F(RestaurantQueueTest, NothingServedWalksAWholeTable) {
  List(of_roma_);
  view_.With([&](ReadTx& tx) {
    RestaurantQueue::Keys(watch_, "", 5, tx);
    RestaurantQueue::Matches(watch_, "a", tx);
    EXPECT_FALSE(RestaurantQueue::Answer(watch_, "a", tx).ok());
  });
  EXPECT_THAT(view_.Scans(), IsEmpty());
}

}  // namespace
}  // namespace leftfold::orders
