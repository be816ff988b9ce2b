#ifndef DOMAINS_ORDERS_ORDER_ERRORS_H_
#define DOMAINS_ORDERS_ORDER_ERRORS_H_

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/view.h"
#include "leftfold/core/v1/reactions.pb.h"
#include "leftfold/orders/v1/events.pb.h"
#include "leftfold/orders/v1/queries.pb.h"
#include "leftfold/payments/v1/events.pb.h"

namespace leftfold::orders {

// What went wrong on the way of orders: what the reactors of orders and payments could not deliver
// (the engine's events, in `reaction-<reactor>`), and stages of an order that failed.
struct OrderErrors {
  static constexpr std::string_view kName = "order_errors";
  static constexpr int kVersion = 3;
  static constexpr std::string_view kSchema = R"(
    CREATE TABLE error (
      position INTEGER PRIMARY KEY,  -- Of the event with which it began.
      error_id TEXT NOT NULL UNIQUE,
      state INTEGER NOT NULL,
      reactor TEXT NOT NULL,
      key TEXT NOT NULL,
      document BLOB NOT NULL  -- leftfold.orders.v1.ProcessError.
    ) STRICT;
    CREATE INDEX error_by_state ON error (state);
    CREATE INDEX error_by_key ON error (reactor, key, state);
  )";
  using Handles =
      Types<core::v1::DeliveryParked, core::v1::RetryRequested, core::v1::SkipRequested,
            core::v1::DeliveredAfterParking, v1::OrderPaymentDeclined, v1::OrderPaymentFailed,
            v1::OrderPaid, v1::ApprovalTimedOut, v1::NoAgentAvailable, v1::DeliveryFailed,
            v1::OrderExpired, v1::OrderCancelled, v1::RefundStuck, v1::RefundRequested,
            v1::OrderRefunded, payments::v1::RefundFailed, payments::v1::RefundSucceeded>;
  using Queries = Types<v1::ListErrorsRequest>;
  using Watches = Types<v1::WatchErrorsRequest>;
  static constexpr Poison kOnPoison = Poison::kParkStream;

  static void On(const core::v1::DeliveryParked& event, const EventMeta& meta, WriteTx& tx);
  static void On(const core::v1::RetryRequested& event, const EventMeta& meta, WriteTx& tx);
  static void On(const core::v1::SkipRequested& event, const EventMeta& meta, WriteTx& tx);
  static void On(const core::v1::DeliveredAfterParking& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderPaymentDeclined& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderPaymentFailed& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderPaid& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::ApprovalTimedOut& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::NoAgentAvailable& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::DeliveryFailed& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderExpired& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderCancelled& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RefundStuck& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RefundRequested& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderRefunded& event, const EventMeta& meta, WriteTx& tx);
  static void On(const payments::v1::RefundFailed& event, const EventMeta& meta, WriteTx& tx);
  static void On(const payments::v1::RefundSucceeded& event, const EventMeta& meta, WriteTx& tx);

  static absl::StatusOr<v1::ListErrorsResponse> Answer(const v1::ListErrorsRequest& query,
                                                       ReadTx& tx);
  static bool Matches(const v1::WatchErrorsRequest& watch, std::string_view key, ReadTx& tx);
  static std::vector<std::string> Keys(const v1::WatchErrorsRequest& watch, std::string_view after,
                                       int limit, ReadTx& tx);
  static absl::StatusOr<v1::WatchErrorsResponse> Answer(const v1::WatchErrorsRequest& watch,
                                                        std::string_view key, ReadTx& tx);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_ORDER_ERRORS_H_
