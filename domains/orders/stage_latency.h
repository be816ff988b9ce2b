#ifndef DOMAINS_ORDERS_STAGE_LATENCY_H_
#define DOMAINS_ORDERS_STAGE_LATENCY_H_

#include <absl/status/statusor.h>

#include <string_view>

#include "core/view.h"
#include "leftfold/orders/v1/events.pb.h"
#include "leftfold/orders/v1/queries.pb.h"

namespace leftfold::orders {

// How long the stages of orders take, by the times at which their events were recorded: a histogram
// (latency_histogram.h: percentiles are at most 1.6 % off) for each stage in each minute, hour and
// day in which it ended. One stage of an order runs at a time, or none.
struct StageLatency {
  static constexpr std::string_view kName = "stage_latency";
  static constexpr int kVersion = 1;
  // A stage is the number of its field in StageLatencies.
  static constexpr std::string_view kSchema = R"(
    CREATE TABLE running (
      order_id TEXT PRIMARY KEY NOT NULL,
      stage INTEGER NOT NULL,  -- 0: none.
      since INTEGER NOT NULL,  -- Unix microseconds.
      stage_before INTEGER NOT NULL,
      since_before INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE bucket (
      interval INTEGER NOT NULL,  -- leftfold.orders.v1.SeriesInterval.
      start INTEGER NOT NULL,  -- Unix seconds.
      stage INTEGER NOT NULL,
      bucket INTEGER NOT NULL,
      durations INTEGER NOT NULL,
      PRIMARY KEY (interval, start, stage, bucket)
    ) STRICT, WITHOUT ROWID;
  )";
  using Handles =
      Types<v1::OrderPlaced, v1::OrderValidated, v1::OrderInvalidated, v1::PaymentRequested,
            v1::OrderPaid, v1::OrderPaymentDeclined, v1::OrderPaymentFailed, v1::OrderApproved,
            v1::OrderRejected, v1::ApprovalTimedOut, v1::AgentAssigned, v1::AgentUnassigned,
            v1::NoAgentAvailable, v1::FoodPickedUp, v1::OrderDelivered, v1::DeliveryFailed,
            v1::OrderCancelled, v1::OrderExpired>;
  using Queries = Types<v1::GetStageLatencyRequest>;
  using Watches = Types<>;
  static constexpr Poison kOnPoison = Poison::kParkStream;

  static void On(const v1::OrderPlaced& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderValidated& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderInvalidated& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::PaymentRequested& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderPaid& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderPaymentDeclined& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderPaymentFailed& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderApproved& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderRejected& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::ApprovalTimedOut& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::AgentAssigned& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::AgentUnassigned& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::NoAgentAvailable& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::FoodPickedUp& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderDelivered& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::DeliveryFailed& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderCancelled& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderExpired& event, const EventMeta& meta, WriteTx& tx);

  static absl::StatusOr<v1::GetStageLatencyResponse> Answer(const v1::GetStageLatencyRequest& query,
                                                            ReadTx& tx);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_STAGE_LATENCY_H_
