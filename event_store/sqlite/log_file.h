#ifndef EVENT_STORE_SQLITE_LOG_FILE_H_
#define EVENT_STORE_SQLITE_LOG_FILE_H_

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "event_store/log.h"
#include "event_store/log_checker.h"
#include "event_store/sqlite/log_rows.h"
#include "sql/connection.h"

// The log's file without a store around it, for tools: to go through all of it, whatever state it
// is in, and to write a log that exists elsewhere. Only `events.db` is touched; an index or
// snapshots beside it are not part of the log.
namespace leftfold {

// What one read takes: it is a transaction, and a long one keeps the writer from checkpointing.
inline constexpr std::size_t kPageEvents = 1'000;
inline constexpr std::size_t kPageBytes = 8 << 20;  // Payloads; at least one event all the same.
// What one transaction writes at the least; it ends where an append certainly ends.
inline constexpr std::size_t kCopyGroupBytes = 8 << 20;
// Beyond this it ends in any case, so that memory is bounded.
inline constexpr std::size_t kCopyGroupBytesMax = 256 << 20;

// How far a log reached at one moment.
struct LogExtent {
  std::string store_id;
  Head head;
  absl::Time recorded_at = absl::InfinitePast();  // Of the last event.
  absl::flat_hash_map<std::string, Position> category_heads;
  std::int64_t command_number = 0;  // Of the last command.
  Position command_position;        // Of the last command.
  // Numbers of the newest stream and type, which ascend.
  std::int64_t stream_id = 0;
  std::int64_t type_id = 0;
};

struct NumberedCommand {
  std::int64_t number = 0;
  LoggedCommand command;
};
bool SameCommand(const NumberedCommand& a, const NumberedCommand& b);

// A row of `streams` with what is found for it elsewhere in the file.
struct StreamRow {
  std::int64_t id = 0;
  std::string name;
  std::optional<std::string> category;  // What its category_id leads to.
  bool in_index = false;                // The index of names leads back to it.
};

// Reads a log's file beside a server or alone: read-only, one short transaction a call, without the
// check of the end that a store makes on opening. Not thread-safe.
class LogFileReader {
 public:
  // Events as far as they are rows of the format; `fault` says what is wrong with the one after
  // them.
  struct EventPage {
    std::vector<RecordedEvent> events;
    absl::Status fault;
  };
  struct CommandPage {
    std::vector<NumberedCommand> commands;
    absl::Status fault;
  };

  // NOT_FOUND when there is none; DATA_LOSS when it is no log; FAILED_PRECONDITION when a newer
  // binary made it.
  static absl::StatusOr<std::unique_ptr<LogFileReader>> Open(const std::string& folder);

  absl::StatusOr<LogExtent> ReadExtent();
  // The next events after `after`, at most one page, none beyond `through`.
  absl::StatusOr<EventPage> ReadEvents(Position after, Position through,
                                       std::size_t events_max = kPageEvents);
  // The same for commands.
  absl::StatusOr<CommandPage> ReadCommands(std::int64_t after, std::int64_t through);
  absl::StatusOr<std::vector<StreamRow>> ReadStreams(std::int64_t after_id);

  // Chain value at a position, nullopt when there is no such event.
  absl::StatusOr<std::optional<Digest>> ChainAt(Position position);
  absl::StatusOr<std::optional<NumberedCommand>> CommandAt(std::int64_t number);
  // Number of the last command that was decided at or before `position`.
  absl::StatusOr<std::int64_t> CommandsUpTo(Position position);
  // Position of the last event that was recorded at or before `time`.
  absl::StatusOr<Position> PositionUpTo(absl::Time time);
  // The last position at or before `position` that certainly ends an append.
  absl::StatusOr<Position> AppendEnd(Position position);

  sql::Connection& connection() { return *connection_; }

 private:
  LogFileReader(std::unique_ptr<sql::Connection> connection, std::string store_id)
      : connection_(std::move(connection)), store_id_(std::move(store_id)) {}
  std::unique_ptr<sql::Connection> connection_;
  const std::string store_id_;
};

// Where a walk through a log begins and ends.
struct LogRange {
  Position after = kBeforeFirst;
  std::int64_t commands_after = 0;
  Position through = kBeforeFirst;
  std::int64_t commands_through = 0;
  std::size_t page_events = kPageEvents;
};

// What a walk meets, in the order of the log: each event, then the commands of its position.
struct LogVisitor {
  std::function<absl::Status(const RecordedEvent&)> event;
  std::function<absl::Status(const NumberedCommand&)> command;
  // After each page, between two transactions.
  std::function<absl::Status(Position done)> page;
};

// Goes through a part of a log. The first failure of the visitor ends it, as does a row that is not
// of the format (DATA_LOSS with its position).
absl::Status WalkLog(LogFileReader& reader, const LogRange& range, const LogVisitor& visitor);

// Writes a log that exists elsewhere: the same store id, positions, versions, times and chain. All
// that is given is checked (EventChecker, CommandChecker) before it is stored. After each
// transaction, and so whenever the process ends, the file is a log that can be opened, up to the
// end of an append. The caller holds the folder's lock. Not thread-safe.
class LogFileWriter {
 public:
  // Makes folder and file where there are none. FAILED_PRECONDITION when the file there is the log
  // of another store.
  static absl::StatusOr<std::unique_ptr<LogFileWriter>> Open(
      const std::string& folder, const std::string& store_id,
      std::size_t group_bytes = kCopyGroupBytes);

  // What the file held when it was opened: what is given goes on from there.
  const LogExtent& begin() const { return begin_; }
  const Head& head() const { return events_->head(); }

  // In the order of WalkLog. DATA_LOSS when it does not fit what came before, RESOURCE_EXHAUSTED
  // when the disk is full; nothing more can be given then, and what was not yet stored is not.
  absl::Status Add(const RecordedEvent& event);
  absl::Status Add(const NumberedCommand& command);
  // Stores what is left. DATA_LOSS when the last command lacks its row.
  absl::Status Finish();
  // Leaves a single file that needs no other beside it and can be read where nothing can be
  // written, until a store opens it. After Finish.
  absl::Status Seal();

 private:
  LogFileWriter() = default;
  absl::Status Start(const std::string& store_id);
  absl::Status Flush();

  std::unique_ptr<sql::Connection> connection_;
  std::optional<LogRowWriter> rows_;
  std::size_t group_bytes_ = kCopyGroupBytes;
  LogExtent begin_;
  std::unique_ptr<EventChecker> events_;
  CommandChecker commands_;
  std::vector<RecordedEvent> pending_events_;
  std::vector<NumberedCommand> pending_commands_;
  std::size_t pending_bytes_ = 0;
};

}  // namespace leftfold
#endif  // EVENT_STORE_SQLITE_LOG_FILE_H_
