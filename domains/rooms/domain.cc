#include "core/registry.h"

namespace leftfold::rooms {

void Register(Registry& registry) { (void)registry; }

}  // namespace leftfold::rooms
