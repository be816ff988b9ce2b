// What the golden events of golden/ amount to: their bytes and what they say are checked for all
// domains together.
#include <gtest/gtest.h>

#include <string>

#include "core/registry.h"
#include "domains/payments/payment.h"
#include "domains/payments/test_events.h"
#include "testing/given.h"
#include "testing/golden.h"

namespace leftfold::payments {
namespace {

// As they may happen to one payment.
const char* const kStory[] = {
    "PaymentInitiated.1", "PaymentDeclined.1", "PaymentCancelled.1", "PaymentSucceeded.1",
    "RefundInitiated.1",  "RefundFailed.1",    "RefundSucceeded.1",
};

core::v1::RecordedEvent StoredOf(const char* name) {
  const testing::Golden golden = testing::GoldenOf(std::string("leftfold.payments.v1.") + name);
  core::v1::RecordedEvent stored;
  stored.set_type(golden.type);
  stored.mutable_message()->set_value(golden.bytes);
  return stored;
}

TEST(GoldenEvents, StillFoldToTheSamePayment) {
  Payment::State state;
  testing::GoldenFold<Payment> fold;
  for (const char* name : kStory) {
    EXPECT_TRUE(FoldStored<Payment>(StoredOf(name), state)) << name;
    fold.AddStored(StoredOf(name));
  }
  const auto expected = Parse<v1::PaymentState>(R"(
    status: PAYMENT_STATUS_SUCCEEDED amount_minor: 5000 currency: "EUR"
    purpose { kind: "order" ref_id: "o1" } provider_ref: "ch_1"
    results {
      provider_event_id: "evt_1" status: PAYMENT_STATUS_DECLINED decline_code: "insufficient_funds"
    }
    results { provider_event_id: "timeout-p1" status: PAYMENT_STATUS_CANCELLED }
    results { provider_event_id: "evt_2" status: PAYMENT_STATUS_SUCCEEDED provider_ref: "ch_1" }
    refunds {
      refund_id: "r1" amount_minor: 2000 status: REFUND_STATUS_SUCCEEDED attempt_no: 1
      reason: "cold soup" provider_ref: "re_1"
    })");
  EXPECT_EQ(state.DebugString(), expected.DebugString());
  // Snapshots of the states on the way are in files of others.
  EXPECT_EQ(Payment::kStateVersion, 1) << "bumped: put the number and the new value here";
  EXPECT_EQ(fold.Value(), "e149abaa0c43798f")
      << "Evolve or the state has changed: bump kStateVersion, then put the new value here";
}

}  // namespace
}  // namespace leftfold::payments
