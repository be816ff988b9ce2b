#ifndef DOMAINS_ORDERS_ORDER_FOLD_H_
#define DOMAINS_ORDERS_ORDER_FOLD_H_

#include "leftfold/orders/v1/events.pb.h"
#include "leftfold/orders/v1/queries.pb.h"

namespace leftfold::orders {

// What each event changes in the order that is shown. Every event fits every order.
void Apply(v1::Order& order, const v1::OrderPlaced& event);
void Apply(v1::Order& order, const v1::OrderValidated& event);
void Apply(v1::Order& order, const v1::OrderInvalidated& event);
void Apply(v1::Order& order, const v1::PaymentRequested& event);
void Apply(v1::Order& order, const v1::OrderPaid& event);
void Apply(v1::Order& order, const v1::OrderPaymentDeclined& event);
void Apply(v1::Order& order, const v1::OrderPaymentFailed& event);
void Apply(v1::Order& order, const v1::ApprovalRequested& event);
void Apply(v1::Order& order, const v1::OrderApproved& event);
void Apply(v1::Order& order, const v1::OrderRejected& event);
void Apply(v1::Order& order, const v1::ApprovalTimedOut& event);
void Apply(v1::Order& order, const v1::AgentSearchStarted& event);
void Apply(v1::Order& order, const v1::AgentAssigned& event);
void Apply(v1::Order& order, const v1::AgentUnassigned& event);
void Apply(v1::Order& order, const v1::NoAgentAvailable& event);
void Apply(v1::Order& order, const v1::FoodPickedUp& event);
void Apply(v1::Order& order, const v1::OrderDelivered& event);
void Apply(v1::Order& order, const v1::DeliveryFailed& event);
void Apply(v1::Order& order, const v1::OrderCancelled& event);
void Apply(v1::Order& order, const v1::OrderExpired& event);
void Apply(v1::Order& order, const v1::RefundRequested& event);
void Apply(v1::Order& order, const v1::OrderRefunded& event);
void Apply(v1::Order& order, const v1::RefundStuck& event);

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_ORDER_FOLD_H_
