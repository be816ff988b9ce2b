#ifndef DOMAINS_ORDERS_LATENCY_HISTOGRAM_H_
#define DOMAINS_ORDERS_LATENCY_HISTOGRAM_H_

#include <cstdint>
#include <map>

// Durations in buckets whose width grows with what is in them, as in HdrHistogram: of milliseconds
// below 64 each has its own; above, each power of two is divided into 32. The middle of a bucket is
// at most 1/64 (1.6 %) away from all that is in it. Durations up to kMillisMax have 1216 buckets.
namespace leftfold::orders {

// 139 years; longer ones count as this, negative ones as 0.
inline constexpr std::int64_t kMillisMax = (std::int64_t{1} << 42) - 1;

// Stored: never change.
int BucketOf(std::int64_t millis);
// The middle of a bucket.
std::int64_t MillisOf(int bucket);

// How many are in each bucket.
using Histogram = std::map<int, std::int64_t>;

std::int64_t CountOf(const Histogram& histogram);
// The least duration such that `percent` of 100 durations are at most it (the nearest rank), as
// the middle of its bucket. Not of an empty histogram.
std::int64_t PercentileOf(const Histogram& histogram, int percent);

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_LATENCY_HISTOGRAM_H_
