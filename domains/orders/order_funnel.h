#ifndef DOMAINS_ORDERS_ORDER_FUNNEL_H_
#define DOMAINS_ORDERS_ORDER_FUNNEL_H_

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

#include "core/view.h"
#include "leftfold/orders/v1/events.pb.h"
#include "leftfold/orders/v1/queries.pb.h"

namespace leftfold::orders {

// The series that an event counts in: the number of its field in OrderCounts.
template <class Event>
inline constexpr int kSeriesOf = 0;
template <>
inline constexpr int kSeriesOf<v1::OrderPlaced> = v1::OrderCounts::kNumberOrdersFieldNumber;
template <>
inline constexpr int kSeriesOf<v1::OrderValidated> =
    v1::OrderCounts::kNumberOrdersValidatedFieldNumber;
template <>
inline constexpr int kSeriesOf<v1::OrderInvalidated> =
    v1::OrderCounts::kNumberOrdersInvalidFieldNumber;
template <>
inline constexpr int kSeriesOf<v1::OrderPaid> =
    v1::OrderCounts::kNumberOrdersPaymentValidFieldNumber;
template <>
inline constexpr int kSeriesOf<v1::OrderPaymentDeclined> =
    v1::OrderCounts::kNumberOrdersDeclinedFieldNumber;
template <>
inline constexpr int kSeriesOf<v1::OrderPaymentFailed> =
    v1::OrderCounts::kNumberOrdersPaymentFailedFieldNumber;
template <>
inline constexpr int kSeriesOf<v1::OrderApproved> =
    v1::OrderCounts::kNumberOrdersApprovedFieldNumber;
template <>
inline constexpr int kSeriesOf<v1::OrderRejected> =
    v1::OrderCounts::kNumberOrdersRejectedFieldNumber;
template <>
inline constexpr int kSeriesOf<v1::ApprovalTimedOut> =
    v1::OrderCounts::kNumberOrdersRejectedFieldNumber;
template <>
inline constexpr int kSeriesOf<v1::AgentAssigned> =
    v1::OrderCounts::kNumberOrdersDriverAssignedFieldNumber;
template <>
inline constexpr int kSeriesOf<v1::NoAgentAvailable> =
    v1::OrderCounts::kNumberOrdersNoAgentFieldNumber;
template <>
inline constexpr int kSeriesOf<v1::FoodPickedUp> = v1::OrderCounts::kNumberOrdersPickedFieldNumber;
template <>
inline constexpr int kSeriesOf<v1::OrderDelivered> =
    v1::OrderCounts::kNumberOrdersDeliveredFieldNumber;
template <>
inline constexpr int kSeriesOf<v1::DeliveryFailed> =
    v1::OrderCounts::kNumberOrdersDeliveryFailedFieldNumber;
template <>
inline constexpr int kSeriesOf<v1::OrderCancelled> =
    v1::OrderCounts::kNumberOrdersCancelledFieldNumber;
template <>
inline constexpr int kSeriesOf<v1::OrderExpired> = v1::OrderCounts::kNumberOrdersExpiredFieldNumber;
template <>
inline constexpr int kSeriesOf<v1::OrderRefunded> =
    v1::OrderCounts::kNumberOrdersRefundedFieldNumber;
template <>
inline constexpr int kSeriesOf<v1::RefundStuck> =
    v1::OrderCounts::kNumberOrdersRefundStuckFieldNumber;

// How many orders came how far: ever, and in each minute, hour and day. An order counts once in a
// series, when it happens to it for the first time.
struct OrderFunnel {
  static constexpr std::string_view kName = "order_funnel";
  static constexpr int kVersion = 1;
  static constexpr std::string_view kSchema = R"(
    CREATE TABLE placed (
      order_id TEXT PRIMARY KEY NOT NULL,
      series INTEGER NOT NULL  -- Bit n: it is counted in series n.
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE point (
      interval INTEGER NOT NULL,  -- leftfold.orders.v1.SeriesInterval; 0 is ever.
      start INTEGER NOT NULL,  -- Unix seconds; 0 where the interval is ever.
      series INTEGER NOT NULL,
      orders INTEGER NOT NULL,
      PRIMARY KEY (interval, start, series)
    ) STRICT, WITHOUT ROWID;
  )";
  using Handles =
      Types<v1::OrderPlaced, v1::OrderValidated, v1::OrderInvalidated, v1::OrderPaid,
            v1::OrderPaymentDeclined, v1::OrderPaymentFailed, v1::OrderApproved, v1::OrderRejected,
            v1::ApprovalTimedOut, v1::AgentAssigned, v1::NoAgentAvailable, v1::FoodPickedUp,
            v1::OrderDelivered, v1::DeliveryFailed, v1::OrderCancelled, v1::OrderExpired,
            v1::OrderRefunded, v1::RefundStuck>;
  using Queries = Types<v1::GetFunnelRequest, v1::GetSeriesRequest>;
  using Watches = Types<v1::WatchFunnelRequest>;
  static constexpr Poison kOnPoison = Poison::kParkStream;

  static constexpr std::string_view kFunnelKey = "funnel";

  template <class Event>
  static void On(const Event&, const EventMeta& meta, WriteTx& tx) {
    static_assert(kSeriesOf<Event> != 0);
    Count(kSeriesOf<Event>, meta, tx);
  }

  static absl::StatusOr<v1::GetFunnelResponse> Answer(const v1::GetFunnelRequest& query,
                                                      ReadTx& tx);
  static absl::StatusOr<v1::GetSeriesResponse> Answer(const v1::GetSeriesRequest& query,
                                                      ReadTx& tx);

  static std::string Key(const v1::WatchFunnelRequest&) { return std::string(kFunnelKey); }
  static absl::StatusOr<v1::WatchFunnelResponse> Answer(const v1::WatchFunnelRequest& watch,
                                                        ReadTx& tx);

 private:
  static void Count(int series, const EventMeta& meta, WriteTx& tx);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_ORDER_FUNNEL_H_
