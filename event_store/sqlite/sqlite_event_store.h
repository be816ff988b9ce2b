#ifndef EVENT_STORE_SQLITE_SQLITE_EVENT_STORE_H_
#define EVENT_STORE_SQLITE_SQLITE_EVENT_STORE_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <string>

#include "core/clock.h"
#include "core/executor.h"
#include "event_store/event_store.h"
#include "event_store/sqlite/log_index.h"
#include "event_store/sqlite/sqlite_log.h"

namespace leftfold {

// The log in one SQLite file, `<folder>/events.db`; its format is in event_store/README.md.
struct SqliteStoreOptions {
  Executor* writer = nullptr;
  Executor* completions = nullptr;
  const Clock* clock = nullptr;
  Executor* behind = nullptr;  // Writes the index; may be slow. nullptr: `completions`.
  std::size_t index_batch = kIndexBatchMax;
  WalLimits wal = {};
  std::size_t recent_events = 0;  // See SequencedStore.
  std::size_t streams_known_max = kStreamsKnownMax;
};

// Makes the folder and the file where there are none. The caller holds the "write" lock of the data
// folder. DATA_LOSS when the end of the log does not fit its chain; FAILED_PRECONDITION when a
// newer binary made the file.
absl::StatusOr<std::unique_ptr<EventStore>> OpenSqliteEventStore(const std::string& folder,
                                                                 const SqliteStoreOptions& options);

// While somebody waits for a log that another process writes, its file is looked at this often.
inline constexpr absl::Duration kLogPollInterval = absl::Milliseconds(10);

// Beside a running server: reads what is committed, Append is FAILED_PRECONDITION. WaitPast looks
// at the file on `polls`, which must have run or dropped its tasks before the store goes; without,
// for tools, it wakes only when the head is past the position already (poll GetHead). NOT_FOUND
// when there is no log yet. Filters and streams are found by the index as it was when the store was
// opened, and what has come since by looking through it: not for those who read them for long.
absl::StatusOr<std::unique_ptr<EventStore>> OpenSqliteEventStoreReadOnly(const std::string& folder,
                                                                         Executor* polls = nullptr);

}  // namespace leftfold
#endif  // EVENT_STORE_SQLITE_SQLITE_EVENT_STORE_H_
