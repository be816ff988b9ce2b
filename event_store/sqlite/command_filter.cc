#include "event_store/sqlite/command_filter.h"

#include <algorithm>
#include <functional>

namespace leftfold {
namespace {

constexpr std::uint64_t kOdd = 0x9E37'79B9'7F4A'7C15;  // 2^64 over the golden ratio.

}  // namespace

// The hash's upper half chooses the line, all of it the bits.
struct CommandFilter::Place {
  explicit Place(std::string_view command_id) : hash(std::hash<std::string_view>()(command_id)) {
    bits = (hash ^ (hash >> 32)) * kOdd;
    bits ^= bits >> 32;
    bits *= kOdd;
  }
  std::size_t LineOf(std::size_t lines) const { return ((hash >> 32) * lines) >> 32; }
  std::uint64_t BitOf(std::size_t word) const {
    return std::uint64_t{1} << ((bits >> (16 + 6 * word)) & 63);
  }

  std::uint64_t hash;
  std::uint64_t bits;
};

bool CommandFilter::Has(const Filter& filter, const Place& place) {
  const Line& line = filter.lines[place.LineOf(filter.count)];
  for (std::size_t i = 0; i < kWords; ++i) {
    if ((line.words[i].load(std::memory_order_relaxed) & place.BitOf(i)) == 0) return false;
  }
  return true;
}

bool CommandFilter::MayHave(std::string_view command_id) const {
  if (!complete()) return true;
  const Place place(command_id);
  const std::size_t used = filters_used_.load(std::memory_order_acquire);
  return std::any_of(filters_.begin(), filters_.begin() + static_cast<std::ptrdiff_t>(used),
                     [&](const Filter& filter) { return Has(filter, place); });
}

void CommandFilter::Add(std::string_view command_id) {
  const Place place(command_id);
  MutexLock lock(mu_);
  const std::size_t used = filters_used_.load(std::memory_order_relaxed);
  if (used == 0 || filters_[used - 1].room == 0) Grow();
  Filter& last = filters_[filters_used_.load(std::memory_order_relaxed) - 1];
  if (last.room > 0) --last.room;
  Line& line = last.lines[place.LineOf(last.count)];
  for (std::size_t i = 0; i < kWords; ++i)
    line.words[i].fetch_or(place.BitOf(i), std::memory_order_relaxed);
}

void CommandFilter::Grow() {
  const std::size_t all = bytes();
  std::size_t wanted = all;
  if (all == 0)
    wanted = std::max(options_.ids * kCommandFilterBitsPerId / 8, kCommandFilterBytesMin);
  const std::size_t count = std::min(wanted, options_.bytes_max - all) / sizeof(Line);
  const std::size_t used = filters_used_.load(std::memory_order_relaxed);
  if (count == 0 || used == kFiltersMax) return;
  filters_[used] = {std::make_unique<Line[]>(count), count,
                    count * sizeof(Line) * 8 / kCommandFilterBitsPerId};
  filters_used_.store(used + 1, std::memory_order_release);
}

std::size_t CommandFilter::bytes() const {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < filters_used_.load(std::memory_order_acquire); ++i)
    sum += BytesOf(filters_[i]);
  return sum;
}

}  // namespace leftfold
