#ifndef SQL_CONNECTION_H_
#define SQL_CONNECTION_H_

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>
#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/view.h"

namespace leftfold::sql {

// Every file has exactly one kWriter, which also checkpoints; every other connection is a kReader:
// read-only, never checkpointing (SQLite 3.40 has the WAL-reset race,
// https://www.sqlite.org/wal.html#walresetbug).
enum class Role { kWriter, kReader };

// How long a statement waits for locks of other connections.
inline constexpr int kBusyTimeoutMs = 5'000;

struct OpenOptions {
  Role role = Role::kReader;
  bool full_sync =
      false;  // synchronous=FULL (the log); else NORMAL, where lost commits are folded again.
  // Writers only: a commit that leaves so many pages in the WAL copies them back. 0 keeps that for
  // Checkpoint().
  int autocheckpoint_pages = 0;
  int cache_kib = 2'048;
  bool deterministic = false;       // SQL's clock and random functions fail (view writers).
  std::int32_t application_id = 0;  // Written to a new file, required of an old one; 0 = unchecked.
};

// Once, before the process's first use of SQLite, else it dies: Connections see to it themselves.
void ConfigureLibrary();

// One SQLite connection with its prepared statements. Nothing throws: a failure is kept in status()
// and makes everything after it fail too, until ClearStatus(). Not thread-safe.
class Connection {
 public:
  // NOT_FOUND when a reader's file is missing, UNAVAILABLE when it cannot be opened now; a writer
  // creates it, with page checksums (checksum_vfs.h). DATA_LOSS when it is no database, or not of
  // this application_id. What a power loss has left half written of a file without a write-ahead
  // log is rolled back first, for readers too.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const std::string& path,
                                                          const OpenOptions& options);
  // In memory, for tests and as_of queries.
  static absl::StatusOr<std::unique_ptr<Connection>> OpenMemory();
  ~Connection();

  // The statement of `sql`, found again by the address of the text: literals only. Reset and ready
  // to bind.
  Cursor& Prepare(std::string_view sql);
  // Runs one or more statements without arguments; for schemas and pragmas. Returns (and keeps) the
  // status.
  absl::Status Run(std::string_view sql);
  // First column of the first row of a one-off statement, 0 when there is none.
  std::int64_t Value(const std::string& sql);

  // Writes all there is into a new database, not synced.
  absl::Status CopyTo(const std::string& path);

  // BEGIN IMMEDIATE for a writer, BEGIN for a reader.
  absl::Status Begin();
  absl::Status Commit();
  void Rollback();  // Also clears the status. No-op outside a transaction.

  // Copies pages of the WAL back, without waiting for readers. Writers only.
  absl::Status Checkpoint();
  // The same when the WAL has grown by `pages` since the last time: for who has a moment in which
  // nobody waits, so that a commit seldom comes to autocheckpoint_pages, which must be set and be
  // more. A full disk is no failure.
  absl::Status CheckpointEvery(int pages);

  // What the last commit left in the WAL, whose file may be larger. Of writers with
  // autocheckpoint_pages.
  std::int64_t WalBytes() const;

  // Applies the migrations beyond user_version, each in a transaction of its own, then sets it.
  // They are append-only. FAILED_PRECONDITION when the file is newer than `count`.
  absl::Status Migrate(const std::string_view* migrations, int count);

  const absl::Status& status() const { return status_; }
  void ClearStatus() { status_ = absl::OkStatus(); }
  // Somebody else's failure, to the same effect.
  void Fail(const absl::Status& failure) { status_.Update(failure); }
  SQLite::Database& database() { return database_; }
  std::int64_t changes() { return database_.getChanges(); }
  // Changes when another connection commits to the file.
  std::int64_t DataVersion() { return Value("PRAGMA data_version"); }
  // Whether pages have checksums: those of files that an earlier version made have none.
  bool HasPageChecksums();

 private:
  class Statement;
  Connection(const std::string& path, int flags);
  static absl::StatusOr<std::unique_ptr<Connection>> OpenOnce(const std::string& path,
                                                              const OpenOptions& options);
  absl::Status Configure(const OpenOptions& options);
  void Fail(int code);
  int AfterCommit(int wal_pages);
  int CopyBack();

  SQLite::Database database_;
  Role role_ = Role::kReader;
  int autocheckpoint_pages_ = 0;
  std::int64_t page_bytes_ = 0;
  int wal_pages_ = 0;     // After the last commit.
  int copied_pages_ = 0;  // Of these, when they were last copied back.
  absl::Status status_;
  bool in_transaction_ = false;
  absl::flat_hash_map<const char*, std::unique_ptr<Statement>> statements_;
  std::unique_ptr<Statement> broken_;  // Stands in for a statement that does not compile.
};

// SQLITE_FULL is RESOURCE_EXHAUSTED, corruption and a wrong page checksum DATA_LOSS, busy
// UNAVAILABLE, a missing file NOT_FOUND, a value that the table does not take INVALID_ARGUMENT, the
// rest INTERNAL.
absl::Status ToStatus(int sqlite_code, std::string_view message);

// sqlite3_libversion(), and whether it is free of the WAL-reset race (3.51.3 or later).
std::string_view LibraryVersion();
bool LibraryHasWalResetFix();

}  // namespace leftfold::sql
#endif  // SQL_CONNECTION_H_
