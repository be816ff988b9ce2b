#include "domains/orders/order_words.h"

namespace leftfold::orders {

std::string WordsOf(const v1::OrderInvalidated& event) {
  std::string words;
  for (const v1::InvalidOrderReason& reason : event.reasons()) {
    if (!words.empty()) words += "; ";
    words += WordsOf(reason.code(), "INVALID_REASON_");
    if (!reason.item_id().empty()) words += ": " + reason.item_id();
  }
  return words;
}

}  // namespace leftfold::orders
