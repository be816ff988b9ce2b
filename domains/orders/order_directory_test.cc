#include "domains/orders/order_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/page.h"
#include "domains/orders/test_events.h"
#include "testing/given.h"

namespace leftfold::orders {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::OrderPlaced PlacedBy(const std::string& customer_id) {
  v1::OrderPlaced event = Placed();
  event.set_customer_id(customer_id);
  return event;
}

class OrderDirectoryTest : public ::testing::Test {
 protected:
  absl::StatusOr<v1::GetOrderResponse> Get(const std::string& id) {
    v1::GetOrderRequest query;
    query.set_order_id(id);
    return view_.Ask(query);
  }
  v1::Order Shown() { return Get("o1")->order(); }
  // The bar as a word: a letter a stage, of "notyet, running, done, failed".
  std::string Bar() {
    const v1::OrderStages stages = Shown().stages();
    std::string bar;
    for (const v1::StageState state : {stages.validation(), stages.payment(), stages.approval(),
                                       stages.assignment(), stages.pickup(), stages.delivery()}) {
      bar += "?nrdf"[state];
    }
    return bar;
  }
  std::string Flags() {
    const v1::OrderFlags flags = Shown().flags();
    std::string words;
    for (const bool flag :
         {flags.placed(), flags.order_valid(), flags.payment_valid(), flags.approved(),
          flags.driver_assigned(), flags.food_picked(), flags.delivered()}) {
      words += flag ? '1' : '0';
    }
    return words;
  }
  template <class Event>
  void ExpectAfter(const Event& event, v1::OrderStatus status, const std::string& bar,
                   const std::string& flags) {
    SCOPED_TRACE(Event::descriptor()->name());
    view_.Fold("o1", event);
    EXPECT_EQ(Shown().status(), status);
    EXPECT_EQ(Bar(), bar);
    EXPECT_EQ(Flags(), flags);
  }
  static std::vector<std::string> Ids(const v1::ListOrdersResponse& response) {
    std::vector<std::string> ids;
    for (const v1::Order& order : response.orders()) ids.push_back(order.order_id());
    return ids;
  }

  testing::ViewFixture<OrderDirectory> view_{"order"};
};

TEST_F(OrderDirectoryTest, AnOrderIsShownWithAllThatHappened) {
  const auto approved = Parse<v1::OrderApproved>(R"(by: "gino" ready_at { seconds: 1767229200 })");
  const auto asked =
      Parse<v1::ApprovalRequested>(R"(restaurant_id: "roma" respond_by { seconds: 1767226200 })");
  view_.Fold("o1", Placed())
      .Fold("o1", Validated())
      .Fold("o1", PaymentRequested())
      .Fold("o1", Declined())
      .Fold("o1", PaymentRequested(2))
      .Fold("o1", Paid("p2"))
      .Fold("o1", asked)
      .Fold("o1", approved)
      .Fold("o1", OfAgent<v1::AgentAssigned>("ann"));
  const auto expected = Parse<v1::Order>(R"(
    order_id: "o1" version: 8 customer_id: "ada" restaurant_id: "roma" address: "1 Mill Lane"
    lines { item_id: "pizza" name: "Pizza" qty: 2 unit_price_minor: 900 }
    lines { item_id: "cola" name: "Cola" qty: 1 unit_price_minor: 250 }
    total_minor: 2050 currency: "EUR" status: ORDER_STATUS_AGENT_ASSIGNED
    stages {
      validation: STAGE_STATE_DONE payment: STAGE_STATE_DONE approval: STAGE_STATE_DONE
      assignment: STAGE_STATE_DONE pickup: STAGE_STATE_RUNNING delivery: STAGE_STATE_NOT_YET
    }
    flags {
      placed: true order_valid: true payment_valid: true approved: true driver_assigned: true
    }
    agent_id: "ann" attempts: 2
    created_at { seconds: 1767225600 } updated_at { seconds: 1767225608 }
    respond_by { seconds: 1767226200 } ready_at { seconds: 1767229200 })");
  EXPECT_EQ(Shown().DebugString(), expected.DebugString());
  EXPECT_THAT(view_.TakeTouched(), ElementsAre("o1"));
}

TEST_F(OrderDirectoryTest, StatusBarAndFlagsFollowTheWayToTheCustomer) {
  ExpectAfter(Placed(), v1::ORDER_STATUS_PLACED, "rnnnnn", "1000000");
  ExpectAfter(Validated(), v1::ORDER_STATUS_AWAITING_PAYMENT, "dnnnnn", "1100000");
  ExpectAfter(PaymentRequested(), v1::ORDER_STATUS_PAYMENT_PROCESSING, "drnnnn", "1100000");
  ExpectAfter(Declined(), v1::ORDER_STATUS_AWAITING_PAYMENT, "dfnnnn", "1100000");
  EXPECT_EQ(Shown().last_error(), "insufficient_funds");
  ExpectAfter(PaymentRequested(2), v1::ORDER_STATUS_PAYMENT_PROCESSING, "drnnnn", "1100000");
  EXPECT_EQ(Shown().last_error(), "insufficient_funds");
  ExpectAfter(Paid("p2"), v1::ORDER_STATUS_AWAITING_APPROVAL, "ddrnnn", "1110000");
  EXPECT_EQ(Shown().last_error(), "");
  ExpectAfter(v1::ApprovalRequested(), v1::ORDER_STATUS_AWAITING_APPROVAL, "ddrnnn", "1110000");
  ExpectAfter(v1::OrderApproved(), v1::ORDER_STATUS_AWAITING_AGENT, "dddrnn", "1111000");
  ExpectAfter(v1::AgentSearchStarted(), v1::ORDER_STATUS_AWAITING_AGENT, "dddrnn", "1111000");
  ExpectAfter(OfAgent<v1::AgentAssigned>("ann"), v1::ORDER_STATUS_AGENT_ASSIGNED, "ddddrn",
              "1111100");
  auto unassigned = OfAgent<v1::AgentUnassigned>("ann");
  unassigned.set_reason("flat tyre");
  ExpectAfter(unassigned, v1::ORDER_STATUS_AWAITING_AGENT, "dddrnn", "1111000");
  EXPECT_EQ(Shown().last_error(), "flat tyre");
  EXPECT_EQ(Shown().agent_id(), "");
  ExpectAfter(OfAgent<v1::AgentAssigned>("bob"), v1::ORDER_STATUS_AGENT_ASSIGNED, "ddddrn",
              "1111100");
  EXPECT_EQ(Shown().last_error(), "");
  EXPECT_EQ(Shown().agent_id(), "bob");
  ExpectAfter(OfAgent<v1::FoodPickedUp>("bob"), v1::ORDER_STATUS_PICKED_UP, "dddddr", "1111110");
  ExpectAfter(OfAgent<v1::OrderDelivered>("bob"), v1::ORDER_STATUS_DELIVERED, "dddddd", "1111111");
}

TEST_F(OrderDirectoryTest, AnInvalidOrderSaysWhatIsWrong) {
  view_.Fold("o1", Placed());
  const auto invalid = Parse<v1::OrderInvalidated>(R"(
    reasons { code: INVALID_REASON_RESTAURANT_CLOSED }
    reasons { code: INVALID_REASON_ITEM_SOLD_OUT item_id: "cola" })");
  ExpectAfter(invalid, v1::ORDER_STATUS_INVALID, "fnnnnn", "1000000");
  EXPECT_EQ(Shown().last_error(), "restaurant closed; item sold out: cola");
  EXPECT_EQ(Shown().invalid_reasons_size(), 2);
  EXPECT_EQ(Shown().lines(1).item_id(), "cola");
}

TEST_F(OrderDirectoryTest, AStageThatGoesWrongIsFailed) {
  view_.Fold("o1", Placed()).Fold("o1", Validated()).Fold("o1", Paid());
  auto rejected = Parse<v1::OrderRejected>(R"(by: "gino" reason: "no oven")");
  ExpectAfter(rejected, v1::ORDER_STATUS_REJECTED, "ddfnnn", "1110000");
  EXPECT_EQ(Shown().last_error(), "no oven");
  ExpectAfter(RefundRequested(v1::REFUND_CAUSE_REJECTED), v1::ORDER_STATUS_REFUNDING, "ddfnnn",
              "1110000");
  const auto stuck = Parse<v1::RefundStuck>(R"(refund_id: "r1" error: "bank closed")");
  ExpectAfter(stuck, v1::ORDER_STATUS_REFUND_STUCK, "ddfnnn", "1110000");
  EXPECT_EQ(Shown().last_error(), "bank closed");
  ExpectAfter(v1::OrderRefunded(), v1::ORDER_STATUS_REFUNDED, "ddfnnn", "1110000");
  ExpectAfter(v1::ApprovalTimedOut(), v1::ORDER_STATUS_REJECTED, "ddfnnn", "1110000");
  EXPECT_EQ(Shown().last_error(), "the restaurant did not answer in time");
  view_.Fold("o1", v1::OrderApproved());
  ExpectAfter(v1::NoAgentAvailable(), v1::ORDER_STATUS_NO_AGENT, "dddfnn", "1111000");
  EXPECT_EQ(Shown().last_error(), "no agent was found in time");
  auto failed = OfAgent<v1::DeliveryFailed>("ann");
  failed.set_reason("nobody there");
  ExpectAfter(failed, v1::ORDER_STATUS_DELIVERY_FAILED, "dddfnf", "1111000");
  EXPECT_EQ(Shown().last_error(), "nobody there");
  const auto unpaid = Parse<v1::OrderPaymentFailed>(R"(reason: "stolen_card")");
  view_.Fold("o1", Declined(3));
  ExpectAfter(unpaid, v1::ORDER_STATUS_PAYMENT_FAILED, "dfdfnf", "1101000");
  EXPECT_EQ(Shown().last_error(), "stolen_card");
}

TEST_F(OrderDirectoryTest, WhatEndsAnOrderFailsTheStageThatItWasIn) {
  const auto cancelled = Parse<v1::OrderCancelled>(R"(by: "ada" reason: "too late")");
  const auto expired = Parse<v1::OrderExpired>("stage: ORDER_STAGE_APPROVAL");
  view_.Fold("o1", Placed());
  ExpectAfter(cancelled, v1::ORDER_STATUS_CANCELLED, "fnnnnn", "1000000");
  EXPECT_EQ(Shown().last_error(), "cancelled: too late");
  view_.Fold("o1", Validated());
  ExpectAfter(v1::OrderCancelled(), v1::ORDER_STATUS_CANCELLED, "dfnnnn", "1100000");
  EXPECT_EQ(Shown().last_error(), "cancelled");
  view_.Fold("o1", PaymentRequested()).Fold("o1", Paid());
  ExpectAfter(expired, v1::ORDER_STATUS_EXPIRED, "ddfnnn", "1110000");
  EXPECT_EQ(Shown().last_error(), "expired: approval");
}

TEST_F(OrderDirectoryTest, APaymentThatComesAfterTheEndLeavesTheStatus) {
  view_.Fold("o1", Placed()).Fold("o1", Validated()).Fold("o1", PaymentRequested());
  view_.Fold("o1", v1::OrderCancelled());
  ExpectAfter(Declined(), v1::ORDER_STATUS_CANCELLED, "dfnnnn", "1100000");
  EXPECT_EQ(Shown().last_error(), "cancelled");
  ExpectAfter(Paid(), v1::ORDER_STATUS_CANCELLED, "ddfnnn", "1110000");
  EXPECT_EQ(Shown().last_error(), "cancelled");
}

TEST_F(OrderDirectoryTest, AMissingOrderIsNotFound) {
  for (const absl::Status& status :
       {Get("o1").status(),
        view_.Ask(Parse<v1::WatchOrderRequest>(R"(order_id: "o1")")).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(ReasonOf(status), "ORDER_NOT_FOUND");
    EXPECT_EQ(MetadataOf(status, "order_id"), "o1");
  }
}

TEST_F(OrderDirectoryTest, EveryEventTouchesItsOrderAndRaisesTheVersion) {
  view_.Fold("o1", Placed());
  std::int64_t version = 0;
  Order::Events::ForEach([&]<class Event>() {
    if (Event::descriptor() == v1::OrderPlaced::descriptor()) return;
    view_.Fold("none", Event());
    view_.TakeTouched();
    view_.Fold("o1", Event());
    EXPECT_THAT(view_.TakeTouched(), ElementsAre("o1")) << Event::descriptor()->name();
    EXPECT_EQ(Shown().version(), ++version);
  });
}

TEST_F(OrderDirectoryTest, TheOrdersOfACustomerAreListedAsTheyWerePlaced) {
  view_.Fold("c", Placed()).Fold("x", PlacedBy("bob")).Fold("a", Placed()).Fold("b", Placed());
  auto query = Parse<v1::ListOrdersRequest>(R"(customer_id: "ada" page_size: 2)");
  auto answer = view_.Ask(query);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(Ids(*answer), ElementsAre("c", "a"));
  query.set_page_token(answer->next_page_token());
  answer = view_.Ask(query);
  EXPECT_THAT(Ids(*answer), ElementsAre("b"));
  EXPECT_EQ(answer->next_page_token(), "");
  query.set_customer_id("bob");
  EXPECT_EQ(ReasonOf(view_.Ask(query).status()), "INVALID_PAGE_TOKEN");
  query.clear_page_token();
  EXPECT_THAT(Ids(*view_.Ask(query)), ElementsAre("x"));
  query.set_customer_id("nobody");
  EXPECT_THAT(Ids(*view_.Ask(query)), IsEmpty());
  query.clear_customer_id();
  EXPECT_EQ(ReasonOf(view_.Ask(query).status()), "INVALID_ID");
}

TEST_F(OrderDirectoryTest, TheOrdersOfACustomerAreListedByStatus) {
  view_.Fold("a", Placed()).Fold("b", Placed()).Fold("c", Placed()).Fold("a", Validated());
  view_.Fold("c", Validated());
  auto query = Parse<v1::ListOrdersRequest>(
      R"(customer_id: "ada" status: ORDER_STATUS_AWAITING_PAYMENT page_size: 1)");
  auto answer = view_.Ask(query);
  EXPECT_THAT(Ids(*answer), ElementsAre("a"));
  query.set_page_token(answer->next_page_token());
  answer = view_.Ask(query);
  EXPECT_THAT(Ids(*answer), ElementsAre("c"));
  EXPECT_EQ(answer->next_page_token(), "");
}

TEST_F(OrderDirectoryTest, APageOfLargeOrdersIsShort) {
  v1::OrderValidated large;
  for (int i = 0; i < kOrderLinesMax; ++i) {
    large.add_priced_lines()->set_name(std::string(200, 'x'));
  }
  for (int i = 0; i < 300; ++i) {
    const std::string id = std::to_string(1'000 + i);
    view_.Fold(id, Placed()).Fold(id, large);
  }
  auto query = Parse<v1::ListOrdersRequest>(R"(customer_id: "ada" page_size: 1000)");
  std::vector<std::string> ids;
  int pages = 0;
  do {
    const auto answer = view_.Ask(query);
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_LT(answer->ByteSizeLong(), 4u * 1'024 * 1'024);
    for (const std::string& id : Ids(*answer)) ids.push_back(id);
    query.set_page_token(answer->next_page_token());
    ++pages;
  } while (!query.page_token().empty());
  EXPECT_EQ(ids.size(), 300u);
  EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
  EXPECT_GT(pages, 1);
}

TEST_F(OrderDirectoryTest, ATokenOfNoPageIsRefused) {
  auto query = Parse<v1::ListOrdersRequest>(R"(customer_id: "ada")");
  const Page page = *Page::Of(query);
  for (const char* key : {"0", "-1", "x", "9223372036854775807"}) {
    query.set_page_token(page.TokenAfter(key));
    EXPECT_EQ(ReasonOf(view_.Ask(query).status()), "INVALID_PAGE_TOKEN") << key;
  }
}

TEST_F(OrderDirectoryTest, AWatchOfACustomersOrdersHasThoseOfTheStatus) {
  view_.Fold("c", Placed()).Fold("x", PlacedBy("bob")).Fold("a", Placed()).Fold("b", Placed());
  view_.Fold("a", Validated());
  const auto all = Parse<v1::WatchCustomerOrdersRequest>(R"(customer_id: "ada")");
  const auto placed =
      Parse<v1::WatchCustomerOrdersRequest>(R"(customer_id: "ada" status: ORDER_STATUS_PLACED)");
  view_.With([&](ReadTx& tx) {
    EXPECT_THAT(OrderDirectory::Keys(all, "", 2, tx), ElementsAre("c", "a"));
    EXPECT_THAT(OrderDirectory::Keys(all, "a", 2, tx), ElementsAre("b"));
    EXPECT_THAT(OrderDirectory::Keys(placed, "", 2, tx), ElementsAre("c", "b"));
    // What was in the list when the chunk before was read may have left it.
    EXPECT_THAT(OrderDirectory::Keys(placed, "a", 2, tx), ElementsAre("b"));
    EXPECT_TRUE(OrderDirectory::Matches(all, "a", tx));
    EXPECT_FALSE(OrderDirectory::Matches(placed, "a", tx));
    EXPECT_TRUE(OrderDirectory::Matches(placed, "b", tx));
    EXPECT_FALSE(OrderDirectory::Matches(all, "x", tx));
    EXPECT_FALSE(OrderDirectory::Matches(all, "none", tx));
    EXPECT_EQ(OrderDirectory::Answer(all, "a", tx)->order().order_id(), "a");
    EXPECT_FALSE(OrderDirectory::Answer(all, "none", tx).ok());
  });
}

TEST_F(OrderDirectoryTest, AWatchOfAnOrderHasItsIdAsKey) {
  const auto watch = Parse<v1::WatchOrderRequest>(R"(order_id: "o1")");
  EXPECT_EQ(OrderDirectory::Key(watch), "o1");
  view_.Fold("o1", Placed());
  EXPECT_EQ(view_.Ask(watch)->order().order_id(), "o1");
}

TEST_F(OrderDirectoryTest, AnOrderIsAskedForAsOfAPositionByItsStream) {
  EXPECT_EQ(OrderDirectory::Stream(Parse<v1::GetOrderRequest>(R"(order_id: "o1")")), "order-o1");
}

TEST_F(OrderDirectoryTest, NothingServedWalksAWholeTable) {
  view_.Fold("o1", Placed());
  EXPECT_TRUE(Get("o1").ok());
  for (const char* status : {"", "status: ORDER_STATUS_PLACED"}) {
    const std::string text = std::string(R"(customer_id: "ada" )") + status;
    EXPECT_TRUE(view_.Ask(Parse<v1::ListOrdersRequest>(text)).ok());
    view_.With([&](ReadTx& tx) {
      const auto watch = Parse<v1::WatchCustomerOrdersRequest>(text);
      OrderDirectory::Keys(watch, "o1", 10, tx);
      OrderDirectory::Matches(watch, "o1", tx);
    });
  }
  EXPECT_THAT(view_.Scans(), IsEmpty());
}

}  // namespace
}  // namespace leftfold::orders
