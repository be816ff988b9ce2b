#include "domains/orders/latency_histogram.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace leftfold::orders {
namespace {

TEST(LatencyHistogram, BucketsFollowEachOtherAndAreExactBelow64) {
  int last = -1;
  for (std::int64_t millis = 0; millis < 100'000; ++millis) {
    const int bucket = BucketOf(millis);
    EXPECT_TRUE(bucket == last || bucket == last + 1) << millis;
    last = bucket;
    if (millis < 64) {
      EXPECT_EQ(MillisOf(bucket), millis);
    }
  }
}

TEST(LatencyHistogram, TheMiddleOfABucketIsAtMostOneIn64Away) {
  for (std::int64_t millis = 1; millis < kMillisMax / 2; millis += 1 + millis / 97) {
    const std::int64_t middle = MillisOf(BucketOf(millis));
    EXPECT_LE(std::abs(middle - millis) * 64, millis) << millis << " is " << middle;
  }
}

TEST(LatencyHistogram, TheBucketsAreThoseThatAreStored) {
  EXPECT_EQ(BucketOf(-5), 0);
  EXPECT_EQ(BucketOf(63), 63);
  EXPECT_EQ(BucketOf(64), 64);
  EXPECT_EQ(BucketOf(65), 64);
  EXPECT_EQ(BucketOf(127), 95);
  EXPECT_EQ(BucketOf(128), 96);
  EXPECT_EQ(BucketOf(60'000), 378);
  EXPECT_EQ(BucketOf(kMillisMax), 1'215);
  EXPECT_EQ(BucketOf(kMillisMax + 1), 1'215);
}

TEST(LatencyHistogram, APercentileIsTheNearestRank) {
  Histogram histogram;
  for (int millis = 1; millis <= 50; ++millis) histogram[BucketOf(millis)] += 2;
  EXPECT_EQ(CountOf(histogram), 100);
  EXPECT_EQ(PercentileOf(histogram, 50), 25);
  EXPECT_EQ(PercentileOf(histogram, 51), 26);
  EXPECT_EQ(PercentileOf(histogram, 95), 48);
  EXPECT_EQ(PercentileOf(histogram, 99), 50);
  EXPECT_EQ(PercentileOf({{7, 1}}, 1), 7);
  EXPECT_EQ(PercentileOf({{7, 1}}, 99), 7);
}

}  // namespace
}  // namespace leftfold::orders
