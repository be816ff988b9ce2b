#ifndef EVENT_STORE_READ_PAGE_H_
#define EVENT_STORE_READ_PAGE_H_

#include <algorithm>
#include <cstddef>
#include <utility>

#include "event_store/event_store.h"

namespace leftfold {

// What one ReadAll returns, filled in the order of reading until a limit is reached.
class ReadPage {
 public:
  explicit ReadPage(const ReadAllOptions& options)
      : options_(options), result_{{}, options.from}, full_(options.events_max == 0) {
    constexpr std::size_t kReserved = 512;
    result_.events.reserve(std::min(options.events_max, kReserved));
  }

  // The next event, wanted or not. The first wanted one is taken whatever its size.
  void Offer(RecordedEvent event) {
    result_.through = event.position;
    if (!options_.filter.Matches(event)) {
      full_ = ++passed_over_ >= kScanEventsMax;
      return;
    }
    bytes_ += event.payload.size();
    if (bytes_ > options_.bytes_max && !result_.events.empty()) {
      result_.through = Position{event.position.value - (forward() ? 1 : -1)};
      full_ = true;
      return;
    }
    result_.events.push_back(std::move(event));
    full_ = result_.events.size() >= options_.events_max;
  }
  // Nothing that is wanted lies between what was offered and `position`, itself included.
  void Skip(Position position) { result_.through = position; }

  // Nothing more is to be added for now.
  void End() { full_ = true; }

  bool full() const { return full_; }
  bool forward() const { return options_.direction == Direction::kForward; }
  Position through() const { return result_.through; }
  ReadAllResult Take() { return std::move(result_); }

 private:
  const ReadAllOptions& options_;
  ReadAllResult result_;
  std::size_t bytes_ = 0;
  std::size_t passed_over_ = 0;
  bool full_;
};

}  // namespace leftfold
#endif  // EVENT_STORE_READ_PAGE_H_
