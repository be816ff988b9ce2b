#include "domains/rooms/room_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "domains/rooms/test_events.h"
#include "testing/given.h"

namespace leftfold::rooms {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::GetRoomRequest Get(const std::string& id) {
  v1::GetRoomRequest query;
  query.set_room_id(id);
  return query;
}

class RoomDirectoryTest : public ::testing::Test {
 protected:
  testing::ViewFixture<RoomDirectory> view_{"room"};
};

TEST_F(RoomDirectoryTest, ARoomIsShownWithAllThatHappened) {
  v1::ExternalRoomLinked linked;
  linked.set_provider("acme");
  linked.set_external_id("7");
  view_.Fold("oak", Created())
      .Fold("oak", Renamed("Elm"))
      .Fold("oak", Scheduled("s", "0 9 * * *"))
      .Fold("oak", Invited("user", "ada"))
      .Fold("oak", Of<v1::InvitationAccepted>("user", "ada"))
      .Fold("oak", linked)
      .Fold("oak", Session<v1::SessionStarted>("s", "2026-01-01T09:00Z"));
  const auto answer = view_.Ask(Get("oak"));
  ASSERT_TRUE(answer.ok()) << answer.status();
  const auto expected = Parse<v1::Room>(R"(
    room_id: "oak" version: 6 name: "Elm" description: "By the river"
    external_provider: "acme" external_room_id: "7"
    schedules {
      schedule_id: "s" cron: "0 9 * * *" duration_minutes: 60
      last_started_at { seconds: 1767258000 } running: true
    }
    invitees { type: "user" id: "ada" state: INVITATION_STATE_ACCEPTED }
    created_at { seconds: 1767225600 } updated_at { seconds: 1767225606 })");
  EXPECT_EQ(answer->room().DebugString(), expected.DebugString());
  EXPECT_THAT(view_.TakeTouched(), ElementsAre("oak"));
}

TEST_F(RoomDirectoryTest, AMissingOrDeletedRoomIsNotFound) {
  const auto missing = view_.Ask(Get("oak")).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(missing), "ROOM_NOT_FOUND");
  EXPECT_EQ(MetadataOf(missing, "room_id"), "oak");
  view_.Fold("oak", Created()).Fold("oak", v1::RoomDeleted());
  EXPECT_EQ(ReasonOf(view_.Ask(Get("oak")).status()), "ROOM_NOT_FOUND");
  view_.Fold("oak", v1::RoomRestored());
  EXPECT_EQ(view_.Ask(Get("oak"))->room().name(), "Oak");
}

TEST_F(RoomDirectoryTest, ListsAreInOrderAndPaged) {
  for (const char* id : {"c", "a", "b"}) view_.Fold(id, Created(id));
  v1::ListRoomsRequest query;
  query.set_page_size(2);
  auto answer = view_.Ask(query);
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_EQ(answer->rooms_size(), 2);
  EXPECT_EQ(answer->rooms(0).room_id(), "a");
  EXPECT_EQ(answer->rooms(1).room_id(), "b");
  query.set_page_token(answer->next_page_token());
  answer = view_.Ask(query);
  ASSERT_EQ(answer->rooms_size(), 1);
  EXPECT_EQ(answer->rooms(0).room_id(), "c");
  EXPECT_TRUE(answer->next_page_token().empty());
  query.set_include_deleted(true);
  EXPECT_EQ(ReasonOf(view_.Ask(query).status()), "INVALID_PAGE_TOKEN");
  EXPECT_EQ(MetadataOf(view_.Ask(query).status(), "fields"), "page_token");
  query.set_page_size(-1);
  EXPECT_EQ(MetadataOf(view_.Ask(query).status(), "fields"), "page_size, page_token");
}

TEST_F(RoomDirectoryTest, APageOfLargeRoomsIsShort) {
  v1::EntityInvited event;
  for (int i = 0; i < kInviteesMax; ++i) {
    *event.add_invitees() = Of<v1::Invitee>("user", std::string(240, 'x') + std::to_string(i));
  }
  for (int i = 10; i < 40; ++i) {
    view_.Fold(std::to_string(i), Created()).Fold(std::to_string(i), event);
  }
  v1::ListRoomsRequest query;
  query.set_page_size(1'000);
  std::vector<std::string> ids;
  int pages = 0;
  do {
    const auto answer = view_.Ask(query);
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_LT(answer->ByteSizeLong(), 4u * 1'024 * 1'024);
    for (const v1::Room& room : answer->rooms()) ids.push_back(room.room_id());
    query.set_page_token(answer->next_page_token());
    ++pages;
  } while (!query.page_token().empty());
  ASSERT_EQ(ids.size(), 30u);
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 30u);
  EXPECT_GT(pages, 2);
}

TEST_F(RoomDirectoryTest, DeletedRoomsAreListedOnlyWhenAskedFor) {
  view_.Fold("a", Created()).Fold("b", Created()).Fold("a", v1::RoomDeleted());
  EXPECT_EQ(view_.Ask(v1::ListRoomsRequest())->rooms_size(), 1);
  v1::ListRoomsRequest all;
  all.set_include_deleted(true);
  const auto answer = view_.Ask(all);
  ASSERT_EQ(answer->rooms_size(), 2);
  EXPECT_TRUE(answer->rooms(0).deleted());
  EXPECT_FALSE(answer->rooms(1).deleted());
}

TEST_F(RoomDirectoryTest, AWatchOfARoomHasItsIdAsKey) {
  v1::WatchRoomRequest watch;
  watch.set_room_id("oak");
  EXPECT_EQ(RoomDirectory::Key(watch), "oak");
  EXPECT_EQ(view_.Ask(watch).status().code(), absl::StatusCode::kNotFound);
  view_.Fold("oak", Created());
  EXPECT_EQ(view_.Ask(watch)->room().name(), "Oak");
}

TEST_F(RoomDirectoryTest, AWatchOfAllRoomsHasThoseInUse) {
  view_.Fold("b", Created()).Fold("a", Created()).Fold("c", Created());
  view_.Fold("b", v1::RoomDeleted());
  const v1::WatchRoomsRequest watch;
  const auto keys = [&](const std::string& after, int limit) {
    return view_.With([&](ReadTx& tx) { return RoomDirectory::Keys(watch, after, limit, tx); });
  };
  EXPECT_THAT(keys("", 10), ElementsAre("a", "c"));
  EXPECT_THAT(keys("", 1), ElementsAre("a"));
  EXPECT_THAT(keys("a", 10), ElementsAre("c"));
  EXPECT_THAT(keys("c", 10), IsEmpty());
  view_.With([&](ReadTx& tx) {
    EXPECT_TRUE(RoomDirectory::Matches(watch, "a", tx));
    EXPECT_FALSE(RoomDirectory::Matches(watch, "b", tx));
    EXPECT_FALSE(RoomDirectory::Matches(watch, "z", tx));
    EXPECT_EQ(RoomDirectory::Answer(watch, "a", tx)->room().room_id(), "a");
    EXPECT_FALSE(RoomDirectory::Answer(watch, "b", tx).ok());
  });
}

TEST_F(RoomDirectoryTest, EveryEventTouchesItsRoomAndRaisesTheVersion) {
  view_.Fold("oak", Created());
  std::int64_t version = 0;
  Room::Events::ForEach([&]<class Event>() {
    if (Event::descriptor() == v1::RoomCreated::descriptor()) return;
    if (Event::descriptor() == v1::RoomDeleted::descriptor()) return;
    view_.TakeTouched();
    view_.Fold("oak", Event());
    EXPECT_THAT(view_.TakeTouched(), ElementsAre("oak")) << Event::descriptor()->name();
    EXPECT_EQ(view_.Ask(Get("oak"))->room().version(), ++version);
  });
}

TEST_F(RoomDirectoryTest, NothingServedWalksAWholeTable) {
  view_.Fold("oak", Created());
  v1::ListRoomsRequest all;
  all.set_include_deleted(true);
  EXPECT_TRUE(view_.Ask(all).ok());
  EXPECT_TRUE(view_.Ask(v1::ListRoomsRequest()).ok());
  EXPECT_TRUE(view_.Ask(Get("oak")).ok());
  view_.With([&](ReadTx& tx) {
    RoomDirectory::Keys({}, "", 10, tx);
    RoomDirectory::Matches({}, "oak", tx);
  });
  EXPECT_THAT(view_.Scans(), IsEmpty());
}

}  // namespace
}  // namespace leftfold::rooms
