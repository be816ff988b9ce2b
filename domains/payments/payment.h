#ifndef DOMAINS_PAYMENTS_PAYMENT_H_
#define DOMAINS_PAYMENTS_PAYMENT_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/aggregate.h"
#include "leftfold/payments/v1/commands.pb.h"
#include "leftfold/payments/v1/events.pb.h"
#include "leftfold/payments/v1/state.pb.h"

namespace leftfold::payments {

inline constexpr int kRefundsMax = 100;           // Of one payment.
inline constexpr std::size_t kWordBytesMax = 64;  // Codes of the provider.
inline constexpr std::size_t kKindBytesMax = 32;  // Kinds of purposes and methods.
inline constexpr std::size_t kProviderIdBytesMax = 128;
inline constexpr std::size_t kReasonBytesMax = 500;
inline constexpr std::size_t kErrorBytesMax = 256;

// Money that somebody pays for something: what was asked of the provider, and what it said.
struct Payment {
  static constexpr std::string_view kCategory = "payment";
  using Commands = Types<v1::InitiatePaymentRequest, v1::RecordProviderResultRequest,
                         v1::RefundPaymentRequest, v1::RecordRefundResultRequest>;
  using Creates = Types<v1::InitiatePaymentRequest>;
  using Events =
      Types<v1::PaymentInitiated, v1::PaymentSucceeded, v1::PaymentDeclined, v1::PaymentCancelled,
            v1::RefundInitiated, v1::RefundSucceeded, v1::RefundFailed>;
  using State = v1::PaymentState;
  static constexpr int kStateVersion = 1;  // Bump it when Evolve or the state's meaning changes.
  using Decision = leftfold::Decision<Events>;

  static void Validate(const v1::InitiatePaymentRequest& command, Violations& violations);
  static void Validate(const v1::RecordProviderResultRequest& command, Violations& violations);
  static void Validate(const v1::RefundPaymentRequest& command, Violations& violations);
  static void Validate(const v1::RecordRefundResultRequest& command, Violations& violations);

  static Decision Decide(const v1::InitiatePaymentRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::RecordProviderResultRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::RefundPaymentRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::RecordRefundResultRequest& command, const State& state,
                         const CommandContext& context);

  static void Evolve(State& state, const v1::PaymentInitiated& event);
  static void Evolve(State& state, const v1::PaymentSucceeded& event);
  static void Evolve(State& state, const v1::PaymentDeclined& event);
  static void Evolve(State& state, const v1::PaymentCancelled& event);
  static void Evolve(State& state, const v1::RefundInitiated& event);
  static void Evolve(State& state, const v1::RefundSucceeded& event);
  static void Evolve(State& state, const v1::RefundFailed& event);
};

}  // namespace leftfold::payments
#endif  // DOMAINS_PAYMENTS_PAYMENT_H_
