#ifndef DOMAINS_ORDERS_ORDER_TIMELINE_H_
#define DOMAINS_ORDERS_ORDER_TIMELINE_H_

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

#include "core/ids.h"
#include "core/view.h"
#include "domains/orders/order.h"
#include "domains/orders/order_words.h"
#include "leftfold/orders/v1/queries.pb.h"

namespace leftfold::orders {

// What happened to each order: one row an event, appended in the log's order.
struct OrderTimeline {
  static constexpr std::string_view kName = "order_timeline";
  static constexpr int kVersion = 2;
  static constexpr std::string_view kSchema = R"(
    CREATE TABLE entry (
      position INTEGER PRIMARY KEY,
      order_id TEXT NOT NULL,
      version INTEGER NOT NULL,
      type TEXT NOT NULL,
      text TEXT NOT NULL,
      recorded_at INTEGER NOT NULL,  -- Unix microseconds.
      actor TEXT NOT NULL
    ) STRICT;
    CREATE INDEX entry_of_order ON entry (order_id);
  )";
  using Handles = Order::Events;
  using Queries = Types<v1::GetTimelineRequest>;
  using Watches = Types<>;
  static constexpr Poison kOnPoison = Poison::kParkStream;

  template <class Event>
  static void On(const Event& event, const EventMeta& meta, WriteTx& tx) {
    Record(Event::descriptor()->name(), TextOf(event), meta, tx);
  }

  static absl::StatusOr<v1::GetTimelineResponse> Answer(const v1::GetTimelineRequest& query,
                                                        ReadTx& tx);
  static std::string Stream(const v1::GetTimelineRequest& query) {
    return StreamName(Order::kCategory, query.order_id());
  }

 private:
  static void Record(const std::string& type, const std::string& text, const EventMeta& meta,
                     WriteTx& tx);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_ORDER_TIMELINE_H_
