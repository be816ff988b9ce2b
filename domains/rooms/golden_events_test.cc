// What the golden events of golden/ amount to: their bytes and what they say are checked for all
// domains together.
#include <gtest/gtest.h>

#include <string>

#include "core/registry.h"
#include "domains/rooms/room.h"
#include "domains/rooms/test_events.h"
#include "testing/golden.h"

namespace leftfold::rooms {
namespace {

// As they happen to one room.
const char* const kStory[] = {
    "RoomCreated.1",       "RoomRenamed.1",        "RoomDescriptionChanged.1",
    "RoomDeleted.1",       "RoomRestored.1",       "SessionScheduled.1",
    "SessionScheduled.2",  "SessionRescheduled.1", "SessionCancelled.1",
    "EntityInvited.1",     "InvitationAccepted.1", "InvitationDeclined.1",
    "InvitationRevoked.1", "ExternalRoomLinked.1", "SessionStarted.1",
    "SessionEnded.1",
};

TEST(GoldenEvents, StillFoldToTheSameRoom) {
  Room::State state;
  for (const char* name : kStory) {
    const testing::Golden golden = testing::GoldenOf(std::string("leftfold.rooms.v1.") + name);
    core::v1::RecordedEvent stored;
    stored.set_type(golden.type);
    stored.mutable_message()->set_value(golden.bytes);
    EXPECT_TRUE(FoldStored<Room>(stored, state)) << name;
  }
  const auto expected = Parse<v1::RoomState>(R"(
    exists: true name: "Elm" description: "Seats twelve"
    external_provider: "acme" external_room_id: "7"
    schedules {
      schedule_id: "s1" cron: "30 9 * * MON" duration_minutes: 45
      stop_after { seconds: 1900000000 }
      last_started_at { seconds: 1767605400 }
    }
    invitees { type: "user" id: "ada" state: INVITATION_STATE_ACCEPTED }
    invitees { type: "group" id: "g7" state: INVITATION_STATE_DECLINED })");
  EXPECT_EQ(state.DebugString(), expected.DebugString());
}

}  // namespace
}  // namespace leftfold::rooms
