#ifndef EVENT_STORE_SQLITE_SQLITE_LOG_H_
#define EVENT_STORE_SQLITE_SQLITE_LOG_H_

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/mutex.h"
#include "event_store/log.h"
#include "sql/connection.h"

namespace leftfold {

// Reading connections that are kept open between reads.
inline constexpr std::size_t kIdleReadersMax = 8;
// Ids of streams that the writer remembers; when there are more, it forgets all and asks again.
inline constexpr std::size_t kStreamIdsMax = 262'144;
// Pages that the write-ahead log holds before the writer copies them back: fewer and longer
// checkpoints cost less.
inline constexpr int kLogCheckpointPages = 4'000;

// Never change: it is stored in every log file.
inline constexpr std::int32_t kLogApplicationId = 0x4C46'4C47;  // "LFLG"

// The number of migrations: user_version of a log file of today.
int LogFormat();
// Brings a new or older file to a format, today's unless told otherwise.
absl::Status MigrateLog(sql::Connection& writer, int format = LogFormat());

class SqliteLog final : public Log {
 public:
  enum class Mode { kWrite, kReadOnly };
  static absl::StatusOr<std::unique_ptr<SqliteLog>> Open(const std::string& folder, Mode mode);

  Tail GetTail() override;
  absl::Status BeginGroup() override;
  absl::StatusOr<Version> StreamHead(std::string_view stream) override;
  absl::StatusOr<std::optional<StoredCommand>> CommandBefore(std::string_view command_id) override;
  absl::StatusOr<Position> FindMatch(const AppendCondition& condition) override;
  absl::Status Commit(const Group& group) override;
  absl::StatusOr<std::optional<StoredCommand>> FindCommand(std::string_view command_id) override;
  absl::StatusOr<std::vector<RecordedEvent>> ReadStream(std::string_view stream,
                                                        const ReadStreamOptions& options) override;
  absl::StatusOr<ReadAllResult> ReadAll(const ReadAllOptions& options) override;
  absl::StatusOr<Version> StreamVersion(std::string_view stream) override;
  absl::StatusOr<std::vector<StreamInfo>> ListStreams(const ListStreamsOptions& options) override;
  absl::StatusOr<Position> PositionBefore(absl::Time time) override;

 private:
  explicit SqliteLog(std::string path) : path_(std::move(path)) {}
  absl::Status CreateStore();
  absl::StatusOr<Tail> LoadTail();
  absl::Status CheckTail(const Tail& tail);
  // Runs `read` on a reading connection of its own: one statement, which is a transaction by
  // itself, or several after Begin.
  absl::Status Read(const std::function<void(sql::Connection&)>& read);
  void WriteEvents(const Group& group);
  void WriteCommands(const Group& group);
  std::int64_t StreamId(const std::string& stream);
  std::int64_t CategoryId(std::string_view category);
  std::int64_t TypeId(const std::string& type);

  const std::string path_;
  // The writer's own.
  std::unique_ptr<sql::Connection> writer_;
  absl::flat_hash_map<std::string, std::int64_t> stream_ids_;
  absl::flat_hash_map<std::string, std::int64_t> category_ids_;
  absl::flat_hash_map<std::string, std::int64_t> type_ids_;
  Mutex mu_;
  std::vector<std::unique_ptr<sql::Connection>> idle_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leftfold
#endif  // EVENT_STORE_SQLITE_SQLITE_LOG_H_
