#ifndef DOMAINS_ORDERS_BULK_PAYMENTS_H_
#define DOMAINS_ORDERS_BULK_PAYMENTS_H_

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

#include "core/ids.h"
#include "core/view.h"
#include "domains/orders/bulk_payment.h"
#include "leftfold/orders/v1/events.pb.h"
#include "leftfold/orders/v1/queries.pb.h"

namespace leftfold::orders {

// What came of each wish to pay for all orders.
struct BulkPayments {
  static constexpr std::string_view kName = "bulk_payments";
  static constexpr int kVersion = 1;
  static constexpr std::string_view kSchema = R"(
    CREATE TABLE bulk_payment (
      bulk_payment_id TEXT PRIMARY KEY NOT NULL,
      version INTEGER NOT NULL,
      customer_id TEXT NOT NULL,
      status INTEGER NOT NULL,
      orders_begun INTEGER NOT NULL,
      orders_refused INTEGER NOT NULL,
      orders_left INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
  )";
  using Handles = Types<v1::BulkPaymentRequested, v1::BulkPaymentBegun>;
  using Queries = Types<v1::GetBulkPaymentRequest>;
  using Watches = Types<v1::WatchBulkPaymentRequest>;
  static constexpr Poison kOnPoison = Poison::kParkStream;

  static void On(const v1::BulkPaymentRequested& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::BulkPaymentBegun& event, const EventMeta& meta, WriteTx& tx);

  static absl::StatusOr<v1::GetBulkPaymentResponse> Answer(const v1::GetBulkPaymentRequest& query,
                                                           ReadTx& tx);
  static std::string Stream(const v1::GetBulkPaymentRequest& query) {
    return StreamName(BulkPayment::kCategory, query.bulk_payment_id());
  }
  static std::string Key(const v1::WatchBulkPaymentRequest& watch) {
    return watch.bulk_payment_id();
  }
  static absl::StatusOr<v1::WatchBulkPaymentResponse> Answer(
      const v1::WatchBulkPaymentRequest& watch, ReadTx& tx);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_BULK_PAYMENTS_H_
