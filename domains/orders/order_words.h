#ifndef DOMAINS_ORDERS_ORDER_WORDS_H_
#define DOMAINS_ORDERS_ORDER_WORDS_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/generated_enum_reflection.h>

#include <string>
#include <string_view>

#include "leftfold/orders/v1/events.pb.h"

// How views put values of events into words.
namespace leftfold::orders {

// "item sold out" of INVALID_REASON_ITEM_SOLD_OUT. A value that this binary does not know is
// "unknown".
template <class Enum>
std::string WordsOf(Enum value, std::string_view prefix) {
  const auto* named = google::protobuf::GetEnumDescriptor<Enum>()->FindValueByNumber(value);
  if (named == nullptr) return "unknown";
  std::string words = named->name().substr(prefix.size());
  for (char& c : words) c = c == '_' ? ' ' : static_cast<char>(c + ('a' - 'A'));
  return words;
}

// "item not found: burger; restaurant closed"
std::string WordsOf(const v1::OrderInvalidated& event);
// "payment"
inline std::string WordsOf(v1::OrderStage stage) { return WordsOf(stage, "ORDER_STAGE_"); }
// "no agent"
inline std::string WordsOf(v1::RefundCause cause) { return WordsOf(cause, "REFUND_CAUSE_"); }

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_ORDER_WORDS_H_
