#include "core/registry.h"
#include "domains/rooms/room.h"

namespace leftfold::rooms {

void Register(Registry& registry) { registry.Add<Room>(); }

}  // namespace leftfold::rooms
