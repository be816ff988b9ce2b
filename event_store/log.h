#ifndef EVENT_STORE_LOG_H_
#define EVENT_STORE_LOG_H_

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "event_store/event_store.h"

namespace leftfold {

// An accepted command as it is stored.
struct LoggedCommand {
  CommandRecord record;
  Version version;
  Position position;
};

// What one commit adds: all of it or nothing.
struct Group {
  std::vector<RecordedEvent> events;  // In the order of their positions.
  std::vector<LoggedCommand> commands;
  absl::flat_hash_map<std::string, Version>
      stream_heads;  // Streams that grew, with their new last version.
  absl::flat_hash_map<std::string, Position>
      category_heads;  // Categories that grew, with their new last position.
};

// What the sequencer must know of the end of the log to go on.
struct Tail {
  std::string store_id;
  Head head;
  absl::Time recorded_at = absl::InfinitePast();  // Of the last event.
  absl::flat_hash_map<std::string, Position> category_heads;
};

// Where the sequencer puts groups; SQLite and memory implement it. What is the writer's is called
// by one thread at a time, the reads by any.
class Log {
 public:
  virtual ~Log() = default;
  virtual Tail GetTail() = 0;

  // The writer's six: BeginGroup, then any number of the three look-ups of what is committed, then
  // Commit, which may be given an empty group, then AfterGroup if it returned OK.
  virtual absl::Status BeginGroup() = 0;
  virtual absl::StatusOr<Version> StreamHead(std::string_view stream) = 0;
  virtual absl::StatusOr<std::optional<StoredCommand>> CommandBefore(
      std::string_view command_id) = 0;
  // Position of an event that the condition asks not to be there; 0 when there is none.
  // LIMIT_EXCEEDED when that takes too long to find out.
  virtual absl::StatusOr<Position> FindMatch(const AppendCondition& condition) = 0;
  // Durable when it returns OK. RESOURCE_EXHAUSTED: nothing was stored, the log is as before; with
  // a reason where it is not the disk that is full. Any other error: unknown.
  virtual absl::Status Commit(const Group& group) = 0;
  // Who sent the group has been answered: the moment for work that nobody waits for.
  virtual void AfterGroup() {}

  virtual absl::StatusOr<std::optional<StoredCommand>> FindCommand(std::string_view command_id) = 0;
  virtual absl::StatusOr<std::vector<RecordedEvent>> ReadStream(
      std::string_view stream, const ReadStreamOptions& options) = 0;
  virtual absl::StatusOr<Position> VisitAll(const ReadAllOptions& options, TakeEvent take) = 0;
  virtual absl::StatusOr<Version> StreamVersion(std::string_view stream) = 0;
  virtual absl::StatusOr<std::vector<StreamInfo>> ListStreams(
      const ListStreamsOptions& options) = 0;
  virtual absl::StatusOr<Position> PositionBefore(absl::Time time) = 0;

  // Sizes in bytes; 0 when it has no files.
  struct Files {
    std::int64_t log = 0;
    std::int64_t wal = 0;
  };
  virtual Files GetFiles() { return {}; }
};

}  // namespace leftfold
#endif  // EVENT_STORE_LOG_H_
