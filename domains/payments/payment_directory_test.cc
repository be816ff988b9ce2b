#include "domains/payments/payment_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/page.h"
#include "core/timestamp.h"
#include "domains/payments/test_events.h"
#include "testing/given.h"

namespace leftfold::payments {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::kTestNow;
using testing::ViewFixture;

class PaymentDirectoryTest : public ::testing::Test {
 protected:
  v1::Payment Get(const std::string& id) {
    v1::GetPaymentRequest query;
    query.set_payment_id(id);
    auto answer = view_.Ask(query);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? answer->payment() : v1::Payment();
  }

  // All ids, page by page.
  std::vector<std::string> List(v1::ListPaymentsRequest query) {
    std::vector<std::string> ids;
    do {
      const auto page = view_.Ask(query);
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok()) break;
      EXPECT_LE(page->payments_size(), query.page_size());
      for (const v1::Payment& payment : page->payments()) ids.push_back(payment.payment_id());
      query.set_page_token(page->next_page_token());
    } while (!query.page_token().empty() && ids.size() < 10);  // More would be a loop.
    return ids;
  }

  ViewFixture<PaymentDirectory> view_{"payment"};
};

TEST_F(PaymentDirectoryTest, ShowsAPaymentWithoutItsToken) {
  view_.Fold("p1", Initiated());
  const v1::Payment payment = Get("p1");
  const auto expected = Parse<v1::Payment>(R"(
    payment_id: "p1" status: PAYMENT_STATUS_PENDING payer_id: "ada"
    purpose { kind: "order" ref_id: "o1" } amount_minor: 5000 currency: "EUR" method_type: "card"
    card_last4: "4242" created_at { seconds: 1767225600 } updated_at { seconds: 1767225600 })");
  EXPECT_EQ(payment.DebugString(), expected.DebugString());
  EXPECT_EQ(payment.SerializeAsString().find("tok_visa"), std::string::npos);
  v1::GetPaymentRequest query;
  query.set_payment_id("p2");
  EXPECT_EQ(ReasonOf(view_.Ask(query).status()), "PAYMENT_NOT_FOUND");
  EXPECT_THAT(view_.Scans(), IsEmpty());
}

TEST_F(PaymentDirectoryTest, ShowsWhatBecameOfThePaymentAndItsRefunds) {
  view_.Fold("p1", Initiated()).Fold("p1", Declined());
  v1::Payment payment = Get("p1");
  EXPECT_EQ(payment.status(), v1::PAYMENT_STATUS_DECLINED);
  EXPECT_EQ(payment.decline_code(), "insufficient_funds");
  EXPECT_TRUE(payment.retryable());
  EXPECT_EQ(payment.captured_minor(), 0);
  view_.Fold("p1", Succeeded())
      .Fold("p1", RefundStarted("r1", 1000))
      .Fold("p1", RefundStarted("r2", 2000))
      .Fold("p1", RefundDone("r1", 1000))
      .Fold("p1", RefundStarted("r3", 500))
      .Fold("p1", RefundBroken("r3"));
  EXPECT_THAT(view_.TakeTouched(), ElementsAre("p1"));
  payment = Get("p1");
  EXPECT_EQ(payment.status(), v1::PAYMENT_STATUS_SUCCEEDED);
  EXPECT_EQ(payment.version(), 7);
  EXPECT_EQ(payment.provider_ref(), "ch_1");
  EXPECT_EQ(payment.captured_minor(), 5000);
  EXPECT_EQ(payment.refunded_minor(), 1000);
  EXPECT_EQ(payment.refunding_minor(), 2000);
  EXPECT_EQ(FromProto(payment.created_at()), kTestNow);
  EXPECT_EQ(FromProto(payment.updated_at()), kTestNow + absl::Seconds(7));
  ASSERT_EQ(payment.refunds_size(), 3);
  EXPECT_EQ(payment.refunds(0).provider_ref(), "re_1");
  EXPECT_EQ(payment.refunds(2).status(), v1::REFUND_STATUS_FAILED);
  EXPECT_EQ(payment.refunds(2).error(), "card_closed");
  EXPECT_EQ(payment.refunds(2).reason(), "cold soup");
}

TEST_F(PaymentDirectoryTest, IsWatchedAndShowsACancelledPayment) {
  view_.Fold("p1", Initiated()).Fold("p1", Cancelled());
  v1::WatchPaymentRequest watch;
  watch.set_payment_id("p1");
  EXPECT_EQ(PaymentDirectory::Key(watch), "p1");
  const auto answer = view_.Ask(watch);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->payment().status(), v1::PAYMENT_STATUS_CANCELLED);
  watch.set_payment_id("p2");
  EXPECT_EQ(ReasonOf(view_.Ask(watch).status()), "PAYMENT_NOT_FOUND");
}

TEST_F(PaymentDirectoryTest, ListsByPurposeAndPayerInBothOrdersPageByPageWithoutScanning) {
  view_.Fold("p3", Initiated("o1", "ada"))
      .Fold("p1", Initiated("o2", "ada"))
      .Fold("p4", Initiated("o1", "bob"))
      .Fold("p2", Initiated("o1", "ada"))
      .Fold("p3", Succeeded());
  const auto request = [](const std::string& text) {
    return Parse<v1::ListPaymentsRequest>("page_size: 1 " + text);
  };
  const std::string order = " purpose { kind: 'order' ref_id: 'o1' } ";
  const std::string newest = " order: PAYMENT_ORDER_NEWEST_FIRST ";
  EXPECT_THAT(List(request("")), ElementsAre("p3", "p1", "p4", "p2"));
  EXPECT_THAT(List(request(newest)), ElementsAre("p2", "p4", "p1", "p3"));
  EXPECT_THAT(List(request(order)), ElementsAre("p3", "p4", "p2"));
  EXPECT_THAT(List(request(order + newest)), ElementsAre("p2", "p4", "p3"));
  EXPECT_THAT(List(request("payer_id: 'ada'")), ElementsAre("p3", "p1", "p2"));
  EXPECT_THAT(List(request("payer_id: 'ada'" + newest)), ElementsAre("p2", "p1", "p3"));
  EXPECT_THAT(List(request("payer_id: 'ada'" + order)), ElementsAre("p3", "p2"));
  EXPECT_THAT(List(request("payer_id: 'ada'" + order + newest)), ElementsAre("p2", "p3"));
  EXPECT_THAT(List(request("purpose { kind: 'trip' ref_id: 'o1' }")), IsEmpty());
  EXPECT_THAT(view_.Scans(), IsEmpty());
}

TEST_F(PaymentDirectoryTest, RefusesHalfAPurposeAndAForeignPageToken) {
  v1::ListPaymentsRequest query;
  query.mutable_purpose()->set_kind("order");
  EXPECT_EQ(ReasonOf(view_.Ask(query).status()), "INVALID_FILTER");
  query.clear_purpose();
  query.set_page_token("nonsense");
  EXPECT_EQ(ReasonOf(view_.Ask(query).status()), "INVALID_PAGE_TOKEN");
}

TEST_F(PaymentDirectoryTest, APageEndsAtItsBytes) {
  auto refund = RefundStarted("", 1);
  refund.set_reason(std::string(kReasonBytesMax, 'x'));
  const int payments = 80;
  for (int p = 0; p < payments; ++p) {
    const std::string id = "p" + std::to_string(p);
    view_.Fold(id, Initiated());
    for (int r = 0; r < kRefundsMax; ++r) {
      refund.set_refund_id(std::to_string(r));
      view_.Fold(id, refund);
    }
  }
  v1::ListPaymentsRequest query;
  query.set_page_size(kPageSizeMax);
  const auto page = view_.Ask(query);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_LT(page->payments_size(), payments);
  EXPECT_LT(page->ByteSizeLong(), std::size_t{4} << 20);
  EXPECT_NE(page->next_page_token(), "");
}

}  // namespace
}  // namespace leftfold::payments
