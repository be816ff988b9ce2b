#ifndef DOMAINS_PAYMENTS_PAYMENT_FOLD_H_
#define DOMAINS_PAYMENTS_PAYMENT_FOLD_H_

#include <algorithm>
#include <string>

#include "leftfold/payments/v1/events.pb.h"
#include "leftfold/payments/v1/state.pb.h"

// What each event changes in a payment, for the messages that have a payment's fields by the same
// names: the aggregate's v1::PaymentState and the v1::Payment that is read. Every event fits every
// payment.
namespace leftfold::payments::fold {

// The refund; nullptr when there is none.
template <class PaymentLike>
auto* FindRefund(PaymentLike& payment, const std::string& refund_id) {
  auto& all = *payment.mutable_refunds();
  const auto it = std::find_if(all.begin(), all.end(), [&](const v1::Refund& refund) {
    return refund.refund_id() == refund_id;
  });
  return it == all.end() ? nullptr : &*it;
}

template <class PaymentLike>
v1::Refund& RefundOf(PaymentLike& payment, const std::string& refund_id) {
  if (v1::Refund* found = FindRefund(payment, refund_id)) return *found;
  v1::Refund& added = *payment.add_refunds();
  added.set_refund_id(refund_id);
  return added;
}

template <class PaymentLike>
void Apply(PaymentLike& payment, const v1::PaymentInitiated& event) {
  payment.set_status(v1::PAYMENT_STATUS_PENDING);
  payment.set_amount_minor(event.amount_minor());
  payment.set_currency(event.currency());
  *payment.mutable_purpose() = event.purpose();
}
template <class PaymentLike>
void Apply(PaymentLike& payment, const v1::PaymentSucceeded& event) {
  payment.set_status(v1::PAYMENT_STATUS_SUCCEEDED);
  payment.set_provider_ref(event.provider_ref());
}
template <class PaymentLike>
void Apply(PaymentLike& payment, const v1::PaymentDeclined&) {
  payment.set_status(v1::PAYMENT_STATUS_DECLINED);
}
template <class PaymentLike>
void Apply(PaymentLike& payment, const v1::PaymentCancelled&) {
  payment.set_status(v1::PAYMENT_STATUS_CANCELLED);
}
template <class PaymentLike>
void Apply(PaymentLike& payment, const v1::RefundInitiated& event) {
  v1::Refund& refund = RefundOf(payment, event.refund_id());
  refund.set_amount_minor(event.amount_minor());
  refund.set_status(v1::REFUND_STATUS_PENDING);
  refund.set_attempt_no(event.attempt_no());
  refund.set_reason(event.reason());
}
template <class PaymentLike>
void Apply(PaymentLike& payment, const v1::RefundSucceeded& event) {
  v1::Refund& refund = RefundOf(payment, event.refund_id());
  refund.set_amount_minor(event.amount_minor());
  refund.set_status(v1::REFUND_STATUS_SUCCEEDED);
  refund.set_provider_ref(event.provider_ref());
  refund.clear_error();
}
template <class PaymentLike>
void Apply(PaymentLike& payment, const v1::RefundFailed& event) {
  v1::Refund& refund = RefundOf(payment, event.refund_id());
  refund.set_status(v1::REFUND_STATUS_FAILED);
  refund.set_attempt_no(event.attempt_no());
  refund.set_error(event.error());
}

}  // namespace leftfold::payments::fold
#endif  // DOMAINS_PAYMENTS_PAYMENT_FOLD_H_
