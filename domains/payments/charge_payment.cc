#include "domains/payments/charge_payment.h"

#include <fmt/format.h>

#include <string>

#include "core/json.h"
#include "domains/payments/payment.h"

namespace leftfold::payments {

v1::RecordProviderResultRequest RecordOf(const std::string& payment_id, const Said& said) {
  v1::RecordProviderResultRequest record;
  record.set_payment_id(payment_id);
  record.set_provider_event_id(fmt::format("{}:{}", said.status, said.id));
  if (said.status == "succeeded") {
    record.set_status(v1::PROVIDER_STATUS_SUCCEEDED);
    record.set_provider_ref(said.id);
  } else {
    record.set_status(v1::PROVIDER_STATUS_DECLINED);
    record.set_decline_code(said.error);
    record.set_retryable(said.retryable);
  }
  return record;
}

absl::Status ChargePayment::React(const v1::PaymentInitiated& event, const EventMeta& meta,
                                  OwnTables& tables, Outbox& outbox) {
  const std::string payment_id(meta.aggregate_id());
  const auto payment = tables.Load<Payment>(payment_id);
  if (!payment.ok()) return payment.status();
  if (payment->status() != v1::PAYMENT_STATUS_PENDING) return absl::OkStatus();
  Ask(kChargesUrl,
      fmt::format(R"({{"amount_minor": {}, "currency": {}, "token": {}, "reference": {}}})",
                  event.amount_minor(), JsonString(event.currency()), JsonString(event.token()),
                  JsonString(event.purpose().ref_id())),
      {.position = meta.position(),
       .payment_id = payment_id,
       .idempotency_key = payment_id,
       .asked_at = meta.recorded_at()},
      tables, outbox);
  return absl::OkStatus();
}

absl::Status ChargePayment::OnReply(const Delivery& delivery, const HttpReply& reply,
                                    OwnTables& tables, Outbox& outbox) {
  const auto settled = TakeReply(delivery, reply, tables, outbox);
  if (!settled.ok() || !*settled) return settled.status();
  outbox.Send(RecordOf((*settled)->asked.payment_id, (*settled)->said));
  return absl::OkStatus();
}

}  // namespace leftfold::payments
