#ifndef SQL_VIEW_FILE_H_
#define SQL_VIEW_FILE_H_

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/registry.h"
#include "core/view.h"
#include "sql/connection.h"

namespace leftfold::sql {

// The files of a view, which the projector writes and read_api reads:
//   <views>/<name>/<version>-<generation>.db
//       one SQLite file: the view's own tables, its checkpoint, its newest changes, what is parked
//   <views>/<name>/CURRENT
//       the served file's name, one line for each version of the view, so that an older binary
//       finds its own generation again; and a line "before 1-4.db" for the one that a version
//       served before, to which it can be rolled back
//   <views>/<name>/PAUSED
//       there while an operator has paused the view: why
//   <views>/<name>/<version>.stopped
//       there while this version is stopped: why, for processes that only read
//   <views>/<name>/<version>.lock
//       locked by the process that writes generations of this version
// Database files are never renamed. None of these functions is safe against two processes that
// switch the same view at once: the projector's lock sees to that.

// Never change: it is stored in every view file.
inline constexpr std::int32_t kViewApplicationId = 0x4C46'5657;  // "LFVW"

// A commit that leaves so many pages in the write-ahead log copies them back itself.
inline constexpr int kViewCommitCheckpointPages = 4'000;

struct Generation {
  int version = 0;
  std::int64_t number = 0;
  std::string FileName() const;  // "1-4.db"
  friend bool operator==(const Generation&, const Generation&) = default;
};

std::string ViewFolder(const std::string& views, std::string_view name);
std::string ViewPath(const std::string& views, std::string_view name, const Generation& generation);
// On the disk, with -wal.
std::int64_t ViewBytes(const std::string& views, std::string_view name,
                       const Generation& generation);

// The served generation of this version, nullopt when there is none yet. Here and below an error
// means that there may be one: the file cannot be read.
absl::StatusOr<std::optional<Generation>> ReadCurrent(const std::string& views,
                                                      std::string_view name, int version);
// The one that this version served before, nullopt when there is none.
absl::StatusOr<std::optional<Generation>> ReadBefore(const std::string& views,
                                                     std::string_view name, int version);
// Switches: writes a temporary file, fsyncs, renames, fsyncs the folder.
absl::Status WriteCurrent(const std::string& views, std::string_view name,
                          const Generation& generation,
                          const std::optional<Generation>& before = std::nullopt);
// The served generations of all versions.
absl::StatusOr<std::vector<Generation>> ListCurrent(const std::string& views,
                                                    std::string_view name);
// Takes a generation, and the one before it, out of CURRENT, so that its version is built anew at
// the next start; its files stay until then.
absl::Status RemoveFromCurrent(const std::string& views, std::string_view name,
                               const Generation& generation);
// A number that no file in the folder has.
absl::StatusOr<std::int64_t> NextGenerationNumber(const std::string& views, std::string_view name);
// All generations that lie in the folder, of all versions.
absl::StatusOr<std::vector<Generation>> ListGenerations(const std::string& views,
                                                        std::string_view name);
// Removes a generation's files (with -wal and -shm).
void RemoveGeneration(const std::string& views, std::string_view name,
                      const Generation& generation);

// Holds the right to write generations of one version of a view: an flock, which ends with the
// process.
class VersionLock {
 public:
  // UNAVAILABLE while somebody else holds it.
  static absl::StatusOr<std::unique_ptr<VersionLock>> Take(const std::string& views,
                                                           std::string_view name, int version);
  ~VersionLock();
  VersionLock(const VersionLock&) = delete;
  VersionLock& operator=(const VersionLock&) = delete;

 private:
  explicit VersionLock(int file) : file_(file) {}
  const int file_;
};

// What clients are told of a paused view: VIEW_PAUSED {view}.
absl::Status Paused(std::string_view name, std::string_view why);
// Why an operator paused the view; nullopt when it is not paused.
absl::StatusOr<std::optional<std::string>> ReadPaused(const std::string& views,
                                                      std::string_view name);
// Durable when it returns; nullopt ends the pause.
absl::Status WritePaused(const std::string& views, std::string_view name,
                         const std::optional<std::string>& why);

// Why this version stays where it is, as the process that builds it last said; `why` is OK when it
// goes on, as far as is known. Of the details of a reason only its name is kept.
absl::Status ReadStopped(const std::string& views, std::string_view name, int version,
                         absl::Status& why);
// OK: it goes on, which need not be so after a power loss: who builds the view says it again.
absl::Status WriteStopped(const std::string& views, std::string_view name, int version,
                          const absl::Status& reason);

// What a view file knows of its place in the log; stored in the rows' own transaction.
struct Checkpoint {
  Position position;
  Digest chain{};
};

// How many positions back `changes` reaches; a watch that resumes from before gets a fresh
// snapshot.
inline constexpr std::int64_t kChangesKept = 10'000;

// Opens for writing (role kWriter, synchronous=NORMAL, deterministic SQL), creating tables where
// the file is new.
absl::StatusOr<std::unique_ptr<Connection>> OpenViewWriter(const std::string& path,
                                                           const ViewEntry& view,
                                                           const Digest& first_chain);
absl::StatusOr<std::unique_ptr<Connection>> OpenViewReader(const std::string& path);
// The view's tables in memory, as OpenViewWriter makes them; for tests and as_of queries.
absl::StatusOr<std::unique_ptr<Connection>> OpenViewInMemory(const ViewEntry& view,
                                                             const Digest& first_chain);

absl::StatusOr<Checkpoint> ReadCheckpoint(Connection& connection);
// Inside a transaction.
void WriteCheckpoint(Connection& connection, const Checkpoint& checkpoint);
// Records that `key` changed at `position`; inside a transaction, once per key and batch.
void WriteChange(Connection& connection, Position position, std::string_view key);
// Forgets changes at or before `position`; inside a transaction.
void ForgetChanges(Connection& connection, Position position);
// Who has states of before `position` has them from another file, with other content perhaps:
// `changes` counts from there on. Inside a transaction.
void ForgetChangesBefore(Connection& connection, Position position);
// Keys changed after `position`, each once; nullopt when `changes` does not reach back that far or
// more than `limit` changed. Keys that an operator's retry changed (projector/) may come although
// the file's position is not beyond `position`: who has been told of that is told again after it.
absl::StatusOr<std::optional<std::vector<std::string>>> ChangesAfter(Connection& connection,
                                                                     Position position, int limit);

// ReadTx over a connection. The owner begins and ends the transaction.
class ConnectionReadTx final : public ReadTx {
 public:
  explicit ConnectionReadTx(Connection& connection) : connection_(connection) {}
  Position applied() override;
  const absl::Status& status() const override { return connection_.status(); }

 protected:
  Cursor& Prepare(std::string_view sql) override { return connection_.Prepare(sql); }

 private:
  Connection& connection_;
};

// WriteTx over a connection; collects what was touched.
class ConnectionWriteTx final : public WriteTx {
 public:
  explicit ConnectionWriteTx(Connection& connection) : connection_(connection) {}
  Position applied() override;
  const absl::Status& status() const override { return connection_.status(); }
  void Touch(std::string_view key) override;
  void Fail(const absl::Status& why) override { connection_.Fail(why); }
  // The position that following touches belong to.
  void SetPosition(Position position) { position_ = position; }
  // Each touched key with the last position that touched it.
  const absl::flat_hash_map<std::string, Position>& touched() const { return touched_; }
  void ClearTouched() { touched_.clear(); }

 protected:
  Cursor& Prepare(std::string_view sql) override { return connection_.Prepare(sql); }

 private:
  Connection& connection_;
  Position position_;
  absl::flat_hash_map<std::string, Position> touched_;
};

}  // namespace leftfold::sql
#endif  // SQL_VIEW_FILE_H_
