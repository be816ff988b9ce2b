#ifndef DOMAINS_ORDERS_ORDER_DIRECTORY_H_
#define DOMAINS_ORDERS_ORDER_DIRECTORY_H_

#include <absl/functional/function_ref.h>
#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/view.h"
#include "domains/orders/order.h"
#include "domains/orders/order_fold.h"
#include "leftfold/orders/v1/queries.pb.h"

namespace leftfold::orders {

// The orders as documents, ready to be sent: each for itself, and those of a customer. Rows are
// appended in the order in which orders are placed, and so are a customer's rows in each index.
struct OrderDirectory {
  static constexpr std::string_view kName = "order_directory";
  static constexpr int kVersion = 1;
  static constexpr std::string_view kSchema = R"(
    CREATE TABLE placed (
      position INTEGER PRIMARY KEY,  -- Of the order's first event.
      order_id TEXT NOT NULL UNIQUE,
      customer_id TEXT NOT NULL,
      status INTEGER NOT NULL,
      document BLOB NOT NULL  -- leftfold.orders.v1.Order.
    ) STRICT;
    CREATE INDEX placed_by_customer ON placed (customer_id);
    CREATE INDEX placed_by_customer_and_status ON placed (customer_id, status);
  )";
  using Handles = Order::Events;
  using Queries = Types<v1::GetOrderRequest, v1::ListOrdersRequest>;
  using Watches = Types<v1::WatchOrderRequest, v1::WatchCustomerOrdersRequest>;
  static constexpr Poison kOnPoison = Poison::kParkStream;

  template <class Event>
  static void On(const Event& event, const EventMeta& meta, WriteTx& tx) {
    Change(meta, tx, [&](v1::Order& order) { Apply(order, event); });
  }
  static void On(const v1::OrderPlaced& event, const EventMeta& meta, WriteTx& tx);

  static absl::StatusOr<v1::GetOrderResponse> Answer(const v1::GetOrderRequest& query, ReadTx& tx);
  static std::string Stream(const v1::GetOrderRequest& query) {
    return StreamName(Order::kCategory, query.order_id());
  }
  static absl::StatusOr<v1::ListOrdersResponse> Answer(const v1::ListOrdersRequest& query,
                                                       ReadTx& tx);

  static std::string Key(const v1::WatchOrderRequest& watch) { return watch.order_id(); }
  static absl::StatusOr<v1::WatchOrderResponse> Answer(const v1::WatchOrderRequest& watch,
                                                       ReadTx& tx);

  static bool Matches(const v1::WatchCustomerOrdersRequest& watch, std::string_view key,
                      ReadTx& tx);
  static std::vector<std::string> Keys(const v1::WatchCustomerOrdersRequest& watch,
                                       std::string_view after, int limit, ReadTx& tx);
  static absl::StatusOr<v1::WatchCustomerOrdersResponse> Answer(
      const v1::WatchCustomerOrdersRequest& watch, std::string_view key, ReadTx& tx);

 private:
  // Loads the event's order, lets `change` change it, stores it.
  static void Change(const EventMeta& meta, WriteTx& tx,
                     absl::FunctionRef<void(v1::Order&)> change);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_ORDER_DIRECTORY_H_
