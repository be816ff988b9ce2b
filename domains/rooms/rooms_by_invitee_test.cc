#include "domains/rooms/rooms_by_invitee.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "domains/rooms/test_events.h"
#include "testing/given.h"

namespace leftfold::rooms {
namespace {

class RoomsByInviteeTest : public ::testing::Test {
 protected:
  // "room name state, …" of all rooms that the invitee has.
  std::string Rooms(const std::string& type, const std::string& id) {
    const auto answer = view_.Ask(Of<v1::ListRoomsForRequest>(type, id));
    EXPECT_TRUE(answer.ok()) << answer.status();
    std::string text;
    for (const auto& invitation : answer->invitations()) {
      text += invitation.room_id() + " " + invitation.name() + " " +
              std::to_string(invitation.state()) + ", ";
    }
    return text;
  }

  testing::ViewFixture<RoomsByInvitee> view_{"room"};
};

TEST_F(RoomsByInviteeTest, InvitationsAreListedWithTheirState) {
  view_.Fold("b", Created("Birch")).Fold("a", Created("Ash"));
  view_.Fold("b", Invited("user", "ada")).Fold("a", Invited("user", "ada"));
  view_.Fold("a", Invited("group", "ada"));
  EXPECT_EQ(Rooms("user", "ada"), "a Ash 1, b Birch 1, ");
  EXPECT_EQ(Rooms("group", "ada"), "a Ash 1, ");
  EXPECT_EQ(Rooms("user", "eve"), "");
  view_.Fold("a", Of<v1::InvitationAccepted>("user", "ada"));
  view_.Fold("b", Of<v1::InvitationDeclined>("user", "ada"));
  view_.Fold("a", Renamed("Alder"));
  EXPECT_EQ(Rooms("user", "ada"), "a Alder 2, b Birch 3, ");
  view_.Fold("b", Of<v1::InvitationRevoked>("user", "ada"));
  EXPECT_EQ(Rooms("user", "ada"), "a Alder 2, ");
}

TEST_F(RoomsByInviteeTest, DeletedRoomsAreHiddenUntilRestored) {
  view_.Fold("a", Created("Ash")).Fold("a", Invited("user", "ada"));
  view_.Fold("a", Of<v1::InvitationAccepted>("user", "ada"));
  view_.Fold("a", v1::RoomDeleted());
  EXPECT_EQ(Rooms("user", "ada"), "");
  view_.Fold("a", v1::RoomRestored());
  EXPECT_EQ(Rooms("user", "ada"), "a Ash 2, ");
}

TEST_F(RoomsByInviteeTest, ListsArePaged) {
  for (const char* id : {"a", "b", "c"}) {
    view_.Fold(id, Created()).Fold(id, Invited("email", "ada@example.org"));
  }
  auto query = Of<v1::ListRoomsForRequest>("email", "ada@example.org");
  query.set_page_size(2);
  auto answer = view_.Ask(query);
  EXPECT_EQ(answer->invitations_size(), 2);
  query.set_page_token(answer->next_page_token());
  answer = view_.Ask(query);
  ASSERT_EQ(answer->invitations_size(), 1);
  EXPECT_EQ(answer->invitations(0).room_id(), "c");
  EXPECT_TRUE(answer->next_page_token().empty());
}

TEST_F(RoomsByInviteeTest, MalformedQueriesAreRefused) {
  EXPECT_EQ(ReasonOf(view_.Ask(Of<v1::ListRoomsForRequest>("cat", "x")).status()),
            "INVALID_INVITEE_TYPE");
  const absl::Status id = view_.Ask(Of<v1::ListRoomsForRequest>("user", "")).status();
  EXPECT_EQ(ReasonOf(id), "INVALID_INVITEE_ID");
  EXPECT_EQ(MetadataOf(id, "maximum"), "254");
}

TEST_F(RoomsByInviteeTest, NothingServedWalksAWholeTable) {
  Rooms("user", "ada");
  EXPECT_THAT(view_.Scans(), ::testing::IsEmpty());
}

}  // namespace
}  // namespace leftfold::rooms
