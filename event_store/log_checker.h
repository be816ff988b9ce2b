#ifndef EVENT_STORE_LOG_CHECKER_H_
#define EVENT_STORE_LOG_CHECKER_H_

#include <absl/container/flat_hash_map.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "event_store/event_store.h"
#include "event_store/log.h"

namespace leftfold {

// DATA_LOSS "at position 7: <what is wrong>".
absl::Status FaultAt(Position position, std::string_view what);

// Whether two events that follow each other certainly came with different appends: an append has
// one time and one metadata. A log that must not end within an append ends at such a place.
bool BeginsAppend(const RecordedEvent& previous, const RecordedEvent& next);

// Checks events in the order of the log: positions dense, versions contiguous in each stream, times
// never decreasing, category_previous, leaves, chain. Needs memory for one number a stream. Not
// thread-safe.
class EventChecker {
 public:
  // What was checked before, after which it goes on.
  struct Start {
    Head head;
    absl::Time recorded_at = absl::InfinitePast();
    absl::flat_hash_map<std::string, Position> category_heads;
    absl::flat_hash_map<std::string, Version> versions;  // Of every stream at the head.
  };

  // From the first event of a log on.
  explicit EventChecker(std::string_view store_id);
  explicit EventChecker(Start start);

  // DATA_LOSS names the position and what does not fit; the checker is then of no use any more.
  absl::Status Add(const RecordedEvent& event);

  const Head& head() const { return head_; }
  // Last position of each category.
  const absl::flat_hash_map<std::string, Position>& category_heads() const { return categories_; }
  // Last version of each stream that had an event.
  const absl::flat_hash_map<std::string, Version>& versions() const { return versions_; }

 private:
  std::string Misfit(const RecordedEvent& event);

  Head head_;
  absl::Time recorded_at_ = absl::InfinitePast();
  absl::flat_hash_map<std::string, Version> versions_;
  absl::flat_hash_map<std::string, Position> categories_;
};

// Checks the table of commands beside the events, as far as these are a witness of it: numbers
// dense, positions never decreasing and within the log; every event whose metadata name a command
// has that command's row at the last event of it, with its aggregate and version. Not seen is what
// no event tells: another request hash or created id, a row without events that was cut off the
// end. Not thread-safe.
class CommandChecker {
 public:
  CommandChecker() = default;
  // Goes on after the rows up to `number` and the events up to `position`.
  CommandChecker(std::int64_t number, Position position);

  // All events, in order, and after each the rows that have its position, in the order of their
  // numbers; rows at position 0 come first. DATA_LOSS as above.
  absl::Status Add(const RecordedEvent& event);
  absl::Status Add(std::int64_t number, const LoggedCommand& command);
  // After the last one.
  absl::Status Finish() const;

  std::int64_t number() const { return number_; }

 private:
  // The events of one command, which stand together.
  struct Run {
    std::string command_id;  // Empty: events without a command.
    bool whole = true;       // Its first event was seen.
    bool answered = false;   // Its row was seen.
    std::string stream;      // Of the first event.
    Version version;         // Of the last event in that stream.
  };
  std::string Misfit(const LoggedCommand& command) const;

  std::int64_t number_ = 0;
  Position at_;
  bool begun_ = false;  // An event was seen.
  Run run_;
};

}  // namespace leftfold
#endif  // EVENT_STORE_LOG_CHECKER_H_
