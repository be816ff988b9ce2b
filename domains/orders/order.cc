#include "domains/orders/order.h"

#include <absl/strings/ascii.h>
#include <absl/strings/strip.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "core/timestamp.h"

namespace leftfold::orders {
namespace {

using State = Order::State;

// "AWAITING_PAYMENT".
std::string StatusName(v1::OrderStatus status) {
  return std::string(absl::StripPrefix(v1::OrderStatus_Name(status), "ORDER_STATUS_"));
}

// Why the order, as it is, does not take the command; `more` metadata.
absl::Status Refuse(v1::ErrorReason reason, const State& state, const CommandContext& context,
                    std::string_view why, Metadata more = {}) {
  const std::string status = StatusName(state.status());
  more.emplace_back("order_id", context.aggregate_id);
  more.emplace_back("status", status);
  return Reject(reason, fmt::format("order {} is {}: {}", context.aggregate_id, status, why), more);
}

absl::Status CheckExists(const State& state, const CommandContext& context) {
  if (state.status() != v1::ORDER_STATUS_UNSPECIFIED) return absl::OkStatus();
  return Reject(v1::ERROR_REASON_ORDER_NOT_FOUND,
                fmt::format("no such order id {}; place it first", context.aggregate_id),
                {{"order_id", context.aggregate_id}});
}

absl::Status CheckOwner(const std::string& customer_id, const State& state,
                        const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  if (state.customer_id() == customer_id) return absl::OkStatus();
  return Refuse(v1::ERROR_REASON_NOT_ORDER_OWNER, state, context,
                fmt::format("it is not an order of customer {}", customer_id),
                {{"customer_id", customer_id}});
}

absl::Status CheckRestaurant(const std::string& restaurant_id, const State& state,
                             const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  if (state.restaurant_id() == restaurant_id) return absl::OkStatus();
  return Refuse(v1::ERROR_REASON_WRONG_RESTAURANT, state, context,
                fmt::format("it is not an order of restaurant {}", restaurant_id),
                {{"restaurant_id", restaurant_id}});
}

// OK when the order is with this agent.
absl::Status CheckAgent(const std::string& agent_id, const State& state,
                        const CommandContext& context) {
  if (state.agent_id() == agent_id) return absl::OkStatus();
  return Refuse(v1::ERROR_REASON_NOT_ASSIGNED_AGENT, state, context,
                fmt::format("it is not with agent {}", agent_id), {{"agent_id", agent_id}});
}

absl::Status WrongState(const State& state, const CommandContext& context, std::string_view why) {
  return Refuse(v1::ERROR_REASON_WRONG_STATE, state, context, why);
}

absl::Status CheckAwaitingValidation(const State& state, const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  if (state.status() == v1::ORDER_STATUS_PLACED) return absl::OkStatus();
  return Refuse(v1::ERROR_REASON_NOT_AWAITING_VALIDATION, state, context, "its validation is over");
}

// OK when the customer may begin to pay now.
absl::Status CheckPayable(const State& state, const CommandContext& context) {
  switch (state.status()) {
    case v1::ORDER_STATUS_AWAITING_PAYMENT:
      return absl::OkStatus();
    case v1::ORDER_STATUS_PLACED:
      return Refuse(v1::ERROR_REASON_ORDER_NOT_VALIDATED, state, context,
                    "wait until it has been checked");
    case v1::ORDER_STATUS_PAYMENT_PROCESSING:
      return Refuse(v1::ERROR_REASON_PAYMENT_IN_PROGRESS, state, context,
                    "wait for the payment's outcome",
                    {{"payment_id", state.attempts().rbegin()->payment_id()}});
    case v1::ORDER_STATUS_PAYMENT_FAILED:
      return Refuse(
          v1::ERROR_REASON_ATTEMPTS_EXHAUSTED, state, context,
          fmt::format("{} payments were declined; place another order", kPaymentAttemptsMax),
          {{"maximum", fmt::to_string(kPaymentAttemptsMax)}});
    case v1::ORDER_STATUS_AWAITING_APPROVAL:
    case v1::ORDER_STATUS_AWAITING_AGENT:
    case v1::ORDER_STATUS_AGENT_ASSIGNED:
    case v1::ORDER_STATUS_PICKED_UP:
    case v1::ORDER_STATUS_DELIVERED:
      return Refuse(v1::ERROR_REASON_ALREADY_PAID, state, context, "it is paid");
    default:
      return Refuse(v1::ERROR_REASON_ORDER_CLOSED, state, context, "place another order");
  }
}

// The attempt of this id, nullptr when there is none.
const v1::PaymentAttempt* FindAttempt(const State& state, const std::string& payment_id) {
  const auto& attempts = state.attempts();
  const auto it = std::find_if(attempts.begin(), attempts.end(), [&](const auto& attempt) {
    return attempt.payment_id() == payment_id;
  });
  return it == attempts.end() ? nullptr : &*it;
}

absl::Status PaymentExists(std::string_view whose, const std::string& payment_id,
                           const CommandContext& context) {
  return Reject(v1::ERROR_REASON_PAYMENT_EXISTS,
                fmt::format("{} has a payment {} already; take another id or leave it empty", whose,
                            payment_id),
                {{"order_id", context.aggregate_id}, {"payment_id", payment_id}});
}

// The attempt that succeeded, nullptr when the order is not paid.
const v1::PaymentAttempt* PaidAttempt(const State& state) {
  const auto& attempts = state.attempts();
  const auto it = std::find_if(attempts.begin(), attempts.end(), [](const auto& attempt) {
    return attempt.outcome() == v1::PAYMENT_OUTCOME_SUCCEEDED;
  });
  return it == attempts.end() ? nullptr : &*it;
}

// Why a paid order's money goes back; unspecified when it does not.
v1::RefundCause CauseOf(const State& state) {
  switch (state.status()) {
    case v1::ORDER_STATUS_REJECTED:
      return state.approval() == v1::APPROVAL_STATE_TIMED_OUT ? v1::REFUND_CAUSE_APPROVAL_TIMED_OUT
                                                              : v1::REFUND_CAUSE_REJECTED;
    case v1::ORDER_STATUS_NO_AGENT:
      return v1::REFUND_CAUSE_NO_AGENT;
    case v1::ORDER_STATUS_DELIVERY_FAILED:
      return v1::REFUND_CAUSE_DELIVERY_FAILED;
    case v1::ORDER_STATUS_CANCELLED:
      return v1::REFUND_CAUSE_CANCELLED;
    case v1::ORDER_STATUS_EXPIRED:
      return v1::REFUND_CAUSE_EXPIRED;
    default:
      return v1::REFUND_CAUSE_UNSPECIFIED;
  }
}

v1::RefundRequested RefundOf(const v1::PaymentAttempt& attempt, const std::string& refund_id,
                             v1::RefundCause cause, int attempt_no) {
  v1::RefundRequested requested;
  requested.set_payment_id(attempt.payment_id());
  requested.set_refund_id(refund_id);
  requested.set_amount_minor(attempt.amount_minor());
  requested.set_cause(cause);
  requested.set_attempt_no(attempt_no);
  return requested;
}

// The deadline that an order of this status can miss.
v1::OrderStage StageOf(v1::OrderStatus status) {
  switch (status) {
    case v1::ORDER_STATUS_PLACED:
      return v1::ORDER_STAGE_VALIDATION;
    case v1::ORDER_STATUS_AWAITING_PAYMENT:
    case v1::ORDER_STATUS_PAYMENT_PROCESSING:
      return v1::ORDER_STAGE_PAYMENT;
    case v1::ORDER_STATUS_AWAITING_APPROVAL:
      return v1::ORDER_STAGE_APPROVAL;
    default:
      return v1::ORDER_STAGE_UNSPECIFIED;
  }
}

absl::Status CheckAwaitingApproval(const State& state, const CommandContext& context) {
  if (state.status() == v1::ORDER_STATUS_AWAITING_APPROVAL) return absl::OkStatus();
  return Refuse(v1::ERROR_REASON_NOT_AWAITING_APPROVAL, state, context,
                "the restaurant is not to answer now");
}

bool IsDecided(const State& state) {
  return state.approval() == v1::APPROVAL_STATE_APPROVED ||
         state.approval() == v1::APPROVAL_STATE_REJECTED;
}

absl::Status AlreadyDecided(const State& state, const CommandContext& context) {
  return Refuse(v1::ERROR_REASON_ALREADY_DECIDED, state, context, "the restaurant's part is over");
}

absl::Status CheckAwaitingAgent(const State& state, const CommandContext& context) {
  switch (state.status()) {
    case v1::ORDER_STATUS_AWAITING_AGENT:
      return absl::OkStatus();
    case v1::ORDER_STATUS_AGENT_ASSIGNED:
    case v1::ORDER_STATUS_PICKED_UP:
      return Refuse(v1::ERROR_REASON_ALREADY_ASSIGNED, state, context,
                    fmt::format("it is with agent {}", state.agent_id()),
                    {{"agent_id", state.agent_id()}});
    default:
      return Refuse(v1::ERROR_REASON_NOT_AWAITING_AGENT, state, context, "it needs no agent now");
  }
}

absl::Status CheckRefund(const std::string& refund_id, const State& state,
                         const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  if (state.refund_id() == refund_id) return absl::OkStatus();
  return Reject(v1::ERROR_REASON_UNKNOWN_REFUND,
                fmt::format("order {} has no refund {}", context.aggregate_id, refund_id),
                {{"order_id", context.aggregate_id}, {"refund_id", refund_id}});
}

template <class Event, class Command>
Event OfAgent(const Command& command) {
  Event event;
  event.set_agent_id(command.agent_id());
  return event;
}

// How an agent's tour with an order ended, as ConfirmDelivery and ReportDeliveryFailed have it.
// True when it did already, `over`.
template <class Command>
absl::StatusOr<bool> TourOf(const Command& command, bool over, const State& state,
                            const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  const bool assigned = state.status() == v1::ORDER_STATUS_AGENT_ASSIGNED;
  if (!assigned && !over && state.status() != v1::ORDER_STATUS_PICKED_UP) {
    return WrongState(state, context, "no agent is on the way to the customer");
  }
  LEFTFOLD_RETURN_IF_ERROR(CheckAgent(command.agent_id(), state, context));
  if (!assigned) return over;
  return Refuse(v1::ERROR_REASON_NOT_PICKED_UP, state, context, "confirm the pickup first");
}

template <class Command>
const std::string& SpeakerOf(const Command& command) {
  return command.by().empty() ? command.restaurant_id() : command.by();
}

bool HasLines(const State& state, const v1::ConfirmOrderValidRequest& command) {
  return std::equal(state.lines().begin(), state.lines().end(), command.priced_lines().begin(),
                    command.priced_lines().end(),
                    [](const v1::OrderLine& line, const v1::PricedLine& priced) {
                      return line.item_id() == priced.item_id() && line.qty() == priced.qty();
                    });
}

}  // namespace

Order::Decision Order::Decide(const v1::PlaceOrderRequest& command, const State& state,
                              const CommandContext& context) {
  if (state.status() != v1::ORDER_STATUS_UNSPECIFIED) {
    return Reject(
        v1::ERROR_REASON_ORDER_EXISTS,
        fmt::format("there is an order {} already; take another id", context.aggregate_id),
        {{"order_id", context.aggregate_id}});
  }
  v1::OrderPlaced placed;
  placed.set_customer_id(command.customer_id());
  placed.set_restaurant_id(command.restaurant_id());
  placed.set_address(command.address());
  *placed.mutable_lines() = command.lines();
  *placed.mutable_placed_at() = ToProto(context.now);
  return Accept(std::move(placed));
}

Order::Decision Order::Decide(const v1::PayForOrderRequest& command, const State& state,
                              const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckOwner(command.customer_id(), state, context));
  LEFTFOLD_RETURN_IF_ERROR(CheckPayable(state, context));
  const std::string payment_id =
      command.payment_id().empty() ? context.NewId(0) : command.payment_id();
  if (FindAttempt(state, payment_id) != nullptr)
    return PaymentExists("this order", payment_id, context);
  if (command.amount_minor() != state.total_minor()) {
    return Refuse(v1::ERROR_REASON_AMOUNT_MISMATCH, state, context,
                  fmt::format("it costs {} in minor units of {}, not {}", state.total_minor(),
                              state.currency(), command.amount_minor()),
                  {{"amount_minor", fmt::to_string(command.amount_minor())},
                   {"total_minor", fmt::to_string(state.total_minor())}});
  }
  v1::PaymentRequested requested;
  requested.set_payment_id(payment_id);
  requested.set_attempt_no(state.attempts_size() + 1);
  requested.set_amount_minor(state.total_minor());
  requested.set_method_type(command.method_type());
  requested.set_card_last4(command.card_last4());
  requested.set_currency(state.currency());
  requested.set_payment_token(command.payment_token());
  return Accept(std::move(requested))
      .Take(std::string(kPaymentScope), payment_id,
            PaymentExists("another order", payment_id, context))
      .Created(payment_id);
}

Order::Decision Order::Decide(const v1::CancelOrderRequest& command, const State& state,
                              const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckOwner(command.customer_id(), state, context));
  if (state.cancelled()) return Accept();
  switch (state.status()) {
    case v1::ORDER_STATUS_PLACED:
    case v1::ORDER_STATUS_AWAITING_PAYMENT:
    case v1::ORDER_STATUS_PAYMENT_PROCESSING:
    case v1::ORDER_STATUS_AWAITING_APPROVAL:
      break;
    case v1::ORDER_STATUS_AWAITING_AGENT:
    case v1::ORDER_STATUS_AGENT_ASSIGNED:
    case v1::ORDER_STATUS_PICKED_UP:
      return Refuse(v1::ERROR_REASON_TOO_LATE_TO_CANCEL, state, context,
                    "the restaurant has approved it");
    default:
      return Refuse(v1::ERROR_REASON_ORDER_CLOSED, state, context, "there is nothing to cancel");
  }
  v1::OrderCancelled cancelled;
  cancelled.set_by(command.by().empty() ? command.customer_id() : command.by());
  cancelled.set_reason(command.reason());
  return Accept(std::move(cancelled));
}

Order::Decision Order::Decide(const v1::ApproveOrderRequest& command, const State& state,
                              const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckRestaurant(command.restaurant_id(), state, context));
  if (state.approval() == v1::APPROVAL_STATE_APPROVED) return Accept();
  if (IsDecided(state)) return AlreadyDecided(state, context);
  LEFTFOLD_RETURN_IF_ERROR(CheckAwaitingApproval(state, context));
  v1::OrderApproved approved;
  approved.set_by(SpeakerOf(command));
  *approved.mutable_ready_at() = ToProto(context.now + absl::Minutes(command.prep_minutes()));
  return Accept(std::move(approved));
}

Order::Decision Order::Decide(const v1::RejectOrderRequest& command, const State& state,
                              const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckRestaurant(command.restaurant_id(), state, context));
  if (state.approval() == v1::APPROVAL_STATE_REJECTED) return Accept();
  if (IsDecided(state)) return AlreadyDecided(state, context);
  LEFTFOLD_RETURN_IF_ERROR(CheckAwaitingApproval(state, context));
  v1::OrderRejected rejected;
  rejected.set_by(SpeakerOf(command));
  rejected.set_reason(command.reason());
  return Accept(std::move(rejected));
}

Order::Decision Order::Decide(const v1::UnassignAgentRequest& command, const State& state,
                              const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  if (state.status() != v1::ORDER_STATUS_AGENT_ASSIGNED) {
    return WrongState(state, context, "no agent is on the way to the restaurant");
  }
  LEFTFOLD_RETURN_IF_ERROR(CheckAgent(command.agent_id(), state, context));
  auto unassigned = OfAgent<v1::AgentUnassigned>(command);
  unassigned.set_reason(command.reason());
  return Accept(std::move(unassigned));
}

Order::Decision Order::Decide(const v1::ConfirmPickupRequest& command, const State& state,
                              const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  const bool picked_up = state.status() == v1::ORDER_STATUS_PICKED_UP;
  if (state.status() != v1::ORDER_STATUS_AGENT_ASSIGNED && !picked_up) {
    return WrongState(state, context, "no agent is on the way to the restaurant");
  }
  LEFTFOLD_RETURN_IF_ERROR(CheckAgent(command.agent_id(), state, context));
  if (picked_up) return Accept();
  return Accept(OfAgent<v1::FoodPickedUp>(command));
}

Order::Decision Order::Decide(const v1::ConfirmDeliveryRequest& command, const State& state,
                              const CommandContext& context) {
  const auto over = TourOf(command, state.status() == v1::ORDER_STATUS_DELIVERED, state, context);
  if (!over.ok()) return over.status();
  if (*over) return Accept();
  return Accept(OfAgent<v1::OrderDelivered>(command));
}

Order::Decision Order::Decide(const v1::ReportDeliveryFailedRequest& command, const State& state,
                              const CommandContext& context) {
  const auto over = TourOf(command,
                           state.status() == v1::ORDER_STATUS_DELIVERY_FAILED ||
                               state.refund_cause() == v1::REFUND_CAUSE_DELIVERY_FAILED,
                           state, context);
  if (!over.ok()) return over.status();
  if (*over) return Accept();
  auto failed = OfAgent<v1::DeliveryFailed>(command);
  failed.set_reason(command.reason());
  return Accept(std::move(failed));
}

Order::Decision Order::Decide(const v1::ConfirmOrderValidRequest& command, const State& state,
                              const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckAwaitingValidation(state, context));
  if (!HasLines(state, command)) {
    return Refuse(v1::ERROR_REASON_LINES_MISMATCH, state, context,
                  "the priced lines are not the order's");
  }
  v1::OrderValidated validated;
  *validated.mutable_priced_lines() = command.priced_lines();
  validated.set_total_minor(command.total_minor());
  validated.set_currency(command.currency());
  return Accept(std::move(validated));
}

Order::Decision Order::Decide(const v1::MarkOrderInvalidRequest& command, const State& state,
                              const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckAwaitingValidation(state, context));
  v1::OrderInvalidated invalidated;
  *invalidated.mutable_reasons() = command.reasons();
  return Accept(std::move(invalidated));
}

Order::Decision Order::Decide(const v1::RecordPaymentOutcomeRequest& command, const State& state,
                              const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  const v1::PaymentAttempt* attempt = FindAttempt(state, command.payment_id());
  if (attempt == nullptr) {
    return Reject(
        v1::ERROR_REASON_UNKNOWN_PAYMENT,
        fmt::format("order {} has no payment {}", context.aggregate_id, command.payment_id()),
        {{"order_id", context.aggregate_id}, {"payment_id", command.payment_id()}});
  }
  if (attempt->outcome() == command.outcome()) return Accept();
  if (attempt->outcome() != v1::PAYMENT_OUTCOME_UNSPECIFIED) {
    return Refuse(v1::ERROR_REASON_CONFLICTING_OUTCOME, state, context,
                  fmt::format("payment {} had the other outcome", command.payment_id()),
                  {{"payment_id", command.payment_id()}});
  }
  if (command.outcome() == v1::PAYMENT_OUTCOME_SUCCEEDED) {
    v1::OrderPaid paid;
    paid.set_payment_id(command.payment_id());
    paid.set_amount_minor(attempt->amount_minor());
    const v1::RefundCause cause = CauseOf(state);
    if (cause == v1::REFUND_CAUSE_UNSPECIFIED) return Accept(std::move(paid));
    return Accept(std::move(paid), RefundOf(*attempt, context.NewId(0), cause, 1));
  }
  v1::OrderPaymentDeclined declined;
  declined.set_payment_id(command.payment_id());
  declined.set_attempt_no(state.attempts_size());  // The last one: only it has no outcome.
  declined.set_decline_code(command.decline_code());
  const bool closed = state.status() != v1::ORDER_STATUS_PAYMENT_PROCESSING;
  declined.set_attempts_left(closed ? 0 : kPaymentAttemptsMax - state.attempts_size());
  if (closed || declined.attempts_left() > 0) return Accept(std::move(declined));
  v1::OrderPaymentFailed failed;
  failed.set_reason(command.decline_code());
  return Accept(std::move(declined), std::move(failed));
}

Order::Decision Order::Decide(const v1::RequestApprovalRequest& command, const State& state,
                              const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  if (IsDecided(state)) return AlreadyDecided(state, context);
  LEFTFOLD_RETURN_IF_ERROR(CheckAwaitingApproval(state, context));
  if (state.approval() == v1::APPROVAL_STATE_REQUESTED) return Accept();
  v1::ApprovalRequested requested;
  requested.set_restaurant_id(state.restaurant_id());
  *requested.mutable_respond_by() = command.respond_by();
  return Accept(std::move(requested));
}

Order::Decision Order::Decide(const v1::TimeOutApprovalRequest&, const State& state,
                              const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  if (state.approval() == v1::APPROVAL_STATE_TIMED_OUT) return Accept();
  if (IsDecided(state)) return AlreadyDecided(state, context);
  LEFTFOLD_RETURN_IF_ERROR(CheckAwaitingApproval(state, context));
  if (state.approval() == v1::APPROVAL_STATE_REQUESTED) return Accept(v1::ApprovalTimedOut());
  return Refuse(v1::ERROR_REASON_NOT_AWAITING_APPROVAL, state, context,
                "the restaurant was not asked yet");
}

Order::Decision Order::Decide(const v1::StartAgentSearchRequest& command, const State& state,
                              const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  LEFTFOLD_RETURN_IF_ERROR(CheckAwaitingAgent(state, context));
  if (state.agent_search_started()) return Accept();
  v1::AgentSearchStarted started;
  *started.mutable_deadline() = command.deadline();
  return Accept(std::move(started));
}

Order::Decision Order::Decide(const v1::AssignAgentRequest& command, const State& state,
                              const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  const absl::Status awaiting = CheckAwaitingAgent(state, context);
  if (awaiting.ok()) return Accept(OfAgent<v1::AgentAssigned>(command));
  const bool has_it = state.status() == v1::ORDER_STATUS_AGENT_ASSIGNED ||
                      state.status() == v1::ORDER_STATUS_PICKED_UP;
  if (has_it && state.agent_id() == command.agent_id()) return Accept();
  return awaiting;
}

Order::Decision Order::Decide(const v1::MarkNoAgentAvailableRequest& command, const State& state,
                              const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  if (state.status() == v1::ORDER_STATUS_NO_AGENT ||
      state.refund_cause() == v1::REFUND_CAUSE_NO_AGENT) {
    return Accept();
  }
  LEFTFOLD_RETURN_IF_ERROR(CheckAwaitingAgent(state, context));
  v1::NoAgentAvailable none;
  *none.mutable_tried() = command.tried();
  return Accept(std::move(none));
}

Order::Decision Order::Decide(const v1::ExpireOrderRequest& command, const State& state,
                              const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  if (state.expired_stage() != v1::ORDER_STAGE_UNSPECIFIED) return Accept();
  if (StageOf(state.status()) != command.stage()) {
    return WrongState(state, context, "it is not in the stage that would expire");
  }
  v1::OrderExpired expired;
  expired.set_stage(command.stage());
  return Accept(std::move(expired));
}

Order::Decision Order::Decide(const v1::RequestRefundRequest&, const State& state,
                              const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  if (!state.refund_id().empty()) return Accept().Created(state.refund_id());
  const v1::PaymentAttempt* paid = PaidAttempt(state);
  const v1::RefundCause cause = CauseOf(state);
  if (paid == nullptr || cause == v1::REFUND_CAUSE_UNSPECIFIED) {
    return Refuse(v1::ERROR_REASON_NOTHING_TO_REFUND, state, context,
                  paid == nullptr ? "it is not paid" : "nothing has gone wrong with it");
  }
  const std::string refund_id = context.NewId(0);
  return Accept(RefundOf(*paid, refund_id, cause, 1)).Created(refund_id);
}

Order::Decision Order::Decide(const v1::ConfirmRefundRequest& command, const State& state,
                              const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckRefund(command.refund_id(), state, context));
  if (state.status() == v1::ORDER_STATUS_REFUNDED) return Accept();
  v1::OrderRefunded refunded;
  refunded.set_refund_id(command.refund_id());
  return Accept(std::move(refunded));
}

Order::Decision Order::Decide(const v1::MarkRefundStuckRequest& command, const State& state,
                              const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckRefund(command.refund_id(), state, context));
  if (state.status() == v1::ORDER_STATUS_REFUND_STUCK) return Accept();
  if (state.status() != v1::ORDER_STATUS_REFUNDING) {
    return Refuse(v1::ERROR_REASON_NOT_REFUNDING, state, context, "the money is back");
  }
  v1::RefundStuck stuck;
  stuck.set_refund_id(command.refund_id());
  stuck.set_error(command.error());
  return Accept(std::move(stuck));
}

Order::Decision Order::Decide(const v1::RetryRefundRequest&, const State& state,
                              const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  if (state.status() == v1::ORDER_STATUS_REFUNDING) return Accept();
  const v1::PaymentAttempt* paid = PaidAttempt(state);
  if (state.status() != v1::ORDER_STATUS_REFUND_STUCK || paid == nullptr) {
    return Refuse(v1::ERROR_REASON_REFUND_NOT_STUCK, state, context, "no refund of it has failed");
  }
  return Accept(
      RefundOf(*paid, state.refund_id(), state.refund_cause(), state.refund_attempts() + 1));
}

namespace {

void SetOutcome(State& state, const std::string& payment_id, v1::PaymentOutcome outcome) {
  for (v1::PaymentAttempt& attempt : *state.mutable_attempts()) {
    if (attempt.payment_id() == payment_id) attempt.set_outcome(outcome);
  }
}

// A payment's outcome moves an order only while it waits for it.
void MoveOnOutcome(State& state, v1::OrderStatus status) {
  if (state.status() == v1::ORDER_STATUS_PAYMENT_PROCESSING) state.set_status(status);
}

}  // namespace

void Order::Evolve(State& state, const v1::OrderPlaced& event) {
  state.set_status(v1::ORDER_STATUS_PLACED);
  state.set_customer_id(event.customer_id());
  state.set_restaurant_id(event.restaurant_id());
  *state.mutable_lines() = event.lines();
}

void Order::Evolve(State& state, const v1::OrderValidated& event) {
  state.set_status(v1::ORDER_STATUS_AWAITING_PAYMENT);
  state.set_total_minor(event.total_minor());
  state.set_currency(event.currency());
}

void Order::Evolve(State& state, const v1::OrderInvalidated&) {
  state.set_status(v1::ORDER_STATUS_INVALID);
}

void Order::Evolve(State& state, const v1::PaymentRequested& event) {
  state.set_status(v1::ORDER_STATUS_PAYMENT_PROCESSING);
  v1::PaymentAttempt& attempt = *state.add_attempts();
  attempt.set_payment_id(event.payment_id());
  attempt.set_amount_minor(event.amount_minor());
}

void Order::Evolve(State& state, const v1::OrderPaid& event) {
  SetOutcome(state, event.payment_id(), v1::PAYMENT_OUTCOME_SUCCEEDED);
  MoveOnOutcome(state, v1::ORDER_STATUS_AWAITING_APPROVAL);
}

void Order::Evolve(State& state, const v1::OrderPaymentDeclined& event) {
  SetOutcome(state, event.payment_id(), v1::PAYMENT_OUTCOME_DECLINED);
  MoveOnOutcome(state, v1::ORDER_STATUS_AWAITING_PAYMENT);
}

void Order::Evolve(State& state, const v1::OrderPaymentFailed&) {
  state.set_status(v1::ORDER_STATUS_PAYMENT_FAILED);
}

void Order::Evolve(State& state, const v1::ApprovalRequested&) {
  state.set_approval(v1::APPROVAL_STATE_REQUESTED);
}

void Order::Evolve(State& state, const v1::OrderApproved&) {
  state.set_status(v1::ORDER_STATUS_AWAITING_AGENT);
  state.set_approval(v1::APPROVAL_STATE_APPROVED);
}

void Order::Evolve(State& state, const v1::OrderRejected&) {
  state.set_status(v1::ORDER_STATUS_REJECTED);
  state.set_approval(v1::APPROVAL_STATE_REJECTED);
}

void Order::Evolve(State& state, const v1::ApprovalTimedOut&) {
  state.set_status(v1::ORDER_STATUS_REJECTED);
  state.set_approval(v1::APPROVAL_STATE_TIMED_OUT);
}

void Order::Evolve(State& state, const v1::AgentSearchStarted&) {
  state.set_agent_search_started(true);
}

void Order::Evolve(State& state, const v1::AgentAssigned& event) {
  state.set_status(v1::ORDER_STATUS_AGENT_ASSIGNED);
  state.set_agent_id(event.agent_id());
}

void Order::Evolve(State& state, const v1::AgentUnassigned&) {
  state.set_status(v1::ORDER_STATUS_AWAITING_AGENT);
  state.clear_agent_id();
  state.set_agent_search_started(false);
}

void Order::Evolve(State& state, const v1::NoAgentAvailable&) {
  state.set_status(v1::ORDER_STATUS_NO_AGENT);
}

void Order::Evolve(State& state, const v1::FoodPickedUp&) {
  state.set_status(v1::ORDER_STATUS_PICKED_UP);
}

void Order::Evolve(State& state, const v1::OrderDelivered&) {
  state.set_status(v1::ORDER_STATUS_DELIVERED);
}

void Order::Evolve(State& state, const v1::DeliveryFailed&) {
  state.set_status(v1::ORDER_STATUS_DELIVERY_FAILED);
}

void Order::Evolve(State& state, const v1::OrderCancelled&) {
  state.set_status(v1::ORDER_STATUS_CANCELLED);
  state.set_cancelled(true);
}

void Order::Evolve(State& state, const v1::OrderExpired& event) {
  state.set_status(v1::ORDER_STATUS_EXPIRED);
  state.set_expired_stage(event.stage());
}

void Order::Evolve(State& state, const v1::RefundRequested& event) {
  state.set_status(v1::ORDER_STATUS_REFUNDING);
  state.set_refund_id(event.refund_id());
  state.set_refund_cause(event.cause());
  state.set_refund_attempts(event.attempt_no());
}

void Order::Evolve(State& state, const v1::OrderRefunded&) {
  state.set_status(v1::ORDER_STATUS_REFUNDED);
}

void Order::Evolve(State& state, const v1::RefundStuck&) {
  state.set_status(v1::ORDER_STATUS_REFUND_STUCK);
}

}  // namespace leftfold::orders
