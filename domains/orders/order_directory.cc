#include "domains/orders/order_directory.h"

#include <utility>

#include "core/timestamp.h"
#include "domains/orders/checks.h"
#include "domains/orders/documents.h"

namespace leftfold::orders {
namespace {

// What follows from the event's envelope and from the stages.
void Stamp(const EventMeta& meta, v1::Order& order) {
  order.set_version(meta.version().value);
  *order.mutable_updated_at() = ToProto(meta.recorded_at());
  const v1::OrderStages& stages = order.stages();
  v1::OrderFlags& flags = *order.mutable_flags();
  flags.set_placed(true);
  flags.set_order_valid(stages.validation() == v1::STAGE_STATE_DONE);
  flags.set_payment_valid(stages.payment() == v1::STAGE_STATE_DONE);
  flags.set_approved(stages.approval() == v1::STAGE_STATE_DONE);
  flags.set_driver_assigned(stages.assignment() == v1::STAGE_STATE_DONE);
  flags.set_food_picked(stages.pickup() == v1::STAGE_STATE_DONE);
  flags.set_delivered(stages.delivery() == v1::STAGE_STATE_DONE);
}

absl::StatusOr<v1::Order> Find(std::string_view order_id, ReadTx& tx) {
  Rows rows = tx.Query("SELECT document FROM placed WHERE order_id = ?", order_id);
  if (!rows.Next()) return NoSuchOrder(order_id);
  v1::Order order;
  if (!Decode(rows.Blob(0), order)) return BrokenRow("order", order_id);
  return order;
}

template <class Response>
absl::StatusOr<Response> Answered(absl::StatusOr<v1::Order> order) {
  if (!order.ok()) return order.status();
  Response response;
  *response.mutable_order() = *std::move(order);
  return response;
}

// Position, id and document of the orders that `request` (a query or watch of a customer's orders)
// is about, as they were placed.
template <class Request>
Rows SelectOfCustomer(const Request& request, std::int64_t after, int limit, ReadTx& tx) {
  if (request.status() == v1::ORDER_STATUS_UNSPECIFIED) {
    return tx.Query(
        "SELECT position, order_id, document FROM placed INDEXED BY placed_by_customer "
        "WHERE customer_id = ? AND position > ? ORDER BY position LIMIT ?",
        request.customer_id(), after, limit);
  }
  return tx.Query(
      "SELECT position, order_id, document FROM placed INDEXED BY placed_by_customer_and_status "
      "WHERE customer_id = ? AND status = ? AND position > ? ORDER BY position LIMIT ?",
      request.customer_id(), static_cast<std::int32_t>(request.status()), after, limit);
}

}  // namespace

void OrderDirectory::Change(const EventMeta& meta, WriteTx& tx,
                            absl::FunctionRef<void(v1::Order&)> change) {
  v1::Order order;
  std::int64_t position = 0;
  {
    Rows rows =
        tx.Query("SELECT position, document FROM placed WHERE order_id = ?", meta.aggregate_id());
    if (!rows.Next()) return;
    if (!DecodeOrFail(rows.Blob(1), "order", meta.aggregate_id(), order, tx)) return;
    position = rows.Int(0);
  }
  change(order);
  Stamp(meta, order);
  const std::string document = order.SerializeAsString();
  tx.Exec("UPDATE placed SET status = ?, document = ? WHERE position = ?",
          static_cast<std::int32_t>(order.status()), AsBlob{document}, position);
  tx.Touch(meta.aggregate_id());
}

void OrderDirectory::On(const v1::OrderPlaced& event, const EventMeta& meta, WriteTx& tx) {
  v1::Order order;
  Apply(order, event);
  order.set_order_id(std::string(meta.aggregate_id()));
  *order.mutable_created_at() = ToProto(meta.recorded_at());
  Stamp(meta, order);
  const std::string document = order.SerializeAsString();
  tx.Exec(
      "INSERT OR REPLACE INTO placed (position, order_id, customer_id, status, document) "
      "VALUES (?, ?, ?, ?, ?)",
      meta.position(), meta.aggregate_id(), event.customer_id(),
      static_cast<std::int32_t>(order.status()), AsBlob{document});
  tx.Touch(meta.aggregate_id());
}

absl::StatusOr<v1::GetOrderResponse> OrderDirectory::Answer(const v1::GetOrderRequest& query,
                                                            ReadTx& tx) {
  return Answered<v1::GetOrderResponse>(Find(query.order_id(), tx));
}

absl::StatusOr<v1::ListOrdersResponse> OrderDirectory::Answer(const v1::ListOrdersRequest& query,
                                                              ReadTx& tx) {
  Violations violations;
  CheckId(query.customer_id(), "customer_id", violations);
  if (!violations.empty()) return violations.ToStatus();
  return DocumentPage(
      query, "order", &v1::ListOrdersResponse::mutable_orders,
      [&](std::int64_t after, int limit) { return SelectOfCustomer(query, after, limit, tx); });
}

absl::StatusOr<v1::WatchOrderResponse> OrderDirectory::Answer(const v1::WatchOrderRequest& watch,
                                                              ReadTx& tx) {
  return Answered<v1::WatchOrderResponse>(Find(watch.order_id(), tx));
}

bool OrderDirectory::Matches(const v1::WatchCustomerOrdersRequest& watch, std::string_view key,
                             ReadTx& tx) {
  Rows rows = tx.Query("SELECT status FROM placed WHERE order_id = ? AND customer_id = ?", key,
                       watch.customer_id());
  return rows.Next() &&
         (watch.status() == v1::ORDER_STATUS_UNSPECIFIED || rows.Int(0) == watch.status());
}

std::vector<std::string> OrderDirectory::Keys(const v1::WatchCustomerOrdersRequest& watch,
                                              std::string_view after, int limit, ReadTx& tx) {
  std::int64_t position = 0;
  {
    Rows rows = tx.Query("SELECT position FROM placed WHERE order_id = ?", after);
    if (rows.Next()) position = rows.Int(0);
  }
  std::vector<std::string> keys;
  Rows rows = SelectOfCustomer(watch, position, limit, tx);
  while (rows.Next()) keys.push_back(rows.Text(1));
  return keys;
}

absl::StatusOr<v1::WatchCustomerOrdersResponse> OrderDirectory::Answer(
    const v1::WatchCustomerOrdersRequest&, std::string_view key, ReadTx& tx) {
  return Answered<v1::WatchCustomerOrdersResponse>(Find(key, tx));
}

}  // namespace leftfold::orders
