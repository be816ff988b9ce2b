#ifndef DOMAINS_PAYMENTS_TEST_EVENTS_H_
#define DOMAINS_PAYMENTS_TEST_EVENTS_H_

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "leftfold/payments/v1/commands.pb.h"
#include "leftfold/payments/v1/events.pb.h"

// For the tests of this domain: a payment of 50.00 EUR for order o1.
namespace leftfold::payments {

// A message from its text form.
template <class Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

inline const char kPurpose[] = R"( purpose { kind: "order" ref_id: "o1" } )";

// Event or command.
template <class Message = v1::PaymentInitiated>
Message Initiated(const std::string& order = "o1", const std::string& payer = "ada") {
  return Parse<Message>("payer_id: '" + payer + "' purpose { kind: 'order' ref_id: '" + order +
                        "' } amount_minor: 5000 currency: 'EUR' method_type: 'card' "
                        "token: 'tok_visa' card_last4: '4242'");
}

inline v1::PaymentSucceeded Succeeded(const std::string& ref = "ch_1",
                                      const std::string& event = "evt_s") {
  return Parse<v1::PaymentSucceeded>("provider_ref: '" + ref + "' provider_event_id: '" + event +
                                     "' amount_minor: 5000 currency: 'EUR'" + kPurpose);
}

inline v1::PaymentDeclined Declined(const std::string& code = "insufficient_funds",
                                    const std::string& event = "evt_d") {
  return Parse<v1::PaymentDeclined>("decline_code: '" + code + "' retryable: true " +
                                    "provider_event_id: '" + event + "'" + kPurpose);
}

inline v1::PaymentCancelled Cancelled(const std::string& event = "evt_c") {
  return Parse<v1::PaymentCancelled>("provider_event_id: '" + event + "'" + kPurpose);
}

inline v1::RefundInitiated RefundStarted(const std::string& id, int amount, int attempt = 1) {
  auto event = Parse<v1::RefundInitiated>(
      std::string("currency: 'EUR' provider_ref: 'ch_1' reason: 'cold soup'") + kPurpose);
  event.set_refund_id(id);
  event.set_amount_minor(amount);
  event.set_attempt_no(attempt);
  return event;
}

inline v1::RefundSucceeded RefundDone(const std::string& id, int amount,
                                      const std::string& ref = "re_1") {
  auto event = Parse<v1::RefundSucceeded>(
      std::string("currency: 'EUR' provider_event_id: 'evt_r'") + kPurpose);
  event.set_refund_id(id);
  event.set_amount_minor(amount);
  event.set_provider_ref(ref);
  return event;
}

inline v1::RefundFailed RefundBroken(const std::string& id, int attempt = 1) {
  auto event = Parse<v1::RefundFailed>(
      std::string("error: 'card_closed' provider_event_id: 'evt_f'") + kPurpose);
  event.set_refund_id(id);
  event.set_attempt_no(attempt);
  return event;
}

}  // namespace leftfold::payments
#endif  // DOMAINS_PAYMENTS_TEST_EVENTS_H_
