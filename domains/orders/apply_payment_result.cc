#include "domains/orders/apply_payment_result.h"

#include <string>

#include "core/ids.h"
#include "core/reject.h"
#include "domains/orders/order.h"
#include "domains/orders/start_charge.h"
#include "leftfold/payments/v1/commands.pb.h"
#include "leftfold/payments/v1/state.pb.h"

namespace leftfold::orders {
namespace {

// Decline code of a payment that nobody waits for any longer.
constexpr std::string_view kCancelled = "cancelled";

template <class Event>
void Record(const Event& event, const EventMeta& meta, v1::PaymentOutcome outcome,
            std::string_view decline_code, Outbox& outbox) {
  if (event.purpose().kind() != kOrderPurpose) return;
  v1::RecordPaymentOutcomeRequest record;
  record.set_order_id(event.purpose().ref_id());
  record.set_payment_id(std::string(meta.aggregate_id()));
  record.set_outcome(outcome);
  record.set_decline_code(std::string(decline_code));
  outbox.Send(record);
}

}  // namespace

absl::Status ApplyPaymentResult::React(const payments::v1::PaymentSucceeded& event,
                                       const EventMeta& meta, OwnTables&, Outbox& outbox) {
  Record(event, meta, v1::PAYMENT_OUTCOME_SUCCEEDED, "", outbox);
  return absl::OkStatus();
}

absl::Status ApplyPaymentResult::React(const payments::v1::PaymentDeclined& event,
                                       const EventMeta& meta, OwnTables&, Outbox& outbox) {
  Record(event, meta, v1::PAYMENT_OUTCOME_DECLINED, event.decline_code(), outbox);
  return absl::OkStatus();
}

absl::Status ApplyPaymentResult::React(const payments::v1::PaymentCancelled& event,
                                       const EventMeta& meta, OwnTables&, Outbox& outbox) {
  Record(event, meta, v1::PAYMENT_OUTCOME_DECLINED, kCancelled, outbox);
  return absl::OkStatus();
}

absl::Status ApplyPaymentResult::OnResult(const v1::RecordPaymentOutcomeRequest& sent,
                                          const Result& result, OwnTables& tables, Outbox& outbox) {
  if (result.status.ok() || sent.outcome() != v1::PAYMENT_OUTCOME_SUCCEEDED)
    return absl::OkStatus();
  if (absl::IsCancelled(result.status)) {  // The order may have taken it all the same.
    const auto order = tables.Load<Order>(sent.order_id());
    if (!order.ok()) return order.status();
    for (const v1::PaymentAttempt& attempt : order->attempts()) {
      if (attempt.payment_id() == sent.payment_id() && attempt.outcome() == sent.outcome())
        return absl::OkStatus();
    }
  }
  const auto payment = tables.LoadState<payments::v1::PaymentState>("payment", sent.payment_id());
  if (!payment.ok()) return payment.status();
  payments::v1::RefundPaymentRequest refund;
  refund.set_payment_id(sent.payment_id());
  refund.set_refund_id(ToString(DerivedUuid("not_taken-" + sent.payment_id(), 0)));
  refund.set_amount_minor(payment->amount_minor());
  refund.set_reason("the order did not take the payment: " + WhyNot(result.status));
  outbox.Send(refund);
  return absl::OkStatus();
}

}  // namespace leftfold::orders
