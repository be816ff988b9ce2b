#include "event_store/sqlite/sqlite_snapshots.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <utility>

#include "core/status.h"
#include "core/view.h"

namespace leftfold {
namespace {

// Reading connections that are kept open between reads.
constexpr std::size_t kIdleSnapshotReadersMax = 4;

// Append only: a released migration never changes.
constexpr std::string_view kSnapshotMigrations[] = {R"sql(
  CREATE TABLE snapshots(
    stream TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, chain BLOB NOT NULL, state_type TEXT NOT NULL,
    state_version INTEGER NOT NULL, state BLOB NOT NULL, checksum BLOB NOT NULL) STRICT;
)sql"};

// Never change: it is stored.
Digest ChecksumOf(const Snapshot& snapshot) {
  return Sha256()
      .AddLengthPrefixed(snapshot.stream)
      .AddInt64(snapshot.version.value)
      .Add(AsBytes(snapshot.chain))
      .AddLengthPrefixed(snapshot.state_type)
      .AddInt64(snapshot.state_version)
      .AddLengthPrefixed(snapshot.state)
      .Finish();
}

// Whether the file had better be made anew.
bool TellsOfDamage(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsInternal(status);
}

std::optional<Snapshot> RowOf(sql::Connection& connection, std::string_view stream) {
  Cursor& find = connection.Prepare(
      "SELECT version, chain, state_type, state_version, state, checksum FROM snapshots "
      "WHERE stream = ?");
  find.BindText(1, stream);
  Rows rows(find);
  if (!rows.Next()) return std::nullopt;
  Snapshot snapshot;
  snapshot.stream = stream;
  snapshot.version = Version{rows.Int(0)};
  const std::string_view chain = rows.Blob(1);
  std::copy_n(chain.begin(), std::min(chain.size(), snapshot.chain.size()), snapshot.chain.begin());
  snapshot.state_type = rows.Text(2);
  snapshot.state_version = static_cast<int>(rows.Int(3));
  snapshot.state = std::string(rows.Blob(4));
  if (rows.Blob(5) != AsBytes(ChecksumOf(snapshot))) return std::nullopt;
  return snapshot;
}

void WriteRow(sql::Connection& connection, const Snapshot& snapshot) {
  Cursor& insert = connection.Prepare(
      "INSERT INTO snapshots(stream, version, chain, state_type, state_version, state, checksum) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT(stream) DO UPDATE SET version = ?2, "
      "chain = ?3, state_type = ?4, state_version = ?5, state = ?6, checksum = ?7");
  insert.BindText(1, snapshot.stream);
  insert.Bind(2, snapshot.version.value);
  insert.BindBlob(3, AsBytes(snapshot.chain));
  insert.BindText(4, snapshot.state_type);
  insert.Bind(5, std::int64_t{snapshot.state_version});
  insert.BindBlob(6, snapshot.state);
  insert.BindBlob(7, AsBytes(ChecksumOf(snapshot)));
  insert.Step();
  insert.Reset();
}

}  // namespace

SqliteSnapshots::SqliteSnapshots(const std::string& folder) : path_(folder + "/snapshots.db") {
  MutexLock lock(writing_);
  // A file that cannot be used is tried again at the first Write.
  if (!OpenWriter().ok()) MakeAnew().IgnoreError();
}

absl::Status SqliteSnapshots::OpenWriter() {
  auto opened = sql::Connection::Open(path_, {.role = sql::Role::kWriter,
                                              .autocheckpoint_pages = kSnapshotCheckpointPages,
                                              .application_id = kSnapshotsApplicationId});
  if (!opened.ok()) return opened.status();
  sql::Connection& connection = **opened;
  LEFTFOLD_RETURN_IF_ERROR(
      connection.Migrate(kSnapshotMigrations, static_cast<int>(std::size(kSnapshotMigrations))));
  writer_ = *std::move(opened);
  return absl::OkStatus();
}

absl::Status SqliteSnapshots::MakeAnew() {
  writer_.reset();
  {
    MutexLock lock(mu_);
    ++generation_;
    idle_.clear();
    damaged_ = false;
  }
  // A reader in the middle of its read keeps the deleted file until it is done with it.
  for (const char* suffix : {"", "-wal", "-shm"}) {
    std::error_code error;
    std::filesystem::remove(path_ + suffix, error);
    if (error)
      return Error(absl::StatusCode::kInternal, "cannot delete {}{}: {}", path_, suffix,
                   error.message());
  }
  return OpenWriter();
}

std::optional<Snapshot> SqliteSnapshots::Find(std::string_view stream) {
  std::unique_ptr<sql::Connection> connection;
  int generation = 0;
  {
    MutexLock lock(mu_);
    generation = generation_;
    if (!idle_.empty()) {
      connection = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  std::optional<Snapshot> found;
  absl::Status status;
  if (connection == nullptr) {
    auto opened = sql::Connection::Open(path_, {.application_id = kSnapshotsApplicationId});
    status = opened.status();
    if (opened.ok()) connection = *std::move(opened);
  }
  if (connection != nullptr) {
    found = RowOf(*connection, stream);
    status = connection->status();
  }
  MutexLock lock(mu_);
  if (generation != generation_) return found;
  damaged_ = damaged_ || TellsOfDamage(status);
  if (!status.ok()) return std::nullopt;
  if (idle_.size() < kIdleSnapshotReadersMax) idle_.push_back(std::move(connection));
  return found;
}

absl::Status SqliteSnapshots::Write(const std::vector<Snapshot>& snapshots) {
  MutexLock lock(writing_);
  bool damaged = false;
  {
    MutexLock reading(mu_);
    damaged = damaged_;
  }
  std::error_code ignored;
  if (damaged || writer_ == nullptr || !std::filesystem::exists(path_, ignored))
    LEFTFOLD_RETURN_IF_ERROR(MakeAnew());
  absl::Status status = writer_->Begin();
  for (const Snapshot& snapshot : snapshots) WriteRow(*writer_, snapshot);
  if (status.ok()) status = writer_->Commit();
  if (status.ok()) return status;
  writer_->Rollback();
  // With a full disk what is there is still good.
  if (!absl::IsResourceExhausted(status)) MakeAnew().IgnoreError();
  return status;
}

}  // namespace leftfold
