#include <absl/strings/ascii.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "domains/payments/payment.h"

namespace leftfold::payments {
namespace {

constexpr std::size_t kCardDigitsMin = 13;
constexpr std::size_t kCardDigitsMax = 19;

// ISO 4217, active codes of money that is paid with (no metals, funds and test codes), sorted.
constexpr std::string_view kCurrencies =
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP "
    "BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP "
    "GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR "
    "KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK "
    "MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR "
    "SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS "
    "UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsWord(std::string_view text, std::size_t maximum) {
  return !text.empty() && text.size() <= maximum &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || IsDigit(c) || c == '_'; });
}

bool IsToken(std::string_view token) {
  return !token.empty() && token.size() <= kTokenBytesMax &&
         std::all_of(token.begin(), token.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
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

bool PassesLuhn(std::string_view digits) {
  int sum = 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    int digit = digits[digits.size() - 1 - i] - '0';
    if (i % 2 == 1) digit = digit > 4 ? 2 * digit - 9 : 2 * digit;
    sum += digit;
  }
  return sum % 10 == 0;
}

// Of groups of digits that have one blank or dash between them: some of them together, or a part of
// one that is longer than any card number.
bool HasCardNumberIn(const std::vector<std::string>& groups) {
  for (std::size_t first = 0; first < groups.size(); ++first) {
    std::string digits;
    for (std::size_t i = first; i < groups.size() && digits.size() < kCardDigitsMax; ++i) {
      digits += groups[i];
      if (digits.size() >= kCardDigitsMin && digits.size() <= kCardDigitsMax && PassesLuhn(digits))
        return true;
    }
    const std::string_view group = groups[first];
    if (group.size() <= kCardDigitsMax) continue;
    for (std::size_t begin = 0; begin + kCardDigitsMin <= group.size(); ++begin) {
      for (std::size_t size = kCardDigitsMin; size <= kCardDigitsMax; ++size) {
        if (begin + size <= group.size() && PassesLuhn(group.substr(begin, size))) return true;
      }
    }
  }
  return false;
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

bool IsCurrency(std::string_view code) {
  return code.size() == 3 && code.find(' ') == std::string_view::npos &&
         kCurrencies.find(code) != std::string_view::npos;
}

bool HasCardNumber(std::string_view text) {
  std::vector<std::string> groups;
  bool open = false;  // The last character was a digit.
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (IsDigit(text[i])) {
      if (!open) groups.emplace_back();
      open = true;
      groups.back() += text[i];
      continue;
    }
    const bool separator = open && (text[i] == ' ' || text[i] == '-');
    open = false;
    if (separator) continue;
    if (HasCardNumberIn(groups)) return true;
    groups.clear();
  }
  return HasCardNumberIn(groups);
}

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
  if (!IsToken(command.token()) || HasCardNumber(command.token())) {
    violations.Add(v1::ERROR_REASON_INVALID_TOKEN, "token",
                   "must be the provider's reference to a means of payment: 1 to 128 characters "
                   "of A-Z a-z 0-9 _, and no card number");
  }
  const std::string& last4 = command.card_last4();
  if (!last4.empty() && (last4.size() != 4 || !std::all_of(last4.begin(), last4.end(), IsDigit))) {
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
