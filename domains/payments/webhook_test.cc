#include "domains/payments/webhook.h"

#include <gtest/gtest.h>

#include <string>

#include "core/reject.h"
#include "core/webhook_signature.h"
#include "leftfold/payments/v1/commands.pb.h"
#include "testing/given.h"

namespace leftfold::payments {
namespace {

using testing::kTestNow;

const char kCharge[] = R"("charge": {"charge_id": "ch_1", "idempotency_key": "p1", "status": )";

std::string Body(const std::string& type, const std::string& status) {
  return R"({"event_id": "evt_1", "type": ")" + type + R"(", )" + kCharge + status + "}}";
}
absl::StatusOr<std::unique_ptr<google::protobuf::Message>> Take(
    const std::string& body, const std::string& secret = "whsec") {
  return TakeWebhook({.secret = "whsec",
                      .signature = WebhookSignature(secret, kTestNow, body),
                      .body = body,
                      .now = kTestNow});
}
std::string Told(const std::string& body) {
  const auto taken = Take(body);
  EXPECT_TRUE(taken.ok()) << taken.status();
  return taken.ok() && *taken != nullptr ? (*taken)->ShortDebugString() : "nothing";
}

TEST(PaymentsWebhook, ACommandRecordsWhatBecameOfACharge) {
  EXPECT_EQ(Told(Body("charge.succeeded", R"("succeeded")")),
            "payment_id: \"p1\" provider_event_id: \"succeeded:ch_1\" "
            "status: PROVIDER_STATUS_SUCCEEDED provider_ref: \"ch_1\"");
  EXPECT_EQ(
      Told(Body("charge.declined", R"("declined", "decline_code": "fraud", "retryable": true)")),
      "payment_id: \"p1\" provider_event_id: \"declined:ch_1\" "
      "status: PROVIDER_STATUS_DECLINED decline_code: \"fraud\" retryable: true");
}

TEST(PaymentsWebhook, WhatIsNotAboutACommandableChargeIsAcknowledged) {
  EXPECT_EQ(Told(Body("charge.pending", R"("pending")")), "nothing");
  EXPECT_EQ(Told(Body("charge.processing", R"("processing")")), "nothing");
  EXPECT_EQ(Told(R"({"type": "charge.expired", "charge": {"idempotency_key": "p1"}})"), "nothing");
  EXPECT_EQ(Told(R"({"type": "refund.succeeded", "refund": {}})"), "nothing");
  EXPECT_EQ(Told(R"({"type": "payout.sent"})"), "nothing");
}

TEST(PaymentsWebhook, OnlyTheProviderIsHeard) {
  const auto refused = Take(Body("charge.succeeded", R"("succeeded")"), "other").status();
  EXPECT_EQ(ReasonOf(refused), "BAD_SIGNATURE");
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnauthenticated);
  const std::string body = Body("charge.succeeded", R"("succeeded")");
  const std::string signature = WebhookSignature("whsec", kTestNow, body);
  const auto late = TakeWebhook({.secret = "whsec",
                                 .signature = signature,
                                 .body = body,
                                 .now = kTestNow + absl::Minutes(6)});
  EXPECT_EQ(ReasonOf(late.status()), "BAD_SIGNATURE");
  // Before its body is read.
  EXPECT_EQ(ReasonOf(Take("no JSON", "other").status()), "BAD_SIGNATURE");
}

TEST(PaymentsWebhook, AMalformedMessageIsRefused) {
  for (const char* body : {"no JSON", "[]", "{}", R"({"type": "charge.succeeded"})",
                           R"({"type": "charge.succeeded", "charge": "p1"})"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Take(body).status())) << body;
  }
}

}  // namespace
}  // namespace leftfold::payments
