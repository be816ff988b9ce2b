#include "core/registry.h"
#include "domains/rooms/invitation_mail.h"
#include "domains/rooms/provision_external_room.h"
#include "domains/rooms/room.h"
#include "domains/rooms/room_directory.h"
#include "domains/rooms/room_facts.h"
#include "domains/rooms/room_history.h"
#include "domains/rooms/room_search.h"
#include "domains/rooms/rooms_by_invitee.h"
#include "domains/rooms/session_ticker.h"
#include "domains/rooms/upcoming_sessions.h"

namespace leftfold::rooms {

void Register(Registry& registry) {
  registry.Add<Room>();
  registry.Add<RoomDirectory>();
  registry.Add<RoomsByInvitee>();
  registry.Add<UpcomingSessions>();
  registry.Add<RoomSearch>();
  registry.Add<RoomFacts>();
  registry.Add<RoomHistory>();
  registry.Add<SessionTicker>();
  registry.Add<InvitationMail>();
  registry.Add<ProvisionExternalRoom>();
}

}  // namespace leftfold::rooms
