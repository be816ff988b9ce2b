#include "domains/rooms/invitation_mail.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "domains/rooms/room.h"
#include "domains/rooms/test_events.h"
#include "testing/given_reactor.h"

namespace leftfold::rooms {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(InvitationMailTest, IsWrittenToEachInvitedAddress) {
  testing::ReactorFixture<InvitationMail> mail;
  mail.Holds<Room>("oak", Created("Oak"));
  EXPECT_THAT(mail.React("room-oak", Invited("email", "ann@example.org")),
              ElementsAre("mail ann@example.org: Invitation to Oak"));
  EXPECT_THAT(mail.React("room-oak", Invited("user", "bob")), IsEmpty());
}

TEST(InvitationMailTest, TellsAllButThoseWhoDeclinedThatTheRoomIsClosed) {
  testing::ReactorFixture<InvitationMail> mail;
  mail.Holds<Room>("oak", Created("Oak"), Invited("email", "ann@example.org"),
                   Invited("email", "bob@example.org"), Invited("group", "g"),
                   Of<v1::InvitationDeclined>("email", "bob@example.org"), v1::RoomDeleted());
  EXPECT_THAT(mail.React("room-oak", v1::RoomDeleted()),
              ElementsAre("mail ann@example.org: Oak is closed"));
}

TEST(InvitationMailTest, WaitsWhileTheMailServerIsAway) {
  EXPECT_GE(testing::ReactorFixture<InvitationMail>().patience(), absl::Minutes(10));
}

TEST(InvitationMailTest, WaitsWhenTheLogCannotBeRead) {
  testing::ReactorFixture<InvitationMail> mail;
  mail.HoldsNoMore();
  mail.React("room-oak", Invited("email", "ann@example.org"));
  EXPECT_FALSE(mail.status().ok());
}

}  // namespace
}  // namespace leftfold::rooms
