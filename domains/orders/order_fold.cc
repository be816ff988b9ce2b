#include "domains/orders/order_fold.h"

#include <fmt/format.h>

#include "domains/orders/order_words.h"

namespace leftfold::orders {
namespace {

constexpr v1::StageState kNotYet = v1::STAGE_STATE_NOT_YET;
constexpr v1::StageState kRunning = v1::STAGE_STATE_RUNNING;
constexpr v1::StageState kDone = v1::STAGE_STATE_DONE;
constexpr v1::StageState kFailed = v1::STAGE_STATE_FAILED;

// Cancelled or expired: what comes after that changes the money only.
bool IsEnded(const v1::Order& order) {
  return order.status() == v1::ORDER_STATUS_CANCELLED || order.status() == v1::ORDER_STATUS_EXPIRED;
}

// The order ends in the first stage that is not done.
void EndStages(v1::OrderStages& stages) {
  if (stages.validation() != kDone) {
    stages.set_validation(kFailed);
  } else if (stages.payment() != kDone) {
    stages.set_payment(kFailed);
  } else {
    stages.set_approval(kFailed);
  }
}

}  // namespace

void Apply(v1::Order& order, const v1::OrderPlaced& event) {
  order.set_customer_id(event.customer_id());
  order.set_restaurant_id(event.restaurant_id());
  order.set_address(event.address());
  for (const v1::OrderLine& line : event.lines()) {
    v1::PricedLine& added = *order.add_lines();
    added.set_item_id(line.item_id());
    added.set_qty(line.qty());
  }
  order.set_status(v1::ORDER_STATUS_PLACED);
  v1::OrderStages& stages = *order.mutable_stages();
  stages.set_validation(kRunning);
  stages.set_payment(kNotYet);
  stages.set_approval(kNotYet);
  stages.set_assignment(kNotYet);
  stages.set_pickup(kNotYet);
  stages.set_delivery(kNotYet);
}

void Apply(v1::Order& order, const v1::OrderValidated& event) {
  *order.mutable_lines() = event.priced_lines();
  order.set_total_minor(event.total_minor());
  order.set_currency(event.currency());
  order.set_status(v1::ORDER_STATUS_AWAITING_PAYMENT);
  order.mutable_stages()->set_validation(kDone);
}

void Apply(v1::Order& order, const v1::OrderInvalidated& event) {
  *order.mutable_invalid_reasons() = event.reasons();
  order.set_last_error(WordsOf(event));
  order.set_status(v1::ORDER_STATUS_INVALID);
  order.mutable_stages()->set_validation(kFailed);
}

void Apply(v1::Order& order, const v1::PaymentRequested& event) {
  order.set_attempts(event.attempt_no());
  order.set_status(v1::ORDER_STATUS_PAYMENT_PROCESSING);
  order.mutable_stages()->set_payment(kRunning);
}

void Apply(v1::Order& order, const v1::OrderPaid&) {
  order.mutable_stages()->set_payment(kDone);
  if (IsEnded(order)) {
    order.mutable_stages()->set_approval(kFailed);
    return;
  }
  order.clear_last_error();
  order.set_status(v1::ORDER_STATUS_AWAITING_APPROVAL);
  order.mutable_stages()->set_approval(kRunning);
}

void Apply(v1::Order& order, const v1::OrderPaymentDeclined& event) {
  order.mutable_stages()->set_payment(kFailed);
  if (IsEnded(order)) return;
  order.set_last_error(event.decline_code());
  order.set_status(v1::ORDER_STATUS_AWAITING_PAYMENT);
}

void Apply(v1::Order& order, const v1::OrderPaymentFailed& event) {
  order.set_last_error(event.reason());
  order.set_status(v1::ORDER_STATUS_PAYMENT_FAILED);
}

void Apply(v1::Order& order, const v1::ApprovalRequested& event) {
  *order.mutable_respond_by() = event.respond_by();
}

void Apply(v1::Order& order, const v1::OrderApproved& event) {
  *order.mutable_ready_at() = event.ready_at();
  order.set_status(v1::ORDER_STATUS_AWAITING_AGENT);
  order.mutable_stages()->set_approval(kDone);
  order.mutable_stages()->set_assignment(kRunning);
}

void Apply(v1::Order& order, const v1::OrderRejected& event) {
  order.set_last_error(event.reason());
  order.set_status(v1::ORDER_STATUS_REJECTED);
  order.mutable_stages()->set_approval(kFailed);
}

void Apply(v1::Order& order, const v1::ApprovalTimedOut&) {
  order.set_last_error("the restaurant did not answer in time");
  order.set_status(v1::ORDER_STATUS_REJECTED);
  order.mutable_stages()->set_approval(kFailed);
}

void Apply(v1::Order&, const v1::AgentSearchStarted&) {}

void Apply(v1::Order& order, const v1::AgentAssigned& event) {
  order.clear_last_error();
  order.set_agent_id(event.agent_id());
  order.set_status(v1::ORDER_STATUS_AGENT_ASSIGNED);
  order.mutable_stages()->set_assignment(kDone);
  order.mutable_stages()->set_pickup(kRunning);
}

void Apply(v1::Order& order, const v1::AgentUnassigned& event) {
  order.set_last_error(event.reason());
  order.clear_agent_id();
  order.set_status(v1::ORDER_STATUS_AWAITING_AGENT);
  order.mutable_stages()->set_assignment(kRunning);
  order.mutable_stages()->set_pickup(kNotYet);
}

void Apply(v1::Order& order, const v1::NoAgentAvailable&) {
  order.set_last_error("no agent was found in time");
  order.set_status(v1::ORDER_STATUS_NO_AGENT);
  order.mutable_stages()->set_assignment(kFailed);
}

void Apply(v1::Order& order, const v1::FoodPickedUp&) {
  order.set_status(v1::ORDER_STATUS_PICKED_UP);
  order.mutable_stages()->set_pickup(kDone);
  order.mutable_stages()->set_delivery(kRunning);
}

void Apply(v1::Order& order, const v1::OrderDelivered&) {
  order.set_status(v1::ORDER_STATUS_DELIVERED);
  order.mutable_stages()->set_delivery(kDone);
}

void Apply(v1::Order& order, const v1::DeliveryFailed& event) {
  order.set_last_error(event.reason());
  order.set_status(v1::ORDER_STATUS_DELIVERY_FAILED);
  order.mutable_stages()->set_delivery(kFailed);
}

void Apply(v1::Order& order, const v1::OrderCancelled& event) {
  order.set_last_error(event.reason().empty() ? "cancelled" : "cancelled: " + event.reason());
  order.set_status(v1::ORDER_STATUS_CANCELLED);
  EndStages(*order.mutable_stages());
}

void Apply(v1::Order& order, const v1::OrderExpired& event) {
  order.set_last_error(fmt::format("expired: {}", WordsOf(event.stage())));
  order.set_status(v1::ORDER_STATUS_EXPIRED);
  EndStages(*order.mutable_stages());
}

void Apply(v1::Order& order, const v1::RefundRequested&) {
  order.set_status(v1::ORDER_STATUS_REFUNDING);
}

void Apply(v1::Order& order, const v1::OrderRefunded&) {
  order.set_status(v1::ORDER_STATUS_REFUNDED);
}

void Apply(v1::Order& order, const v1::RefundStuck& event) {
  order.set_last_error(event.error());
  order.set_status(v1::ORDER_STATUS_REFUND_STUCK);
}

}  // namespace leftfold::orders
