#ifndef DOMAINS_ORDERS_PAYMENT_LEDGER_H_
#define DOMAINS_ORDERS_PAYMENT_LEDGER_H_

#include <absl/status/statusor.h>

#include <string_view>

#include "core/view.h"
#include "leftfold/orders/v1/events.pb.h"
#include "leftfold/orders/v1/queries.pb.h"
#include "leftfold/payments/v1/events.pb.h"

namespace leftfold::orders {

// Money that came and went, per order, restaurant and day, in minor units of each currency. What
// came and went is what the payments say, what it is kept for is what the orders say: two records
// of the same money, so that captured - refunded = delivered + open is a check. What is left over
// is with no order: for a moment after a payment or refund, and as long as a payment that its order
// did not take is not paid back.
struct PaymentLedger {
  static constexpr std::string_view kName = "payment_ledger";
  static constexpr int kVersion = 2;
  static constexpr std::string_view kSchema = R"(
    CREATE TABLE placed (
      order_id TEXT PRIMARY KEY NOT NULL,
      restaurant_id TEXT NOT NULL,
      currency TEXT NOT NULL,
      captured INTEGER NOT NULL,
      refunded INTEGER NOT NULL,
      delivered INTEGER NOT NULL,
      open INTEGER NOT NULL,
      refunding INTEGER NOT NULL  -- What is on its way back.
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX paid ON placed (order_id) WHERE captured > 0;
    CREATE INDEX paid_of_restaurant ON placed (restaurant_id, order_id) WHERE captured > 0;
    CREATE TABLE total (
      restaurant_id TEXT NOT NULL,  -- Empty: of all.
      day TEXT NOT NULL,  -- In UTC, "2026-01-31"; empty: of all.
      currency TEXT NOT NULL,
      captured INTEGER NOT NULL,
      refunded INTEGER NOT NULL,
      delivered INTEGER NOT NULL,
      open INTEGER NOT NULL,
      PRIMARY KEY (restaurant_id, day, currency)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX total_by_day ON total (day, restaurant_id, currency);
  )";
  using Handles = Types<v1::OrderPlaced, v1::OrderValidated, v1::OrderPaid, v1::OrderDelivered,
                        v1::RefundRequested, v1::OrderRefunded, payments::v1::PaymentSucceeded,
                        payments::v1::RefundSucceeded>;
  using Queries = Types<v1::GetLedgerRequest>;
  using Watches = Types<>;
  static constexpr Poison kOnPoison = Poison::kParkStream;

  static void On(const v1::OrderPlaced& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderValidated& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderPaid& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderDelivered& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RefundRequested& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderRefunded& event, const EventMeta& meta, WriteTx& tx);
  static void On(const payments::v1::PaymentSucceeded& event, const EventMeta& meta, WriteTx& tx);
  static void On(const payments::v1::RefundSucceeded& event, const EventMeta& meta, WriteTx& tx);

  static absl::StatusOr<v1::GetLedgerResponse> Answer(const v1::GetLedgerRequest& query,
                                                      ReadTx& tx);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_PAYMENT_LEDGER_H_
