#include "domains/orders/bulk_payments.h"

#include "domains/orders/documents.h"

namespace leftfold::orders {
namespace {

template <class Response>
absl::StatusOr<Response> Find(const std::string& bulk_payment_id, ReadTx& tx) {
  Rows rows = tx.Query(
      "SELECT version, customer_id, status, orders_begun, orders_refused, orders_left "
      "FROM bulk_payment WHERE bulk_payment_id = ?",
      bulk_payment_id);
  if (!rows.Next()) return NoSuchBulkPayment(bulk_payment_id);
  Response response;
  v1::BulkPayment& found = *response.mutable_bulk_payment();
  found.set_bulk_payment_id(bulk_payment_id);
  found.set_version(rows.Int(0));
  found.set_customer_id(rows.Text(1));
  found.set_status(static_cast<v1::BulkPaymentStatus>(rows.Int(2)));
  found.set_orders_begun(static_cast<std::int32_t>(rows.Int(3)));
  found.set_orders_refused(static_cast<std::int32_t>(rows.Int(4)));
  found.set_orders_left(static_cast<std::int32_t>(rows.Int(5)));
  return response;
}

}  // namespace

void BulkPayments::On(const v1::BulkPaymentRequested& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("INSERT OR REPLACE INTO bulk_payment VALUES (?, ?, ?, ?, 0, 0, 0)", meta.aggregate_id(),
          meta.version(), event.customer_id(),
          static_cast<std::int32_t>(v1::BULK_PAYMENT_STATUS_REQUESTED));
  tx.Touch(meta.aggregate_id());
}

void BulkPayments::On(const v1::BulkPaymentBegun& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec(
      "UPDATE bulk_payment SET version = ?, status = ?, orders_begun = ?, orders_refused = ?, "
      "orders_left = ? WHERE bulk_payment_id = ?",
      meta.version(), static_cast<std::int32_t>(v1::BULK_PAYMENT_STATUS_BEGUN),
      event.orders_begun(), event.orders_refused(), event.orders_left(), meta.aggregate_id());
  tx.Touch(meta.aggregate_id());
}

absl::StatusOr<v1::GetBulkPaymentResponse> BulkPayments::Answer(
    const v1::GetBulkPaymentRequest& query, ReadTx& tx) {
  return Find<v1::GetBulkPaymentResponse>(query.bulk_payment_id(), tx);
}

absl::StatusOr<v1::WatchBulkPaymentResponse> BulkPayments::Answer(
    const v1::WatchBulkPaymentRequest& watch, ReadTx& tx) {
  return Find<v1::WatchBulkPaymentResponse>(watch.bulk_payment_id(), tx);
}

}  // namespace leftfold::orders
