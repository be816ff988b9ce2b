#ifndef TESTS_CRASH_NEW_SHIM_H_
#define TESTS_CRASH_NEW_SHIM_H_

#include <atomic>
#include <cstdint>

namespace leftfold::testing {

// What the library that new_shim.cc is and a test share.
struct FailingNew {
  std::atomic<std::int64_t> allocations;  // By operator new, in all processes that have it.
  // From the n-th on, so many of them fail; 0: none.
  std::atomic<std::int64_t> fail_from;
  std::atomic<std::int64_t> failures;
};

}  // namespace leftfold::testing
#endif  // TESTS_CRASH_NEW_SHIM_H_
