#ifndef DOMAINS_ORDERS_CHECKS_H_
#define DOMAINS_ORDERS_CHECKS_H_

#include <google/protobuf/timestamp.pb.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/reject.h"

// What the commands of this domain check of their form. Each adds one violation of `field` at most.
namespace leftfold::orders {

inline constexpr std::size_t kNameBytesMax = 200;
inline constexpr std::size_t kReasonBytesMax = 500;
inline constexpr std::int64_t kPriceMinorMax = 1'000'000'000;
inline constexpr int kQuantityMax = 99;
inline constexpr std::size_t kPaymentMethodBytesMax = 32;

// INVALID_ID: the form of an aggregate's id.
void CheckId(const std::string& id, std::string_view field, Violations& violations);
// INVALID_NAME: 1 to kNameBytesMax bytes that are not only blanks, without control characters.
void CheckName(const std::string& name, std::string_view field, Violations& violations);
// INVALID_TEXT: at most `bytes_max` bytes without control characters but those `allowed`.
void CheckText(const std::string& text, std::string_view field, std::size_t bytes_max,
               Violations& violations, std::string_view allowed = "");
// INVALID_TEXT: the same, and not only blanks.
void CheckTextGiven(const std::string& text, std::string_view field, std::size_t bytes_max,
                    Violations& violations);
// INVALID_CURRENCY: an active code of ISO 4217.
void CheckCurrency(const std::string& currency, Violations& violations);
// INVALID_PRICE: 1 to kPriceMinorMax.
void CheckPrice(std::int64_t price_minor, std::string_view field, Violations& violations);
// INVALID_QUANTITY: 1 to kQuantityMax.
void CheckQuantity(int qty, std::string_view field, Violations& violations);
// INVALID_PAYMENT_METHOD: the method is 1 to kPaymentMethodBytesMax of a-z 0-9 _, the token and the
// last digits are as core/money.h has them. The fields are method_type, payment_token, card_last4.
void CheckPaymentMethod(const std::string& method, const std::string& token,
                        const std::string& last4, Violations& violations);
// INVALID_TIME: given, and in the years 1970 to 9999.
void CheckTime(bool given, const google::protobuf::Timestamp& time, std::string_view field,
               Violations& violations);

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_CHECKS_H_
