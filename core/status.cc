#include "core/status.h"

#include <cstdlib>

#include "core/log.h"

namespace leftfold {

void Die(std::string_view message) {
  LogLine("leftfold: fatal: {}", message);
  std::abort();
}

}  // namespace leftfold
