#ifndef DOMAINS_ORDERS_BULK_PAYMENT_H_
#define DOMAINS_ORDERS_BULK_PAYMENT_H_

#include <string_view>

#include "core/aggregate.h"
#include "core/reject.h"
#include "leftfold/orders/v1/commands.pb.h"
#include "leftfold/orders/v1/events.pb.h"
#include "leftfold/orders/v1/state.pb.h"

namespace leftfold::orders {

// A customer's wish to pay for all orders at once, and how many it reached. Which orders they are,
// and to ask each of them, is PayAllOrders' business.
struct BulkPayment {
  static constexpr std::string_view kCategory = "bulk_payment";
  using Commands = Types<v1::PayAllOrdersRequest, v1::RecordBulkPaymentBegunRequest>;
  using Creates = Types<v1::PayAllOrdersRequest>;
  using Events = Types<v1::BulkPaymentRequested, v1::BulkPaymentBegun>;
  using State = v1::BulkPaymentState;
  static constexpr int kStateVersion = 1;  // Bump it when Evolve or the state's meaning changes.
  using Decision = leftfold::Decision<Events>;

  static void Validate(const v1::PayAllOrdersRequest& command, Violations& violations);
  static void Validate(const v1::RecordBulkPaymentBegunRequest&, Violations&) {}

  static Decision Decide(const v1::PayAllOrdersRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::RecordBulkPaymentBegunRequest& command, const State& state,
                         const CommandContext& context);

  static void Evolve(State& state, const v1::BulkPaymentRequested& event);
  static void Evolve(State& state, const v1::BulkPaymentBegun& event);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_BULK_PAYMENT_H_
