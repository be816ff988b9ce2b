#include "domains/orders/payment_ledger.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "core/page.h"
#include "domains/orders/test_events.h"
#include "testing/given.h"

namespace leftfold::orders {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class PaymentLedgerTest : public ::testing::Test {
 protected:
  // Rows as "key currency captured refunded net delivered open".
  std::vector<std::string> Rows(const std::string& group, const std::string& more = "") {
    return Rows(Parse<v1::GetLedgerRequest>("group: LEDGER_GROUP_" + group + " " + more));
  }
  std::vector<std::string> Rows(const v1::GetLedgerRequest& query) {
    std::vector<std::string> rows;
    const auto answer = view_.Ask(query);
    EXPECT_TRUE(answer.ok()) << answer.status();
    for (const v1::LedgerRow& row : answer->rows()) {
      rows.push_back(fmt::format("{} {} {} {} {} {} {}", row.key(), row.currency(),
                                 row.captured_minor(), row.refunded_minor(), row.net_minor(),
                                 row.delivered_minor(), row.open_minor()));
    }
    next_ = answer->next_page_token();
    return rows;
  }
  // Checks as "currency captured refunded delivered open difference".
  std::vector<std::string> Checks() {
    std::vector<std::string> checks;
    const auto answer = view_.Ask(Parse<v1::GetLedgerRequest>("group: LEDGER_GROUP_DAY"));
    for (const v1::LedgerCheck& check : answer->checks()) {
      checks.push_back(fmt::format("{} {} {} {} {} {}", check.currency(), check.captured_minor(),
                                   check.refunded_minor(), check.delivered_minor(),
                                   check.open_minor(), check.difference_minor()));
    }
    return checks;
  }
  void Pay(const std::string& order_id, std::int64_t amount_minor,
           const std::string& restaurant_id = "roma", const std::string& currency = "EUR") {
    v1::OrderPlaced placed = Placed();
    placed.set_restaurant_id(restaurant_id);
    v1::OrderValidated validated;
    validated.set_currency(currency);
    v1::OrderPaid paid;
    paid.set_amount_minor(amount_minor);
    view_.Fold(order_id, placed).Fold(order_id, validated);
    currencies_[order_id] = currency;
    Move<payments::v1::PaymentSucceeded>(order_id, amount_minor);
    view_.Fold(order_id, paid);
  }
  void Refund(const std::string& order_id, std::int64_t amount_minor) {
    v1::RefundRequested requested;
    requested.set_amount_minor(amount_minor);
    view_.Fold(order_id, requested);
    Move<payments::v1::RefundSucceeded>(order_id, amount_minor);
    view_.Fold(order_id, v1::OrderRefunded());
  }
  // What a payment says.
  template <class Event>
  void Move(const std::string& order_id, std::int64_t amount_minor,
            const std::string& kind = "order") {
    Event event;
    event.mutable_purpose()->set_kind(kind);
    event.mutable_purpose()->set_ref_id(order_id);
    event.set_amount_minor(amount_minor);
    event.set_currency(currencies_[order_id]);
    view_.FoldOf("payment", "p-" + order_id, event);
  }

  testing::ViewFixture<PaymentLedger> view_{"order"};
  std::string next_;
  std::map<std::string, std::string> currencies_;  // By order.
};

TEST_F(PaymentLedgerTest, MoneyIsOpenUntilItIsDeliveredOrPaidBack) {
  view_.Fold("o0", Placed()).Fold("o0", Validated());
  Pay("o1", 1000);
  Pay("o2", 500);
  Pay("o3", 70);
  EXPECT_THAT(Rows("ORDER"), ElementsAre("o1 EUR 1000 0 1000 0 1000", "o2 EUR 500 0 500 0 500",
                                         "o3 EUR 70 0 70 0 70"));
  view_.Fold("o1", v1::OrderDelivered());
  Refund("o2", 500);
  EXPECT_THAT(Rows("ORDER"), ElementsAre("o1 EUR 1000 0 1000 1000 0", "o2 EUR 500 500 0 0 0",
                                         "o3 EUR 70 0 70 0 70"));
  EXPECT_THAT(Checks(), ElementsAre("EUR 1570 500 1000 70 0"));
}

TEST_F(PaymentLedgerTest, ARefundThatIsTriedAgainIsBookedOnce) {
  Pay("o1", 1000);
  view_.Fold("o1", RefundRequested(v1::REFUND_CAUSE_NO_AGENT)).Fold("o1", v1::RefundStuck());
  EXPECT_THAT(Rows("ORDER"), ElementsAre("o1 EUR 1000 0 1000 0 1000"));
  Refund("o1", 1000);
  view_.Fold("o1", v1::OrderRefunded());
  EXPECT_THAT(Rows("ORDER"), ElementsAre("o1 EUR 1000 1000 0 0 0"));
  EXPECT_THAT(Checks(), ElementsAre("EUR 1000 1000 0 0 0"));
}

TEST_F(PaymentLedgerTest, WhatIsDeliveredIsBookedOnce) {
  Pay("o1", 1000);
  view_.Fold("o1", v1::OrderDelivered()).Fold("o1", v1::OrderDelivered());
  EXPECT_THAT(Rows("ORDER"), ElementsAre("o1 EUR 1000 0 1000 1000 0"));
  EXPECT_THAT(Checks(), ElementsAre("EUR 1000 0 1000 0 0"));
}

TEST_F(PaymentLedgerTest, EventsOfAnOrderThatWasNeverPlacedBookNothing) {
  PaymentLedger::Handles::ForEach([&]<class Event>() {
    if (Event::descriptor() != v1::OrderPlaced::descriptor()) view_.Fold("none", Event());
  });
  Move<payments::v1::PaymentSucceeded>("none", 1000);
  EXPECT_THAT(Rows("ORDER"), IsEmpty());
  EXPECT_THAT(Checks(), IsEmpty());
}

TEST_F(PaymentLedgerTest, WhatNoOrderTookIsLeftOver) {
  Pay("o1", 1000);
  Move<payments::v1::PaymentSucceeded>("o1", 1800);
  Move<payments::v1::PaymentSucceeded>("o1", 70, "booking");
  EXPECT_THAT(Rows("ORDER"), ElementsAre("o1 EUR 2800 0 2800 0 1000"));
  EXPECT_THAT(Checks(), ElementsAre("EUR 2800 0 0 1000 1800"));
  Move<payments::v1::RefundSucceeded>("o1", 1800);
  EXPECT_THAT(Checks(), ElementsAre("EUR 2800 1800 0 1000 0"));
}

TEST_F(PaymentLedgerTest, CurrenciesAreKeptApart) {
  Pay("o1", 1000);
  Pay("o2", 500, "roma", "CHF");
  EXPECT_THAT(Rows("RESTAURANT"),
              ElementsAre("roma CHF 500 0 500 0 500", "roma EUR 1000 0 1000 0 1000"));
  EXPECT_THAT(Checks(), ElementsAre("CHF 500 0 0 500 0", "EUR 1000 0 0 1000 0"));
}

TEST_F(PaymentLedgerTest, MoneyIsSummedByRestaurantAndDay) {
  Pay("o1", 1000);
  Pay("o2", 500, "oslo");
  view_.Wait(absl::Hours(24));
  Pay("o3", 70);
  Refund("o1", 1000);
  EXPECT_THAT(Rows("RESTAURANT"),
              ElementsAre("oslo EUR 500 0 500 0 500", "roma EUR 1070 1000 70 0 70"));
  EXPECT_THAT(Rows("DAY"), ElementsAre("2026-01-01 EUR 1500 0 1500 0 1500",
                                       "2026-01-02 EUR 70 1000 -930 0 -930"));
  EXPECT_THAT(
      Rows("DAY", R"(restaurant_id: "roma")"),
      ElementsAre("2026-01-01 EUR 1000 0 1000 0 1000", "2026-01-02 EUR 70 1000 -930 0 -930"));
  EXPECT_THAT(Rows("DAY", R"(restaurant_id: "oslo" day: "2026-01-01")"),
              ElementsAre("2026-01-01 EUR 500 0 500 0 500"));
  EXPECT_THAT(Rows("DAY", R"(day: "2026-01-02")"),
              ElementsAre("2026-01-02 EUR 70 1000 -930 0 -930"));
  EXPECT_THAT(Rows("RESTAURANT", R"(day: "2026-01-02")"),
              ElementsAre("roma EUR 70 1000 -930 0 -930"));
  EXPECT_THAT(Rows("RESTAURANT", R"(restaurant_id: "oslo")"),
              ElementsAre("oslo EUR 500 0 500 0 500"));
  EXPECT_THAT(Rows("ORDER", R"(restaurant_id: "roma")"),
              ElementsAre("o1 EUR 1000 1000 0 0 0", "o3 EUR 70 0 70 0 70"));
  EXPECT_THAT(Rows("RESTAURANT", R"(restaurant_id: "bergen")"), IsEmpty());
}

TEST_F(PaymentLedgerTest, RowsArePaged) {
  Pay("o1", 1, "a", "CHF");
  Pay("o2", 2, "a", "EUR");
  view_.Wait(absl::Hours(24));
  Pay("o3", 3, "b", "CHF");
  for (const char* group : {"ORDER", "RESTAURANT", "DAY"}) {
    SCOPED_TRACE(group);
    auto query = Parse<v1::GetLedgerRequest>(std::string("group: LEDGER_GROUP_") + group);
    const std::vector<std::string> all = Rows(query);
    EXPECT_EQ(all.size(), 3u);
    query.set_page_size(1);
    std::vector<std::string> paged;
    do {
      const std::vector<std::string> page = Rows(query);
      ASSERT_EQ(page.size(), 1u);
      paged.push_back(page.front());
      query.set_page_token(next_);
    } while (!next_.empty());
    EXPECT_EQ(paged, all);
  }
}

TEST_F(PaymentLedgerTest, AQuestionOfNothingAndATokenOfNoPageAreRefused) {
  for (const char* text : {"", "group: LEDGER_GROUP_ORDER day: '2026-01-01'"}) {
    EXPECT_EQ(ReasonOf(view_.Ask(Parse<v1::GetLedgerRequest>(text)).status()), "INVALID_FIELDS");
  }
  auto query = Parse<v1::GetLedgerRequest>("group: LEDGER_GROUP_DAY");
  const Page page = *Page::Of(query);
  for (const char* key : {"x", "\nEUR"}) {
    query.set_page_token(page.TokenAfter(key));
    EXPECT_EQ(ReasonOf(view_.Ask(query).status()), "INVALID_PAGE_TOKEN") << key;
  }
}

TEST_F(PaymentLedgerTest, NothingServedWalksAWholeTable) {
  Rows("ORDER");
  Rows("ORDER", R"(restaurant_id: "roma")");
  Rows("RESTAURANT");
  Rows("DAY");
  EXPECT_THAT(view_.Scans(), IsEmpty());
}

}  // namespace
}  // namespace leftfold::orders
