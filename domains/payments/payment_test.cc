#include "domains/payments/payment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <variant>

#include "core/registry.h"
#include "domains/payments/test_events.h"
#include "testing/given.h"
#include "testing/no_money.h"

namespace leftfold::payments {
namespace {

using testing::Given;
using testing::Past;

v1::InitiatePaymentRequest Initiate() { return Initiated<v1::InitiatePaymentRequest>(); }

v1::RecordProviderResultRequest SaidWith(v1::ProviderStatus status, const std::string& event) {
  v1::RecordProviderResultRequest command;
  command.set_status(status);
  command.set_provider_event_id(event);
  return command;
}
v1::RecordProviderResultRequest SaidSuccess(const std::string& ref = "ch_1",
                                            const std::string& event = "evt_s") {
  auto command = SaidWith(v1::PROVIDER_STATUS_SUCCEEDED, event);
  command.set_provider_ref(ref);
  return command;
}
v1::RecordProviderResultRequest SaidDecline(const std::string& code = "insufficient_funds",
                                            const std::string& event = "evt_d") {
  auto command = SaidWith(v1::PROVIDER_STATUS_DECLINED, event);
  command.set_decline_code(code);
  command.set_retryable(true);
  return command;
}
v1::RecordProviderResultRequest SaidCancel(const std::string& event = "evt_c") {
  return SaidWith(v1::PROVIDER_STATUS_CANCELLED, event);
}

v1::RefundPaymentRequest GiveBack(const std::string& id, std::int64_t amount) {
  v1::RefundPaymentRequest command;
  command.set_refund_id(id);
  command.set_amount_minor(amount);
  command.set_reason("cold soup");
  return command;
}
v1::RecordRefundResultRequest SaidRefund(const std::string& id, const std::string& ref = "re_1",
                                         int attempt = 1) {
  v1::RecordRefundResultRequest command;
  command.set_refund_id(id);
  command.set_attempt_no(attempt);
  command.set_status(v1::REFUND_STATUS_SUCCEEDED);
  command.set_provider_event_id("evt_r");
  command.set_provider_ref(ref);
  return command;
}
v1::RecordRefundResultRequest SaidRefundFailed(const std::string& id, int attempt = 1) {
  v1::RecordRefundResultRequest command;
  command.set_refund_id(id);
  command.set_attempt_no(attempt);
  command.set_status(v1::REFUND_STATUS_FAILED);
  command.set_provider_event_id("evt_f");
  command.set_error("card_closed");
  return command;
}

TEST(PaymentTest, IsInitiatedOnce) {
  Given<Payment>().When(Initiate()).Then(Initiated());
  const auto refusal = Given<Payment>(Initiated()).When(Initiate()).ThenRejected("PAYMENT_EXISTS");
  EXPECT_EQ(refusal.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(refusal.metadata("payment_id"), "id-1");
}

TEST(PaymentTest, IsOfAWellFormedAmountForAPurpose) {
  auto command = Initiate();
  for (const std::int64_t amount : {std::int64_t{0}, std::int64_t{-1}, kAmountMinorMax + 1}) {
    command.set_amount_minor(amount);
    Given<Payment>().When(command).ThenInvalid("INVALID_AMOUNT");
  }
  command.set_amount_minor(kAmountMinorMax);
  auto largest = Initiated();
  largest.set_amount_minor(kAmountMinorMax);
  Given<Payment>().When(command).Then(largest);
  for (const char* currency : testing::kNoCurrencies) {
    command = Initiate();
    command.set_currency(currency);
    Given<Payment>().When(command).ThenInvalid("INVALID_CURRENCY");
  }
  command = Initiate();
  command.set_payer_id("a b");
  Given<Payment>().When(command).ThenInvalid("INVALID_ID");
  command = Initiate();
  command.mutable_purpose()->set_kind("Order");
  Given<Payment>().When(command).ThenInvalid("INVALID_PURPOSE");
  command = Initiate();
  command.clear_purpose();
  Given<Payment>().When(command).ThenInvalid("INVALID_PURPOSE");
  command = Initiate();
  command.set_method_type("");
  Given<Payment>().When(command).ThenInvalid("INVALID_METHOD_TYPE");
  for (const char* last4 : {"424", "42424", "abcd"}) {
    command = Initiate();
    command.set_card_last4(last4);
    Given<Payment>().When(command).ThenInvalid("INVALID_CARD_LAST4");
  }
}

TEST(PaymentTest, NeverTakesACardNumberForATokenNorRepeatsIt) {
  auto command = Initiate();
  for (const std::string& token : testing::NoPaymentTokens()) {
    command.set_token(token);
    const auto refusal = Given<Payment>().When(command).ThenInvalid("INVALID_TOKEN");
    if (token.size() > 8) {
      EXPECT_EQ(refusal.status().ToString().find(token), std::string::npos);
    }
  }
  // Luhn does not hold, and too few digits.
  for (const char* token : {"tok_4242424242424241", "tok_424242424242"}) {
    command.set_token(token);
    auto event = Initiated();
    event.set_token(token);
    Given<Payment>().When(command).Then(event);
  }
}

TEST(PaymentTest, TheProvidersFirstWordIsRecorded) {
  Given<Payment>(Initiated()).When(SaidSuccess()).Then(Succeeded());
  Given<Payment>(Initiated()).When(SaidDecline()).Then(Declined());
  Given<Payment>(Initiated()).When(SaidCancel()).Then(Cancelled());
  for (const auto& command : {SaidSuccess(), SaidDecline(), SaidCancel()}) {
    const auto refusal = Given<Payment>().When(command).ThenRejected("PAYMENT_NOT_FOUND");
    EXPECT_EQ(refusal.code(), absl::StatusCode::kNotFound);
  }
}

TEST(PaymentTest, TheSameResultAgainChangesNothing) {
  Given<Payment>(Initiated(), Succeeded()).When(SaidSuccess()).ThenNothing();
  Given<Payment>(Initiated(), Succeeded()).When(SaidSuccess("ch_1", "evt_2")).ThenNothing();
  Given<Payment>(Initiated(), Declined()).When(SaidDecline()).ThenNothing();
  Given<Payment>(Initiated(), Cancelled()).When(SaidCancel("evt_2")).ThenNothing();
  // Redelivered after what came later.
  Given<Payment>(Initiated(), Declined(), Succeeded()).When(SaidDecline()).ThenNothing();
  Given<Payment>(Initiated(), Cancelled(), Succeeded()).When(SaidCancel()).ThenNothing();
}

TEST(PaymentTest, ALateSuccessIsRecordedSoThatItCanBeGivenBack) {
  Given<Payment>(Initiated(), Cancelled()).When(SaidSuccess()).Then(Succeeded());
  Given<Payment>(Initiated(), Declined()).When(SaidSuccess()).Then(Succeeded());
  Given<Payment>(Initiated(), Cancelled(), Succeeded())
      .When(GiveBack("r1", 5000))
      .Then(RefundStarted("r1", 5000));
}

TEST(PaymentTest, AnotherResultThanTheOneBeforeIsAConflict) {
  const auto refusal = Given<Payment>(Initiated(), Succeeded())
                           .When(SaidDecline())
                           .ThenRejected("CONFLICTING_RESULT");
  EXPECT_EQ(refusal.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(refusal.metadata("status"), "succeeded");
  Given<Payment>(Initiated(), Succeeded())
      .When(SaidSuccess("ch_2", "evt_2"))
      .ThenRejected("CONFLICTING_RESULT");
  Given<Payment>(Initiated(), Declined())
      .When(SaidDecline("expired_card", "evt_2"))
      .ThenRejected("CONFLICTING_RESULT");
  // One message of the provider says one thing.
  Given<Payment>(Initiated(), Declined())
      .When(SaidSuccess("ch_1", "evt_d"))
      .ThenRejected("CONFLICTING_RESULT");
}

TEST(PaymentTest, IsNotCancelledWhenItIsSettledNorDeclinedWhenItIsCancelled) {
  const auto refusal =
      Given<Payment>(Initiated(), Succeeded()).When(SaidCancel()).ThenRejected("ALREADY_SETTLED");
  EXPECT_EQ(refusal.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(refusal.metadata("status"), "succeeded");
  Given<Payment>(Initiated(), Declined()).When(SaidCancel()).ThenRejected("ALREADY_SETTLED");
  Given<Payment>(Initiated(), Cancelled()).When(SaidDecline()).ThenNothing();
}

TEST(PaymentTest, AResultSaysWhatItsStatusNeeds) {
  const auto initiated = Given<Payment>(Initiated());
  initiated.When(SaidSuccess("")).ThenInvalid("INVALID_RESULT");
  initiated.When(SaidSuccess("ch_1", "")).ThenInvalid("INVALID_RESULT");
  initiated.When(SaidSuccess("ch\n1")).ThenInvalid("INVALID_RESULT");
  initiated.When(SaidSuccess(std::string(kProviderIdBytesMax + 1, 'c')))
      .ThenInvalid("INVALID_RESULT");
  initiated.When(SaidDecline("")).ThenInvalid("INVALID_RESULT");
  initiated.When(SaidDecline("No Money")).ThenInvalid("INVALID_RESULT");
  initiated.When(SaidDecline("card_4242424242424242")).ThenInvalid("INVALID_TEXT");
  initiated.When(SaidWith(v1::PROVIDER_STATUS_UNSPECIFIED, "e")).ThenInvalid("INVALID_RESULT");
  initiated.When(SaidRefundFailed("r1", 0)).ThenInvalid("INVALID_RESULT");
  auto nameless = SaidRefundFailed("r1");
  nameless.clear_error();
  initiated.When(nameless).ThenInvalid("INVALID_RESULT");
  nameless.set_error("card 4242424242424242 is closed");
  initiated.When(nameless).ThenInvalid("INVALID_TEXT");
  nameless.set_status(v1::REFUND_STATUS_PENDING);
  initiated.When(nameless).ThenInvalid("INVALID_RESULT");
  initiated.When(SaidRefund("r1", "")).ThenInvalid("INVALID_RESULT");
  initiated.When(SaidRefund("r 1")).ThenInvalid("INVALID_REFUND_ID");
}

TEST(PaymentTest, SeveralRefundsMayBeOpenUpToWhatWasTaken) {
  const auto two = Given<Payment>(Initiated(), Succeeded(), RefundStarted("r1", 2000),
                                  RefundStarted("r2", 1000), RefundDone("r2", 1000));
  two.When(GiveBack("r3", 2000)).Then(RefundStarted("r3", 2000));
  const auto refusal = two.When(GiveBack("r3", 2001)).ThenRejected("REFUND_EXCEEDS_CAPTURED");
  EXPECT_EQ(refusal.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(refusal.metadata("left_minor"), "2000");
  EXPECT_EQ(refusal.metadata("captured_minor"), "5000");
  auto all = two;
  all.Add(RefundStarted("r3", 2000));
  all.When(GiveBack("r4", 1)).ThenRejected("NOTHING_TO_REFUND");
}

TEST(PaymentTest, NothingIsGivenBackBeforeItWasTaken) {
  Given<Payment>().When(GiveBack("r1", 1)).ThenRejected("PAYMENT_NOT_FOUND");
  for (const auto& past : {Given<Payment>(Initiated()), Given<Payment>(Initiated(), Declined()),
                           Given<Payment>(Initiated(), Cancelled())}) {
    const auto refusal = past.When(GiveBack("r1", 1)).ThenRejected("NOTHING_TO_REFUND");
    EXPECT_EQ(refusal.metadata("captured_minor"), "0");
  }
  const auto paid = Given<Payment>(Initiated(), Succeeded());
  paid.When(GiveBack("r1", 0)).ThenInvalid("INVALID_AMOUNT");
  paid.When(GiveBack("", 1)).ThenInvalid("INVALID_REFUND_ID");
  auto chatty = GiveBack("r1", 1);
  chatty.set_reason(std::string(kReasonBytesMax + 1, 'x'));
  paid.When(chatty).ThenInvalid("INVALID_TEXT");
}

TEST(PaymentTest, ARefundIsOneOfItsId) {
  const auto open = Given<Payment>(Initiated(), Succeeded(), RefundStarted("r1", 2000));
  open.When(GiveBack("r1", 2000)).ThenNothing();
  const auto refusal = open.When(GiveBack("r1", 1999)).ThenRejected("REFUND_EXISTS");
  EXPECT_EQ(refusal.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(refusal.metadata("amount_minor"), "2000");
  auto done = open;
  done.Add(RefundDone("r1", 2000));
  done.When(GiveBack("r1", 2000)).ThenNothing();
}

TEST(PaymentTest, AFailedRefundIsTriedAgainWhenItStillFits) {
  auto failed =
      Given<Payment>(Initiated(), Succeeded(), RefundStarted("r1", 3000), RefundBroken("r1"));
  auto again = GiveBack("r1", 3000);
  again.set_reason("other words");
  failed.When(again).Then(RefundStarted("r1", 3000, 2));
  failed.When(GiveBack("r2", 5000)).Then(RefundStarted("r2", 5000));
  failed.Add(RefundStarted("r2", 2001));
  failed.When(GiveBack("r1", 3000)).ThenRejected("REFUND_EXCEEDS_CAPTURED");
}

TEST(PaymentTest, OfOnePaymentABoundedNumberOfRefundsIsKept) {
  auto past = Given<Payment>(Initiated(), Succeeded());
  for (int i = 0; i < kRefundsMax; ++i) past.Add(RefundStarted(std::to_string(i), 1));
  const auto refusal = past.When(GiveBack("more", 1)).ThenRejected("TOO_MANY_REFUNDS");
  EXPECT_EQ(refusal.metadata("maximum"), std::to_string(kRefundsMax));
}

TEST(PaymentTest, TheProvidersWordOnARefundIsRecordedOnce) {
  const auto open = Given<Payment>(Initiated(), Succeeded(), RefundStarted("r1", 2000));
  open.When(SaidRefund("r1")).Then(RefundDone("r1", 2000));
  open.When(SaidRefundFailed("r1")).Then(RefundBroken("r1"));
  const auto refusal = open.When(SaidRefund("r2")).ThenRejected("REFUND_NOT_FOUND");
  EXPECT_EQ(refusal.metadata("refund_id"), "r2");
  open.When(SaidRefundFailed("r1", 2)).ThenRejected("CONFLICTING_RESULT");
  Given<Payment>().When(SaidRefund("r1")).ThenRejected("PAYMENT_NOT_FOUND");

  auto done = open;
  done.Add(RefundDone("r1", 2000));
  done.When(SaidRefund("r1")).ThenNothing();
  done.When(SaidRefund("r1", "re_2")).ThenRejected("CONFLICTING_RESULT");
  done.When(SaidRefundFailed("r1")).ThenRejected("CONFLICTING_RESULT");

  auto failed = open;
  failed.Add(RefundBroken("r1"));
  failed.When(SaidRefundFailed("r1")).ThenNothing();
  failed.When(SaidRefund("r1")).Then(RefundDone("r1", 2000));

  auto again = failed;
  again.Add(RefundStarted("r1", 2000, 2));
  again.When(SaidRefundFailed("r1", 1)).ThenNothing();
  again.When(SaidRefundFailed("r1", 2)).Then(RefundBroken("r1", 2));
  again.Add(RefundDone("r1", 2000));
  again.When(SaidRefundFailed("r1", 1)).ThenNothing();
}

TEST(PaymentTest, ALateRefundThatNoLongerFitsIsAConflict) {
  Given<Payment>(Initiated(), Succeeded(), RefundStarted("r1", 3000), RefundBroken("r1"),
                 RefundStarted("r2", 2001))
      .When(SaidRefund("r1"))
      .ThenRejected("CONFLICTING_RESULT");
}

// Whatever comes in whatever order: what is given back, or about to be, is never more than was
// taken, a recorded success stays, and the second time a command changes nothing.
TEST(PaymentTest, NeverGivesBackMoreThanItTook) {
  constexpr int kSeeds = 200, kCommands = 200;
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    auto past = Given<Payment>(Initiated());
    bool taken = false;
    for (int i = 0; i < kCommands; ++i) {
      const std::string id = "r" + std::to_string(pick(4));
      const auto decide = [&](const auto& command) {
        const Decision<Payment::Events> first =
            Payment::Decide(command, past.state(), {testing::kTestNow, "", "id-1", ""});
        if (!first.ok()) return;
        for (const auto& event : first->events)
          std::visit([&](const auto& e) { past.Add(e); }, event);
        past.When(command).ThenNothing();
      };
      switch (pick(6)) {
        case 0:
          decide(SaidSuccess("ch_" + std::to_string(pick(2)), "evt_s" + std::to_string(pick(2))));
          break;
        case 1:
          pick(2) == 0 ? decide(SaidDecline()) : decide(SaidCancel());
          break;
        case 2:
        case 3:
          decide(GiveBack(id, 1 + pick(3000)));
          if (const auto& all = past.state().refunds(); !all.empty())
            decide(GiveBack(all.rbegin()->refund_id(), all.rbegin()->amount_minor()));
          break;
        case 4:
          decide(SaidRefund(id, "re_" + id, 1 + pick(3)));
          break;
        default:
          decide(SaidRefundFailed(id, 1 + pick(3)));
      }
      std::int64_t back = 0;
      for (const v1::Refund& refund : past.state().refunds()) {
        if (refund.status() != v1::REFUND_STATUS_FAILED) back += refund.amount_minor();
      }
      const bool succeeded = past.state().status() == v1::PAYMENT_STATUS_SUCCEEDED;
      ASSERT_LE(back, succeeded ? 5000 : 0);
      ASSERT_TRUE(succeeded || !taken) << "a success was forgotten";
      taken = succeeded;
    }
  }
}

TEST(PaymentTest, EveryCommandNeedsTheToken) {
  Registry registry;
  registry.Add<Payment>();
  EXPECT_EQ(registry.commands().size(), 4u);
  for (const CommandEntry& command : registry.commands())
    EXPECT_TRUE(command.system) << command.request->full_name();
}

}  // namespace
}  // namespace leftfold::payments
