#ifndef DOMAINS_ORDERS_RESTAURANT_H_
#define DOMAINS_ORDERS_RESTAURANT_H_

#include <string_view>

#include "core/aggregate.h"
#include "core/reject.h"
#include "leftfold/orders/v1/commands.pb.h"
#include "leftfold/orders/v1/events.pb.h"
#include "leftfold/orders/v1/state.pb.h"

namespace leftfold::orders {

inline constexpr int kMenuItemsMax = 500;

// Who cooks, and what: a menu of items with prices.
struct Restaurant {
  static constexpr std::string_view kCategory = "restaurant";
  using Commands =
      Types<v1::RegisterRestaurantRequest, v1::OpenRestaurantRequest, v1::CloseRestaurantRequest,
            v1::AddMenuItemRequest, v1::ChangeMenuItemPriceRequest, v1::MarkItemSoldOutRequest,
            v1::MarkItemAvailableRequest, v1::RemoveMenuItemRequest>;
  using Creates = Types<v1::RegisterRestaurantRequest>;
  using Events = Types<v1::RestaurantRegistered, v1::RestaurantOpened, v1::RestaurantClosed,
                       v1::MenuItemAdded, v1::MenuItemPriceChanged, v1::MenuItemSoldOut,
                       v1::MenuItemAvailable, v1::MenuItemRemoved>;
  using State = v1::RestaurantState;
  static constexpr int kStateVersion = 1;  // Bump it when Evolve or the state's meaning changes.
  using Decision = leftfold::Decision<Events>;

  static void Validate(const v1::RegisterRestaurantRequest& command, Violations& violations);
  static void Validate(const v1::OpenRestaurantRequest& command, Violations& violations);
  static void Validate(const v1::CloseRestaurantRequest& command, Violations& violations);
  static void Validate(const v1::AddMenuItemRequest& command, Violations& violations);
  static void Validate(const v1::ChangeMenuItemPriceRequest& command, Violations& violations);
  static void Validate(const v1::MarkItemSoldOutRequest& command, Violations& violations);
  static void Validate(const v1::MarkItemAvailableRequest& command, Violations& violations);
  static void Validate(const v1::RemoveMenuItemRequest& command, Violations& violations);

  static Decision Decide(const v1::RegisterRestaurantRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::OpenRestaurantRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::CloseRestaurantRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::AddMenuItemRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::ChangeMenuItemPriceRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::MarkItemSoldOutRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::MarkItemAvailableRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::RemoveMenuItemRequest& command, const State& state,
                         const CommandContext& context);

  static void Evolve(State& state, const v1::RestaurantRegistered& event);
  static void Evolve(State& state, const v1::RestaurantOpened& event);
  static void Evolve(State& state, const v1::RestaurantClosed& event);
  static void Evolve(State& state, const v1::MenuItemAdded& event);
  static void Evolve(State& state, const v1::MenuItemPriceChanged& event);
  static void Evolve(State& state, const v1::MenuItemSoldOut& event);
  static void Evolve(State& state, const v1::MenuItemAvailable& event);
  static void Evolve(State& state, const v1::MenuItemRemoved& event);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_RESTAURANT_H_
