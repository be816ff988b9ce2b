#ifndef TESTING_SANITIZED_H_
#define TESTING_SANITIZED_H_

namespace leftfold::testing {

// Whether a sanitizer watches, which keeps memory that the program has given back, and makes all
// slow.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace leftfold::testing
#endif  // TESTING_SANITIZED_H_
