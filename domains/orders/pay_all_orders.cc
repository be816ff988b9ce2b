#include "domains/orders/pay_all_orders.h"

#include <fmt/format.h>

#include "core/ids.h"
#include "domains/orders/order.h"

namespace leftfold::orders {
namespace {

void SetPayable(const EventMeta& meta, bool payable, OwnTables& tables) {
  tables.Exec("UPDATE unpaid SET payable = ? WHERE order_id = ?", payable ? 1 : 0,
              meta.aggregate_id());
}

// Says what came of the bulk payment once all its orders have answered.
void Finish(const std::string& bulk_payment_id, OwnTables& tables, Outbox& outbox) {
  v1::RecordBulkPaymentBegunRequest begun;
  {
    Rows rows = tables.Query(
        "SELECT begun, refused, orders_left FROM bulk WHERE bulk_payment_id = ? AND waiting = 0",
        bulk_payment_id);
    if (!rows.Next()) return;
    begun.set_bulk_payment_id(bulk_payment_id);
    begun.set_orders_begun(static_cast<std::int32_t>(rows.Int(0)));
    begun.set_orders_refused(static_cast<std::int32_t>(rows.Int(1)));
    begun.set_orders_left(static_cast<std::int32_t>(rows.Int(2)));
  }
  tables.Exec("DELETE FROM bulk WHERE bulk_payment_id = ?", bulk_payment_id);
  outbox.Send(begun);
}

}  // namespace

std::string BulkPaymentIdOf(std::string_view bulk_payment_id, std::string_view order_id) {
  return ToString(DerivedUuid(fmt::format("bulk_payment-{}/{}", bulk_payment_id, order_id), 0));
}

absl::Status PayAllOrders::React(const v1::OrderPlaced& event, const EventMeta& meta,
                                 OwnTables& tables, Outbox&) {
  tables.Exec("INSERT INTO unpaid VALUES (?, ?, ?, 0, 0)", meta.position(), meta.aggregate_id(),
              event.customer_id());
  return absl::OkStatus();
}

absl::Status PayAllOrders::React(const v1::OrderValidated& event, const EventMeta& meta,
                                 OwnTables& tables, Outbox&) {
  tables.Exec("UPDATE unpaid SET total_minor = ?, payable = 1 WHERE order_id = ?",
              event.total_minor(), meta.aggregate_id());
  return absl::OkStatus();
}

absl::Status PayAllOrders::React(const v1::PaymentRequested&, const EventMeta& meta,
                                 OwnTables& tables, Outbox&) {
  SetPayable(meta, false, tables);
  return absl::OkStatus();
}

absl::Status PayAllOrders::React(const v1::OrderPaymentDeclined& event, const EventMeta& meta,
                                 OwnTables& tables, Outbox&) {
  SetPayable(meta, event.attempts_left() > 0, tables);
  return absl::OkStatus();
}

absl::Status PayAllOrders::React(const v1::BulkPaymentRequested& event, const EventMeta& meta,
                                 OwnTables& tables, Outbox& outbox) {
  const std::string bulk_payment_id(meta.aggregate_id());
  v1::PayForOrderRequest pay;
  pay.set_customer_id(event.customer_id());
  pay.set_method_type(event.method_type());
  pay.set_payment_token(event.payment_token());
  pay.set_card_last4(event.card_last4());
  int orders = 0;
  std::int64_t left = 0;
  {
    Rows rows = tables.Query(
        "SELECT order_id, total_minor FROM unpaid INDEXED BY payable_of_customer "
        "WHERE customer_id = ? AND payable = 1 ORDER BY position",
        event.customer_id());
    while (rows.Next()) {
      if (orders == kBulkPaymentOrdersMax) {
        ++left;
        continue;
      }
      ++orders;
      pay.set_order_id(rows.Text(0));
      pay.set_amount_minor(rows.Int(1));
      pay.set_payment_id(BulkPaymentIdOf(bulk_payment_id, pay.order_id()));
      tables.Exec("INSERT INTO asked VALUES (?, ?)", pay.payment_id(), bulk_payment_id);
      outbox.Send(pay, StreamName(Order::kCategory, pay.order_id()));
    }
  }
  tables.Exec("INSERT INTO bulk VALUES (?, ?, 0, 0, ?)", bulk_payment_id, orders, left);
  Finish(bulk_payment_id, tables, outbox);
  return absl::OkStatus();
}

absl::Status PayAllOrders::OnResult(const v1::PayForOrderRequest& sent, const Result& result,
                                    OwnTables& tables, Outbox& outbox) {
  std::string bulk_payment_id;
  {
    Rows rows = tables.Query("DELETE FROM asked WHERE payment_id = ? RETURNING bulk_payment_id",
                             sent.payment_id());
    while (rows.Next()) bulk_payment_id = rows.Text(0);
  }
  tables.Exec(
      "UPDATE bulk SET waiting = waiting - 1, begun = begun + ?2, refused = refused + 1 - ?2 "
      "WHERE bulk_payment_id = ?1",
      bulk_payment_id, result.status.ok() ? 1 : 0);
  Finish(bulk_payment_id, tables, outbox);
  return absl::OkStatus();
}

void PayAllOrders::Close(const EventMeta& meta, OwnTables& tables) {
  tables.Exec("DELETE FROM unpaid WHERE order_id = ?", meta.aggregate_id());
}

}  // namespace leftfold::orders
