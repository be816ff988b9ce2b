#ifndef EVENT_STORE_SQLITE_SQLITE_EVENT_STORE_H_
#define EVENT_STORE_SQLITE_SQLITE_EVENT_STORE_H_

#include <absl/status/statusor.h>

#include <memory>
#include <string>

#include "core/clock.h"
#include "core/executor.h"
#include "event_store/event_store.h"
#include "event_store/sqlite/log_index.h"

namespace leftfold {

// The log in one SQLite file, `<folder>/events.db`; its format is in event_store/README.md.
struct SqliteStoreOptions {
  Executor* writer = nullptr;
  Executor* completions = nullptr;
  const Clock* clock = nullptr;
  Executor* behind = nullptr;  // Writes the index; may be slow. nullptr: `completions`.
  std::size_t index_batch = kIndexBatchMax;
};

// Makes the folder and the file where there are none. The caller holds the "write" lock of the data
// folder. DATA_LOSS when the end of the log does not fit its chain; FAILED_PRECONDITION when a
// newer binary made the file.
absl::StatusOr<std::unique_ptr<EventStore>> OpenSqliteEventStore(const std::string& folder,
                                                                 const SqliteStoreOptions& options);

// For tools beside a running server: reads what is committed, Append is FAILED_PRECONDITION, and
// WaitPast wakes only when the head is past the position already (poll GetHead). NOT_FOUND when
// there is no log yet.
absl::StatusOr<std::unique_ptr<EventStore>> OpenSqliteEventStoreReadOnly(const std::string& folder);

}  // namespace leftfold
#endif  // EVENT_STORE_SQLITE_SQLITE_EVENT_STORE_H_
