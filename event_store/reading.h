#ifndef EVENT_STORE_READING_H_
#define EVENT_STORE_READING_H_

#include <absl/status/statusor.h>
#include <google/protobuf/timestamp.pb.h>

#include <string>
#include <string_view>
#include <utility>

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
  // In place of what it held: events up to `events_max` or kReaderMessageBytes, at least one; says
  // how many.
  std::size_t Fill(const std::vector<RecordedEvent>& from, std::size_t events_max);
  // The message with its other fields, which `rest` has; fields may come in any order. Nothing is
  // held any more: a reader that waits for its client costs the message alone.
  std::string TakeWith(const google::protobuf::Message& rest) {
    rest.AppendToString(&bytes_);
    return std::exchange(bytes_, {});
  }
  bool empty() const { return bytes_.empty(); }

 private:
  const int field_;
  const bool raw_metadata_;
  std::string bytes_;
};

// How a batch is read for one message.
ReadAllOptions BatchOptions(Position from, Direction direction, const EventFilter& filter);

// LOG_DIVERGED.
absl::Status Diverged(Position position, Position head, std::string_view why);
absl::Status HoleAt(Position position);

}  // namespace leftfold::reading
#endif  // EVENT_STORE_READING_H_
