#include "domains/orders/order_words.h"

#include <absl/time/time.h>
#include <fmt/format.h>

#include "core/money.h"
#include "core/timestamp.h"

namespace leftfold::orders {
namespace {

// "2026-01-31 09:30:00 UTC"
std::string TextOf(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", FromProto(time), absl::UTCTimeZone());
}

// " (why)" or nothing.
std::string InBrackets(const std::string& reason) {
  return reason.empty() ? "" : fmt::format(" ({})", reason);
}

}  // namespace

std::string WordsOf(const v1::OrderInvalidated& event) {
  std::string words;
  for (const v1::InvalidOrderReason& reason : event.reasons()) {
    if (!words.empty()) words += "; ";
    words += WordsOf(reason.code(), "INVALID_REASON_");
    if (!reason.item_id().empty()) words += ": " + reason.item_id();
  }
  return words;
}

std::string TextOf(const v1::OrderPlaced& event) {
  return fmt::format("{} placed the order at {}, {} line{}, for {}", event.customer_id(),
                     event.restaurant_id(), event.lines_size(), event.lines_size() == 1 ? "" : "s",
                     event.address());
}

std::string TextOf(const v1::OrderValidated& event) {
  return fmt::format("The order is valid and costs {}",
                     MoneyText(event.total_minor(), event.currency()));
}

std::string TextOf(const v1::OrderInvalidated& event) {
  return fmt::format("The order is invalid: {}", WordsOf(event));
}

std::string TextOf(const v1::PaymentRequested& event) {
  const std::string card = event.card_last4().empty() ? "" : " ending in " + event.card_last4();
  return fmt::format("Attempt {} to pay {} by {}{}", event.attempt_no(),
                     MoneyText(event.amount_minor(), event.currency()), event.method_type(), card);
}

std::string TextOf(const v1::OrderPaid&) { return "The order is paid"; }

std::string TextOf(const v1::OrderPaymentDeclined& event) {
  return fmt::format("Attempt {} to pay was declined{}, {} left", event.attempt_no(),
                     InBrackets(event.decline_code()), event.attempts_left());
}

std::string TextOf(const v1::OrderPaymentFailed& event) {
  return fmt::format("The order could not be paid{}", InBrackets(event.reason()));
}

std::string TextOf(const v1::ApprovalRequested& event) {
  return fmt::format("{} was asked to answer until {}", event.restaurant_id(),
                     TextOf(event.respond_by()));
}

std::string TextOf(const v1::OrderApproved& event) {
  return fmt::format("{} approved the order, ready at {}", event.by(), TextOf(event.ready_at()));
}

std::string TextOf(const v1::OrderRejected& event) {
  return fmt::format("{} rejected the order{}", event.by(), InBrackets(event.reason()));
}

std::string TextOf(const v1::ApprovalTimedOut&) { return "The restaurant did not answer in time"; }

std::string TextOf(const v1::AgentSearchStarted& event) {
  return fmt::format("An agent is looked for until {}", TextOf(event.deadline()));
}

std::string TextOf(const v1::AgentAssigned& event) {
  return fmt::format("Agent {} has the order", event.agent_id());
}

std::string TextOf(const v1::AgentUnassigned& event) {
  return fmt::format("Agent {} does not have the order any more{}", event.agent_id(),
                     InBrackets(event.reason()));
}

std::string TextOf(const v1::NoAgentAvailable& event) {
  return fmt::format("No agent was found in time; tried: {}", event.tried_size());
}

std::string TextOf(const v1::FoodPickedUp& event) {
  return fmt::format("Agent {} picked up the food", event.agent_id());
}

std::string TextOf(const v1::OrderDelivered& event) {
  return fmt::format("Agent {} delivered the food", event.agent_id());
}

std::string TextOf(const v1::DeliveryFailed& event) {
  return fmt::format("Agent {} could not deliver the food{}", event.agent_id(),
                     InBrackets(event.reason()));
}

std::string TextOf(const v1::OrderCancelled& event) {
  return fmt::format("{} cancelled the order{}", event.by(), InBrackets(event.reason()));
}

std::string TextOf(const v1::OrderExpired& event) {
  return fmt::format("The order missed the deadline of its {}", WordsOf(event.stage()));
}

std::string TextOf(const v1::RefundRequested& event) {
  return fmt::format("Attempt {} to give the money back ({})", event.attempt_no(),
                     WordsOf(event.cause()));
}

std::string TextOf(const v1::OrderRefunded&) { return "The money is back with the customer"; }

std::string TextOf(const v1::RefundStuck& event) {
  return fmt::format("The money could not be paid back{}", InBrackets(event.error()));
}

std::string TextOf(const payments::v1::RefundFailed& event) {
  return fmt::format("Attempt {} to give the money back failed{}", event.attempt_no(),
                     InBrackets(event.error()));
}

}  // namespace leftfold::orders
