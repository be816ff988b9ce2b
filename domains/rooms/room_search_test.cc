#include "domains/rooms/room_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

#include "core/page.h"
#include "core/reject.h"
#include "domains/rooms/test_events.h"
#include "testing/given.h"

namespace leftfold::rooms {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::SearchRoomsRequest Text(const std::string& text) {
  v1::SearchRoomsRequest query;
  query.set_text(text);
  return query;
}

class RoomSearchTest : public ::testing::Test {
 protected:
  void Create(const std::string& id, const std::string& name, const std::string& description) {
    v1::RoomCreated created;
    created.set_name(name);
    created.set_description(description);
    view_.Fold(id, created);
  }
  std::vector<std::string> Find(const std::string& text) {
    const auto answer = view_.Ask(Text(text));
    EXPECT_TRUE(answer.ok()) << answer.status();
    std::vector<std::string> ids;
    if (!answer.ok()) return ids;
    for (const v1::RoomMatch& match : answer->matches()) ids.push_back(match.room_id());
    return ids;
  }

  testing::ViewFixture<RoomSearch> view_{"room"};
};

TEST_F(RoomSearchTest, AllWordsMustBeThereAndTheLastMayBeABeginning) {
  Create("b", "Big Oak", "Seats twelve, by the river");
  Create("a", "Small Oak", "No window");
  EXPECT_THAT(Find("oak"), ElementsAre("a", "b"));
  EXPECT_THAT(Find("OAK river"), ElementsAre("b"));
  EXPECT_THAT(Find("sma"), ElementsAre("a"));
  EXPECT_THAT(Find("sma oak"), IsEmpty());
  EXPECT_THAT(Find("sma "), IsEmpty());
  EXPECT_THAT(Find("oak-river!"), ElementsAre("b"));
  EXPECT_THAT(Find("elm"), IsEmpty());
}

TEST_F(RoomSearchTest, LettersOfAllLanguagesAreFound) {
  Create("a", "Café Zürich", "Große Küche");
  EXPECT_THAT(Find("cafe"), ElementsAre("a"));
  EXPECT_THAT(Find("zürich küche"), ElementsAre("a"));
  EXPECT_THAT(Find("–"), IsEmpty());
}

TEST_F(RoomSearchTest, AMatchSaysWhereTheWordsAre) {
  Create("a", "Oak", "Seats twelve, by the river");
  const auto answer = view_.Ask(Text("river"));
  EXPECT_EQ(answer->matches(0).name(), "Oak");
  EXPECT_EQ(answer->matches(0).snippet(), "Seats twelve, by the [river]");
}

TEST_F(RoomSearchTest, ChangesAreFollowed) {
  Create("a", "Oak", "Window");
  view_.Fold("a", Renamed("Elm"));
  EXPECT_THAT(Find("oak"), IsEmpty());
  EXPECT_THAT(Find("elm window"), ElementsAre("a"));
  v1::RoomDescriptionChanged described;
  described.set_description("Door");
  view_.Fold("a", described);
  EXPECT_THAT(Find("window"), IsEmpty());
  EXPECT_THAT(Find("elm door"), ElementsAre("a"));
  view_.Fold("a", v1::RoomDeleted());
  EXPECT_THAT(Find("elm"), IsEmpty());
  view_.Fold("a", v1::RoomRestored());
  EXPECT_THAT(Find("elm"), ElementsAre("a"));
}

TEST_F(RoomSearchTest, ListsArePaged) {
  for (const char* id : {"c", "a", "b"}) Create(id, "Oak", "");
  v1::SearchRoomsRequest query = Text("oak");
  query.set_page_size(2);
  auto answer = view_.Ask(query);
  ASSERT_EQ(answer->matches_size(), 2);
  EXPECT_EQ(answer->matches(1).room_id(), "a");
  query.set_page_token(answer->next_page_token());
  answer = view_.Ask(query);
  ASSERT_EQ(answer->matches_size(), 1);
  EXPECT_EQ(answer->matches(0).room_id(), "b");
  EXPECT_TRUE(answer->next_page_token().empty());
}

TEST_F(RoomSearchTest, ATokenOfNoPageIsRefused) {
  Create("a", "Oak", "");
  v1::SearchRoomsRequest query = Text("oak");
  const Page page = *Page::Of(query);
  for (const char* key : {"-1", "0", "1000", "99999999999", "-2147483648", "x", "1 OR 1"}) {
    query.set_page_token(page.TokenAfter(key));
    EXPECT_EQ(ReasonOf(view_.Ask(query).status()), "INVALID_PAGE_TOKEN") << key;
  }
  query.set_page_token(page.TokenAfter("999"));
  EXPECT_TRUE(view_.Ask(query).ok());
}

TEST_F(RoomSearchTest, TheBestMatchComesFirst) {
  Create("far", "Store", "One of many places on the left side of the large hall with the piano");
  Create("near", "Piano", "A piano");
  EXPECT_THAT(Find("piano"), ElementsAre("near", "far"));
}

TEST_F(RoomSearchTest, SoManyMatchesAreReached) {
  for (int i = 0; i < RoomSearch::kMatchesMax + 5; ++i) Create("r" + std::to_string(i), "Oak", "");
  v1::SearchRoomsRequest query = Text("oak");
  query.set_page_size(300);
  std::set<std::string> ids;
  std::vector<int> sizes;
  do {
    const auto answer = view_.Ask(query);
    ASSERT_TRUE(answer.ok()) << answer.status();
    for (const v1::RoomMatch& match : answer->matches()) ids.insert(match.room_id());
    sizes.push_back(answer->matches_size());
    query.set_page_token(answer->next_page_token());
  } while (!query.page_token().empty());
  EXPECT_THAT(sizes, ElementsAre(300, 300, 300, 100));
  EXPECT_EQ(ids.size(), 1'000u);
}

TEST_F(RoomSearchTest, OfManyMatchesTheRoomsThatWereMadeLastAreRanked) {
  Create("first", "Oak", "");
  for (int i = 1; i < RoomSearch::kRankedMax; ++i)
    Create("r" + std::to_string(i), "Oak by the river", "");
  EXPECT_EQ(Find("oak").front(), "first");
  Create("last", "Oak with a window", "");
  EXPECT_EQ(Find("oak").front(), "r1");
  EXPECT_THAT(Find("oak window"), ElementsAre("last"));
}

TEST_F(RoomSearchTest, MalformedTextsAreRefused) {
  EXPECT_EQ(ReasonOf(view_.Ask(Text("")).status()), "TEXT_EMPTY");
  EXPECT_EQ(ReasonOf(view_.Ask(Text(" \"*-^ ")).status()), "TEXT_EMPTY");
  EXPECT_EQ(ReasonOf(view_.Ask(Text(std::string(201, 'x'))).status()), "TEXT_TOO_LONG");
}

TEST_F(RoomSearchTest, NoTextIsASyntaxError) {
  Create("a", "Oak and elm", "near not or");
  for (const char* text :
       {"\"", "\"\"\"a", "a*b", "name:oak", "oak AND", "NOT oak", "NEAR(oak elm)", "oak OR", "(oak",
        "{name} : oak", "^oak", "-oak", "oak + elm", "oak'"}) {
    EXPECT_TRUE(RoomSearch::ToExpression(text).empty() || view_.Ask(Text(text)).ok()) << text;
  }
  std::mt19937 random(7);
  for (int i = 0; i < 2'000; ++i) {
    std::string text = "x";
    for (int n = 0; n < 20; ++n) text += static_cast<char>(random() % 128);
    EXPECT_TRUE(view_.Ask(Text(text)).ok()) << text;
  }
}

TEST_F(RoomSearchTest, NothingServedWalksAWholeTable) {
  Find("oak");
  EXPECT_THAT(view_.Scans(), IsEmpty());
}

}  // namespace
}  // namespace leftfold::rooms
