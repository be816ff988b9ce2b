#ifndef DOMAINS_ORDERS_VALIDATE_ORDER_H_
#define DOMAINS_ORDERS_VALIDATE_ORDER_H_

#include <absl/status/status.h>

#include <string_view>

#include "core/reactor.h"
#include "leftfold/orders/v1/events.pb.h"

namespace leftfold::orders {

// Finds an order that was placed valid, with the prices that the menu has then, or invalid, with
// all that is wrong with it.
struct ValidateOrder {
  static constexpr std::string_view kName = "validate_order";
  // What a restaurant was registered with, and the orders that it has open.
  static constexpr std::string_view kSchema[] = {
      R"(CREATE TABLE restaurant (
           restaurant_id TEXT PRIMARY KEY NOT NULL,
           currency TEXT NOT NULL,
           max_open_orders INTEGER NOT NULL
         ) STRICT)",
      R"(CREATE TABLE open_order (
           order_id TEXT PRIMARY KEY NOT NULL,
           restaurant_id TEXT NOT NULL
         ) STRICT)",
      "CREATE INDEX open_order_of_restaurant ON open_order (restaurant_id)"};
  // After these the restaurant is not busy with the order any more.
  using Closing =
      Types<v1::OrderDelivered, v1::DeliveryFailed, v1::OrderRejected, v1::ApprovalTimedOut,
            v1::NoAgentAvailable, v1::OrderCancelled, v1::OrderExpired, v1::OrderPaymentFailed>;
  using Reacting = Concat<Types<v1::RestaurantRegistered, v1::OrderPlaced>, Closing>;

  static absl::Status React(const v1::RestaurantRegistered& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const v1::OrderPlaced& event, const EventMeta& meta, OwnTables& tables,
                            Outbox& outbox);
  template <class Event>
  requires Closing::kContains<Event>
  static absl::Status React(const Event&, const EventMeta& meta, OwnTables& tables, Outbox&) {
    Close(meta, tables);
    return absl::OkStatus();
  }

 private:
  static void Close(const EventMeta& meta, OwnTables& tables);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_VALIDATE_ORDER_H_
