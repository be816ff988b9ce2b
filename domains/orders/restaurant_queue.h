#ifndef DOMAINS_ORDERS_RESTAURANT_QUEUE_H_
#define DOMAINS_ORDERS_RESTAURANT_QUEUE_H_

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/view.h"
#include "leftfold/orders/v1/events.pb.h"
#include "leftfold/orders/v1/queries.pb.h"

namespace leftfold::orders {

// What each restaurant has to answer. A row is there from when the order is valid to when the
// restaurant has answered or needs not any more; it is pending once the restaurant was asked.
struct RestaurantQueue {
  static constexpr std::string_view kName = "restaurant_queue";
  static constexpr int kVersion = 1;
  static constexpr std::string_view kSchema = R"(
    CREATE TABLE valid (
      order_id TEXT PRIMARY KEY NOT NULL,
      document BLOB NOT NULL,  -- leftfold.orders.v1.PendingApproval without respond_by.
      restaurant_id TEXT,  -- Once it was asked.
      respond_by INTEGER  -- Unix microseconds, once it was asked.
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX pending ON valid (restaurant_id, respond_by, order_id)
      WHERE respond_by IS NOT NULL;
    CREATE INDEX pending_by_order ON valid (restaurant_id, order_id) WHERE respond_by IS NOT NULL;
  )";
  using Handles =
      Types<v1::OrderValidated, v1::ApprovalRequested, v1::OrderApproved, v1::OrderRejected,
            v1::ApprovalTimedOut, v1::OrderPaymentFailed, v1::OrderCancelled, v1::OrderExpired>;
  using Queries = Types<v1::ListPendingApprovalsRequest>;
  using Watches = Types<v1::WatchPendingApprovalsRequest>;
  static constexpr Poison kOnPoison = Poison::kParkStream;

  template <class Event>
  static void On(const Event&, const EventMeta& meta, WriteTx& tx) {
    Remove(meta, tx);
  }
  static void On(const v1::OrderValidated& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::ApprovalRequested& event, const EventMeta& meta, WriteTx& tx);

  static absl::StatusOr<v1::ListPendingApprovalsResponse> Answer(
      const v1::ListPendingApprovalsRequest& query, ReadTx& tx);

  static bool Matches(const v1::WatchPendingApprovalsRequest& watch, std::string_view key,
                      ReadTx& tx);
  static std::vector<std::string> Keys(const v1::WatchPendingApprovalsRequest& watch,
                                       std::string_view after, int limit, ReadTx& tx);
  static absl::StatusOr<v1::WatchPendingApprovalsResponse> Answer(
      const v1::WatchPendingApprovalsRequest& watch, std::string_view key, ReadTx& tx);

 private:
  static void Remove(const EventMeta& meta, WriteTx& tx);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_RESTAURANT_QUEUE_H_
