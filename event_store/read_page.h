#ifndef EVENT_STORE_READ_PAGE_H_
#define EVENT_STORE_READ_PAGE_H_

#include <cstddef>

#include "event_store/event_store.h"

namespace leftfold {

// Shows a reader what one VisitAll finds, in the order of reading until a limit is reached.
class ReadPage {
 public:
  ReadPage(const ReadAllOptions& options, TakeEvent take)
      : options_(options), take_(take), through_(options.from), full_(options.events_max == 0) {}

  // The next event, wanted or not. The first wanted one is shown whatever its size.
  void Offer(const EventView& event) {
    if (!options_.filter.Matches(event)) {
      through_ = event.position;
      full_ = ++passed_over_ >= kScanEventsMax;
      return;
    }
    bytes_ += event.payload.size();
    if ((bytes_ > options_.bytes_max && taken_ > 0) || !take_(event)) {
      through_ = Position{event.position.value + (forward() ? -1 : 1)};
      full_ = true;
      return;
    }
    through_ = event.position;
    full_ = ++taken_ >= options_.events_max;
  }
  // Nothing that is wanted lies between what was offered and `position`, itself included.
  void Skip(Position position) { through_ = position; }

  // Nothing more is to be added for now.
  void End() { full_ = true; }

  bool full() const { return full_; }
  bool forward() const { return options_.direction == Direction::kForward; }
  Position through() const { return through_; }

 private:
  const ReadAllOptions& options_;
  TakeEvent take_;
  Position through_;
  std::size_t taken_ = 0;
  std::size_t bytes_ = 0;
  std::size_t passed_over_ = 0;
  bool full_;
};

}  // namespace leftfold
#endif  // EVENT_STORE_READ_PAGE_H_
