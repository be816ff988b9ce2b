#ifndef DOMAINS_ORDERS_RESTAURANTS_H_
#define DOMAINS_ORDERS_RESTAURANTS_H_

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

#include "core/ids.h"
#include "core/view.h"
#include "domains/orders/restaurant.h"
#include "leftfold/orders/v1/events.pb.h"
#include "leftfold/orders/v1/queries.pb.h"

namespace leftfold::orders {

// The restaurants and their menus.
struct Restaurants {
  static constexpr std::string_view kName = "restaurants";
  static constexpr int kVersion = 1;
  static constexpr std::string_view kSchema = R"(
    CREATE TABLE restaurant (
      restaurant_id TEXT PRIMARY KEY NOT NULL,
      version INTEGER NOT NULL,
      name TEXT NOT NULL,
      currency TEXT NOT NULL,
      approval_mode INTEGER NOT NULL,
      max_open_orders INTEGER NOT NULL,
      open INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX restaurant_open ON restaurant (restaurant_id) WHERE open = 1;
    CREATE TABLE item (
      restaurant_id TEXT NOT NULL,
      item_id TEXT NOT NULL,
      name TEXT NOT NULL COLLATE NOCASE,
      price_minor INTEGER NOT NULL,
      category TEXT NOT NULL,
      available INTEGER NOT NULL,
      PRIMARY KEY (restaurant_id, item_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX item_by_name ON item (restaurant_id, name);
  )";
  using Handles = Types<v1::RestaurantRegistered, v1::RestaurantOpened, v1::RestaurantClosed,
                        v1::MenuItemAdded, v1::MenuItemPriceChanged, v1::MenuItemSoldOut,
                        v1::MenuItemAvailable, v1::MenuItemRemoved>;
  using Queries = Types<v1::GetRestaurantRequest, v1::ListRestaurantsRequest, v1::ListMenuRequest>;
  using Watches = Types<>;
  static constexpr Poison kOnPoison = Poison::kParkStream;

  static void On(const v1::RestaurantRegistered& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RestaurantOpened& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RestaurantClosed& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::MenuItemAdded& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::MenuItemPriceChanged& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::MenuItemSoldOut& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::MenuItemAvailable& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::MenuItemRemoved& event, const EventMeta& meta, WriteTx& tx);

  static absl::StatusOr<v1::GetRestaurantResponse> Answer(const v1::GetRestaurantRequest& query,
                                                          ReadTx& tx);
  static std::string Stream(const v1::GetRestaurantRequest& query) {
    return StreamName(Restaurant::kCategory, query.restaurant_id());
  }
  static absl::StatusOr<v1::ListRestaurantsResponse> Answer(const v1::ListRestaurantsRequest& query,
                                                            ReadTx& tx);
  static absl::StatusOr<v1::ListMenuResponse> Answer(const v1::ListMenuRequest& query, ReadTx& tx);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_RESTAURANTS_H_
