#include "domains/orders/restaurants.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "domains/orders/test_events.h"
#include "testing/given.h"

namespace leftfold::orders {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::RestaurantRegistered RegisteredAs(const std::string& name = "Roma") {
  auto event = Parse<v1::RestaurantRegistered>(
      R"(currency: "EUR" approval_mode: APPROVAL_MODE_MANUAL max_open_orders: 7)");
  event.set_name(name);
  return event;
}

v1::MenuItemAdded Added(const std::string& item_id, const std::string& name,
                        std::int64_t price_minor = 900) {
  v1::MenuItemAdded event;
  event.set_item_id(item_id);
  event.set_name(name);
  event.set_price_minor(price_minor);
  event.set_category("food");
  return event;
}

class RestaurantsTest : public ::testing::Test {
 protected:
  v1::Restaurant Roma() {
    return view_.Ask(Parse<v1::GetRestaurantRequest>(R"(restaurant_id: "roma")"))->restaurant();
  }
  static v1::ListMenuRequest MenuOfRoma() {
    return Parse<v1::ListMenuRequest>(R"(restaurant_id: "roma")");
  }
  std::vector<std::string> Menu() {
    std::vector<std::string> names;
    const auto answer = view_.Ask(MenuOfRoma());
    for (const v1::MenuItem& item : answer->items()) names.push_back(item.name());
    return names;
  }
  std::vector<std::string> List(const v1::ListRestaurantsRequest& query) {
    std::vector<std::string> ids;
    const auto answer = view_.Ask(query);
    for (const v1::Restaurant& restaurant : answer->restaurants()) {
      ids.push_back(restaurant.restaurant_id());
    }
    next_ = answer->next_page_token();
    return ids;
  }

  testing::ViewFixture<Restaurants> view_{"restaurant"};
  std::string next_;
};

TEST_F(RestaurantsTest, ARestaurantIsShown) {
  view_.Fold("roma", RegisteredAs());
  auto expected = Parse<v1::Restaurant>(R"(
    restaurant_id: "roma" name: "Roma" currency: "EUR" approval_mode: APPROVAL_MODE_MANUAL
    max_open_orders: 7)");
  EXPECT_EQ(Roma().DebugString(), expected.DebugString());
  view_.Fold("roma", v1::RestaurantOpened());
  EXPECT_TRUE(Roma().open());
  view_.Fold("roma", v1::RestaurantClosed());
  EXPECT_FALSE(Roma().open());
}

TEST_F(RestaurantsTest, EveryEventRaisesTheVersion) {
  view_.Fold("roma", RegisteredAs());
  std::int64_t version = 0;
  Restaurants::Handles::ForEach([&]<class Event>() {
    if (Event::descriptor() == v1::RestaurantRegistered::descriptor()) return;
    view_.Fold("roma", Event());
    EXPECT_EQ(Roma().version(), ++version) << Event::descriptor()->name();
  });
}

TEST_F(RestaurantsTest, AMenuIsListedByName) {
  view_.Fold("roma", RegisteredAs()).Fold("oslo", RegisteredAs("Oslo"));
  view_.Fold("roma", Added("1", "pizza")).Fold("roma", Added("2", "Cola", 250));
  view_.Fold("roma", Added("3", "Pasta")).Fold("oslo", Added("1", "Herring"));
  EXPECT_THAT(Menu(), ElementsAre("Cola", "Pasta", "pizza"));
  v1::ListMenuRequest query = MenuOfRoma();
  query.set_page_size(2);
  auto answer = view_.Ask(query);
  ASSERT_EQ(answer->items_size(), 2);
  const auto cola = Parse<v1::MenuItem>(
      R"(item_id: "2" name: "Cola" price_minor: 250 category: "food" available: true)");
  EXPECT_EQ(answer->items(0).DebugString(), cola.DebugString());
  query.set_page_token(answer->next_page_token());
  answer = view_.Ask(query);
  ASSERT_EQ(answer->items_size(), 1);
  EXPECT_EQ(answer->items(0).name(), "pizza");
  EXPECT_EQ(answer->next_page_token(), "");
}

TEST_F(RestaurantsTest, AMenuChanges) {
  view_.Fold("roma", RegisteredAs()).Fold("oslo", RegisteredAs("Oslo"));
  for (const char* id : {"roma", "oslo"}) view_.Fold(id, Added("1", "Pizza"));
  const auto pizza = [&] { return view_.Ask(MenuOfRoma())->items(0); };
  view_.Fold("roma", OfItem<v1::MenuItemSoldOut>("1"));
  EXPECT_FALSE(pizza().available());
  view_.Fold("roma", OfItem<v1::MenuItemAvailable>("1"));
  EXPECT_TRUE(pizza().available());
  auto dearer = OfItem<v1::MenuItemPriceChanged>("1");
  dearer.set_price_minor(950);
  view_.Fold("roma", dearer);
  EXPECT_EQ(pizza().price_minor(), 950);
  view_.Fold("oslo", OfItem<v1::MenuItemRemoved>("1"));
  EXPECT_THAT(Menu(), ElementsAre("Pizza"));
  view_.Fold("roma", OfItem<v1::MenuItemRemoved>("1"));
  EXPECT_THAT(Menu(), IsEmpty());
  view_.Fold("roma", Added("1", "Calzone"));
  EXPECT_THAT(Menu(), ElementsAre("Calzone"));
}

TEST_F(RestaurantsTest, RestaurantsAreListedInOrderAndPaged) {
  for (const char* id : {"c", "a", "b"}) view_.Fold(id, RegisteredAs());
  v1::ListRestaurantsRequest query;
  query.set_page_size(2);
  EXPECT_THAT(List(query), ElementsAre("a", "b"));
  query.set_page_token(next_);
  EXPECT_THAT(List(query), ElementsAre("c"));
  EXPECT_EQ(next_, "");
  view_.Fold("b", v1::RestaurantOpened()).Fold("c", v1::RestaurantOpened());
  view_.Fold("c", v1::RestaurantClosed());
  query = {};
  query.set_open_only(true);
  EXPECT_THAT(List(query), ElementsAre("b"));
}

TEST_F(RestaurantsTest, AMissingRestaurantIsNotFound) {
  for (const absl::Status& status :
       {view_.Ask(MenuOfRoma()).status(),
        view_.Ask(Parse<v1::GetRestaurantRequest>(R"(restaurant_id: "roma")")).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(ReasonOf(status), "RESTAURANT_NOT_FOUND");
    EXPECT_EQ(MetadataOf(status, "restaurant_id"), "roma");
  }
}

TEST_F(RestaurantsTest, NothingServedWalksAWholeTable) {
  view_.Fold("roma", RegisteredAs());
  Roma();
  Menu();
  List({});
  List(Parse<v1::ListRestaurantsRequest>("open_only: true"));
  EXPECT_THAT(view_.Scans(), IsEmpty());
}

}  // namespace
}  // namespace leftfold::orders
