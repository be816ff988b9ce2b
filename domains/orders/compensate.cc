#include "domains/orders/compensate.h"

#include <absl/strings/ascii.h>
#include <absl/strings/strip.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "core/reject.h"
#include "core/status.h"
#include "domains/orders/start_charge.h"
#include "leftfold/payments/v1/state.pb.h"

namespace leftfold::orders {
namespace {

absl::StatusOr<payments::v1::PaymentState> LoadPayment(std::string_view payment_id,
                                                       OwnTables& tables) {
  return tables.LoadState<payments::v1::PaymentState>("payment", payment_id);
}

void MarkStuck(const std::string& order_id, const std::string& refund_id, std::string_view error,
               Outbox& outbox) {
  v1::MarkRefundStuckRequest stuck;
  stuck.set_order_id(order_id);
  stuck.set_refund_id(refund_id);
  stuck.set_error(std::string(error));
  outbox.Send(stuck);
}

// "no_agent".
std::string NameOf(v1::RefundCause cause) {
  return absl::AsciiStrToLower(absl::StripPrefix(v1::RefundCause_Name(cause), "REFUND_CAUSE_"));
}

}  // namespace

void Compensate::RequestRefund(const EventMeta& meta, Outbox& outbox) {
  v1::RequestRefundRequest request;
  request.set_order_id(std::string(meta.aggregate_id()));
  outbox.Send(request);
}

absl::Status Compensate::React(const v1::RefundRequested& event, const EventMeta&, OwnTables&,
                               Outbox& outbox) {
  payments::v1::RefundPaymentRequest refund;
  refund.set_payment_id(event.payment_id());
  refund.set_refund_id(event.refund_id());
  refund.set_amount_minor(event.amount_minor());
  refund.set_reason(NameOf(event.cause()));
  outbox.Send(refund);
  return absl::OkStatus();
}

absl::Status Compensate::React(const payments::v1::RefundSucceeded& event, const EventMeta&,
                               OwnTables&, Outbox& outbox) {
  if (event.purpose().kind() != kOrderPurpose) return absl::OkStatus();
  v1::ConfirmRefundRequest confirm;
  confirm.set_order_id(event.purpose().ref_id());
  confirm.set_refund_id(event.refund_id());
  outbox.Send(confirm);
  return absl::OkStatus();
}

absl::Status Compensate::React(const payments::v1::RefundFailed& event, const EventMeta& meta,
                               OwnTables& tables, Outbox& outbox) {
  if (event.purpose().kind() != kOrderPurpose) return absl::OkStatus();
  const int attempt = (event.attempt_no() - 1) % kRefundAttemptsMax + 1;
  if (attempt == kRefundAttemptsMax) {
    MarkStuck(event.purpose().ref_id(), event.refund_id(), event.error(), outbox);
    return absl::OkStatus();
  }
  const auto payment = LoadPayment(meta.aggregate_id(), tables);
  if (!payment.ok()) return payment.status();
  payments::v1::RefundPaymentRequest again;
  again.set_payment_id(std::string(meta.aggregate_id()));
  again.set_refund_id(event.refund_id());
  for (const payments::v1::Refund& refund : payment->refunds()) {
    if (refund.refund_id() == event.refund_id()) again.set_amount_minor(refund.amount_minor());
  }
  const absl::Duration delay = kRefundRetryFirst * (1 << (attempt - 1));
  outbox.SendAt(meta.recorded_at() + delay, fmt::to_string(meta.position().value), again);
  return absl::OkStatus();
}

absl::Status Compensate::OnResult(const payments::v1::RefundPaymentRequest& sent,
                                  const Result& result, OwnTables& tables, Outbox& outbox) {
  if (result.status.ok()) return absl::OkStatus();
  const auto payment = LoadPayment(sent.payment_id(), tables);
  if (!payment.ok()) return payment.status();
  MarkStuck(payment->purpose().ref_id(), sent.refund_id(), WhyNot(result.status), outbox);
  return absl::OkStatus();
}

absl::Status Compensate::OnResult(const v1::MarkRefundStuckRequest& sent, const Result& result,
                                  OwnTables&, Outbox&) {
  // A refund that no order shows to anybody: the operator must see it here.
  if (ReasonOf(result.status) != "UNKNOWN_REFUND" && ReasonOf(result.status) != "ORDER_NOT_FOUND")
    return absl::OkStatus();
  return Error(absl::StatusCode::kFailedPrecondition,
               "refund {} of a payment that order {} did not take failed {} times ({}): see to it "
               "that it can be paid out, send RefundPayment again, then skip this",
               sent.refund_id(), sent.order_id(), kRefundAttemptsMax, sent.error());
}

}  // namespace leftfold::orders
