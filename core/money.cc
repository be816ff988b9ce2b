#include "core/money.h"

#include <absl/strings/ascii.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

namespace leftfold {
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

// Of these, those whose minor unit is not a hundredth.
constexpr std::string_view kWithoutMinorUnit =
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF";
constexpr std::string_view kWithThousandths = "BHD IQD JOD KWD LYD OMR TND";

bool IsIn(std::string_view codes, std::string_view code) {
  return code.size() == 3 && code.find(' ') == std::string_view::npos &&
         codes.find(code) != std::string_view::npos;
}

bool IsDecimal(char c) { return c >= '0' && c <= '9'; }

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

}  // namespace

bool IsCurrency(std::string_view code) { return IsIn(kCurrencies, code); }

std::string MoneyText(std::int64_t amount_minor, std::string_view currency) {
  if (IsIn(kWithoutMinorUnit, currency)) return fmt::format("{} {}", amount_minor, currency);
  const int digits = IsIn(kWithThousandths, currency) ? 3 : 2;
  const std::string text = fmt::format("{:0{}}", amount_minor, digits + 1);
  const std::size_t point = text.size() - static_cast<std::size_t>(digits);
  return fmt::format("{}.{} {}", text.substr(0, point), text.substr(point), currency);
}

bool HasCardNumber(std::string_view text) {
  std::vector<std::string> groups;
  bool open = false;  // The last character was a digit.
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (IsDecimal(text[i])) {
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

bool IsPaymentToken(std::string_view token) {
  return !token.empty() && token.size() <= kPaymentTokenBytesMax &&
         std::all_of(token.begin(), token.end(),
                     [](char c) {
                       return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
                     }) &&
         !HasCardNumber(token);
}

bool IsCardLast4(std::string_view digits) {
  return digits.empty() ||
         (digits.size() == 4 && std::all_of(digits.begin(), digits.end(), IsDecimal));
}

}  // namespace leftfold
