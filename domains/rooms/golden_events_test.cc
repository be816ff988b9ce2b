// The bytes of events as they were released: they are in logs and must decode for ever. Add new
// ones, never change those that are here.
#include <absl/strings/escaping.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <iterator>
#include <set>
#include <string>

#include "core/status.h"
#include "domains/rooms/room.h"
#include "domains/rooms/test_events.h"
#include "testing/given.h"

namespace leftfold::rooms {
namespace {

struct Golden {
  const char* type;
  const char* hex;
  const char* text;
};

// In the order in which they happen to one room.
const Golden kGolden[] = {
    {"RoomCreated", "0a034f616b120c427920746865207269766572",
     "name: 'Oak' description: 'By the river'"},
    {"RoomRenamed", "0a03456c6d", "name: 'Elm'"},
    {"RoomDescriptionChanged", "0a0c5365617473207477656c7665", "description: 'Seats twelve'"},
    {"RoomDeleted", "", ""},
    {"RoomRestored", "", ""},
    {"SessionScheduled", "0a027331120b302039202a202a204d4f4e183c22080880a4a7da061005",
     "schedule_id: 's1' cron: '0 9 * * MON' duration_minutes: 60 stop_after { seconds: "
     "1800000000 nanos: 5 }"},
    {"SessionScheduled", "0a027332120b302039202a202a2054554518a00b",
     "schedule_id: 's2' cron: '0 9 * * TUE' duration_minutes: 1440"},
    {"SessionRescheduled", "0a027331120c33302039202a202a204d4f4e182d22060880e6fe8907",
     "schedule_id: 's1' cron: '30 9 * * MON' duration_minutes: 45 stop_after { seconds: "
     "1900000000 }"},
    {"SessionCancelled", "0a027332", "schedule_id: 's2'"},
    {"EntityInvited",
     "0a0b0a047573657212036164610a0b0a0567726f7570120267370a180a05656d61696c120f657665"
     "406578616d706c652e6f7267",
     "invitees { type: 'user' id: 'ada' } invitees { type: 'group' id: 'g7' } invitees { "
     "type: 'email' id: 'eve@example.org' }"},
    {"InvitationAccepted", "0a04757365721203616461", "type: 'user' id: 'ada'"},
    {"InvitationDeclined", "0a0567726f757012026737", "type: 'group' id: 'g7'"},
    {"InvitationRevoked", "0a05656d61696c120f657665406578616d706c652e6f7267",
     "type: 'email' id: 'eve@example.org'"},
    {"ExternalRoomLinked", "0a0461636d65120137", "provider: 'acme' external_id: '7'"},
    {"SessionStarted", "0a0273311206089889eeca06",
     "schedule_id: 's1' occurrence_at { seconds: 1767605400 }"},
    {"SessionEnded", "0a0273311206089889eeca06",
     "schedule_id: 's1' occurrence_at { seconds: 1767605400 }"},
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

template <class F>
void ForEachGolden(F f) {
  for (const Golden& golden : kGolden) {
    SCOPED_TRACE(golden.type);
    bool known = false;
    Room::Events::ForEach([&]<class Event>() {
      if (Event::descriptor()->name() != golden.type) return;
      Event event;
      EXPECT_TRUE(event.ParseFromString(absl::HexStringToBytes(golden.hex)));
      f(event, golden);
      known = true;
    });
    EXPECT_TRUE(known) << "Room does not know it any more";
  }
}

TEST(GoldenEvents, StillDecodeToWhatTheyMeant) {
  ForEachGolden([](const auto& event, const Golden& golden) {
    const auto expected = Parse<std::decay_t<decltype(event)>>(golden.text);
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(event, expected))
        << event.ShortDebugString();
    EXPECT_TRUE(event.GetReflection()->GetUnknownFields(event).empty());
    EXPECT_EQ(absl::BytesToHexString(event.SerializeAsString()), golden.hex);
  });
}

TEST(GoldenEvents, HaveBytesOfEveryEvent) {
  std::set<std::string> types;
  for (const Golden& golden : kGolden) types.insert(golden.type);
  Room::Events::ForEach([&]<class Event>() {
    EXPECT_TRUE(types.contains(Event::descriptor()->name())) << Event::descriptor()->name();
  });
}

TEST(GoldenEvents, StillFoldToTheSameRoom) {
  Room::State state;
  ForEachGolden([&](const auto& event, const Golden&) { Room::Evolve(state, event); });
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
    int folded = 0;
    ForEachGolden([&](const auto& event, const Golden&) {
      if (folded++ < golden.events) fold.Add(event);
    });
    EXPECT_EQ(fold.Value(), golden.states)
        << "after " << golden.events << " events; has the state come to mean something else? Then "
        << "bump kStateVersion";
  }
  EXPECT_EQ(events, std::ssize(kGolden)) << "there is no line of all events and this kStateVersion";
}

}  // namespace
}  // namespace leftfold::rooms
