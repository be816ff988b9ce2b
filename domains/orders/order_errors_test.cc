#include "domains/orders/order_errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "domains/orders/compensate.h"
#include "domains/orders/test_events.h"
#include "testing/given.h"

namespace leftfold::orders {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class OrderErrorsTest : public ::testing::Test {
 protected:
  // "<error_id> <stage> <attempts> <state>", as they are listed.
  std::vector<std::string> List(v1::ErrorState state = v1::ERROR_STATE_UNSPECIFIED) {
    v1::ListErrorsRequest query;
    query.set_state(state);
    std::vector<std::string> lines;
    const auto answer = view_.Ask(query);
    for (const v1::ProcessError& error : answer->errors()) {
      lines.push_back(fmt::format("{} {} {} {}", error.error_id(), error.stage(), error.attempts(),
                                  v1::ErrorState_Name(error.state()).substr(12)));
    }
    return lines;
  }
  v1::ProcessError First() { return view_.Ask(v1::ListErrorsRequest())->errors(0); }
  void Park(const std::string& reactor, int attempts, const std::string& delivery = "9:0") {
    auto parked = Parse<core::v1::DeliveryParked>(
        "key: 'payment-p1' what: 'http POST /v1/charges' error: 'the server said 500'");
    parked.set_reactor(reactor);
    parked.set_delivery_id("lf:" + reactor + ":" + delivery);
    parked.set_attempts(attempts);
    view_.FoldOf("reaction", reactor, parked);
  }
  void Retry(const std::string& key) {
    auto retry = Parse<core::v1::RetryRequested>("reactor: 'charge_payment'");
    retry.set_key(key);
    view_.FoldOf("reaction", "charge_payment", retry);
  }
  void Skip(const std::string& delivery_id) {
    auto skip = Parse<core::v1::SkipRequested>("reactor: 'charge_payment' why: 'paid'");
    skip.set_delivery_id(delivery_id);
    view_.FoldOf("reaction", "charge_payment", skip);
  }
  void Deliver(const std::string& delivery_id) {
    auto delivered = Parse<core::v1::DeliveredAfterParking>("reactor: 'charge_payment'");
    delivered.set_delivery_id(delivery_id);
    view_.FoldOf("reaction", "charge_payment", delivered);
  }
  static payments::v1::RefundFailed RefundFailed(const std::string& refund_id, int attempt_no) {
    auto failed = Parse<payments::v1::RefundFailed>(
        "error: 'no_answer' purpose { kind: 'order' ref_id: 'o1' }");
    failed.set_refund_id(refund_id);
    failed.set_attempt_no(attempt_no);
    return failed;
  }
  static payments::v1::RefundSucceeded RefundSucceeded(const std::string& refund_id) {
    auto succeeded = Parse<payments::v1::RefundSucceeded>("purpose { kind: 'order' ref_id: 'o1' }");
    succeeded.set_refund_id(refund_id);
    return succeeded;
  }
  testing::ViewFixture<OrderErrors> view_{"order"};
};

TEST_F(OrderErrorsTest, ShowWhatAReactorCouldNotDeliverUntilItIsRetried) {
  Park("charge_payment", 6);
  const v1::ProcessError error = First();
  EXPECT_EQ(error.reactor(), "charge_payment");
  EXPECT_EQ(error.key(), "payment-p1");
  EXPECT_EQ(error.what(), "http POST /v1/charges");
  EXPECT_EQ(error.last_error(), "the server said 500");
  EXPECT_THAT(List(), ElementsAre("lf:charge_payment:9:0 payment 6 OPEN"));
  Retry("payment-p2");
  EXPECT_THAT(List(), ElementsAre("lf:charge_payment:9:0 payment 6 OPEN"));
  Retry("payment-p1");
  EXPECT_THAT(List(), ElementsAre("lf:charge_payment:9:0 payment 6 RETRIED"));
  EXPECT_EQ(First().created_at().seconds() + 2, First().updated_at().seconds());
  Park("charge_payment", 12);
  EXPECT_THAT(List(), ElementsAre("lf:charge_payment:9:0 payment 12 OPEN"));
  Skip("lf:charge_payment:9:0");
  EXPECT_THAT(List(), ElementsAre("lf:charge_payment:9:0 payment 12 SKIPPED"));
}

TEST_F(OrderErrorsTest, AreResolvedOnceARetriedDeliveryWasMade) {
  Park("charge_payment", 6);
  Park("charge_payment", 6, "9:1");
  Retry("payment-p1");
  Deliver("lf:charge_payment:9:0");
  EXPECT_THAT(List(), ElementsAre("lf:charge_payment:9:0 payment 6 RESOLVED",
                                  "lf:charge_payment:9:1 payment 6 RETRIED"));
}

TEST_F(OrderErrorsTest, ASkipThatComesBehindARetryChangesNothing) {
  Park("charge_payment", 6);
  Retry("payment-p1");
  Skip("lf:charge_payment:9:0");
  EXPECT_THAT(List(), ElementsAre("lf:charge_payment:9:0 payment 6 RETRIED"));
  Deliver("lf:charge_payment:9:0");
  Skip("lf:charge_payment:9:0");
  EXPECT_THAT(List(), ElementsAre("lf:charge_payment:9:0 payment 6 RESOLVED"));
}

TEST_F(OrderErrorsTest, LeaveOutReactorsOfOthers) {
  Park("session_ticker", 8);
  Park("webhook.bills.7", 8);
  EXPECT_THAT(List(), IsEmpty());
}

TEST_F(OrderErrorsTest, ADeclinedPaymentIsOpenUntilAnotherOneEndsIt) {
  view_.Fold("o1", Declined(1)).Fold("o2", Declined(1)).Fold("o3", Declined(1));
  view_.Fold("o1", Declined(2)).Fold("o1", Paid("p3")).Fold("o2", v1::OrderPaymentFailed());
  view_.Fold("o4", Paid("p4"));
  EXPECT_THAT(List(), ElementsAre("o1/payment payment 2 RESOLVED", "o2/payment payment 1 FINAL",
                                  "o3/payment payment 1 OPEN"));
  EXPECT_THAT(List(v1::ERROR_STATE_OPEN), ElementsAre("o3/payment payment 1 OPEN"));
  view_.Fold("o3", v1::OrderExpired());
  EXPECT_THAT(List(v1::ERROR_STATE_OPEN), IsEmpty());
}

TEST_F(OrderErrorsTest, NothingIsOpenWhereNobodyCanPayAgain) {
  view_.Fold("o1", Declined(1)).Fold("o1", v1::OrderCancelled());
  view_.Fold("o2", v1::OrderExpired());
  view_.Fold("o2", Parse<v1::OrderPaymentDeclined>("payment_id: 'p1' attempt_no: 1"));
  EXPECT_THAT(List(v1::ERROR_STATE_OPEN), IsEmpty());
}

TEST_F(OrderErrorsTest, AStuckRefundIsOpenUntilItIsBack) {
  view_.Fold("o1", RefundRequested(v1::REFUND_CAUSE_REJECTED));
  EXPECT_THAT(List(), IsEmpty());
  view_.Fold("o1", Parse<v1::RefundStuck>("refund_id: 'r1' error: 'account closed'"));
  EXPECT_THAT(List(), ElementsAre("o1/refund/r1 refund 0 OPEN"));
  EXPECT_THAT(First().last_error(), ::testing::HasSubstr("account closed"));
  view_.Fold("o1", RefundRequested(v1::REFUND_CAUSE_REJECTED, 2));
  EXPECT_THAT(List(), ElementsAre("o1/refund/r1 refund 0 RETRIED"));
  view_.Fold("o1", Parse<v1::OrderRefunded>("refund_id: 'r1'"));
  EXPECT_THAT(List(), ElementsAre("o1/refund/r1 refund 0 RESOLVED"));
}

TEST_F(OrderErrorsTest, ARefundThatFailsIsCountedWhileItIsTriedAgain) {
  view_.FoldOf("payment", "p1", RefundFailed("r1", 4));
  EXPECT_THAT(List(), ElementsAre("o1/refund/r1 refund 4 RETRIED"));
  EXPECT_EQ(First().order_id(), "o1");
  EXPECT_EQ(First().last_error(), "Attempt 4 to give the money back failed (no_answer)");
  view_.FoldOf("payment", "p1", RefundFailed("r1", 5));
  EXPECT_THAT(List(), ElementsAre("o1/refund/r1 refund 5 OPEN"));
  view_.Fold("o1", Parse<v1::RefundStuck>("refund_id: 'r1' error: 'no_answer'"));
  EXPECT_THAT(List(), ElementsAre("o1/refund/r1 refund 5 OPEN"));
  view_.FoldOf("payment", "p1", RefundSucceeded("r1"));
  EXPECT_THAT(List(), ElementsAre("o1/refund/r1 refund 5 RESOLVED"));
}

TEST_F(OrderErrorsTest, LeaveOutRefundsOfPaymentsForSomethingElse) {
  view_.FoldOf("payment", "p1", RefundFailed("r1", 1));
  auto failed = RefundFailed("r1", 2);
  failed.mutable_purpose()->set_kind("recipe");
  auto succeeded = RefundSucceeded("r1");
  succeeded.mutable_purpose()->set_kind("recipe");
  view_.FoldOf("payment", "p2", failed).FoldOf("payment", "p2", succeeded);
  EXPECT_THAT(List(), ElementsAre("o1/refund/r1 refund 1 RETRIED"));
}

// Beside its own money an order may have some to give back that it did not take.
TEST_F(OrderErrorsTest, TellTwoRefundsOfAnOrderApart) {
  view_.FoldOf("payment", "p1", RefundFailed("r1", 5));
  view_.Fold("o1", Parse<v1::RefundStuck>("refund_id: 'r1' error: 'no_answer'"));
  view_.FoldOf("payment", "p2", RefundFailed("not-taken", 1));
  EXPECT_THAT(List(),
              ElementsAre("o1/refund/r1 refund 5 OPEN", "o1/refund/not-taken refund 1 RETRIED"));
  view_.FoldOf("payment", "p2", RefundSucceeded("not-taken"));
  EXPECT_THAT(List(),
              ElementsAre("o1/refund/r1 refund 5 OPEN", "o1/refund/not-taken refund 1 RESOLVED"));
  view_.Fold("o1", RefundRequested(v1::REFUND_CAUSE_REJECTED, 2));
  view_.Fold("o1", Parse<v1::OrderRefunded>("refund_id: 'r1'"));
  EXPECT_THAT(List(v1::ERROR_STATE_OPEN), IsEmpty());
}

// No order shows a refund of money that none took.
TEST_F(OrderErrorsTest, ARefundThatNobodyTriesAgainIsOpen) {
  view_.FoldOf("payment", "p2", RefundFailed("not-taken", kRefundAttemptsMax));
  EXPECT_THAT(List(v1::ERROR_STATE_OPEN), ElementsAre("o1/refund/not-taken refund 5 OPEN"));
  view_.FoldOf("payment", "p2", RefundFailed("not-taken", kRefundAttemptsMax + 1));
  EXPECT_THAT(List(), ElementsAre("o1/refund/not-taken refund 6 RETRIED"));
}

TEST_F(OrderErrorsTest, TellWhereAnOrderFailed) {
  view_.Fold("o1", v1::ApprovalTimedOut())
      .Fold("o2", Parse<v1::NoAgentAvailable>("tried: 'bo' tried: 'cy'"))
      .Fold("o3", v1::DeliveryFailed())
      .Fold("o4", v1::OrderExpired());
  EXPECT_THAT(List(),
              ElementsAre("o1/approval approval 0 FINAL", "o2/assignment assignment 2 FINAL",
                          "o3/delivery delivery 1 FINAL", "o4/deadline deadline 0 FINAL"));
}

TEST_F(OrderErrorsTest, AreWatchedByState) {
  view_.Fold("o1", Declined(1)).Fold("o2", Declined(1));
  EXPECT_THAT(view_.TakeTouched(), ElementsAre("o1/payment", "o2/payment"));
  view_.Fold("o1", Paid());
  v1::WatchErrorsRequest watch;
  watch.set_state(v1::ERROR_STATE_OPEN);
  view_.With([&](ReadTx& tx) {
    EXPECT_THAT(OrderErrors::Keys(watch, "", 10, tx), ElementsAre("o2/payment"));
    EXPECT_THAT(OrderErrors::Keys(watch, "o2/payment", 10, tx), IsEmpty());
    EXPECT_FALSE(OrderErrors::Matches(watch, "o1/payment", tx));
    EXPECT_TRUE(OrderErrors::Matches(watch, "o2/payment", tx));
    EXPECT_EQ(OrderErrors::Answer(watch, "o2/payment", tx)->error().order_id(), "o2");
    return 0;
  });
}

TEST_F(OrderErrorsTest, ArePaged) {
  view_.Fold("o1", Declined(1)).Fold("o2", Declined(1));
  auto query = Parse<v1::ListErrorsRequest>("page_size: 1");
  const auto first = view_.Ask(query);
  EXPECT_EQ(first->errors(0).order_id(), "o1");
  query.set_page_token(first->next_page_token());
  const auto second = view_.Ask(query);
  EXPECT_EQ(second->errors(0).order_id(), "o2");
  EXPECT_EQ(second->next_page_token(), "");
}

}  // namespace
}  // namespace leftfold::orders
