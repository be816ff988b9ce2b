#include "domains/payments/payment.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "domains/payments/payment_fold.h"

namespace leftfold::payments {
namespace {

std::string_view NameOf(v1::PaymentStatus status) {
  switch (status) {
    case v1::PAYMENT_STATUS_SUCCEEDED:
      return "succeeded";
    case v1::PAYMENT_STATUS_DECLINED:
      return "declined";
    case v1::PAYMENT_STATUS_CANCELLED:
      return "cancelled";
    default:
      return "pending";
  }
}

std::string_view NameOf(v1::RefundStatus status) {
  switch (status) {
    case v1::REFUND_STATUS_SUCCEEDED:
      return "succeeded";
    case v1::REFUND_STATUS_FAILED:
      return "failed";
    default:
      return "pending";
  }
}

// What was taken from the payer.
std::int64_t Captured(const v1::PaymentState& state) {
  return state.status() == v1::PAYMENT_STATUS_SUCCEEDED ? state.amount_minor() : 0;
}

// What may still be given back: what was taken, less all refunds that have not failed.
std::int64_t Left(const v1::PaymentState& state) {
  std::int64_t left = Captured(state);
  for (const v1::Refund& refund : state.refunds()) {
    if (refund.status() != v1::REFUND_STATUS_FAILED) left -= refund.amount_minor();
  }
  return left;
}

const v1::Refund* FindRefund(const v1::PaymentState& state, const std::string& refund_id) {
  for (const v1::Refund& refund : state.refunds()) {
    if (refund.refund_id() == refund_id) return &refund;
  }
  return nullptr;
}

absl::Status CheckExists(const v1::PaymentState& state, const CommandContext& context) {
  if (state.status() != v1::PAYMENT_STATUS_UNSPECIFIED) return absl::OkStatus();
  return Reject(v1::ERROR_REASON_PAYMENT_NOT_FOUND,
                fmt::format("there is no payment {}; initiate it first", context.aggregate_id),
                {{"payment_id", context.aggregate_id}});
}

// The result as it is kept, with the fields that its status has.
v1::RecordedResult ResultOf(const v1::RecordProviderResultRequest& command) {
  v1::RecordedResult result;
  result.set_provider_event_id(command.provider_event_id());
  switch (command.status()) {
    case v1::PROVIDER_STATUS_SUCCEEDED:
      result.set_status(v1::PAYMENT_STATUS_SUCCEEDED);
      result.set_provider_ref(command.provider_ref());
      break;
    case v1::PROVIDER_STATUS_DECLINED:
      result.set_status(v1::PAYMENT_STATUS_DECLINED);
      result.set_decline_code(command.decline_code());
      break;
    default:
      result.set_status(v1::PAYMENT_STATUS_CANCELLED);
  }
  return result;
}

bool SaysTheSame(const v1::RecordedResult& a, const v1::RecordedResult& b) {
  return a.status() == b.status() && a.provider_ref() == b.provider_ref() &&
         a.decline_code() == b.decline_code();
}

absl::Status Conflicting(const v1::PaymentState& state, const CommandContext& context) {
  const std::string_view status = NameOf(state.status());
  return Reject(v1::ERROR_REASON_CONFLICTING_RESULT,
                fmt::format("payment {} is {} by another message of the provider; look it up there",
                            context.aggregate_id, status),
                {{"payment_id", context.aggregate_id}, {"status", std::string(status)}});
}

absl::Status ConflictingRefund(const v1::Refund& refund, const CommandContext& context) {
  const std::string_view status = NameOf(refund.status());
  return Reject(
      v1::ERROR_REASON_CONFLICTING_RESULT,
      fmt::format("refund {} of payment {} is {}, at attempt {}; look it up at the provider",
                  refund.refund_id(), context.aggregate_id, status, refund.attempt_no()),
      {{"payment_id", context.aggregate_id},
       {"refund_id", refund.refund_id()},
       {"status", std::string(status)},
       {"attempt_no", fmt::to_string(refund.attempt_no())}});
}

Payment::Decision AcceptSuccess(const v1::RecordProviderResultRequest& command,
                                const v1::PaymentState& state) {
  v1::PaymentSucceeded event;
  event.set_provider_ref(command.provider_ref());
  event.set_provider_event_id(command.provider_event_id());
  event.set_amount_minor(state.amount_minor());
  event.set_currency(state.currency());
  *event.mutable_purpose() = state.purpose();
  return Accept(std::move(event));
}

// The first thing that the provider says.
Payment::Decision AcceptFirst(const v1::RecordProviderResultRequest& command,
                              const v1::PaymentState& state) {
  switch (command.status()) {
    case v1::PROVIDER_STATUS_SUCCEEDED:
      return AcceptSuccess(command, state);
    case v1::PROVIDER_STATUS_DECLINED: {
      v1::PaymentDeclined event;
      event.set_decline_code(command.decline_code());
      event.set_retryable(command.retryable());
      event.set_provider_event_id(command.provider_event_id());
      *event.mutable_purpose() = state.purpose();
      return Accept(std::move(event));
    }
    default: {
      v1::PaymentCancelled event;
      event.set_provider_event_id(command.provider_event_id());
      *event.mutable_purpose() = state.purpose();
      return Accept(std::move(event));
    }
  }
}

// OK when a refund of this amount fits into what is left.
absl::Status CheckLeft(std::int64_t amount_minor, const v1::PaymentState& state,
                       const CommandContext& context) {
  const std::int64_t left = Left(state);
  if (amount_minor <= left) return absl::OkStatus();
  const std::int64_t captured = Captured(state);
  if (left <= 0) {
    return Reject(
        v1::ERROR_REASON_NOTHING_TO_REFUND,
        fmt::format("of the {} taken by payment {} nothing is left to give back", captured,
                    context.aggregate_id),
        {{"payment_id", context.aggregate_id}, {"captured_minor", fmt::to_string(captured)}});
  }
  return Reject(v1::ERROR_REASON_REFUND_EXCEEDS_CAPTURED,
                fmt::format("of the {} taken by payment {} only {} are left to give back", captured,
                            context.aggregate_id, left),
                {{"payment_id", context.aggregate_id},
                 {"captured_minor", fmt::to_string(captured)},
                 {"left_minor", fmt::to_string(left)}});
}

Payment::Decision AcceptAttempt(const v1::Refund& refund, int attempt_no,
                                const v1::PaymentState& state) {
  v1::RefundInitiated event;
  event.set_refund_id(refund.refund_id());
  event.set_amount_minor(refund.amount_minor());
  event.set_currency(state.currency());
  event.set_provider_ref(state.provider_ref());
  event.set_reason(refund.reason());
  event.set_attempt_no(attempt_no);
  *event.mutable_purpose() = state.purpose();
  return Accept(std::move(event));
}

Payment::Decision DecideRefundSucceeded(const v1::RecordRefundResultRequest& command,
                                        const v1::Refund& refund, const v1::PaymentState& state,
                                        const CommandContext& context) {
  if (refund.status() == v1::REFUND_STATUS_SUCCEEDED) {
    if (refund.provider_ref() == command.provider_ref()) return Accept();
    return ConflictingRefund(refund, context);
  }
  // Another refund may have taken what a failed one left.
  if (refund.status() == v1::REFUND_STATUS_FAILED && refund.amount_minor() > Left(state))
    return ConflictingRefund(refund, context);
  v1::RefundSucceeded event;
  event.set_refund_id(refund.refund_id());
  event.set_amount_minor(refund.amount_minor());
  event.set_currency(state.currency());
  event.set_provider_ref(command.provider_ref());
  event.set_provider_event_id(command.provider_event_id());
  *event.mutable_purpose() = state.purpose();
  return Accept(std::move(event));
}

Payment::Decision DecideRefundFailed(const v1::RecordRefundResultRequest& command,
                                     const v1::Refund& refund, const v1::PaymentState& state,
                                     const CommandContext& context) {
  // There is a later attempt only because this one is known to have failed.
  if (command.attempt_no() < refund.attempt_no() || refund.status() == v1::REFUND_STATUS_FAILED)
    return Accept();
  if (refund.status() == v1::REFUND_STATUS_SUCCEEDED) return ConflictingRefund(refund, context);
  v1::RefundFailed event;
  event.set_refund_id(refund.refund_id());
  event.set_attempt_no(command.attempt_no());
  event.set_error(command.error());
  event.set_provider_event_id(command.provider_event_id());
  *event.mutable_purpose() = state.purpose();
  return Accept(std::move(event));
}

}  // namespace

Payment::Decision Payment::Decide(const v1::InitiatePaymentRequest& command, const State& state,
                                  const CommandContext& context) {
  if (state.status() != v1::PAYMENT_STATUS_UNSPECIFIED) {
    return Reject(
        v1::ERROR_REASON_PAYMENT_EXISTS,
        fmt::format("there is a payment {} already; take another id", context.aggregate_id),
        {{"payment_id", context.aggregate_id}});
  }
  v1::PaymentInitiated event;
  event.set_payer_id(command.payer_id());
  *event.mutable_purpose() = command.purpose();
  event.set_amount_minor(command.amount_minor());
  event.set_currency(command.currency());
  event.set_method_type(command.method_type());
  event.set_token(command.token());
  event.set_card_last4(command.card_last4());
  return Accept(std::move(event));
}

Payment::Decision Payment::Decide(const v1::RecordProviderResultRequest& command,
                                  const State& state, const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  const v1::RecordedResult result = ResultOf(command);
  for (const v1::RecordedResult& recorded : state.results()) {
    if (SaysTheSame(recorded, result)) return Accept();
    if (recorded.provider_event_id() == result.provider_event_id())
      return Conflicting(state, context);
  }
  if (state.status() == v1::PAYMENT_STATUS_PENDING) return AcceptFirst(command, state);
  if (command.status() == v1::PROVIDER_STATUS_CANCELLED) {
    const std::string_view status = NameOf(state.status());
    return Reject(
        v1::ERROR_REASON_ALREADY_SETTLED,
        fmt::format("payment {} is {}; it is too late to cancel it", context.aggregate_id, status),
        {{"payment_id", context.aggregate_id}, {"status", std::string(status)}});
  }
  if (state.status() == v1::PAYMENT_STATUS_SUCCEEDED) return Conflicting(state, context);
  if (command.status() == v1::PROVIDER_STATUS_SUCCEEDED) return AcceptSuccess(command, state);
  // A refusal: fine after a cancellation, but no second one with another reason.
  if (state.status() == v1::PAYMENT_STATUS_CANCELLED) return Accept();
  return Conflicting(state, context);
}

Payment::Decision Payment::Decide(const v1::RefundPaymentRequest& command, const State& state,
                                  const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  if (const v1::Refund* known = FindRefund(state, command.refund_id())) {
    if (known->amount_minor() != command.amount_minor()) {
      return Reject(
          v1::ERROR_REASON_REFUND_EXISTS,
          fmt::format("refund {} of payment {} is of {}; take another id for another amount",
                      known->refund_id(), context.aggregate_id, known->amount_minor()),
          {{"payment_id", context.aggregate_id},
           {"refund_id", known->refund_id()},
           {"amount_minor", fmt::to_string(known->amount_minor())}});
    }
    if (known->status() != v1::REFUND_STATUS_FAILED) return Accept();
    LEFTFOLD_RETURN_IF_ERROR(CheckLeft(known->amount_minor(), state, context));
    return AcceptAttempt(*known, known->attempt_no() + 1, state);
  }
  LEFTFOLD_RETURN_IF_ERROR(CheckLeft(command.amount_minor(), state, context));
  if (state.refunds_size() >= kRefundsMax) {
    return Reject(v1::ERROR_REASON_TOO_MANY_REFUNDS,
                  fmt::format("payment {} has {} refunds; try one again that failed",
                              context.aggregate_id, kRefundsMax),
                  {{"payment_id", context.aggregate_id}, {"maximum", fmt::to_string(kRefundsMax)}});
  }
  v1::Refund refund;
  refund.set_refund_id(command.refund_id());
  refund.set_amount_minor(command.amount_minor());
  refund.set_reason(command.reason());
  return AcceptAttempt(refund, 1, state);
}

Payment::Decision Payment::Decide(const v1::RecordRefundResultRequest& command, const State& state,
                                  const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  const v1::Refund* refund = FindRefund(state, command.refund_id());
  if (refund == nullptr) {
    return Reject(
        v1::ERROR_REASON_REFUND_NOT_FOUND,
        fmt::format("payment {} has no refund {}", context.aggregate_id, command.refund_id()),
        {{"payment_id", context.aggregate_id}, {"refund_id", command.refund_id()}});
  }
  if (command.attempt_no() > refund->attempt_no()) return ConflictingRefund(*refund, context);
  if (command.status() == v1::REFUND_STATUS_SUCCEEDED)
    return DecideRefundSucceeded(command, *refund, state, context);
  return DecideRefundFailed(command, *refund, state, context);
}

void Payment::Evolve(State& state, const v1::PaymentInitiated& event) { fold::Apply(state, event); }

void Payment::Evolve(State& state, const v1::PaymentSucceeded& event) {
  fold::Apply(state, event);
  v1::RecordedResult& result = *state.add_results();
  result.set_provider_event_id(event.provider_event_id());
  result.set_status(v1::PAYMENT_STATUS_SUCCEEDED);
  result.set_provider_ref(event.provider_ref());
}

void Payment::Evolve(State& state, const v1::PaymentDeclined& event) {
  fold::Apply(state, event);
  v1::RecordedResult& result = *state.add_results();
  result.set_provider_event_id(event.provider_event_id());
  result.set_status(v1::PAYMENT_STATUS_DECLINED);
  result.set_decline_code(event.decline_code());
}

void Payment::Evolve(State& state, const v1::PaymentCancelled& event) {
  fold::Apply(state, event);
  v1::RecordedResult& result = *state.add_results();
  result.set_provider_event_id(event.provider_event_id());
  result.set_status(v1::PAYMENT_STATUS_CANCELLED);
}

void Payment::Evolve(State& state, const v1::RefundInitiated& event) { fold::Apply(state, event); }
void Payment::Evolve(State& state, const v1::RefundSucceeded& event) { fold::Apply(state, event); }
void Payment::Evolve(State& state, const v1::RefundFailed& event) { fold::Apply(state, event); }

}  // namespace leftfold::payments
