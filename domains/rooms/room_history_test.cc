#include "domains/rooms/room_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/page.h"
#include "core/reject.h"
#include "domains/rooms/test_events.h"
#include "testing/given.h"

namespace leftfold::rooms {
namespace {

class RoomHistoryTest : public ::testing::Test {
 protected:
  absl::StatusOr<v1::GetRoomAtResponse> At(const std::string& id, std::int64_t version) {
    v1::GetRoomAtRequest query;
    query.set_room_id(id);
    query.set_version(version);
    return view_.Ask(query);
  }
  static v1::ListRoomEventsRequest EventsOf(const std::string& id) {
    v1::ListRoomEventsRequest query;
    query.set_room_id(id);
    return query;
  }

  testing::ViewFixture<RoomHistory> view_{"room"};
};

TEST_F(RoomHistoryTest, TheRoomIsShownAsItWas) {
  v1::ExternalRoomLinked linked;
  linked.set_provider("acme");
  linked.set_external_id("7");
  view_.Fold("oak", Created()).Fold("elm", Created("Elm"));
  view_.Fold("oak", Renamed("Ash")).Fold("oak", Scheduled("s", "0 9 * * *"));
  view_.Fold("oak", Invited("user", "ada")).Fold("oak", linked).Fold("oak", v1::RoomDeleted());
  EXPECT_EQ(At("oak", 0)->room().name(), "Oak");
  EXPECT_EQ(At("oak", 1)->room().name(), "Ash");
  EXPECT_EQ(At("oak", 1)->room().schedules_size(), 0);
  const auto expected = Parse<v1::Room>(R"(
    room_id: "oak" version: 5 name: "Ash" description: "By the river"
    external_provider: "acme" external_room_id: "7" deleted: true
    schedules { schedule_id: "s" cron: "0 9 * * *" duration_minutes: 60 }
    invitees { type: "user" id: "ada" state: INVITATION_STATE_INVITED }
    created_at { seconds: 1767225600 } updated_at { seconds: 1767225606 })");
  EXPECT_EQ(At("oak", 5)->room().DebugString(), expected.DebugString());
}

TEST_F(RoomHistoryTest, APageOfLargeEventsIsShort) {
  v1::EntityInvited event;
  for (int i = 0; i < kInviteesPerCommandMax; ++i) {
    *event.add_invitees() = Of<v1::Invitee>("user", std::string(240, 'x') + std::to_string(i));
  }
  for (int i = 0; i < 200; ++i) view_.Fold("oak", event);
  v1::ListRoomEventsRequest query = EventsOf("oak");
  query.set_page_size(1'000);
  std::int64_t next = 0;
  do {
    const auto answer = view_.Ask(query);
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_LT(answer->ByteSizeLong(), 4u * 1'024 * 1'024);
    for (const auto& recorded : answer->events()) EXPECT_EQ(recorded.version(), next++);
    query.set_page_token(answer->next_page_token());
  } while (!query.page_token().empty());
  EXPECT_EQ(next, 200);
}

TEST_F(RoomHistoryTest, ATokenOfNoPageIsRefused) {
  view_.Fold("oak", v1::RoomCreated());
  v1::ListRoomEventsRequest query = EventsOf("oak");
  const Page page = *Page::Of(query);
  for (const char* key : {"-1", "-9223372036854775808", "9223372036854775807", "x", "1.5"}) {
    query.set_page_token(page.TokenAfter(key));
    EXPECT_EQ(ReasonOf(view_.Ask(query).status()), "INVALID_PAGE_TOKEN") << key;
  }
  query.set_page_token(page.TokenAfter("0"));
  EXPECT_TRUE(view_.Ask(query).ok());
}

TEST_F(RoomHistoryTest, MissingRoomsAndVersionsAreNotFound) {
  EXPECT_EQ(ReasonOf(At("oak", 0).status()), "ROOM_NOT_FOUND");
  EXPECT_EQ(ReasonOf(view_.Ask(EventsOf("oak")).status()), "ROOM_NOT_FOUND");
  view_.Fold("oak", Created());
  for (const std::int64_t version : {std::int64_t{-1}, std::int64_t{1}}) {
    const auto status = At("oak", version).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(ReasonOf(status), "VERSION_NOT_FOUND");
    EXPECT_EQ(MetadataOf(status, "version"), std::to_string(version));
  }
}

TEST_F(RoomHistoryTest, ALongHistoryIsFoldedFromKeptStates) {
  view_.Fold("oak", Created());
  const std::int64_t last = 2 * RoomHistory::kEventsPerState + 3;
  for (std::int64_t i = 1; i <= last; ++i) view_.Fold("oak", Renamed("Oak " + std::to_string(i)));
  for (const std::int64_t version :
       {std::int64_t{1}, RoomHistory::kEventsPerState - 2, RoomHistory::kEventsPerState - 1,
        RoomHistory::kEventsPerState, 2 * RoomHistory::kEventsPerState - 1, last}) {
    const auto answer = At("oak", version);
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->room().name(), "Oak " + std::to_string(version));
    EXPECT_EQ(answer->room().version(), version);
    EXPECT_EQ(answer->room().description(), "By the river");
  }
}

TEST_F(RoomHistoryTest, TheRecordedEventsAreListed) {
  view_.Fold("oak", Created()).Fold("elm", Created()).Fold("oak", Renamed("Ash"));
  view_.Fold("oak", v1::RoomDeleted());
  v1::ListRoomEventsRequest query = EventsOf("oak");
  query.set_page_size(2);
  auto answer = view_.Ask(query);
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_EQ(answer->events_size(), 2);
  const core::v1::RecordedEvent& renamed = answer->events(1);
  EXPECT_EQ(renamed.position(), 3);
  EXPECT_EQ(renamed.stream(), "room-oak");
  EXPECT_EQ(renamed.version(), 1);
  EXPECT_EQ(renamed.type(), "leftfold.rooms.v1.RoomRenamed");
  v1::RoomRenamed payload;
  ASSERT_TRUE(renamed.message().UnpackTo(&payload));
  EXPECT_EQ(payload.name(), "Ash");
  query.set_page_token(answer->next_page_token());
  answer = view_.Ask(query);
  ASSERT_EQ(answer->events_size(), 1);
  EXPECT_EQ(answer->events(0).version(), 2);
  EXPECT_TRUE(answer->next_page_token().empty());
}

TEST_F(RoomHistoryTest, NothingServedWalksAWholeTable) {
  view_.Fold("oak", Created());
  EXPECT_TRUE(At("oak", 0).ok());
  EXPECT_TRUE(view_.Ask(EventsOf("oak")).ok());
  EXPECT_THAT(view_.Scans(), ::testing::IsEmpty());
}

}  // namespace
}  // namespace leftfold::rooms
