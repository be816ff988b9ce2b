#include "domains/orders/latency_histogram.h"

#include <algorithm>
#include <bit>

namespace leftfold::orders {
namespace {

constexpr int kHalf = 32;          // Buckets of a power of two.
constexpr int kExact = 2 * kHalf;  // Milliseconds below this have their own.

}  // namespace

int BucketOf(std::int64_t millis) {
  const auto value = static_cast<std::uint64_t>(std::clamp<std::int64_t>(millis, 0, kMillisMax));
  if (value < kExact) return static_cast<int>(value);
  const int shift = static_cast<int>(std::bit_width(value / kExact));
  return kHalf * shift + static_cast<int>(value >> static_cast<unsigned>(shift));
}

std::int64_t MillisOf(int bucket) {
  if (bucket < kExact) return bucket;
  const int shift = bucket / kHalf - 1;
  const std::int64_t first = static_cast<std::int64_t>(bucket - kHalf * shift) << shift;
  return first + ((std::int64_t{1} << shift) - 1) / 2;
}

std::int64_t CountOf(const Histogram& histogram) {
  std::int64_t count = 0;
  for (const auto& [bucket, durations] : histogram) count += durations;
  return count;
}

std::int64_t PercentileOf(const Histogram& histogram, int percent) {
  const std::int64_t rank = (CountOf(histogram) * percent + 99) / 100;
  std::int64_t seen = 0;
  for (const auto& [bucket, durations] : histogram) {
    seen += durations;
    if (seen >= rank) return MillisOf(bucket);
  }
  return MillisOf(histogram.rbegin()->first);
}

}  // namespace leftfold::orders
