#include "domains/orders/restaurant.h"

#include <gtest/gtest.h>

#include <string>

#include "domains/orders/checks.h"
#include "domains/orders/test_events.h"
#include "testing/given.h"
#include "testing/no_money.h"
#include "testing/parse.h"

namespace leftfold::orders {
namespace {

using testing::Given;
using testing::GoldenFold;
using testing::Parse;
using testing::Past;

v1::RestaurantRegistered RomaRegistered() {
  return Parse<v1::RestaurantRegistered>(
      "name: 'Roma' currency: 'EUR' approval_mode: APPROVAL_MODE_MANUAL max_open_orders: 20");
}

v1::RegisterRestaurantRequest Register() {
  return Parse<v1::RegisterRestaurantRequest>(
      "name: 'Roma' currency: 'EUR' approval_mode: APPROVAL_MODE_MANUAL max_open_orders: 20");
}

v1::MenuItemAdded MainAdded(const std::string& id, const std::string& name) {
  auto event = Parse<v1::MenuItemAdded>("price_minor: 900 category: 'Mains'");
  event.set_item_id(id);
  event.set_name(name);
  return event;
}

v1::AddMenuItemRequest Add(const std::string& id, const std::string& name) {
  auto command = Parse<v1::AddMenuItemRequest>("price_minor: 900 category: 'Mains'");
  command.set_item_id(id);
  command.set_name(name);
  return command;
}

template <class Message>
Message Price(const std::string& item_id, std::int64_t price_minor) {
  auto message = OfItem<Message>(item_id);
  message.set_price_minor(price_minor);
  return message;
}

Past<Restaurant> WithBurger() {
  return Given<Restaurant>(RomaRegistered(), MainAdded("b1", "Burger"));
}

template <class Command, class Change>
void ExpectInvalidAtRoma(Command command, Change change, const std::string& reason) {
  change(command);
  SCOPED_TRACE(command.ShortDebugString());
  WithBurger().When(command).ThenInvalid(reason);
}

TEST(Restaurant, IsRegisteredOnce) {
  Given<Restaurant>().When(Register()).Then(RomaRegistered());
  const auto refusal =
      Given<Restaurant>(RomaRegistered()).When(Register()).ThenRejected("RESTAURANT_EXISTS");
  EXPECT_EQ(refusal.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(refusal.metadata("restaurant_id"), "id-1");
  const auto expect = [](auto change, const std::string& reason) {
    ExpectInvalidAtRoma(Register(), change, reason);
  };
  expect([](auto& c) { c.set_name(" "); }, "INVALID_NAME");
  expect([](auto& c) { c.set_name(std::string(kNameBytesMax + 1, 'x')); }, "INVALID_NAME");
  for (const char* currency : testing::kNoCurrencies)
    expect([&](auto& c) { c.set_currency(currency); }, "INVALID_CURRENCY");
  expect([](auto& c) { c.clear_approval_mode(); }, "INVALID_APPROVAL_MODE");
  expect([](auto& c) { c.set_max_open_orders(-1); }, "INVALID_FIELDS");
}

template <class Command>
void ExpectNeedsRestaurant(const Command& command) {
  const auto refusal = Given<Restaurant>().When(command).ThenRejected("RESTAURANT_NOT_FOUND");
  EXPECT_EQ(refusal.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(refusal.metadata("restaurant_id"), "id-1");
}

template <class Command>
void ExpectNeedsItem(const Command& command) {
  ExpectNeedsRestaurant(command);
  const auto refusal =
      Given<Restaurant>(RomaRegistered()).When(command).ThenRejected("ITEM_NOT_FOUND");
  EXPECT_EQ(refusal.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(refusal.metadata("item_id"), command.item_id());
  auto removed = WithBurger();
  removed.Add(OfItem<v1::MenuItemRemoved>("b1"));
  removed.When(command).ThenRejected("ITEM_NOT_FOUND");
  ExpectInvalidAtRoma(
      command, [](auto& c) { c.set_item_id("a b"); }, "INVALID_ID");
}

TEST(Restaurant, CommandsNeedARestaurantAndItem) {
  ExpectNeedsRestaurant(v1::OpenRestaurantRequest());
  ExpectNeedsRestaurant(v1::CloseRestaurantRequest());
  ExpectNeedsRestaurant(Add("b1", "Burger"));
  ExpectNeedsItem(Price<v1::ChangeMenuItemPriceRequest>("b1", 1000));
  ExpectNeedsItem(OfItem<v1::MarkItemSoldOutRequest>("b1"));
  ExpectNeedsItem(OfItem<v1::MarkItemAvailableRequest>("b1"));
  ExpectNeedsItem(OfItem<v1::RemoveMenuItemRequest>("b1"));
}

TEST(Restaurant, IsClosedAtFirstAndOpensAndCloses) {
  const auto closed = Given<Restaurant>(RomaRegistered());
  const auto open = Given<Restaurant>(RomaRegistered(), v1::RestaurantOpened());
  EXPECT_EQ(closed.When(v1::CloseRestaurantRequest()).ThenRejected("ALREADY_CLOSED").code(),
            absl::StatusCode::kFailedPrecondition);
  closed.When(v1::OpenRestaurantRequest()).Then(v1::RestaurantOpened());
  open.When(v1::OpenRestaurantRequest()).ThenRejected("ALREADY_OPEN");
  open.When(v1::CloseRestaurantRequest()).Then(v1::RestaurantClosed());
  auto again = open;
  again.Add(v1::RestaurantClosed());
  again.When(v1::OpenRestaurantRequest()).Then(v1::RestaurantOpened());
}

TEST(Restaurant, TheSecondBurgerIsRefused) {
  Given<Restaurant>(RomaRegistered()).When(Add("b1", "Burger")).Then(MainAdded("b1", "Burger"));
  for (const auto& [id, name] : {std::pair("b2", "burger"), std::pair("b1", "Pizza")}) {
    const auto refusal = WithBurger().When(Add(id, name)).ThenRejected("DUPLICATE_MENU_ITEM");
    EXPECT_EQ(refusal.code(), absl::StatusCode::kAlreadyExists);
    EXPECT_EQ(refusal.metadata("item_id"), "b1");
    EXPECT_EQ(refusal.metadata("name"), "Burger");
  }
  auto removed = WithBurger();
  removed.Add(OfItem<v1::MenuItemRemoved>("b1"));
  removed.When(Add("b1", "burger")).Then(MainAdded("b1", "burger"));
}

TEST(Restaurant, AnItemGetsAnIdThatTheReceiptHas) {
  const auto outcome = Given<Restaurant>(RomaRegistered()).When(Add("", "Burger"));
  const auto& decided = outcome.decided();
  EXPECT_EQ(decided.created_id.size(), 36U);
  outcome.Then(MainAdded(decided.created_id, "Burger"));
}

TEST(Restaurant, ItemsAreChecked) {
  const auto expect = [](auto change, const std::string& reason) {
    ExpectInvalidAtRoma(Add("p1", "Pizza"), change, reason);
  };
  expect([](auto& c) { c.set_item_id("a b"); }, "INVALID_ID");
  expect([](auto& c) { c.set_name("\u200B"); }, "INVALID_NAME");
  expect([](auto& c) { c.set_category("a\nb"); }, "INVALID_TEXT");
  for (const std::int64_t price : {std::int64_t{0}, std::int64_t{-1}, kPriceMinorMax + 1}) {
    expect([&](auto& c) { c.set_price_minor(price); }, "INVALID_PRICE");
    ExpectInvalidAtRoma(
        OfItem<v1::ChangeMenuItemPriceRequest>("b1"), [&](auto& c) { c.set_price_minor(price); },
        "INVALID_PRICE");
  }
}

TEST(Restaurant, AMenuHasABound) {
  Past<Restaurant> past = Given<Restaurant>(RomaRegistered());
  for (int i = 0; i < kMenuItemsMax - 1; ++i) {
    past.Add(MainAdded("i" + std::to_string(i), "Item " + std::to_string(i)));
  }
  past.When(Add("last", "Last")).Then(MainAdded("last", "Last"));
  past.Add(MainAdded("last", "Last"));
  const auto refusal = past.When(Add("more", "More")).ThenRejected("MENU_FULL");
  EXPECT_EQ(refusal.metadata("maximum"), "500");
}

TEST(Restaurant, ItemsChangePriceAndAvailability) {
  auto past = WithBurger();
  past.When(Price<v1::ChangeMenuItemPriceRequest>("b1", 900)).ThenNothing();
  past.When(Price<v1::ChangeMenuItemPriceRequest>("b1", 950))
      .Then(Price<v1::MenuItemPriceChanged>("b1", 950));
  past.Add(Price<v1::MenuItemPriceChanged>("b1", 950));
  past.When(Price<v1::ChangeMenuItemPriceRequest>("b1", 950)).ThenNothing();
  past.When(OfItem<v1::MarkItemAvailableRequest>("b1")).ThenNothing();
  past.When(OfItem<v1::MarkItemSoldOutRequest>("b1")).Then(OfItem<v1::MenuItemSoldOut>("b1"));
  past.Add(OfItem<v1::MenuItemSoldOut>("b1"));
  past.When(OfItem<v1::MarkItemSoldOutRequest>("b1")).ThenNothing();
  past.When(OfItem<v1::MarkItemAvailableRequest>("b1")).Then(OfItem<v1::MenuItemAvailable>("b1"));
  past.Add(OfItem<v1::MenuItemAvailable>("b1"));
  past.When(OfItem<v1::MarkItemAvailableRequest>("b1")).ThenNothing();
  past.When(OfItem<v1::RemoveMenuItemRequest>("b1")).Then(OfItem<v1::MenuItemRemoved>("b1"));
}

TEST(Restaurant, ItsStatesMeanWhatTheyMeantInSnapshots) {
  GoldenFold<Restaurant> fold;
  fold.Add(RomaRegistered())
      .Add(v1::RestaurantOpened())
      .Add(MainAdded("b1", "Burger"))
      .Add(MainAdded("p1", "Pizza"))
      .Add(Price<v1::MenuItemPriceChanged>("p1", 950))
      .Add(OfItem<v1::MenuItemSoldOut>("b1"))
      .Add(OfItem<v1::MenuItemAvailable>("b1"))
      .Add(OfItem<v1::MenuItemRemoved>("b1"))
      .Add(v1::RestaurantClosed());
  EXPECT_EQ(fold.Value(), "571f32002d25be19")
      << "Evolve or the state has changed: bump kStateVersion, then put the new value here";
  EXPECT_EQ(Restaurant::kStateVersion, 1) << "bumped: put the number and the new value here";
}

}  // namespace
}  // namespace leftfold::orders
