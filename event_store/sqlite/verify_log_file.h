#ifndef EVENT_STORE_SQLITE_VERIFY_LOG_FILE_H_
#define EVENT_STORE_SQLITE_VERIFY_LOG_FILE_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/event.h"
#include "event_store/sqlite/log_file.h"

namespace leftfold {

struct VerifyLogFileOptions {
  // Nobody writes to the files. Then SQLite's own check of pages and indexes and the search for
  // doubled command ids are made too: each is one long read, which would keep a writer from
  // checkpointing.
  bool at_rest = true;
  // What else must be true of an event; nullptr: nothing.
  std::function<absl::Status(const RecordedEvent&)> payload = nullptr;
  // Of the log's events: at the start and after each page.
  std::function<void(std::int64_t done, std::int64_t total)> progress = nullptr;
  // Of the rows of the index, which are counted after that.
  std::function<void(std::int64_t done, std::int64_t total)> index_progress = nullptr;
  // Before each read, of what it names, that says nothing until its end.
  std::function<void(std::string_view what)> long_read = nullptr;
};

// What was found of a log without a fault.
struct VerifiedLog {
  LogExtent extent;
  // Of index.db, which can be made again from the log. DATA_LOSS: its first fault. Other errors: it
  // could not be read, and was not compared to its end.
  absl::Status index;
  bool has_index = false;
  // Up to where it was compared with the log: how far it reaches, and not beyond the extent.
  Position index_position;
};

// Checks a log's file as far as it reaches at the start, whatever its state:
//   every event and command (EventChecker, CommandChecker), and `payload` of each event;
//   the end: no category and no command reaches beyond the last event;
//   that each stream, category and type is found by its name and has an event;
//   tables, application_id and user_version; SQLite's integrity_check;
//   index.db against all that (IndexChecker), where there is one.
// Reads only. DATA_LOSS names the first fault, by position where it has one; other errors mean that
// the file could not be read. Needs memory for one number a stream.
absl::StatusOr<VerifiedLog> VerifyLogFile(const std::string& folder,
                                          const VerifyLogFileOptions& options);

}  // namespace leftfold
#endif  // EVENT_STORE_SQLITE_VERIFY_LOG_FILE_H_
