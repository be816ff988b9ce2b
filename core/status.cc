#include "core/status.h"

#include <cstdio>
#include <cstdlib>

namespace leftfold {

void Die(std::string_view message) {
  fmt::print(stderr, "leftfold: fatal: {}\n", message);
  std::fflush(stderr);
  std::abort();
}

}  // namespace leftfold
