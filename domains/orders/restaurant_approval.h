#ifndef DOMAINS_ORDERS_RESTAURANT_APPROVAL_H_
#define DOMAINS_ORDERS_RESTAURANT_APPROVAL_H_

#include <absl/status/status.h>

#include <string_view>

#include "core/reactor.h"
#include "leftfold/orders/v1/events.pb.h"

namespace leftfold::orders {

// What a restaurant that approves each order is taken to need for the food.
inline constexpr int kAutoPrepMinutes = 20;

// Asks the restaurant for each order that is paid, and answers for those that approve each order.
struct RestaurantApproval {
  static constexpr std::string_view kName = "restaurant_approval";
  static constexpr std::string_view kSchema[] = {
      "CREATE TABLE automatic (restaurant_id TEXT PRIMARY KEY NOT NULL) STRICT"};
  using Reacting = Types<v1::RestaurantRegistered, v1::OrderPaid, v1::ApprovalRequested>;

  static absl::Status React(const v1::RestaurantRegistered& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const v1::OrderPaid& event, const EventMeta& meta, OwnTables& tables,
                            Outbox& outbox);
  static absl::Status React(const v1::ApprovalRequested& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_RESTAURANT_APPROVAL_H_
