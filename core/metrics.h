#ifndef CORE_METRICS_H_
#define CORE_METRICS_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/cache_line.h"

namespace leftfold {

// Numbers that engines keep and server/ reads whenever somebody asks. Thread-safe; to count costs
// one relaxed atomic operation.

class Counter {
 public:
  void Add(std::int64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_ = 0;
};

// The same for what many threads count all the time: each in one of a few places of its own, so
// that none waits for a cache line of another core.
class BusyCounter {
 public:
  void Add(std::int64_t n = 1) { places_[MyPlace()].count.Add(n); }
  std::int64_t value() const {
    std::int64_t sum = 0;
    for (const Place& place : places_) sum += place.count.value();
    return sum;
  }

 private:
  static constexpr std::size_t kPlaces = 4;
  struct alignas(kCacheLine) Place {
    Counter count;
  };
  static std::size_t MyPlace() {
    static std::atomic<std::size_t> threads = 0;
    thread_local const std::size_t mine = threads.fetch_add(1, std::memory_order_relaxed) % kPlaces;
    return mine;
  }

  std::array<Place, kPlaces> places_;
};

class Gauge {
 public:
  void Set(std::int64_t value) { value_.store(value, std::memory_order_relaxed); }
  std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_ = 0;
};

// How often values came up to each of some bounds.
class Histogram {
 public:
  static constexpr std::size_t kBoundsMax = 24;

  // `bounds` ascend, are at most kBoundsMax, and outlive it.
  explicit Histogram(std::span<const double> bounds) : bounds_(bounds) {}

  void Observe(double value) {
    const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
    counts_[static_cast<std::size_t>(bound - bounds_.begin())].Add();
    sum_.fetch_add(value, std::memory_order_relaxed);
  }

  std::span<const double> bounds() const { return bounds_; }
  // Values up to bounds()[i] and above the bound before; the last one is above all bounds.
  std::vector<std::int64_t> Counts() const {
    std::vector<std::int64_t> counts;
    for (std::size_t i = 0; i <= bounds_.size(); ++i) counts.push_back(counts_[i].value());
    return counts;
  }
  double Sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  const std::span<const double> bounds_;
  std::array<Counter, kBoundsMax + 1> counts_;
  std::atomic<double> sum_ = 0;
};

}  // namespace leftfold
#endif  // CORE_METRICS_H_
