#ifndef CORE_MONEY_H_
#define CORE_MONEY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

// What money is paid in and with, the same for every domain that lets somebody pay: what one takes
// the other takes as well.
namespace leftfold {

// Of one payment, in minor units: so that the sum of its refunds fits 64 bits.
inline constexpr std::int64_t kAmountMinorMax = 1'000'000'000'000;
inline constexpr std::size_t kPaymentTokenBytesMax = 128;
inline constexpr std::string_view kPaymentTokenRule =
    "must be the provider's reference to a means of payment: 1 to 128 characters of A-Z a-z 0-9 _, "
    "and no card number";

// An active code of ISO 4217, in capitals.
bool IsCurrency(std::string_view code);
// "20.50 EUR", "950 JPY": for people, of a currency whose code IsCurrency.
std::string MoneyText(std::int64_t amount_minor, std::string_view currency);
// Groups of digits, one blank or dash between two of them, some of which have together 13 to 19
// digits with a right check digit (Luhn); or a longer group with such a part.
bool HasCardNumber(std::string_view text);
// What kPaymentTokenRule says.
bool IsPaymentToken(std::string_view token);
// The last four digits of a card; none when it is no card that is paid with.
bool IsCardLast4(std::string_view digits);

}  // namespace leftfold
#endif  // CORE_MONEY_H_
