#include "domains/orders/start_charge.h"

#include <absl/strings/ascii.h>

#include <string>
#include <utility>

#include "core/reject.h"
#include "domains/orders/order.h"
#include "leftfold/orders/v1/commands.pb.h"

namespace leftfold::orders {
namespace {

void Decline(const std::string& order_id, const std::string& payment_id, std::string code,
             Outbox& outbox) {
  v1::RecordPaymentOutcomeRequest outcome;
  outcome.set_order_id(order_id);
  outcome.set_payment_id(payment_id);
  outcome.set_outcome(v1::PAYMENT_OUTCOME_DECLINED);
  outcome.set_decline_code(std::move(code));
  outbox.Send(outcome);
}

}  // namespace

std::string WhyNot(const absl::Status& refusal) {
  if (absl::IsCancelled(refusal)) return "SKIPPED";
  const std::string reason = ReasonOf(refusal);
  return reason.empty() ? "REFUSED" : reason;
}

absl::Status StartCharge::React(const v1::PaymentRequested& event, const EventMeta& meta,
                                OwnTables& tables, Outbox& outbox) {
  const std::string order_id(meta.aggregate_id());
  const auto order = tables.Load<Order>(order_id);
  if (!order.ok()) return order.status();
  if (order->status() != v1::ORDER_STATUS_PAYMENT_PROCESSING) {
    Decline(order_id, event.payment_id(), "order_closed", outbox);
    return absl::OkStatus();
  }
  payments::v1::InitiatePaymentRequest initiate;
  initiate.set_payment_id(event.payment_id());
  initiate.set_payer_id(order->customer_id());
  initiate.mutable_purpose()->set_kind(std::string(kOrderPurpose));
  initiate.mutable_purpose()->set_ref_id(order_id);
  initiate.set_amount_minor(event.amount_minor());
  initiate.set_currency(event.currency());
  initiate.set_method_type(event.method_type());
  initiate.set_token(event.payment_token());
  initiate.set_card_last4(event.card_last4());
  outbox.Send(initiate);
  return absl::OkStatus();
}

absl::Status StartCharge::OnResult(const payments::v1::InitiatePaymentRequest& sent,
                                   const Result& result, OwnTables&, Outbox& outbox) {
  if (result.status.ok()) return absl::OkStatus();
  Decline(sent.purpose().ref_id(), sent.payment_id(), absl::AsciiStrToLower(WhyNot(result.status)),
          outbox);
  return absl::OkStatus();
}

}  // namespace leftfold::orders
