#include "domains/orders/restaurants.h"

#include <string>

#include "core/page.h"
#include "core/reject.h"
#include "leftfold/orders/v1/commands.pb.h"

namespace leftfold::orders {
namespace {

// Every event raises the version.
void Stamp(const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE restaurant SET version = ? WHERE restaurant_id = ?", meta.version(),
          meta.aggregate_id());
}

void SetOpen(bool open, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE restaurant SET version = ?, open = ? WHERE restaurant_id = ?", meta.version(),
          open, meta.aggregate_id());
}

void SetAvailable(bool available, const std::string& item_id, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE item SET available = ? WHERE restaurant_id = ? AND item_id = ?", available,
          meta.aggregate_id(), item_id);
  Stamp(meta, tx);
}

void ReadRow(const Rows& rows, v1::Restaurant& restaurant) {
  restaurant.set_restaurant_id(rows.Text(0));
  restaurant.set_version(rows.Int(1));
  restaurant.set_name(rows.Text(2));
  restaurant.set_currency(rows.Text(3));
  restaurant.set_approval_mode(static_cast<v1::ApprovalMode>(rows.Int(4)));
  restaurant.set_max_open_orders(static_cast<std::int32_t>(rows.Int(5)));
  restaurant.set_open(rows.Int(6) != 0);
}

absl::Status NoSuchRestaurant(const std::string& restaurant_id) {
  return Reject(v1::ERROR_REASON_RESTAURANT_NOT_FOUND, "there is no restaurant " + restaurant_id,
                {{"restaurant_id", restaurant_id}});
}

Rows SelectPage(bool open_only, const Page& page, ReadTx& tx) {
  if (!open_only) {
    return tx.Query(
        "SELECT restaurant_id, version, name, currency, approval_mode, max_open_orders, open "
        "FROM restaurant WHERE restaurant_id > ? ORDER BY restaurant_id LIMIT ?",
        page.after(), page.size() + 1);
  }
  return tx.Query(
      "SELECT restaurant_id, version, name, currency, approval_mode, max_open_orders, open "
      "FROM restaurant INDEXED BY restaurant_open WHERE open = 1 AND restaurant_id > ? "
      "ORDER BY restaurant_id LIMIT ?",
      page.after(), page.size() + 1);
}

}  // namespace

void Restaurants::On(const v1::RestaurantRegistered& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec(
      "INSERT OR REPLACE INTO restaurant (restaurant_id, version, name, currency, approval_mode, "
      "max_open_orders, open) VALUES (?, ?, ?, ?, ?, ?, 0)",
      meta.aggregate_id(), meta.version(), event.name(), event.currency(),
      static_cast<std::int32_t>(event.approval_mode()), event.max_open_orders());
}

void Restaurants::On(const v1::RestaurantOpened&, const EventMeta& meta, WriteTx& tx) {
  SetOpen(true, meta, tx);
}

void Restaurants::On(const v1::RestaurantClosed&, const EventMeta& meta, WriteTx& tx) {
  SetOpen(false, meta, tx);
}

void Restaurants::On(const v1::MenuItemAdded& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec(
      "INSERT OR REPLACE INTO item (restaurant_id, item_id, name, price_minor, category, "
      "available) VALUES (?, ?, ?, ?, ?, 1)",
      meta.aggregate_id(), event.item_id(), event.name(), event.price_minor(), event.category());
  Stamp(meta, tx);
}

void Restaurants::On(const v1::MenuItemPriceChanged& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE item SET price_minor = ? WHERE restaurant_id = ? AND item_id = ?",
          event.price_minor(), meta.aggregate_id(), event.item_id());
  Stamp(meta, tx);
}

void Restaurants::On(const v1::MenuItemSoldOut& event, const EventMeta& meta, WriteTx& tx) {
  SetAvailable(false, event.item_id(), meta, tx);
}

void Restaurants::On(const v1::MenuItemAvailable& event, const EventMeta& meta, WriteTx& tx) {
  SetAvailable(true, event.item_id(), meta, tx);
}

void Restaurants::On(const v1::MenuItemRemoved& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("DELETE FROM item WHERE restaurant_id = ? AND item_id = ?", meta.aggregate_id(),
          event.item_id());
  Stamp(meta, tx);
}

absl::StatusOr<v1::GetRestaurantResponse> Restaurants::Answer(const v1::GetRestaurantRequest& query,
                                                              ReadTx& tx) {
  Rows rows = tx.Query(
      "SELECT restaurant_id, version, name, currency, approval_mode, max_open_orders, open "
      "FROM restaurant WHERE restaurant_id = ?",
      query.restaurant_id());
  if (!rows.Next()) return NoSuchRestaurant(query.restaurant_id());
  v1::GetRestaurantResponse response;
  ReadRow(rows, *response.mutable_restaurant());
  return response;
}

absl::StatusOr<v1::ListRestaurantsResponse> Restaurants::Answer(
    const v1::ListRestaurantsRequest& query, ReadTx& tx) {
  const absl::StatusOr<Page> page = Page::Of(query);
  if (!page.ok()) return page.status();
  v1::ListRestaurantsResponse response;
  Rows rows = SelectPage(query.open_only(), *page, tx);
  while (rows.Next()) {
    if (response.restaurants_size() == page->size()) {
      response.set_next_page_token(
          page->TokenAfter(response.restaurants().rbegin()->restaurant_id()));
      break;
    }
    ReadRow(rows, *response.add_restaurants());
  }
  return response;
}

absl::StatusOr<v1::ListMenuResponse> Restaurants::Answer(const v1::ListMenuRequest& query,
                                                         ReadTx& tx) {
  const absl::StatusOr<Page> page = Page::Of(query);
  if (!page.ok()) return page.status();
  if (!tx.Query("SELECT 1 FROM restaurant WHERE restaurant_id = ?", query.restaurant_id()).Next()) {
    return NoSuchRestaurant(query.restaurant_id());
  }
  v1::ListMenuResponse response;
  Rows rows = tx.Query(
      "SELECT item_id, name, price_minor, category, available FROM item INDEXED BY item_by_name "
      "WHERE restaurant_id = ? AND name > ? ORDER BY name LIMIT ?",
      query.restaurant_id(), page->after(), page->size() + 1);
  while (rows.Next()) {
    if (response.items_size() == page->size()) {
      response.set_next_page_token(page->TokenAfter(response.items().rbegin()->name()));
      break;
    }
    v1::MenuItem& item = *response.add_items();
    item.set_item_id(rows.Text(0));
    item.set_name(rows.Text(1));
    item.set_price_minor(rows.Int(2));
    item.set_category(rows.Text(3));
    item.set_available(rows.Int(4) != 0);
  }
  return response;
}

}  // namespace leftfold::orders
