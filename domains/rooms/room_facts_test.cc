#include "domains/rooms/room_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "domains/rooms/test_events.h"
#include "testing/given.h"

namespace leftfold::rooms {
namespace {

class RoomFactsTest : public ::testing::Test {
 protected:
  v1::RoomFacts First() {
    const auto answer = view_.Ask(v1::ListRoomFactsRequest());
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() && answer->facts_size() > 0 ? answer->facts(0) : v1::RoomFacts();
  }

  testing::ViewFixture<RoomFacts> view_{"room"};
};

TEST_F(RoomFactsTest, CountsWhatARoomHas) {
  v1::EntityInvited invited = Invited("user", "ada");
  for (const char* id : {"bob", "eve", "joe"}) {
    *invited.add_invitees() = Of<v1::Invitee>("user", id);
  }
  view_.Fold("oak", Created())
      .Fold("oak", Renamed("Elm"))
      .Fold("oak", Scheduled("s", "0 9 * * *"))
      .Fold("oak", Scheduled("t", "0 12 * * *"))
      .Fold("oak", invited)
      .Fold("oak", Of<v1::InvitationAccepted>("user", "ada"))
      .Fold("oak", Of<v1::InvitationAccepted>("user", "bob"))
      .Fold("oak", Of<v1::InvitationDeclined>("user", "eve"))
      .Fold("oak", Of<v1::InvitationRevoked>("user", "bob"))
      .Fold("oak", Session<v1::SessionStarted>("s", "2026-01-01T09:00Z"))
      .Fold("oak", Session<v1::SessionEnded>("s", "2026-01-01T09:00Z"));
  v1::SessionCancelled cancelled;
  cancelled.set_schedule_id("t");
  view_.Fold("oak", cancelled).Fold("oak", v1::RoomDeleted());
  const auto expected = Parse<v1::RoomFacts>(R"(
    room_id: "oak" name: "Elm" deleted: true schedules: 1 invitations: 3 accepted: 1 declined: 1
    sessions_started: 1 version: 12
    created_at { seconds: 1767225600 } updated_at { seconds: 1767225612 })");
  EXPECT_EQ(First().DebugString(), expected.DebugString());
  view_.Fold("oak", v1::RoomRestored());
  EXPECT_FALSE(First().deleted());
}

TEST_F(RoomFactsTest, EveryEventRaisesTheVersion) {
  view_.Fold("oak", Created());
  std::int64_t version = 0;
  Room::Events::ForEach([&]<class Event>() {
    if (Event::descriptor() == v1::RoomCreated::descriptor()) return;
    view_.Fold("oak", Event());
    EXPECT_EQ(First().version(), ++version) << Event::descriptor()->name();
  });
}

TEST_F(RoomFactsTest, ListsAreInOrderAndPaged) {
  for (const char* id : {"c", "a", "b"}) view_.Fold(id, Created());
  v1::ListRoomFactsRequest query;
  query.set_page_size(2);
  auto answer = view_.Ask(query);
  ASSERT_EQ(answer->facts_size(), 2);
  EXPECT_EQ(answer->facts(0).room_id(), "a");
  query.set_page_token(answer->next_page_token());
  answer = view_.Ask(query);
  ASSERT_EQ(answer->facts_size(), 1);
  EXPECT_EQ(answer->facts(0).room_id(), "c");
  EXPECT_TRUE(answer->next_page_token().empty());
}

TEST_F(RoomFactsTest, NothingServedWalksAWholeTable) {
  First();
  EXPECT_THAT(view_.Scans(), ::testing::IsEmpty());
}

}  // namespace
}  // namespace leftfold::rooms
