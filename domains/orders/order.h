#ifndef DOMAINS_ORDERS_ORDER_H_
#define DOMAINS_ORDERS_ORDER_H_

#include <cstddef>
#include <string_view>

#include "core/aggregate.h"
#include "core/reject.h"
#include "leftfold/orders/v1/commands.pb.h"
#include "leftfold/orders/v1/events.pb.h"
#include "leftfold/orders/v1/state.pb.h"

namespace leftfold::orders {

inline constexpr int kOrderLinesMax = 50;
inline constexpr std::size_t kAddressBytesMax = 500;
inline constexpr int kPaymentAttemptsMax = 3;
inline constexpr std::size_t kDeclineCodeBytesMax = 200;
inline constexpr int kInvalidReasonsMax = 100;
inline constexpr int kPrepMinutesMax = 24 * 60;
inline constexpr int kTriedAgentsMax = 1'000;
// Of the claims that make a payment's id unique over all orders.
inline constexpr std::string_view kPaymentScope = "order_payment";

// An order on its way from the customer's wish to the food or the money back:
//
//   PLACED -> AWAITING_PAYMENT | INVALID*
//   AWAITING_PAYMENT -> PAYMENT_PROCESSING
//   PAYMENT_PROCESSING -> AWAITING_APPROVAL | AWAITING_PAYMENT (declined) | PAYMENT_FAILED*
//   AWAITING_APPROVAL -> AWAITING_AGENT | REJECTED
//   AWAITING_AGENT -> AGENT_ASSIGNED | NO_AGENT
//   AGENT_ASSIGNED -> PICKED_UP | AWAITING_AGENT (unassigned)
//   PICKED_UP -> DELIVERED* | DELIVERY_FAILED
//   all before AWAITING_AGENT -> CANCELLED | EXPIRED
//   REJECTED, NO_AGENT, DELIVERY_FAILED, and CANCELLED and EXPIRED once paid -> REFUNDING
//   REFUNDING -> REFUNDED* | REFUND_STUCK;  REFUND_STUCK -> REFUNDING | REFUNDED*
//
// * is final. CANCELLED and EXPIRED are too, unless the order is paid or a payment is on its way.
// What depends on other aggregates (the menu, who is free) is not decided here: reactors find it
// out and bring it as commands.
struct Order {
  static constexpr std::string_view kCategory = "order";
  using Commands =
      Types<v1::PlaceOrderRequest, v1::PayForOrderRequest, v1::CancelOrderRequest,
            v1::ApproveOrderRequest, v1::RejectOrderRequest, v1::UnassignAgentRequest,
            v1::ConfirmPickupRequest, v1::ConfirmDeliveryRequest, v1::ReportDeliveryFailedRequest,
            v1::ConfirmOrderValidRequest, v1::MarkOrderInvalidRequest,
            v1::RecordPaymentOutcomeRequest, v1::RequestApprovalRequest, v1::TimeOutApprovalRequest,
            v1::StartAgentSearchRequest, v1::AssignAgentRequest, v1::MarkNoAgentAvailableRequest,
            v1::ExpireOrderRequest, v1::RequestRefundRequest, v1::ConfirmRefundRequest,
            v1::MarkRefundStuckRequest, v1::RetryRefundRequest>;
  using Creates = Types<v1::PlaceOrderRequest>;
  using Events =
      Types<v1::OrderPlaced, v1::OrderValidated, v1::OrderInvalidated, v1::PaymentRequested,
            v1::OrderPaid, v1::OrderPaymentDeclined, v1::OrderPaymentFailed, v1::ApprovalRequested,
            v1::OrderApproved, v1::OrderRejected, v1::ApprovalTimedOut, v1::AgentSearchStarted,
            v1::AgentAssigned, v1::AgentUnassigned, v1::NoAgentAvailable, v1::FoodPickedUp,
            v1::OrderDelivered, v1::DeliveryFailed, v1::OrderCancelled, v1::OrderExpired,
            v1::RefundRequested, v1::OrderRefunded, v1::RefundStuck>;
  using State = v1::OrderState;
  static constexpr int kStateVersion = 1;  // Bump it when Evolve or the state's meaning changes.
  using Decision = leftfold::Decision<Events>;

  static void Validate(const v1::PlaceOrderRequest& command, Violations& violations);
  static void Validate(const v1::PayForOrderRequest& command, Violations& violations);
  static void Validate(const v1::CancelOrderRequest& command, Violations& violations);
  static void Validate(const v1::ApproveOrderRequest& command, Violations& violations);
  static void Validate(const v1::RejectOrderRequest& command, Violations& violations);
  static void Validate(const v1::UnassignAgentRequest& command, Violations& violations);
  static void Validate(const v1::ConfirmPickupRequest& command, Violations& violations);
  static void Validate(const v1::ConfirmDeliveryRequest& command, Violations& violations);
  static void Validate(const v1::ReportDeliveryFailedRequest& command, Violations& violations);
  static void Validate(const v1::ConfirmOrderValidRequest& command, Violations& violations);
  static void Validate(const v1::MarkOrderInvalidRequest& command, Violations& violations);
  static void Validate(const v1::RecordPaymentOutcomeRequest& command, Violations& violations);
  static void Validate(const v1::RequestApprovalRequest& command, Violations& violations);
  static void Validate(const v1::TimeOutApprovalRequest& command, Violations& violations);
  static void Validate(const v1::StartAgentSearchRequest& command, Violations& violations);
  static void Validate(const v1::AssignAgentRequest& command, Violations& violations);
  static void Validate(const v1::MarkNoAgentAvailableRequest& command, Violations& violations);
  static void Validate(const v1::ExpireOrderRequest& command, Violations& violations);
  static void Validate(const v1::RequestRefundRequest& command, Violations& violations);
  static void Validate(const v1::ConfirmRefundRequest& command, Violations& violations);
  static void Validate(const v1::MarkRefundStuckRequest& command, Violations& violations);
  static void Validate(const v1::RetryRefundRequest& command, Violations& violations);

  static Decision Decide(const v1::PlaceOrderRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::PayForOrderRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::CancelOrderRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::ApproveOrderRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::RejectOrderRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::UnassignAgentRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::ConfirmPickupRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::ConfirmDeliveryRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::ReportDeliveryFailedRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::ConfirmOrderValidRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::MarkOrderInvalidRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::RecordPaymentOutcomeRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::RequestApprovalRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::TimeOutApprovalRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::StartAgentSearchRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::AssignAgentRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::MarkNoAgentAvailableRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::ExpireOrderRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::RequestRefundRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::ConfirmRefundRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::MarkRefundStuckRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::RetryRefundRequest& command, const State& state,
                         const CommandContext& context);

  static void Evolve(State& state, const v1::OrderPlaced& event);
  static void Evolve(State& state, const v1::OrderValidated& event);
  static void Evolve(State& state, const v1::OrderInvalidated& event);
  static void Evolve(State& state, const v1::PaymentRequested& event);
  static void Evolve(State& state, const v1::OrderPaid& event);
  static void Evolve(State& state, const v1::OrderPaymentDeclined& event);
  static void Evolve(State& state, const v1::OrderPaymentFailed& event);
  static void Evolve(State& state, const v1::ApprovalRequested& event);
  static void Evolve(State& state, const v1::OrderApproved& event);
  static void Evolve(State& state, const v1::OrderRejected& event);
  static void Evolve(State& state, const v1::ApprovalTimedOut& event);
  static void Evolve(State& state, const v1::AgentSearchStarted& event);
  static void Evolve(State& state, const v1::AgentAssigned& event);
  static void Evolve(State& state, const v1::AgentUnassigned& event);
  static void Evolve(State& state, const v1::NoAgentAvailable& event);
  static void Evolve(State& state, const v1::FoodPickedUp& event);
  static void Evolve(State& state, const v1::OrderDelivered& event);
  static void Evolve(State& state, const v1::DeliveryFailed& event);
  static void Evolve(State& state, const v1::OrderCancelled& event);
  static void Evolve(State& state, const v1::OrderExpired& event);
  static void Evolve(State& state, const v1::RefundRequested& event);
  static void Evolve(State& state, const v1::OrderRefunded& event);
  static void Evolve(State& state, const v1::RefundStuck& event);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_ORDER_H_
