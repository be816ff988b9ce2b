// Preloaded into a process: its operator new is the usual one, but that some allocations fail, as
// the file LEFTFOLD_NEW_FILE says (new_shim.h). All forms of it that C++ has end in these two.
#include "tests/crash/new_shim.h"

#include <cstddef>
#include <cstdlib>
#include <new>

#include "tests/crash/shim_memory.h"

namespace {

bool Fails() {
  using leftfold::testing::FailingNew;
  static FailingNew* const shared =
      leftfold::testing::MapShared<FailingNew>(std::getenv("LEFTFOLD_NEW_FILE"), O_RDWR);
  const std::int64_t n = ++shared->allocations;
  const std::int64_t from = shared->fail_from;
  return from > 0 && n >= from && n < from + shared->failures;
}

template <class Allocate>
void* New(Allocate allocate) {
  while (true) {
    void* const bytes = Fails() ? nullptr : allocate();
    if (bytes != nullptr) return bytes;
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}

}  // namespace

void* operator new(std::size_t size) {
  return New([&] { return std::malloc(size == 0 ? 1 : size); });
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto unit = static_cast<std::size_t>(alignment);
  return New([&] { return std::aligned_alloc(unit, (size + unit - 1) / unit * unit); });
}
