#include "domains/orders/validate_order.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <optional>
#include <string>

#include "core/money.h"
#include "domains/orders/checks.h"
#include "domains/orders/restaurant.h"
#include "leftfold/orders/v1/commands.pb.h"

namespace leftfold::orders {
namespace {

using Reasons = google::protobuf::RepeatedPtrField<v1::InvalidOrderReason>;

void Add(Reasons& reasons, v1::InvalidReason code, const std::string& item_id = "") {
  v1::InvalidOrderReason& reason = *reasons.Add();
  reason.set_code(code);
  reason.set_item_id(item_id);
}

const v1::MenuItemState* FindItem(const v1::RestaurantState& restaurant,
                                  const std::string& item_id) {
  const auto& items = restaurant.items();
  const auto it = std::find_if(items.begin(), items.end(),
                               [&](const auto& item) { return item.item_id() == item_id; });
  return it == items.end() ? nullptr : &*it;
}

// Prices the lines; what is wrong with them goes to `reasons`, once for each item.
void Price(const v1::OrderPlaced& order, const v1::RestaurantState& restaurant,
           v1::ConfirmOrderValidRequest& valid, Reasons& reasons) {
  absl::flat_hash_map<std::string, int> quantities;
  std::int64_t total = 0;
  for (const v1::OrderLine& line : order.lines()) {
    int& quantity = quantities[line.item_id()];
    const bool first = quantity == 0;
    const bool too_large = quantity > kQuantityMax;
    quantity += line.qty();
    if (quantity > kQuantityMax && !too_large)
      Add(reasons, v1::INVALID_REASON_QUANTITY_TOO_LARGE, line.item_id());
    const v1::MenuItemState* item = FindItem(restaurant, line.item_id());
    if (item == nullptr) {
      if (first) Add(reasons, v1::INVALID_REASON_ITEM_NOT_FOUND, line.item_id());
      continue;
    }
    if (item->sold_out() && first) Add(reasons, v1::INVALID_REASON_ITEM_SOLD_OUT, line.item_id());
    v1::PricedLine& priced = *valid.add_priced_lines();
    priced.set_item_id(line.item_id());
    priced.set_name(item->name());
    priced.set_qty(line.qty());
    priced.set_unit_price_minor(item->price_minor());
    total += item->price_minor() * line.qty();
  }
  if (total > kAmountMinorMax) Add(reasons, v1::INVALID_REASON_TOTAL_TOO_LARGE);
  valid.set_total_minor(total);
}

bool IsBusy(std::string_view restaurant_id, std::int64_t max_open_orders, OwnTables& tables) {
  if (max_open_orders == 0) return false;
  Rows rows =
      tables.Query("SELECT count(*) FROM open_order WHERE restaurant_id = ?", restaurant_id);
  return rows.Next() && rows.Int(0) >= max_open_orders;
}

}  // namespace

absl::Status ValidateOrder::React(const v1::RestaurantRegistered& event, const EventMeta& meta,
                                  OwnTables& tables, Outbox&) {
  tables.Exec("INSERT INTO restaurant VALUES (?, ?, ?)", meta.aggregate_id(), event.currency(),
              event.max_open_orders());
  return absl::OkStatus();
}

absl::Status ValidateOrder::React(const v1::OrderPlaced& event, const EventMeta& meta,
                                  OwnTables& tables, Outbox& outbox) {
  v1::ConfirmOrderValidRequest valid;
  v1::MarkOrderInvalidRequest invalid;
  Reasons& reasons = *invalid.mutable_reasons();
  valid.set_order_id(std::string(meta.aggregate_id()));
  invalid.set_order_id(valid.order_id());
  std::int64_t max_open_orders = 0;
  for (Rows rows =
           tables.Query("SELECT currency, max_open_orders FROM restaurant WHERE restaurant_id = ?",
                        event.restaurant_id());
       rows.Next();) {
    valid.set_currency(rows.Text(0));
    max_open_orders = rows.Int(1);
  }
  if (valid.currency().empty()) {
    Add(reasons, v1::INVALID_REASON_RESTAURANT_NOT_FOUND);
  } else {
    const auto restaurant = tables.Load<Restaurant>(event.restaurant_id());
    if (!restaurant.ok()) return restaurant.status();
    if (!restaurant->open()) Add(reasons, v1::INVALID_REASON_RESTAURANT_CLOSED);
    if (IsBusy(event.restaurant_id(), max_open_orders, tables))
      Add(reasons, v1::INVALID_REASON_RESTAURANT_BUSY);
    Price(event, *restaurant, valid, reasons);
  }
  if (!reasons.empty()) {
    outbox.Send(invalid);
    return absl::OkStatus();
  }
  tables.Exec("INSERT INTO open_order VALUES (?, ?)", valid.order_id(), event.restaurant_id());
  outbox.Send(valid);
  return absl::OkStatus();
}

void ValidateOrder::Close(const EventMeta& meta, OwnTables& tables) {
  tables.Exec("DELETE FROM open_order WHERE order_id = ?", meta.aggregate_id());
}

}  // namespace leftfold::orders
