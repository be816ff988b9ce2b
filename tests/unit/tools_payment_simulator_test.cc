// The simulated payment provider without sockets: what the test cards do, and that no key charges
// twice.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "testing/sanitized.h"
#include "tools/payment_simulator.h"

namespace leftfold::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Answer = PaymentSimulator::Answer;

constexpr absl::Duration kLate = absl::Seconds(2);

class PaymentSimulatorTest : public ::testing::Test {
 protected:
  static PaymentSimulatorOptions Options() {
    PaymentSimulatorOptions options;
    options.webhooks = true;
    options.webhook_attempts = 3;
    options.webhook_retry_delay = absl::Seconds(1);
    options.late_after = kLate;
    return options;
  }
  Answer Send(const std::string& method, const std::string& path, const std::string& key = "",
              const std::string& body = "") {
    return simulator_.Handle({method, path, "Bearer sk_test", key, body}, now_);
  }
  static std::string Body(const std::string& token, const std::string& amount = "5000") {
    return R"({"amount_minor":)" + amount + R"(,"currency":"EUR","token":")" + token +
           R"(","reference":"o1"})";
  }
  Answer Charge(const std::string& key, const std::string& token) {
    return Send("POST", "/v1/charges", key, Body(token));
  }
  v1::Charge Charged(const std::string& key) { return Parse<v1::Charge>(Look("charges", key)); }
  Answer Refund(const std::string& key, const std::string& charge, int amount) {
    const std::string id = Charged(charge).charge_id();
    return Send("POST", "/v1/refunds", key,
                fmt::format(R"({{"charge_id":"{}","amount_minor":{}}})", id, amount));
  }
  v1::ProviderRefund Refunded(const std::string& key) {
    return Parse<v1::ProviderRefund>(Look("refunds", key));
  }
  Answer Look(const std::string& what, const std::string& key) {
    return Send("GET", "/v1/" + what + "/" + key);
  }
  template <class Message>
  static Message Parse(const Answer& answer) {
    Message message;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(answer.body, &message).ok())
        << answer.body;
    return message;
  }
  // All messages that are due, as delivered.
  std::vector<v1::WebhookMessage> Messages() {
    std::vector<v1::WebhookMessage> messages;
    for (const auto& delivery : simulator_.TakeDue(1'000, now_)) {
      messages.push_back(Parse<v1::WebhookMessage>({200, delivery.body}));
      simulator_.Delivered(delivery.number, true, now_);
    }
    return messages;
  }
  std::vector<std::string> MessageTypes() {
    std::vector<std::string> types;
    for (const v1::WebhookMessage& message : Messages()) types.push_back(message.type());
    return types;
  }

  absl::Time now_ = absl::FromUnixSeconds(1'767'225'600);
  PaymentSimulator simulator_{Options()};
};

TEST_F(PaymentSimulatorTest, WantsTheKey) {
  for (const char* authorization : {"", "Bearer sk_tes", "Bearer sk_test2", "sk_test"}) {
    EXPECT_EQ(simulator_.Handle({"GET", "/v1/stats", authorization, "", ""}, now_).status, 401);
  }
  EXPECT_EQ(simulator_.stats().unauthorized(), 4);
  EXPECT_EQ(Parse<v1::SimulatorStats>(Send("GET", "/v1/stats")).unauthorized(), 4);
}

TEST_F(PaymentSimulatorTest, PaysOnceForAKey) {
  const Answer first = Charge("k1", "tok_visa");
  EXPECT_EQ(first.status, 200);
  EXPECT_FALSE(first.silent);
  const auto charge = Parse<v1::Charge>(first);
  EXPECT_EQ(charge.status(), "succeeded");
  EXPECT_EQ(charge.amount_minor(), 5000);
  EXPECT_EQ(charge.idempotency_key(), "k1");
  EXPECT_THAT(charge.charge_id(), ::testing::StartsWith("ch_"));
  const Answer again = Charge("k1", "tok_visa");
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.body, first.body);
  EXPECT_EQ(Look("charges", "k1").body, first.body);
  EXPECT_EQ(simulator_.stats().charges_succeeded(), 1);
  EXPECT_EQ(simulator_.stats().duplicates(), 1);
  EXPECT_EQ(simulator_.stats().captured_minor(), 5000);
  EXPECT_THAT(MessageTypes(), ElementsAre("charge.succeeded"));

  EXPECT_EQ(Charge("k1", "tok_late").status, 409);
  EXPECT_EQ(simulator_.stats().conflicts(), 1);
  EXPECT_EQ(simulator_.stats().references_charged_twice(), 0);
  EXPECT_EQ(Charge("k/2", "tok_visa").status, 200);
  EXPECT_NE(Charged("k/2").charge_id(), charge.charge_id());
  EXPECT_EQ(simulator_.stats().references_charged_twice(), 1) << "o1, under two keys";
}

TEST_F(PaymentSimulatorTest, ConcurrentDuplicatesChargeOnce) {
  constexpr int kThreads = 8, kKeys = 50;
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int k = 0; k < kKeys; ++k)
        EXPECT_EQ(Charge("k" + std::to_string(k), "tok_visa").status, 200);
    });
  }
  threads.clear();
  EXPECT_EQ(simulator_.stats().charges_succeeded(), kKeys);
  EXPECT_EQ(simulator_.stats().duplicates(), (kThreads - 1) * kKeys);
  EXPECT_EQ(simulator_.stats().captured_minor(), kKeys * 5000);
}

TEST_F(PaymentSimulatorTest, EveryCardOfTheTableIsTaken) {
  int key = 0;
  std::string cards = TestCards();
  EXPECT_THAT(cards, HasSubstr("tok_error_<n>"));
  for (std::size_t at = cards.find("<n>"); at != std::string::npos; at = cards.find("<n>"))
    cards.replace(at, 3, "1");
  for (std::size_t at = cards.find("  tok_"); at != std::string::npos;
       at = cards.find("\n  tok_", at + 1)) {
    const std::size_t begin = cards.find("tok_", at);
    const std::string token = cards.substr(begin, cards.find(' ', begin) - begin);
    EXPECT_NE(Charge("k" + std::to_string(++key), token).status, 400) << token;
  }
  EXPECT_EQ(key, 19);
  for (const char* token :
       {"", "visa", "tok_error_", "tok_error_0", "tok_error_10", "tok_error_<n>", "tok_declined_",
        "tok_declined_other", "4242424242424242"}) {
    const Answer refused = Charge("other", token);
    EXPECT_EQ(refused.status, 400) << token;
    EXPECT_THAT(refused.body, HasSubstr("unknown_token"));
  }
  EXPECT_EQ(Look("charges", "other").status, 404) << "a refused request binds its key";
}

TEST_F(PaymentSimulatorTest, DeclinesWithACode) {
  const Answer declined = Charge("k1", "tok_declined_insufficient_funds");
  EXPECT_EQ(declined.status, 402);
  EXPECT_EQ(Parse<v1::Charge>(declined).decline_code(), "insufficient_funds");
  EXPECT_TRUE(Parse<v1::Charge>(declined).retryable());
  EXPECT_EQ(Charge("k1", "tok_declined_insufficient_funds").status, 402);
  EXPECT_FALSE(Parse<v1::Charge>(Charge("k2", "tok_declined_fraud")).retryable());
  EXPECT_EQ(simulator_.stats().charges_declined(), 2);
  EXPECT_EQ(simulator_.stats().captured_minor(), 0);
  EXPECT_THAT(MessageTypes(), ElementsAre("charge.declined", "charge.declined"));
}

TEST_F(PaymentSimulatorTest, MayTakeTheMoneyAndSayNothing) {
  EXPECT_TRUE(Charge("k1", "tok_charged_no_answer").silent);
  EXPECT_EQ(Charged("k1").status(), "succeeded");
  const Answer again = Charge("k1", "tok_charged_no_answer");
  EXPECT_FALSE(again.silent);
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(simulator_.stats().charges_succeeded(), 1);
}

TEST_F(PaymentSimulatorTest, MayNeverAnswer) {
  EXPECT_TRUE(Charge("k1", "tok_never_answers").silent);
  EXPECT_TRUE(Charge("k1", "tok_never_answers").silent);
  now_ += absl::Hours(24);
  EXPECT_EQ(Charged("k1").status(), "pending");
  EXPECT_EQ(simulator_.stats().charges_succeeded(), 0);
  EXPECT_THAT(Messages(), IsEmpty());
}

TEST_F(PaymentSimulatorTest, MaySayItTwice) {
  EXPECT_EQ(Charge("k1", "tok_twice").status, 200);
  const auto messages = Messages();
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[0].charge().charge_id(), messages[1].charge().charge_id());
  EXPECT_NE(messages[0].event_id(), messages[1].event_id());
  EXPECT_EQ(simulator_.stats().charges_succeeded(), 1);
}

TEST_F(PaymentSimulatorTest, MayAnswerLate) {
  EXPECT_EQ(Charge("k1", "tok_late").status, 202);
  EXPECT_EQ(Charge("k2", "tok_late_declined").status, 202);
  EXPECT_EQ(Charge("k1", "tok_late").status, 202);
  EXPECT_EQ(simulator_.NextDue(), now_ + kLate);
  now_ += kLate - absl::Nanoseconds(1);
  EXPECT_EQ(Charged("k1").status(), "pending");
  EXPECT_THAT(Messages(), IsEmpty());
  now_ += absl::Nanoseconds(1);
  EXPECT_THAT(MessageTypes(), ElementsAre("charge.succeeded", "charge.declined"));
  EXPECT_EQ(Charged("k1").status(), "succeeded");
  EXPECT_EQ(Charged("k2").decline_code(), "card_declined");
  EXPECT_EQ(Charge("k1", "tok_late").status, 200);
  EXPECT_EQ(simulator_.stats().captured_minor(), 5000);
}

TEST_F(PaymentSimulatorTest, MayFailSomeTimesFirst) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Charge("k1", "tok_error_3").status, 500);
    EXPECT_EQ(Look("charges", "k1").status, 404);
  }
  EXPECT_EQ(Send("POST", "/v1/charges", "k1", Body("tok_error_3", "1")).status, 409);
  EXPECT_EQ(Charge("k1", "tok_error_3").status, 200);
  EXPECT_EQ(Charge("k1", "tok_error_3").status, 200);
  EXPECT_EQ(simulator_.stats().charges_succeeded(), 1);
}

TEST_F(PaymentSimulatorTest, RefundsUpToWhatItTook) {
  Charge("k1", "tok_visa");
  EXPECT_EQ(Refund("r1", "k1", 3000).status, 200);
  EXPECT_EQ(Refund("r1", "k1", 3000).status, 200);
  EXPECT_EQ(Refund("r1", "k1", 2999).status, 409);
  EXPECT_EQ(Refunded("r1").status(), "succeeded");
  EXPECT_EQ(Refund("r2", "k1", 2001).status, 400);
  EXPECT_EQ(Look("refunds", "r2").status, 404);
  EXPECT_EQ(Refund("r2", "k1", 2000).status, 200);
  EXPECT_EQ(Charged("k1").refunded_minor(), 5000);
  EXPECT_EQ(simulator_.stats().refunded_minor(), 5000);
  EXPECT_EQ(simulator_.stats().refunds_succeeded(), 2);
  EXPECT_THAT(MessageTypes(),
              ElementsAre("charge.succeeded", "refund.succeeded", "refund.succeeded"));
  Charge("k2", "tok_late");
  EXPECT_EQ(Refund("r3", "k2", 1).status, 400);
  EXPECT_EQ(Send("POST", "/v1/refunds", "r3", R"({"charge_id":"ch_x","amount_minor":1})").status,
            404);
}

TEST_F(PaymentSimulatorTest, RefundsMayFailSomeTimesOrAlways) {
  Charge("k1", "tok_refund_fails_2");
  for (int attempt = 1; attempt <= 2; ++attempt) {
    EXPECT_EQ(Refund("r1", "k1", 5000).status, 402);
    EXPECT_EQ(Refunded("r1").status(), "failed");
    EXPECT_EQ(Refunded("r1").attempts(), attempt);
    EXPECT_EQ(Charged("k1").refunded_minor(), 0);
  }
  EXPECT_EQ(Refund("r1", "k1", 5000).status, 200);
  EXPECT_EQ(Refunded("r1").error(), "");
  EXPECT_EQ(Refund("r1", "k1", 5000).status, 200);
  EXPECT_EQ(simulator_.stats().refunded_minor(), 5000);
  EXPECT_EQ(simulator_.stats().refunds_failed(), 2);
  Charge("k2", "tok_refund_fails");
  for (int i = 0; i < 12; ++i) EXPECT_EQ(Refund("r2", "k2", 1).status, 402);
  EXPECT_EQ(simulator_.stats().refunded_minor(), 5000);
}

TEST_F(PaymentSimulatorTest, AFailedRefundIsNotTriedAgainBeyondTheCharge) {
  Charge("k1", "tok_refund_fails_1");
  EXPECT_EQ(Refund("r1", "k1", 3000).status, 402);
  EXPECT_EQ(Refund("r2", "k1", 3000).status, 402);
  EXPECT_EQ(Refund("r2", "k1", 3000).status, 200);
  EXPECT_EQ(Refund("r1", "k1", 3000).status, 400);
  EXPECT_EQ(simulator_.stats().refunded_minor(), 3000);
}

TEST_F(PaymentSimulatorTest, RefundsMayBeLateOrUnanswered) {
  Charge("k1", "tok_refund_late");
  EXPECT_EQ(Refund("r1", "k1", 4000).status, 202);
  EXPECT_EQ(Refund("r2", "k1", 2000).status, 400) << "what is pending is not left";
  now_ += kLate;
  EXPECT_EQ(Refund("r1", "k1", 4000).status, 200);
  EXPECT_EQ(simulator_.stats().refunded_minor(), 4000);
  Charge("k2", "tok_refund_no_answer");
  EXPECT_TRUE(Refund("r3", "k2", 1).silent);
  EXPECT_FALSE(Refund("r3", "k2", 1).silent);
  EXPECT_EQ(simulator_.stats().refunds_succeeded(), 2);
}

TEST_F(PaymentSimulatorTest, RefundsMayBeOutOfReach) {
  Charge("k1", "tok_refund_error_2");
  EXPECT_EQ(Refund("r1", "k1", 4000).status, 500);
  EXPECT_EQ(Refund("r1", "k1", 4000).status, 500);
  EXPECT_EQ(simulator_.stats().refunded_minor(), 0);
  EXPECT_EQ(Refund("r1", "k1", 4000).status, 200);
  EXPECT_EQ(Refunded("r1").attempts(), 1);
  Charge("k2", "tok_refund_never_answers");
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Refund("r2", "k2", 1).silent);
  EXPECT_EQ(simulator_.stats().refunded_minor(), 4000);
}

TEST_F(PaymentSimulatorTest, AMessageIsSentUntilItIsAcceptedABoundedNumberOfTimes) {
  Charge("k1", "tok_visa");
  std::vector<std::string> bodies;
  for (const int wait : {0, 1, 2}) {  // Seconds; three attempts.
    EXPECT_EQ(simulator_.NextDue(), now_ + absl::Seconds(wait));
    now_ += absl::Seconds(wait);
    const auto due = simulator_.TakeDue(10, now_);
    ASSERT_EQ(due.size(), 1u) << wait;
    bodies.push_back(due[0].body);
    EXPECT_THAT(simulator_.TakeDue(10, now_), IsEmpty()) << "it is under way";
    simulator_.Delivered(due[0].number, false, now_);
  }
  EXPECT_EQ(bodies[0], bodies[2]);
  EXPECT_EQ(simulator_.NextDue(), absl::InfiniteFuture());
  EXPECT_EQ(simulator_.stats().webhooks_given_up(), 1);
  EXPECT_EQ(simulator_.stats().webhook_attempts(), 3);
  Charge("k2", "tok_visa");
  EXPECT_THAT(simulator_.TakeDue(0, now_), IsEmpty());
  simulator_.Delivered(simulator_.TakeDue(1, now_).at(0).number, true, now_);
  EXPECT_EQ(simulator_.stats().webhooks_delivered(), 1);
  EXPECT_EQ(simulator_.NextDue(), absl::InfiniteFuture());
}

TEST_F(PaymentSimulatorTest, MessagesThatNobodyFetchesAreBounded) {
  for (std::size_t i = 0; i <= kWebhooksWaitingMax; ++i)
    Charge("k" + std::to_string(i), "tok_visa");
  EXPECT_EQ(simulator_.stats().webhooks_given_up(), 1);
}

TEST_F(PaymentSimulatorTest, MalformedRequestsAreRefused) {
  const auto post = [&](const std::string& body) {
    return Send("POST", "/v1/charges", "k1", body).status;
  };
  EXPECT_EQ(post("{"), 400);
  EXPECT_EQ(post("[]"), 400);
  EXPECT_EQ(post(R"({"amount":1})"), 400);
  EXPECT_EQ(post("{\"token\":\"\xff\"}"), 400);
  EXPECT_EQ(post(Body("tok_visa", "0")), 400);
  EXPECT_EQ(post(Body("tok_visa", "1000000000001")), 400);
  EXPECT_EQ(post(Body("tok_visa", "1.5")), 400);
  EXPECT_EQ(post(R"({"amount_minor":1,"currency":"eur","token":"tok_visa"})"), 400);
  EXPECT_EQ(post(std::string(kSimulatorBodyBytesMax + 1, ' ')), 413);
  EXPECT_EQ(Send("POST", "/v1/charges", "", Body("tok_visa")).status, 400);
  EXPECT_EQ(Send("POST", "/v1/charges", "a b", Body("tok_visa")).status, 400);
  EXPECT_EQ(
      Send("POST", "/v1/charges", std::string(kIdempotencyKeyBytesMax + 1, 'k'), Body("tok_visa"))
          .status,
      400);
  for (const char* path : {"/", "/v1/charges", "/v1/charges/", "/v1/charges/k1", "/v2/stats"})
    EXPECT_EQ(Send("GET", path).status, 404) << path;
  EXPECT_EQ(Send("DELETE", "/v1/charges/k1").status, 404);
  EXPECT_EQ(simulator_.stats().charges_succeeded(), 0);
  EXPECT_EQ(post(Body("tok_visa", R"("5000")")), 200) << "a refused request binds no key";
}

TEST_F(PaymentSimulatorTest, KeepsABoundedNumberOfCharges) {
  if (testing::kSanitized) GTEST_SKIP() << "a hundred thousand charges on one thread";
  PaymentSimulator full{PaymentSimulatorOptions{}};
  const auto charge = [&](std::size_t key) {
    return full
        .Handle({"POST", "/v1/charges", "Bearer sk_test", std::to_string(key), Body("tok_visa")},
                now_)
        .status;
  };
  for (std::size_t i = 0; i < kSimulatedChargesMax; ++i) charge(i);
  EXPECT_EQ(charge(kSimulatedChargesMax), 503);
  EXPECT_EQ(charge(0), 200);
  EXPECT_EQ(full.stats().charges_succeeded(), static_cast<std::int64_t>(kSimulatedChargesMax));
}

TEST_F(PaymentSimulatorTest, TheSameSeedMakesTheSameIds) {
  PaymentSimulatorOptions other = Options();
  PaymentSimulator same{other};
  other.seed = 2;
  PaymentSimulator different{other};
  const PaymentSimulator::Request request{"POST", "/v1/charges", "Bearer sk_test", "k1",
                                          Body("tok_visa")};
  const std::string body = Charge("k1", "tok_visa").body;
  EXPECT_EQ(same.Handle(request, now_).body, body);
  EXPECT_NE(different.Handle(request, now_).body, body);
}

}  // namespace
}  // namespace leftfold::tools
