#include "domains/payments/refund_charge.h"

#include <fmt/format.h>

#include <string>

#include "core/json.h"
#include "domains/payments/payment.h"
#include "domains/payments/payment_fold.h"

namespace leftfold::payments {
namespace {

v1::RecordRefundResultRequest RecordOf(const Asked& asked, const Said& said) {
  v1::RecordRefundResultRequest record;
  record.set_payment_id(asked.payment_id);
  record.set_refund_id(asked.idempotency_key);
  record.set_provider_event_id(fmt::format("{}:{}:{}", said.status, said.id, asked.attempt_no));
  record.set_attempt_no(asked.attempt_no);
  if (said.status == "succeeded") {
    record.set_status(v1::REFUND_STATUS_SUCCEEDED);
    record.set_provider_ref(said.id);
  } else {
    record.set_status(v1::REFUND_STATUS_FAILED);
    record.set_error(said.error);
  }
  return record;
}

}  // namespace

std::string RefundCharge::Key(const v1::RefundInitiated& event, const EventMeta& meta) {
  return fmt::format("{}/{}/{}", meta.stream(), event.refund_id(), event.attempt_no());
}

absl::Status RefundCharge::React(const v1::RefundInitiated& event, const EventMeta& meta,
                                 OwnTables& tables, Outbox& outbox) {
  auto payment = tables.Load<Payment>(meta.aggregate_id());
  if (!payment.ok()) return payment.status();
  const v1::Refund* refund = fold::FindRefund(*payment, event.refund_id());
  if (refund == nullptr || refund->status() != v1::REFUND_STATUS_PENDING ||
      refund->attempt_no() != event.attempt_no())
    return absl::OkStatus();
  Ask(kRefundsUrl,
      fmt::format(R"({{"charge_id": {}, "amount_minor": {}, "reason": {}}})",
                  JsonString(event.provider_ref()), event.amount_minor(),
                  JsonString(event.reason())),
      {.position = meta.position(),
       .payment_id = std::string(meta.aggregate_id()),
       .idempotency_key = event.refund_id(),
       .attempt_no = event.attempt_no(),
       .asked_at = meta.recorded_at()},
      tables, outbox);
  return absl::OkStatus();
}

absl::Status RefundCharge::OnReply(const Delivery& delivery, const HttpReply& reply,
                                   OwnTables& tables, Outbox& outbox) {
  const auto settled = TakeReply(delivery, reply, tables, outbox);
  if (!settled.ok() || !*settled) return settled.status();
  outbox.Send(RecordOf((*settled)->asked, (*settled)->said));
  return absl::OkStatus();
}

void RefundCharge::OnParked(const Delivery& delivery, const absl::Status& error, OwnTables& tables,
                            Outbox& outbox) {
  if (const auto asked = Unanswered(delivery, error, tables))
    outbox.Send(RecordOf(*asked, {.status = "failed", .id = {}, .error = std::string(kNoAnswer)}));
}

}  // namespace leftfold::payments
