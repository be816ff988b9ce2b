#include "domains/orders/bulk_payment.h"

#include <fmt/format.h>

#include <utility>

#include "domains/orders/checks.h"
#include "domains/orders/documents.h"

namespace leftfold::orders {

void BulkPayment::Validate(const v1::PayAllOrdersRequest& command, Violations& violations) {
  CheckId(command.customer_id(), "customer_id", violations);
  CheckPaymentMethod(command.method_type(), command.payment_token(), command.card_last4(),
                     violations);
}

BulkPayment::Decision BulkPayment::Decide(const v1::PayAllOrdersRequest& command,
                                          const State& state, const CommandContext& context) {
  if (state.status() != v1::BULK_PAYMENT_STATUS_UNSPECIFIED) {
    return Reject(
        v1::ERROR_REASON_BULK_PAYMENT_EXISTS,
        fmt::format("there is a bulk payment {} already; take another id", context.aggregate_id),
        {{"bulk_payment_id", context.aggregate_id}});
  }
  v1::BulkPaymentRequested requested;
  requested.set_customer_id(command.customer_id());
  requested.set_method_type(command.method_type());
  requested.set_payment_token(command.payment_token());
  requested.set_card_last4(command.card_last4());
  return Accept(std::move(requested));
}

BulkPayment::Decision BulkPayment::Decide(const v1::RecordBulkPaymentBegunRequest& command,
                                          const State& state, const CommandContext& context) {
  if (state.status() == v1::BULK_PAYMENT_STATUS_UNSPECIFIED)
    return NoSuchBulkPayment(context.aggregate_id);
  if (state.status() == v1::BULK_PAYMENT_STATUS_BEGUN) return Accept();
  v1::BulkPaymentBegun begun;
  begun.set_orders_begun(command.orders_begun());
  begun.set_orders_refused(command.orders_refused());
  begun.set_orders_left(command.orders_left());
  return Accept(std::move(begun));
}

void BulkPayment::Evolve(State& state, const v1::BulkPaymentRequested&) {
  state.set_status(v1::BULK_PAYMENT_STATUS_REQUESTED);
}

void BulkPayment::Evolve(State& state, const v1::BulkPaymentBegun&) {
  state.set_status(v1::BULK_PAYMENT_STATUS_BEGUN);
}

}  // namespace leftfold::orders
