#ifndef DOMAINS_ORDERS_PAY_ALL_ORDERS_H_
#define DOMAINS_ORDERS_PAY_ALL_ORDERS_H_

#include <absl/status/status.h>

#include <string>
#include <string_view>

#include "core/reactor.h"
#include "leftfold/orders/v1/commands.pb.h"
#include "leftfold/orders/v1/events.pb.h"

namespace leftfold::orders {

// Orders of one bulk payment; what is beyond is counted as left.
inline constexpr int kBulkPaymentOrdersMax = 10'000;

// The id of the payment for an order that is part of a bulk payment.
std::string BulkPaymentIdOf(std::string_view bulk_payment_id, std::string_view order_id);

// Asks every order to be paid that was valid and unpaid when its customer wished to pay for all,
// and says how many that were. What it knows of orders are candidates as of the wish's position in
// the log: each order decides. The same wish gives each order the same payment id, whatever is
// lost.
struct PayAllOrders {
  static constexpr std::string_view kName = "pay_all_orders";
  static constexpr std::string_view kSchema[] = {
      R"(CREATE TABLE unpaid (
           position INTEGER PRIMARY KEY NOT NULL,  -- Of OrderPlaced.
           order_id TEXT NOT NULL UNIQUE,
           customer_id TEXT NOT NULL,
           total_minor INTEGER NOT NULL,  -- 0 before it is valid.
           payable INTEGER NOT NULL  -- 1: valid, and no payment is on its way.
         ) STRICT)",
      "CREATE INDEX payable_of_customer ON unpaid (customer_id) WHERE payable = 1",
      R"(CREATE TABLE bulk (
           bulk_payment_id TEXT PRIMARY KEY NOT NULL,
           waiting INTEGER NOT NULL,
           begun INTEGER NOT NULL,
           refused INTEGER NOT NULL,
           orders_left INTEGER NOT NULL
         ) STRICT)",
      R"(CREATE TABLE asked (
           payment_id TEXT PRIMARY KEY NOT NULL,
           bulk_payment_id TEXT NOT NULL
         ) STRICT)"};
  // After these nobody pays for the order any more.
  using Closing = Types<v1::OrderInvalidated, v1::OrderPaid, v1::OrderPaymentFailed,
                        v1::OrderCancelled, v1::OrderExpired>;
  using Reacting = Concat<Types<v1::OrderPlaced, v1::OrderValidated, v1::PaymentRequested,
                                v1::OrderPaymentDeclined, v1::BulkPaymentRequested>,
                          Closing>;
  using Sends = Types<v1::PayForOrderRequest>;

  static absl::Status React(const v1::OrderPlaced& event, const EventMeta& meta, OwnTables& tables,
                            Outbox& outbox);
  static absl::Status React(const v1::OrderValidated& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const v1::PaymentRequested& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const v1::OrderPaymentDeclined& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const v1::BulkPaymentRequested& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  template <class Event>
  requires Closing::kContains<Event>
  static absl::Status React(const Event&, const EventMeta& meta, OwnTables& tables, Outbox&) {
    Close(meta, tables);
    return absl::OkStatus();
  }
  static absl::Status OnResult(const v1::PayForOrderRequest& sent, const Result& result,
                               OwnTables& tables, Outbox& outbox);

 private:
  static void Close(const EventMeta& meta, OwnTables& tables);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_PAY_ALL_ORDERS_H_
