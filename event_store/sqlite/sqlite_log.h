#ifndef EVENT_STORE_SQLITE_SQLITE_LOG_H_
#define EVENT_STORE_SQLITE_SQLITE_LOG_H_

#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/executor.h"
#include "event_store/log.h"
#include "event_store/read_page.h"
#include "event_store/sqlite/log_index.h"
#include "event_store/sqlite/log_rows.h"
#include "event_store/sqlite/reader_pool.h"
#include "sql/connection.h"

namespace leftfold {

// Look-ups in the index that one condition may take on the writer, and one page of a filtered read.
// Terms that are frequent apart and never stand together take many.
inline constexpr std::int64_t kConditionLookupsMax = 4'000;
inline constexpr std::int64_t kReadLookupsMax = 20'000;
// Pages that the write-ahead log holds before the writer copies them back, between two groups, and
// the next one waits: long checkpoints cost less, short ones hold up less
// (docs/adr/0043-checkpoints-while-nobody-waits.md). With more, after a large group or while
// readers keep the write-ahead log from beginning again, each commit does.
inline constexpr int kLogCheckpointPages = 2'000;
inline constexpr int kLogCommitCheckpointPages = 4'000;
// So many bytes the write-ahead log has while there are moments without a reader (a group's, if
// that is more). Beyond, and again after each kLogWalStep, the writer waits for the end of all
// reads that run, at most kLogRestartWaitMs, so that it can begin again at its start.
inline constexpr std::int64_t kLogWalBytesMax = 64 << 20;
inline constexpr std::int64_t kLogWalStep = 16 << 20;
inline constexpr int kLogRestartWaitMs = 250;
// Beyond that a line on stderr says so, and another one when it is back: a reader does not end,
// which can only be one of another process.
inline constexpr std::int64_t kLogWalWarnBytes = 128 << 20;
// Beyond that, appends are refused (WAL_FULL) until it has been copied back, which is tried with
// each of them.
inline constexpr std::int64_t kLogWalRefuseBytes = std::int64_t{4} << 30;
struct WalLimits {  // Tests choose others.
  std::int64_t bytes_max = kLogWalBytesMax;
  std::int64_t bytes_refused = kLogWalRefuseBytes;
};

// Never change: it is stored in every log file.
inline constexpr std::int32_t kLogApplicationId = 0x4C46'4C47;  // "LFLG"
// How whoever writes the file opens it.
inline constexpr sql::OpenOptions kLogWriter = {.role = sql::Role::kWriter,
                                                .full_sync = true,
                                                .autocheckpoint_pages = kLogCommitCheckpointPages,
                                                .cache_kib = 8'192,
                                                .application_id = kLogApplicationId};

// The number of migrations: user_version of a log file of today.
int NewestLogFormat();
// Brings a new or older file to a format, today's unless told otherwise.
absl::Status MigrateLog(sql::Connection& writer, int format = NewestLogFormat());

class SqliteLog final : public Log, private IndexSource {
 public:
  static absl::StatusOr<std::unique_ptr<SqliteLog>> Open(
      const std::string& folder, const LogIndex::Options& index, const WalLimits& wal = {},
      std::size_t streams_known_max = kStreamsKnownMax);

  Tail GetTail() override;
  absl::Status BeginGroup() override;
  absl::StatusOr<Version> StreamHead(std::string_view stream) override;
  absl::StatusOr<std::optional<StoredCommand>> CommandBefore(std::string_view command_id) override;
  absl::StatusOr<Position> FindMatch(const AppendCondition& condition) override;
  absl::Status Commit(const Group& group) override;
  void AfterGroup() override;
  absl::StatusOr<std::optional<StoredCommand>> FindCommand(std::string_view command_id) override;
  absl::StatusOr<std::vector<RecordedEvent>> ReadStream(std::string_view stream,
                                                        const ReadStreamOptions& options) override;
  absl::StatusOr<Position> VisitAll(const ReadAllOptions& options, TakeEvent take) override;
  absl::StatusOr<Version> StreamVersion(std::string_view stream) override;
  absl::StatusOr<std::vector<StreamInfo>> ListStreams(const ListStreamsOptions& options) override;
  absl::StatusOr<Position> PositionBefore(absl::Time time) override;
  Files GetFiles() override;

 private:
  SqliteLog(const std::string& path, const WalLimits& wal)
      : path_(path), wal_limits_(wal), readers_(path, kLogApplicationId) {}
  absl::Status CreateStore();
  absl::Status Read(const std::function<void(sql::Connection&)>& read);
  absl::StatusOr<Tail> LoadTail();
  absl::Status CheckTail(const Tail& tail);
  absl::StatusOr<bool> Fits(const IndexProgress& progress) override;
  absl::StatusOr<std::pair<IndexBatch, IndexProgress>> ReadAfter(const IndexProgress& progress,
                                                                 std::size_t count) override;
  absl::StatusOr<std::vector<Position>> PositionsOf(sql::Connection& connection,
                                                    std::string_view stream,
                                                    const ReadStreamOptions& options);
  absl::StatusOr<Version> VersionOf(sql::Connection& connection, std::int64_t stream_id);
  void Scan(sql::Connection& connection, Position end, ReadPage& page);
  absl::Status ReadIndexed(sql::Connection& connection, const TermQuery& query, Position indexed,
                           ReadPage& page);
  void AddToIndex(const Group& group);
  // After a commit.
  void WatchWal();
  void RestartWal(std::string_view checkpoint);
  // Tries to get rid of a write-ahead log that is too large.
  void EmptyWal();

  const std::string path_;
  const WalLimits wal_limits_;
  // The writer's own.
  std::unique_ptr<sql::Connection> writer_;
  std::optional<LogRowWriter> rows_;
  std::int64_t last_command_ = 0;
  bool wal_is_small_ = false;  // When it was last looked at.
  std::int64_t wal_restart_at_ = wal_limits_.bytes_max;
  bool wal_warned_ = false;
  std::int64_t wal_too_large_ = 0;  // Its bytes, while they are too many.
  bool wal_refuses_ = false;        // Since then, appends were refused.
  absl::Status wal_copied_;         // What came of copying it back, last.
  std::unique_ptr<LogIndex> index_;
  ReaderPool readers_;
};

}  // namespace leftfold
#endif  // EVENT_STORE_SQLITE_SQLITE_LOG_H_
