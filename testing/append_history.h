#ifndef TESTING_APPEND_HISTORY_H_
#define TESTING_APPEND_HISTORY_H_

#include <cstdint>
#include <string>
#include <vector>

namespace leftfold::testing {

// What one client saw of one append of one event to one stream, made with "exactly version". The
// times are of one clock that all clients share; an attempt's effect came between its two.
struct AppendAttempt {
  std::int64_t called = 0;
  std::int64_t returned = 0;
  std::int64_t expected = 0;  // The version that the stream was to have, -1 for none.
  bool accepted = false;
  std::int64_t actual = 0;  // Refused: the version that the stream had, as the refusal told.
};

// "" when the attempts on one stream are linearizable: each took effect at one moment between its
// call and its return, and in the order of these moments every accepted one found the version that
// it expected, every refused one the version that it was told, which is not the one it expected.
// Else the attempts that cannot be brought into an order.
//
// An accepted attempt makes version expected + 1, so the order is known but for refusals at the
// same version, and no search is needed: attempts sorted by version, none may have returned before
// one that stands earlier was called. O(n log n). (Gibbons and Korach 1997: with the order of
// writes given, verifying is easy.)
std::string NotLinearizable(std::vector<AppendAttempt> attempts);

// The same by trying all orders. For at most 8 attempts; to check the above against.
bool LinearizableByTrying(std::vector<AppendAttempt> attempts);

}  // namespace leftfold::testing
#endif  // TESTING_APPEND_HISTORY_H_
