#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "core/money.h"
#include "testing/no_money.h"

namespace leftfold {
namespace {

TEST(Money, ACurrencyIsAnActiveCode) {
  for (const char* code : {"AED", "JPY", "USD", "ZWG"}) EXPECT_TRUE(IsCurrency(code)) << code;
  for (const char* code : testing::kNoCurrencies) EXPECT_FALSE(IsCurrency(code)) << code;
}

TEST(Money, PeopleReadItInItsOwnUnit) {
  EXPECT_EQ(MoneyText(2050, "EUR"), "20.50 EUR");
  EXPECT_EQ(MoneyText(7, "USD"), "0.07 USD");
  EXPECT_EQ(MoneyText(0, "USD"), "0.00 USD");
  EXPECT_EQ(MoneyText(950, "JPY"), "950 JPY");
  EXPECT_EQ(MoneyText(1500, "KWD"), "1.500 KWD");
  EXPECT_EQ(MoneyText(std::numeric_limits<std::int64_t>::max(), "EUR"), "92233720368547758.07 EUR");
}

TEST(Money, ACardNumberIsSeenInAText) {
  EXPECT_TRUE(HasCardNumber("my card is 4242-4242 42424242, thanks"));
  EXPECT_TRUE(HasCardNumber("4242 4242 4242 4242 123")) << "with its security code";
  EXPECT_TRUE(HasCardNumber("1 4242424242424242"));
  EXPECT_TRUE(HasCardNumber("77774242424242424242777")) << "in a longer group";
  EXPECT_TRUE(HasCardNumber("378282246310005"));
  EXPECT_TRUE(HasCardNumber("6304000000000000000")) << "19 digits";
  EXPECT_TRUE(HasCardNumber("4222222222222")) << "13 digits";
  EXPECT_FALSE(HasCardNumber("4242  4242 4242 4242")) << "apart";
  EXPECT_FALSE(HasCardNumber("order 4242424242424241"));
  EXPECT_FALSE(HasCardNumber(""));
}

TEST(Money, ATokenIsWhatTheProviderGaveAndNoCardNumber) {
  for (const std::string& token : testing::NoPaymentTokens())
    EXPECT_FALSE(IsPaymentToken(token)) << token;
  for (const char* token : {"tok_visa", "t", "tok_4242424242424241", "tok_424242424242"})
    EXPECT_TRUE(IsPaymentToken(token)) << token;
  EXPECT_TRUE(IsPaymentToken(std::string(kPaymentTokenBytesMax, 't')));
}

TEST(Money, OfACardFourDigitsAreKnownOrNone) {
  for (const char* digits : {"", "0000", "4242"}) EXPECT_TRUE(IsCardLast4(digits)) << digits;
  for (const char* digits : {"424", "42424", "abcd", " 424"})
    EXPECT_FALSE(IsCardLast4(digits)) << digits;
}

}  // namespace
}  // namespace leftfold
