#ifndef CORE_CACHE_LINE_H_
#define CORE_CACHE_LINE_H_

#include <cstddef>

namespace leftfold {

// Bytes that go from core to core as one. What many threads write stands apart by this, or it slows
// down who only reads what lies beside it.
inline constexpr std::size_t kCacheLine = 64;

}  // namespace leftfold
#endif  // CORE_CACHE_LINE_H_
