#include "domains/orders/restaurant.h"

#include <absl/strings/match.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "domains/orders/checks.h"

namespace leftfold::orders {
namespace {

absl::Status CheckExists(const v1::RestaurantState& state, const CommandContext& context) {
  if (state.exists()) return absl::OkStatus();
  return Reject(v1::ERROR_REASON_RESTAURANT_NOT_FOUND,
                fmt::format("there is no restaurant {}; register it first", context.aggregate_id),
                {{"restaurant_id", context.aggregate_id}});
}

auto Find(v1::RestaurantState& state, const std::string& item_id) {
  auto& items = *state.mutable_items();
  return std::find_if(items.begin(), items.end(),
                      [&](const v1::MenuItemState& item) { return item.item_id() == item_id; });
}

// The item that the command is about.
template <class Command>
absl::StatusOr<v1::MenuItemState> ItemOf(const Command& command, const v1::RestaurantState& state,
                                         const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  for (const v1::MenuItemState& item : state.items()) {
    if (item.item_id() == command.item_id()) return item;
  }
  return Reject(v1::ERROR_REASON_ITEM_NOT_FOUND,
                fmt::format("the menu of restaurant {} has no item {}", context.aggregate_id,
                            command.item_id()),
                {{"restaurant_id", context.aggregate_id}, {"item_id", command.item_id()}});
}

template <class Event, class Command>
Event OfItem(const Command& command) {
  Event event;
  event.set_item_id(command.item_id());
  return event;
}

}  // namespace

void Restaurant::Validate(const v1::RegisterRestaurantRequest& command, Violations& violations) {
  CheckName(command.name(), "name", violations);
  CheckCurrency(command.currency(), violations);
  if (command.approval_mode() != v1::APPROVAL_MODE_AUTO &&
      command.approval_mode() != v1::APPROVAL_MODE_MANUAL) {
    violations.Add(v1::ERROR_REASON_INVALID_APPROVAL_MODE, "approval_mode",
                   "must be APPROVAL_MODE_AUTO or APPROVAL_MODE_MANUAL");
  }
  if (command.max_open_orders() < 0) {
    violations.Add("max_open_orders", "must not be negative; 0 is no limit");
  }
}

void Restaurant::Validate(const v1::OpenRestaurantRequest&, Violations&) {}

void Restaurant::Validate(const v1::CloseRestaurantRequest&, Violations&) {}

void Restaurant::Validate(const v1::AddMenuItemRequest& command, Violations& violations) {
  if (!command.item_id().empty()) CheckId(command.item_id(), "item_id", violations);
  CheckName(command.name(), "name", violations);
  CheckPrice(command.price_minor(), "price_minor", violations);
  CheckText(command.category(), "category", kNameBytesMax, violations);
}

void Restaurant::Validate(const v1::ChangeMenuItemPriceRequest& command, Violations& violations) {
  CheckId(command.item_id(), "item_id", violations);
  CheckPrice(command.price_minor(), "price_minor", violations);
}

void Restaurant::Validate(const v1::MarkItemSoldOutRequest& command, Violations& violations) {
  CheckId(command.item_id(), "item_id", violations);
}

void Restaurant::Validate(const v1::MarkItemAvailableRequest& command, Violations& violations) {
  CheckId(command.item_id(), "item_id", violations);
}

void Restaurant::Validate(const v1::RemoveMenuItemRequest& command, Violations& violations) {
  CheckId(command.item_id(), "item_id", violations);
}

Restaurant::Decision Restaurant::Decide(const v1::RegisterRestaurantRequest& command,
                                        const State& state, const CommandContext& context) {
  if (state.exists()) {
    return Reject(
        v1::ERROR_REASON_RESTAURANT_EXISTS,
        fmt::format("there is a restaurant {} already; take another id", context.aggregate_id),
        {{"restaurant_id", context.aggregate_id}});
  }
  v1::RestaurantRegistered registered;
  registered.set_name(command.name());
  registered.set_currency(command.currency());
  registered.set_approval_mode(command.approval_mode());
  registered.set_max_open_orders(command.max_open_orders());
  return Accept(std::move(registered));
}

Restaurant::Decision Restaurant::Decide(const v1::OpenRestaurantRequest&, const State& state,
                                        const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  if (!state.open()) return Accept(v1::RestaurantOpened());
  return Reject(v1::ERROR_REASON_ALREADY_OPEN,
                fmt::format("restaurant {} is open already", context.aggregate_id),
                {{"restaurant_id", context.aggregate_id}});
}

Restaurant::Decision Restaurant::Decide(const v1::CloseRestaurantRequest&, const State& state,
                                        const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  if (state.open()) return Accept(v1::RestaurantClosed());
  return Reject(v1::ERROR_REASON_ALREADY_CLOSED,
                fmt::format("restaurant {} is closed already", context.aggregate_id),
                {{"restaurant_id", context.aggregate_id}});
}

Restaurant::Decision Restaurant::Decide(const v1::AddMenuItemRequest& command, const State& state,
                                        const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  const std::string item_id = command.item_id().empty() ? context.NewId(0) : command.item_id();
  for (const v1::MenuItemState& item : state.items()) {
    if (item.item_id() != item_id && !absl::EqualsIgnoreCase(item.name(), command.name())) continue;
    return Reject(v1::ERROR_REASON_DUPLICATE_MENU_ITEM,
                  fmt::format("the menu of restaurant {} has the item {} named {} already; take "
                              "another id and name",
                              context.aggregate_id, item.item_id(), item.name()),
                  {{"restaurant_id", context.aggregate_id},
                   {"item_id", item.item_id()},
                   {"name", item.name()}});
  }
  if (state.items_size() >= kMenuItemsMax) {
    return Reject(
        v1::ERROR_REASON_MENU_FULL,
        fmt::format("the menu of restaurant {} has {} items; remove one first",
                    context.aggregate_id, kMenuItemsMax),
        {{"restaurant_id", context.aggregate_id}, {"maximum", fmt::to_string(kMenuItemsMax)}});
  }
  v1::MenuItemAdded added;
  added.set_item_id(item_id);
  added.set_name(command.name());
  added.set_price_minor(command.price_minor());
  added.set_category(command.category());
  return Accept(std::move(added)).Created(item_id);
}

Restaurant::Decision Restaurant::Decide(const v1::ChangeMenuItemPriceRequest& command,
                                        const State& state, const CommandContext& context) {
  const auto item = ItemOf(command, state, context);
  if (!item.ok()) return item.status();
  if (item->price_minor() == command.price_minor()) return Accept();
  auto changed = OfItem<v1::MenuItemPriceChanged>(command);
  changed.set_price_minor(command.price_minor());
  return Accept(std::move(changed));
}

Restaurant::Decision Restaurant::Decide(const v1::MarkItemSoldOutRequest& command,
                                        const State& state, const CommandContext& context) {
  const auto item = ItemOf(command, state, context);
  if (!item.ok()) return item.status();
  if (item->sold_out()) return Accept();
  return Accept(OfItem<v1::MenuItemSoldOut>(command));
}

Restaurant::Decision Restaurant::Decide(const v1::MarkItemAvailableRequest& command,
                                        const State& state, const CommandContext& context) {
  const auto item = ItemOf(command, state, context);
  if (!item.ok()) return item.status();
  if (!item->sold_out()) return Accept();
  return Accept(OfItem<v1::MenuItemAvailable>(command));
}

Restaurant::Decision Restaurant::Decide(const v1::RemoveMenuItemRequest& command,
                                        const State& state, const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(ItemOf(command, state, context).status());
  return Accept(OfItem<v1::MenuItemRemoved>(command));
}

void Restaurant::Evolve(State& state, const v1::RestaurantRegistered&) { state.set_exists(true); }

void Restaurant::Evolve(State& state, const v1::RestaurantOpened&) { state.set_open(true); }

void Restaurant::Evolve(State& state, const v1::RestaurantClosed&) { state.set_open(false); }

void Restaurant::Evolve(State& state, const v1::MenuItemAdded& event) {
  v1::MenuItemState& item = *state.add_items();
  item.set_item_id(event.item_id());
  item.set_name(event.name());
  item.set_price_minor(event.price_minor());
}

void Restaurant::Evolve(State& state, const v1::MenuItemPriceChanged& event) {
  const auto item = Find(state, event.item_id());
  if (item != state.mutable_items()->end()) item->set_price_minor(event.price_minor());
}

void Restaurant::Evolve(State& state, const v1::MenuItemSoldOut& event) {
  const auto item = Find(state, event.item_id());
  if (item != state.mutable_items()->end()) item->set_sold_out(true);
}

void Restaurant::Evolve(State& state, const v1::MenuItemAvailable& event) {
  const auto item = Find(state, event.item_id());
  if (item != state.mutable_items()->end()) item->set_sold_out(false);
}

void Restaurant::Evolve(State& state, const v1::MenuItemRemoved& event) {
  const auto item = Find(state, event.item_id());
  if (item != state.mutable_items()->end()) state.mutable_items()->erase(item);
}

}  // namespace leftfold::orders
