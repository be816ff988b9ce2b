#ifndef TESTING_NO_MONEY_H_
#define TESTING_NO_MONEY_H_

#include <string>
#include <vector>

#include "core/money.h"

// What every domain that lets somebody pay has to refuse.
namespace leftfold::testing {

inline constexpr const char* kNoCurrencies[] = {"",    "EU",  "eur", "EURO", "EU1",
                                                "AAA", "ABC", "ED ", "XAU"};

inline std::vector<std::string> NoPaymentTokens() {
  return {"4242424242424242",
          "tok_4242424242424242",
          "tok_378282246310005",
          "4242 4242 4242 4242",
          "4242-4242-4242",
          "4242.4242.4242.4242",
          "4242424242424242;123",
          "tok-1",
          "tok\n",
          "tok\xC3\xA4",
          "",
          std::string(kPaymentTokenBytesMax + 1, 't')};
}

}  // namespace leftfold::testing
#endif  // TESTING_NO_MONEY_H_
