#ifndef EVENT_STORE_SQLITE_COMMAND_FILTER_H_
#define EVENT_STORE_SQLITE_COMMAND_FILTER_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "core/mutex.h"

namespace leftfold {

// Bits for each command id: of absent ids a full filter takes one in 200 for one that may be there,
// a chain of them one in 200 for each.
inline constexpr std::size_t kCommandFilterBitsPerId = 12;
// The first filter's, however few ids there are.
inline constexpr std::size_t kCommandFilterBytesMin = 48 << 10;
// Of all together: room for 44 million ids. Those beyond go into the last one, which by and by
// says of more absent ids that they may be there: with 100 million, after a start, of one in eight.
inline constexpr std::size_t kCommandFilterBytesMax = 64 << 20;

// Tells of most command ids that are not in the index's file that they are not, without a look into
// it. Never of one that is: an id that was added stays.
//
// A chain of blocked Bloom filters (Putze, Sanders, Singler: Cache-, Hash- and Space-Efficient
// Bloom Filters, ACM Journal of Experimental Algorithmics 14, 2009), each with as many bytes as
// those before it together (Almeida et al.: Scalable Bloom Filters, Information Processing Letters
// 101, 2007): an id is eight bits of one cache line. Thread-safe; who asks never waits.
class CommandFilter {
 public:
  struct Options {
    std::size_t ids = 0;  // That will be added at first.
    std::size_t bytes_max = kCommandFilterBytesMax;
  };
  explicit CommandFilter(const Options& options) : options_(options) {}

  void Add(std::string_view command_id);
  // All ids that are in the file have been added. Until then each may be there.
  void SetComplete() { complete_.store(true, std::memory_order_release); }
  bool complete() const { return complete_.load(std::memory_order_acquire); }
  bool MayHave(std::string_view command_id) const;

  std::size_t bytes() const;

 private:
  static constexpr std::size_t kWords = 8;
  struct alignas(64) Line {
    std::array<std::atomic<std::uint64_t>, kWords> words;
  };
  struct Filter {
    std::unique_ptr<Line[]> lines;
    std::size_t count = 0;
    std::size_t room = 0;  // For so many more ids.
  };
  // One bit of each word of a line.
  struct Place;
  static bool Has(const Filter& filter, const Place& place);
  static std::size_t BytesOf(const Filter& filter) { return filter.count * sizeof(Line); }
  void Grow() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Options options_;
  Mutex mu_;  // Of who adds.
  // The first filters_used_ ones are there for good; the room of the last is counted down.
  static constexpr std::size_t kFiltersMax = 16;
  std::array<Filter, kFiltersMax> filters_;
  std::atomic<std::size_t> filters_used_ = 0;
  std::atomic<bool> complete_ = false;
};

}  // namespace leftfold
#endif  // EVENT_STORE_SQLITE_COMMAND_FILTER_H_
