#include "domains/orders/checks.h"

#include <absl/strings/ascii.h>
#include <fmt/format.h>

#include <algorithm>

#include "core/ids.h"
#include "core/money.h"
#include "core/text.h"
#include "core/timestamp.h"
#include "leftfold/orders/v1/commands.pb.h"

namespace leftfold::orders {
void CheckId(const std::string& id, std::string_view field, Violations& violations) {
  if (IsAggregateId(id)) return;
  violations.Add(
      v1::ERROR_REASON_INVALID_ID, field,
      fmt::format("must be 1 to {} characters of A-Z a-z 0-9 . _ ~ -", kAggregateIdBytesMax));
}

void CheckName(const std::string& name, std::string_view field, Violations& violations) {
  if (!IsBlank(name) && name.size() <= kNameBytesMax && !HasControlCharacter(name)) return;
  violations.Add(v1::ERROR_REASON_INVALID_NAME, field,
                 fmt::format("must have 1 to {} bytes, not only blanks and without control "
                             "characters",
                             kNameBytesMax));
}

void CheckText(const std::string& text, std::string_view field, std::size_t bytes_max,
               Violations& violations, std::string_view allowed) {
  if (text.size() <= bytes_max && !HasControlCharacter(text, allowed)) return;
  violations.Add(v1::ERROR_REASON_INVALID_TEXT, field,
                 fmt::format("must have at most {} bytes and no control characters", bytes_max),
                 {{"maximum", fmt::to_string(bytes_max)}});
}

void CheckTextGiven(const std::string& text, std::string_view field, std::size_t bytes_max,
                    Violations& violations) {
  if (!IsBlank(text)) return CheckText(text, field, bytes_max, violations);
  violations.Add(v1::ERROR_REASON_INVALID_TEXT, field, "must not be empty or blank",
                 {{"maximum", fmt::to_string(bytes_max)}});
}

void CheckCurrency(const std::string& currency, Violations& violations) {
  if (IsCurrency(currency)) return;
  violations.Add(v1::ERROR_REASON_INVALID_CURRENCY, "currency",
                 "must be an ISO 4217 code, for example EUR", {{"currency", currency}});
}

void CheckPrice(std::int64_t price_minor, std::string_view field, Violations& violations) {
  if (price_minor >= 1 && price_minor <= kPriceMinorMax) return;
  violations.Add(v1::ERROR_REASON_INVALID_PRICE, field,
                 fmt::format("must be 1 to {} in minor units", kPriceMinorMax),
                 {{"price_minor", fmt::to_string(price_minor)}});
}

void CheckQuantity(int qty, std::string_view field, Violations& violations) {
  if (qty >= 1 && qty <= kQuantityMax) return;
  violations.Add(v1::ERROR_REASON_INVALID_QUANTITY, field,
                 fmt::format("must be 1 to {}", kQuantityMax), {{"qty", fmt::to_string(qty)}});
}

void CheckTime(bool given, const google::protobuf::Timestamp& time, std::string_view field,
               Violations& violations) {
  if (given && IsPlausible(time)) return;
  violations.Add(v1::ERROR_REASON_INVALID_TIME, field, "must be given, in the years 1970 to 9999");
}

void CheckPaymentMethod(const std::string& method, const std::string& token,
                        const std::string& last4, Violations& violations) {
  const bool is_method = !method.empty() && method.size() <= kPaymentMethodBytesMax &&
                         std::all_of(method.begin(), method.end(), [](unsigned char c) {
                           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_';
                         });
  if (!is_method) {
    violations.Add(v1::ERROR_REASON_INVALID_PAYMENT_METHOD, "method_type",
                   fmt::format("must be 1 to {} characters of a-z 0-9 _", kPaymentMethodBytesMax));
  }
  if (!IsPaymentToken(token)) {
    violations.Add(v1::ERROR_REASON_INVALID_PAYMENT_METHOD, "payment_token",
                   std::string(kPaymentTokenRule));
  }
  if (!IsCardLast4(last4)) {
    violations.Add(v1::ERROR_REASON_INVALID_PAYMENT_METHOD, "card_last4",
                   "must be four digits or empty");
  }
}

}  // namespace leftfold::orders
