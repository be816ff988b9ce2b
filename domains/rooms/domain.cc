#include "core/registry.h"
#include "domains/rooms/room.h"
#include "domains/rooms/room_directory.h"
#include "domains/rooms/rooms_by_invitee.h"

namespace leftfold::rooms {

void Register(Registry& registry) {
  registry.Add<Room>();
  registry.Add<RoomDirectory>();
  registry.Add<RoomsByInvitee>();
}

}  // namespace leftfold::rooms
