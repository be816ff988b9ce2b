#include <unistd.h>

#include <cstdlib>
#include <new>
#include <string_view>

#include "core/registry.h"
#include "tools/cli.h"

namespace {

// ADR 0041: who catches bad_alloc, as gRPC does, would go on with what is half done. Allocates
// nothing itself.
[[noreturn]] void EndWithoutMemory() {
  constexpr std::string_view kText = "leftfold: fatal: there is no memory left\n";
  const auto written = write(STDERR_FILENO, kText.data(), kText.size());
  static_cast<void>(written);
  std::abort();
}

void SetNewHandler() { std::set_new_handler(EndWithoutMemory); }

// Before the constructors of all libraries: these allocate, too.
__attribute__((section(".preinit_array"), used)) void (*set_new_handler_first)() = SetNewHandler;

}  // namespace

// jemalloc's settings: as many arenas as threads are busy at a time, for each keeps free pages of
// its own, and those for a second only.
extern "C" {
const char* malloc_conf = "narenas:4,dirty_decay_ms:1000";
}

int main(int argc, char** argv) {
  leftfold::Registry registry;
  leftfold::RegisterAllDomains(registry);
  return leftfold::Main(registry, argc, argv);
}
