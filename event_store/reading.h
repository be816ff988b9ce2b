#ifndef EVENT_STORE_READING_H_
#define EVENT_STORE_READING_H_

#include <absl/status/statusor.h>
#include <google/protobuf/timestamp.pb.h>

#include <string>
#include <string_view>

#include "core/reject.h"
#include "event_store/event_store.h"
#include "leftfold/store/v1/event_store.pb.h"

// What subscription.cc and reads.cc share.
namespace leftfold::reading {

void CheckPartition(std::int32_t partition, Violations& violations);
void CheckTime(const google::protobuf::Timestamp& time, Violations& violations);
void CheckCount(std::int64_t max_count, Violations& violations);
// What is wrong goes to `violations`, under the name of the field that the filter is.
EventFilter ToFilter(const store::v1::EventFilter& filter, Violations& violations,
                     std::string_view field = "filter");

// The events of a message, serialised as its repeated field `field`. An object for each event, only
// to serialise it, would cost more than to read it.
class EventsField {
 public:
  EventsField(int field, bool raw_metadata) : field_(field), raw_metadata_(raw_metadata) {}
  // False, and nothing is added, when the message is full: kReaderMessageEvents, or
  // kReaderMessageBytes. The first event is taken whatever its size.
  bool Add(const EventView& event);
  // The message with its other fields, which `rest` has; fields may come in any order. Nothing is
  // held any more: a reader that waits for its client costs the message alone.
  std::string TakeWith(const google::protobuf::Message& rest);
  std::size_t count() const { return count_; }

 private:
  const int field_;
  const bool raw_metadata_;
  std::size_t count_ = 0;
  std::string bytes_;
};

// How a batch is read for one message: EventsField says when it is full.
ReadAllOptions BatchOptions(Position from, Direction direction, const EventFilter& filter);

// LOG_DIVERGED.
absl::Status Diverged(Position position, Position head, std::string_view why);
absl::Status HoleAt(Position position);

}  // namespace leftfold::reading
#endif  // EVENT_STORE_READING_H_
