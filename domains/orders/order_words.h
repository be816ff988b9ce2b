#ifndef DOMAINS_ORDERS_ORDER_WORDS_H_
#define DOMAINS_ORDERS_ORDER_WORDS_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/generated_enum_reflection.h>

#include <string>
#include <string_view>

#include "leftfold/orders/v1/events.pb.h"
#include "leftfold/payments/v1/events.pb.h"

// Events and their values in words, for people.
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

// What happened to an event's order, in words.
std::string TextOf(const v1::OrderPlaced& event);
std::string TextOf(const v1::OrderValidated& event);
std::string TextOf(const v1::OrderInvalidated& event);
std::string TextOf(const v1::PaymentRequested& event);
std::string TextOf(const v1::OrderPaid& event);
std::string TextOf(const v1::OrderPaymentDeclined& event);
std::string TextOf(const v1::OrderPaymentFailed& event);
std::string TextOf(const v1::ApprovalRequested& event);
std::string TextOf(const v1::OrderApproved& event);
std::string TextOf(const v1::OrderRejected& event);
std::string TextOf(const v1::ApprovalTimedOut& event);
std::string TextOf(const v1::AgentSearchStarted& event);
std::string TextOf(const v1::AgentAssigned& event);
std::string TextOf(const v1::AgentUnassigned& event);
std::string TextOf(const v1::NoAgentAvailable& event);
std::string TextOf(const v1::FoodPickedUp& event);
std::string TextOf(const v1::OrderDelivered& event);
std::string TextOf(const v1::DeliveryFailed& event);
std::string TextOf(const v1::OrderCancelled& event);
std::string TextOf(const v1::OrderExpired& event);
std::string TextOf(const v1::RefundRequested& event);
std::string TextOf(const v1::OrderRefunded& event);
std::string TextOf(const v1::RefundStuck& event);
std::string TextOf(const payments::v1::RefundFailed& event);

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_ORDER_WORDS_H_
