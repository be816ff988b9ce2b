#ifndef DOMAINS_ORDERS_TEST_EVENTS_H_
#define DOMAINS_ORDERS_TEST_EVENTS_H_

#include <string>

#include "leftfold/orders/v1/events.pb.h"
#include "testing/parse.h"

// For the tests of this domain: what happens to one order, of customer "ada" at restaurant "roma".
namespace leftfold::orders {

using testing::Parse;

inline constexpr char kOrderStream[] = "order-o1";

inline v1::OrderPlaced Placed() {
  return Parse<v1::OrderPlaced>(R"(
    customer_id: "ada" restaurant_id: "roma" address: "1 Mill Lane"
    lines { item_id: "pizza" qty: 2 } lines { item_id: "cola" qty: 1 }
    placed_at { seconds: 1767225600 })");
}

inline v1::OrderValidated Validated() {
  return Parse<v1::OrderValidated>(R"(
    priced_lines { item_id: "pizza" name: "Pizza" qty: 2 unit_price_minor: 900 }
    priced_lines { item_id: "cola" name: "Cola" qty: 1 unit_price_minor: 250 }
    total_minor: 2050 currency: "EUR")");
}

inline v1::PaymentRequested PaymentRequested(int attempt_no = 1) {
  auto event = Parse<v1::PaymentRequested>(
      R"(amount_minor: 2050 method_type: "card" card_last4: "4242" currency: "EUR"
         payment_token: "tok_1")");
  event.set_payment_id("p" + std::to_string(attempt_no));
  event.set_attempt_no(attempt_no);
  return event;
}

inline v1::OrderPaid Paid(const std::string& payment_id = "p1") {
  v1::OrderPaid event;
  event.set_payment_id(payment_id);
  event.set_amount_minor(2050);
  return event;
}

inline v1::OrderPaymentDeclined Declined(int attempt_no = 1) {
  v1::OrderPaymentDeclined event;
  event.set_payment_id("p" + std::to_string(attempt_no));
  event.set_attempt_no(attempt_no);
  event.set_decline_code("insufficient_funds");
  event.set_attempts_left(3 - attempt_no);
  return event;
}

inline v1::RefundRequested RefundRequested(v1::RefundCause cause, int attempt_no = 1) {
  auto event = Parse<v1::RefundRequested>(R"(payment_id: "p1" refund_id: "r1" amount_minor: 2050)");
  event.set_cause(cause);
  event.set_attempt_no(attempt_no);
  return event;
}

// An event that only names an agent.
template <class Event>
Event OfAgent(const std::string& agent_id) {
  Event event;
  event.set_agent_id(agent_id);
  return event;
}

// An event or command that only names an item of a menu.
template <class Message>
Message OfItem(const std::string& item_id) {
  Message message;
  message.set_item_id(item_id);
  return message;
}

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_TEST_EVENTS_H_
