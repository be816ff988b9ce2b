// What the golden events of golden/ amount to: their bytes and what they say are checked for all
// domains together.
#include <gtest/gtest.h>

#include <iterator>
#include <string>

#include "core/registry.h"
#include "domains/rooms/room.h"
#include "domains/rooms/test_events.h"
#include "testing/given.h"
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

// What the first so many of them fold to, under each kStateVersion that was released. Snapshots of
// it are in files: add lines, never change those that are here. A new golden event adds a line of
// this version; a state that means something else has the next version and a line of it.
const struct {
  int state_version;
  int events;
  const char* states;
} kGoldenFolds[] = {
    {1, 16, "415983fdd5b89d78"},
};

core::v1::RecordedEvent StoredOf(const char* name) {
  const testing::Golden golden = testing::GoldenOf(std::string("leftfold.rooms.v1.") + name);
  core::v1::RecordedEvent stored;
  stored.set_type(golden.type);
  stored.mutable_message()->set_value(golden.bytes);
  return stored;
}

TEST(GoldenEvents, StillFoldToTheSameRoom) {
  Room::State state;
  for (const char* name : kStory) {
    EXPECT_TRUE(FoldStored<Room>(StoredOf(name), state)) << name;
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

TEST(GoldenEvents, StillFoldToWhatSnapshotsOfThisStateVersionMean) {
  int events = 0;
  for (const auto& golden : kGoldenFolds) {
    if (golden.state_version != Room::kStateVersion) continue;
    events = golden.events;
    testing::GoldenFold<Room> fold;
    for (int i = 0; i < golden.events; ++i) fold.AddStored(StoredOf(kStory[i]));
    EXPECT_EQ(fold.Value(), golden.states)
        << "after " << golden.events << " events; has the state come to mean something else? Then "
        << "bump kStateVersion";
  }
  EXPECT_EQ(events, std::ssize(kStory)) << "there is no line of all events and this kStateVersion";
}

}  // namespace
}  // namespace leftfold::rooms
