#include "domains/rooms/provision_external_room.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "domains/rooms/test_events.h"
#include "testing/given_reactor.h"

namespace leftfold::rooms {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ProvisionExternalRoomTest : public ::testing::Test {
 protected:
  static v1::RoomCreated CreatedAt(const std::string& provider) {
    auto created = Created("Oak \"1\"");
    created.set_external_provider(provider);
    return created;
  }
  testing::ReactorFixture<ProvisionExternalRoom> reactor;
};

TEST_F(ProvisionExternalRoomTest, HasTheProviderMakeARoomAndLinksIt) {
  EXPECT_THAT(reactor.React("room-oak", CreatedAt("video")),
              ElementsAre("POST service:rooms_video/v1/rooms key=oak {\"room_id\": \"oak\", "
                          "\"name\": \"Oak \\\"1\\\"\", \"description\": \"By the river\"}"));
  EXPECT_THAT(reactor.Reply(201, R"({"external_id": "v-17", "more": [1]})"),
              ElementsAre("LinkExternalRoomRequest {room_id: \"oak\" provider: \"video\" "
                          "external_id: \"v-17\"}"));
}

TEST_F(ProvisionExternalRoomTest, WaitsWhileTheProviderIsAway) {
  EXPECT_GE(reactor.patience(), absl::Minutes(10));
}

TEST_F(ProvisionExternalRoomTest, LeavesOtherRoomsAlone) {
  EXPECT_THAT(reactor.React("room-oak", Created()), IsEmpty());
}

TEST_F(ProvisionExternalRoomTest, ParksWhatTheProviderRefuses) {
  for (const auto& [status, body] :
       {std::pair(403, R"({"external_id": "v-17"})"), std::pair(200, "[]"), std::pair(200, "{}")}) {
    reactor.React("room-oak", CreatedAt("video"));
    EXPECT_THAT(reactor.Reply(status, body), IsEmpty());
    EXPECT_THAT(std::string(reactor.status().message()), HasSubstr("video"));
  }
}

}  // namespace
}  // namespace leftfold::rooms
