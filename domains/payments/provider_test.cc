// What is asked of the payment provider, and what is made of its answers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "domains/payments/charge_payment.h"
#include "domains/payments/payment.h"
#include "domains/payments/refund_charge.h"
#include "domains/payments/test_events.h"
#include "testing/given_reactor.h"

namespace leftfold::payments {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class Charging : public ::testing::Test {
 protected:
  Charging() {
    reactor.Holds<Payment>("p1", Initiated());
    asked = reactor.React("payment-p1", Initiated());
  }
  testing::ReactorFixture<ChargePayment> reactor;
  testing::Doings asked;
  const std::string charged = R"({"charge_id": "ch_1", "status": "succeeded"})";
  const std::string pending = R"({"charge_id": "ch_1", "status": "pending"})";
};

TEST_F(Charging, IsUnderTheIdOfThePayment) {
  EXPECT_THAT(asked, ElementsAre("POST service:payments/v1/charges key=p1 "
                                 R"({"amount_minor": 5000, "currency": "EUR", )"
                                 R"("token": "tok_visa", "reference": "o1"})"));
  EXPECT_THAT(reactor.Reply(200, charged),
              ElementsAre("RecordProviderResultRequest {payment_id: \"p1\" "
                          "provider_event_id: \"succeeded:ch_1\" "
                          "status: PROVIDER_STATUS_SUCCEEDED provider_ref: \"ch_1\"}"));
}

TEST_F(Charging, IsNotDoneForAPaymentThatIsSettled) {
  reactor.Holds<Payment>("p1", Initiated(), Succeeded());
  EXPECT_THAT(reactor.React("payment-p1", Initiated()), IsEmpty());
}

TEST_F(Charging, MayBeDeclined) {
  EXPECT_THAT(reactor.Reply(402, R"({"charge_id": "ch_1", "status": "declined", )"
                                 R"("decline_code": "insufficient_funds", "retryable": true})"),
              ElementsAre("RecordProviderResultRequest {payment_id: \"p1\" "
                          "provider_event_id: \"declined:ch_1\" status: PROVIDER_STATUS_DECLINED "
                          "decline_code: \"insufficient_funds\" retryable: true}"));
}

TEST_F(Charging, ThatTheProviderCannotReadIsDeclined) {
  EXPECT_THAT(reactor.Reply(400, R"({"error": "unknown_token", "message": "no such card"})"),
              ElementsAre("RecordProviderResultRequest {payment_id: \"p1\" "
                          "provider_event_id: \"refused:\" status: PROVIDER_STATUS_DECLINED "
                          "decline_code: \"unknown_token\"}"));
}

TEST_F(Charging, ThatIsPendingIsAskedForWithGrowingWaits) {
  EXPECT_THAT(reactor.Reply(202, pending), ElementsAre("at +2s 1: wake"));
  EXPECT_THAT(reactor.Wake("1"), ElementsAre("GET service:payments/v1/charges/p1"));
  EXPECT_THAT(reactor.Reply(200, pending), ElementsAre("at +4s 1: wake"));
  reactor.Wake("1");
  EXPECT_THAT(reactor.Reply(200, charged), ElementsAre(HasSubstr("PROVIDER_STATUS_SUCCEEDED")));
  EXPECT_THAT(reactor.Wake("1"), IsEmpty()) << "it is settled";
}

TEST_F(Charging, ThatStaysPendingIsForAnOperator) {
  reactor.Reply(202, pending);
  for (int polls = 1; polls < kPollsMax; ++polls) {
    reactor.Wake("1");
    EXPECT_THAT(reactor.Reply(200, pending), ElementsAre(StartsWith("at +")));
  }
  reactor.Wake("1");
  EXPECT_THAT(reactor.Reply(200, pending), IsEmpty());
  EXPECT_THAT(std::string(reactor.status().message()), HasSubstr("has not settled p1"));
}

TEST_F(Charging, OfUnknownOutcomeIsAskedForNotDoneAgain) {
  EXPECT_THAT(reactor.Park(absl::UnavailableError("no reply")),
              ElementsAre("GET service:payments/v1/charges/p1"));
  EXPECT_THAT(reactor.Reply(200, charged), ElementsAre(HasSubstr("PROVIDER_STATUS_SUCCEEDED")));
}

TEST_F(Charging, ThatNeverCameToTheProviderWaitsForAnOperator) {
  reactor.Park(absl::UnavailableError("no reply"));
  EXPECT_THAT(reactor.Reply(404, R"({"error": "not_found"})"), IsEmpty());
  EXPECT_TRUE(reactor.status().ok());
}

TEST_F(Charging, ThatWasRefusedForTheApiKeySaysWhatToSet) {
  EXPECT_THAT(reactor.Reply(401, R"({"error": "unauthorized"})"), IsEmpty());
  EXPECT_THAT(std::string(reactor.status().message()), HasSubstr("LEFTFOLD_PAYMENTS_API_KEY"));
}

TEST_F(Charging, IsNotAskedForWhenNothingWasSent) {
  EXPECT_THAT(reactor.Park(absl::FailedPreconditionError("no URL")), IsEmpty());
}

TEST_F(Charging, ParksWhatIsNoAnswer) {
  for (const auto& [status, body] : std::vector<std::pair<int, std::string>>{
           {200, "<html>"},
           {200, "[]"},
           {200, "{}"},
           {202, R"({"charge_id": "ch_1", "status": "processing"})"},
           {200, R"({"status": "succeeded"})"},
           {402, R"({"refund_id": "ch_1", "status": "declined"})"},
           {402, "{}"},
           {409, "{}"},
           {404, "{}"},
           {302, "{}"}}) {
    testing::ReactorFixture<ChargePayment> other;
    other.Holds<Payment>("p1", Initiated());
    other.React("payment-p1", Initiated());
    EXPECT_THAT(other.Reply(status, body), IsEmpty());
    EXPECT_FALSE(other.status().ok()) << status << body;
  }
}

TEST_F(Charging, ParksWhatThePaymentDoesNotTake) {
  reactor.Refused(Parse<v1::RecordProviderResultRequest>("payment_id: 'p1'"),
                  v1::ERROR_REASON_CONFLICTING_RESULT);
  EXPECT_FALSE(reactor.status().ok());
}

TEST(Refunds, AreUnderTheIdOfTheRefundAtEveryAttempt) {
  testing::ReactorFixture<RefundCharge> reactor;
  auto started = RefundStarted("r1", 2000);
  started.set_reason("it was \"cold\"");
  reactor.Holds<Payment>("p1", Initiated(), Succeeded(), started);
  const std::string post =
      "POST service:payments/v1/refunds key=r1 "
      R"({"charge_id": "ch_1", "amount_minor": 2000, )"
      R"("reason": "it was \"cold\""})";
  EXPECT_THAT(reactor.React("payment-p1", started), ElementsAre(post));
  EXPECT_THAT(reactor.Reply(402, R"({"refund_id": "re_1", "status": "failed", )"
                                 R"("error": "card_closed"})"),
              ElementsAre("RecordRefundResultRequest {payment_id: \"p1\" refund_id: \"r1\" "
                          "provider_event_id: \"failed:re_1:1\" status: REFUND_STATUS_FAILED "
                          "attempt_no: 1 error: \"card_closed\"}"));
  const auto first = started;
  started.set_attempt_no(2);
  reactor.Holds<Payment>("p1", Initiated(), Succeeded(), first, RefundBroken("r1"), started);
  EXPECT_THAT(reactor.React("payment-p1", first), IsEmpty()) << "there is a later attempt";
  EXPECT_THAT(reactor.React("payment-p1", started), ElementsAre(post));
  EXPECT_THAT(reactor.Reply(202, R"({"refund_id": "re_1", "status": "pending"})"),
              ElementsAre("at +2s 3: wake"));
  EXPECT_THAT(reactor.Wake("3"), ElementsAre("GET service:payments/v1/refunds/r1"));
  EXPECT_THAT(reactor.Reply(200, R"({"refund_id": "re_1", "status": "succeeded"})"),
              ElementsAre("RecordRefundResultRequest {payment_id: \"p1\" refund_id: \"r1\" "
                          "provider_event_id: \"succeeded:re_1:2\" "
                          "status: REFUND_STATUS_SUCCEEDED attempt_no: 2 "
                          "provider_ref: \"re_1\"}"));
}

TEST(Refunds, ThatAreNotAnsweredHaveFailedAndAreTriedAgainBesideWhatIsParked) {
  testing::ReactorFixture<RefundCharge> reactor;
  const auto started = RefundStarted("r1", 2000);
  reactor.Holds<Payment>("p1", Initiated(), Succeeded(), started);
  reactor.React("payment-p1", started);
  EXPECT_THAT(reactor.Park(absl::DeadlineExceededError("no answer")),
              ElementsAre("RecordRefundResultRequest {payment_id: \"p1\" refund_id: \"r1\" "
                          "provider_event_id: \"failed::1\" status: REFUND_STATUS_FAILED "
                          "attempt_no: 1 error: \"no_answer\"}"));
  RecordedEvent recorded;
  recorded.stream = "payment-p1";
  const EventMeta meta{recorded};
  auto second = started;
  second.set_attempt_no(2);
  EXPECT_NE(RefundCharge::Key(started, meta), RefundCharge::Key(second, meta));
  reactor.React("payment-p1", started);
  EXPECT_THAT(reactor.Park(absl::FailedPreconditionError("no URL")), IsEmpty())
      << "nothing was sent: an operator sets the URL";
}

}  // namespace
}  // namespace leftfold::payments
