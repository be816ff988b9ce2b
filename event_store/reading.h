#ifndef EVENT_STORE_READING_H_
#define EVENT_STORE_READING_H_

#include <absl/status/statusor.h>
#include <google/protobuf/timestamp.pb.h>

#include <string>

#include "core/reject.h"
#include "event_store/event_store.h"
#include "leftfold/store/v1/event_store.pb.h"

// What subscription.cc and reads.cc share.
namespace leftfold::reading {

void CheckPartition(std::int32_t partition, Violations& violations);
void CheckTime(const google::protobuf::Timestamp& time, Violations& violations);
void CheckCount(std::int64_t max_count, Violations& violations);
// What is wrong goes to `violations`.
EventFilter ToFilter(const store::v1::EventFilter& filter, Violations& violations);

// Adds events until `events` has kReaderMessageEvents or kReaderMessageBytes, at least one, and
// says how many.
std::size_t Fill(const std::vector<RecordedEvent>& from, std::size_t events_max, bool raw_metadata,
                 google::protobuf::RepeatedPtrField<core::v1::RecordedEvent>& events);

// How a batch is read for one message.
ReadAllOptions BatchOptions(Position from, Direction direction, const EventFilter& filter);

// LOG_DIVERGED.
absl::Status Diverged(Position position, Position head, std::string_view why);
absl::Status HoleAt(Position position);

}  // namespace leftfold::reading
#endif  // EVENT_STORE_READING_H_
