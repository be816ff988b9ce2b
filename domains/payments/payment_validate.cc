#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "core/ids.h"
#include "core/money.h"
#include "domains/payments/payment.h"

namespace leftfold::payments {
namespace {

bool IsWord(std::string_view text, std::size_t maximum) {
  return !text.empty() && text.size() <= maximum &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

bool IsPlain(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

// An id or reference that the provider made.
bool IsProviderId(std::string_view id) {
  return !id.empty() && id.size() <= kProviderIdBytesMax && IsPlain(id);
}

void CheckAmount(std::int64_t amount_minor, Violations& violations) {
  if (amount_minor >= 1 && amount_minor <= kAmountMinorMax) return;
  violations.Add(v1::ERROR_REASON_INVALID_AMOUNT, "amount_minor",
                 fmt::format("must be 1 to {}", kAmountMinorMax),
                 {{"amount_minor", fmt::to_string(amount_minor)}});
}

void CheckText(const std::string& text, std::string_view field, std::size_t maximum,
               Violations& violations) {
  if (text.size() <= maximum && IsPlain(text) && !HasCardNumber(text)) return;
  violations.Add(
      v1::ERROR_REASON_INVALID_TEXT, field,
      fmt::format("must have at most {} bytes without control characters and card numbers",
                  maximum));
}

void CheckEventId(const std::string& id, Violations& violations) {
  if (IsProviderId(id)) return;
  violations.Add(v1::ERROR_REASON_INVALID_RESULT, "provider_event_id",
                 "must have 1 to 128 bytes without control characters");
}

void CheckProviderRef(const std::string& ref, Violations& violations) {
  if (IsProviderId(ref)) return;
  violations.Add(v1::ERROR_REASON_INVALID_RESULT, "provider_ref",
                 "must have 1 to 128 bytes without control characters");
}

void CheckRefundId(const std::string& id, Violations& violations) {
  if (IsAggregateId(id)) return;
  violations.Add(v1::ERROR_REASON_INVALID_REFUND_ID, "refund_id",
                 "must be 1 to 128 characters of A-Z a-z 0-9 . _ ~ -");
}

}  // namespace

void Payment::Validate(const v1::InitiatePaymentRequest& command, Violations& violations) {
  if (!IsAggregateId(command.payer_id())) {
    violations.Add(v1::ERROR_REASON_INVALID_ID, "payer_id",
                   "must be 1 to 128 characters of A-Z a-z 0-9 . _ ~ -");
  }
  if (!IsWord(command.purpose().kind(), kKindBytesMax)) {
    violations.Add(v1::ERROR_REASON_INVALID_PURPOSE, "purpose.kind",
                   "must be 1 to 32 characters of a-z 0-9 _");
  }
  if (!IsAggregateId(command.purpose().ref_id())) {
    violations.Add(v1::ERROR_REASON_INVALID_PURPOSE, "purpose.ref_id",
                   "must be 1 to 128 characters of A-Z a-z 0-9 . _ ~ -");
  }
  CheckAmount(command.amount_minor(), violations);
  if (!IsCurrency(command.currency())) {
    violations.Add(v1::ERROR_REASON_INVALID_CURRENCY, "currency",
                   "must be a code of ISO 4217 in capitals, like EUR",
                   {{"currency", command.currency()}});
  }
  if (!IsWord(command.method_type(), kKindBytesMax)) {
    violations.Add(v1::ERROR_REASON_INVALID_METHOD_TYPE, "method_type",
                   "must be 1 to 32 characters of a-z 0-9 _");
  }
  if (!IsPaymentToken(command.token()))
    violations.Add(v1::ERROR_REASON_INVALID_TOKEN, "token", kPaymentTokenRule);
  if (!IsCardLast4(command.card_last4())) {
    violations.Add(v1::ERROR_REASON_INVALID_CARD_LAST4, "card_last4",
                   "must be empty or four digits");
  }
}

void Payment::Validate(const v1::RecordProviderResultRequest& command, Violations& violations) {
  CheckEventId(command.provider_event_id(), violations);
  switch (command.status()) {
    case v1::PROVIDER_STATUS_SUCCEEDED:
      return CheckProviderRef(command.provider_ref(), violations);
    case v1::PROVIDER_STATUS_DECLINED:
      if (!IsWord(command.decline_code(), kWordBytesMax)) {
        violations.Add(v1::ERROR_REASON_INVALID_RESULT, "decline_code",
                       "must be 1 to 64 characters of a-z 0-9 _");
      }
      return CheckText(command.decline_code(), "decline_code", kWordBytesMax, violations);
    case v1::PROVIDER_STATUS_CANCELLED:
      return;
    default:
      violations.Add(v1::ERROR_REASON_INVALID_RESULT, "status",
                     "must be succeeded, declined or cancelled");
  }
}

void Payment::Validate(const v1::RefundPaymentRequest& command, Violations& violations) {
  CheckRefundId(command.refund_id(), violations);
  CheckAmount(command.amount_minor(), violations);
  CheckText(command.reason(), "reason", kReasonBytesMax, violations);
}

void Payment::Validate(const v1::RecordRefundResultRequest& command, Violations& violations) {
  CheckRefundId(command.refund_id(), violations);
  CheckEventId(command.provider_event_id(), violations);
  if (command.attempt_no() < 1) {
    violations.Add(v1::ERROR_REASON_INVALID_RESULT, "attempt_no",
                   "must be that of the RefundInitiated which this answers: 1 or more");
  }
  switch (command.status()) {
    case v1::REFUND_STATUS_SUCCEEDED:
      return CheckProviderRef(command.provider_ref(), violations);
    case v1::REFUND_STATUS_FAILED:
      if (command.error().empty()) {
        violations.Add(v1::ERROR_REASON_INVALID_RESULT, "error", "must say why it failed");
      }
      return CheckText(command.error(), "error", kErrorBytesMax, violations);
    default:
      violations.Add(v1::ERROR_REASON_INVALID_RESULT, "status", "must be succeeded or failed");
  }
}

}  // namespace leftfold::payments
