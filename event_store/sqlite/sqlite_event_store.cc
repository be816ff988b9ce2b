#include "event_store/sqlite/sqlite_event_store.h"

#include <map>
#include <utility>

#include "core/mutex.h"
#include "core/status.h"
#include "event_store/follow.h"
#include "event_store/sequencer.h"
#include "event_store/sqlite/sqlite_log.h"

namespace leftfold {
namespace {

// Wakes who waits for a log that another process writes: looks at the file while somebody does.
class FileWaits : public std::enable_shared_from_this<FileWaits> {
 public:
  FileWaits(std::unique_ptr<sql::Connection> connection, Executor& executor)
      : executor_(executor), connection_(std::move(connection)) {}

  void WaitPast(Position position, std::function<void()> wake) {
    bool post = false;
    {
      MutexLock lock(mu_);
      waiting_.emplace(position, std::move(wake));
      post = !std::exchange(polling_, true);
    }
    if (post) Post(absl::ZeroDuration());
  }

 private:
  void Post(absl::Duration delay) {
    executor_.PostAfter(delay, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->Poll();
    });
  }
  void Poll() {
    Look();
    std::vector<std::function<void()>> woken;
    bool again = false;
    {
      MutexLock lock(mu_);
      const auto end = waiting_.lower_bound(head_);
      for (auto it = waiting_.begin(); it != end; ++it) woken.push_back(std::move(it->second));
      waiting_.erase(waiting_.begin(), end);
      again = polling_ = !waiting_.empty();
    }
    for (const auto& wake : woken) wake();
    if (again) Post(kLogPollInterval);
  }
  // Never two at once: `polling_` is set. A failure may pass; who is woken too late has lost time
  // only.
  void Look() {
    const std::int64_t version = connection_->DataVersion();
    if (connection_->status().ok() && version != data_version_) {
      Rows rows(connection_->Prepare("SELECT max(position) FROM events"));
      if (rows.Next()) {
        head_ = Position{rows.Int(0)};
        data_version_ = version;
      }
    }
    connection_->ClearStatus();
  }

  Executor& executor_;
  const std::unique_ptr<sql::Connection> connection_;
  std::int64_t data_version_ = -1;
  Position head_;
  Mutex mu_;
  bool polling_ ABSL_GUARDED_BY(mu_) = false;
  std::multimap<Position, std::function<void()>> waiting_ ABSL_GUARDED_BY(mu_);
};

class ReadOnlyStore final : public EventStore {
 public:
  ReadOnlyStore(std::unique_ptr<SqliteLog> log, std::shared_ptr<FileWaits> waits)
      : log_(std::move(log)), waits_(std::move(waits)) {}
  void Append(AppendRequest, AppendDone done) override {
    done(Error(absl::StatusCode::kFailedPrecondition, "the log is open for reading only"));
  }
  absl::StatusOr<std::optional<StoredCommand>> FindCommand(std::string_view command_id) override {
    return log_->FindCommand(command_id);
  }
  absl::StatusOr<std::vector<RecordedEvent>> ReadStream(std::string_view stream,
                                                        const ReadStreamOptions& options) override {
    return AsRecorded(log_->ReadStream(stream, options));
  }
  absl::StatusOr<ReadAllResult> ReadAll(const ReadAllOptions& options) override {
    return CollectAll(*log_, options);
  }
  absl::StatusOr<Position> VisitAll(const ReadAllOptions& options, TakeEvent take) override {
    return log_->VisitAll(options, take);
  }
  absl::StatusOr<Version> StreamVersion(std::string_view stream) override {
    return log_->StreamVersion(stream);
  }
  absl::StatusOr<std::vector<StreamInfo>> ListStreams(const ListStreamsOptions& options) override {
    return log_->ListStreams(options);
  }
  absl::StatusOr<Position> PositionBefore(absl::Time time) override {
    return log_->PositionBefore(time);
  }
  Head GetHead() override { return log_->GetTail().head; }
  std::string StoreId() override { return log_->GetTail().store_id; }
  void WaitPast(Position position, std::function<void()> wake) override {
    if (waits_ != nullptr) return waits_->WaitPast(position, std::move(wake));
    if (GetHead().position > position) wake();
  }

 private:
  const std::unique_ptr<SqliteLog> log_;
  const std::shared_ptr<FileWaits> waits_;  // nullptr: nobody looks.
};

}  // namespace

absl::StatusOr<std::unique_ptr<EventStore>> OpenSqliteEventStore(
    const std::string& folder, const SqliteStoreOptions& options) {
  auto log =
      SqliteLog::Open(folder,
                      {.mode = LogIndex::Mode::kWrite,
                       .behind = options.behind != nullptr ? options.behind : options.completions,
                       .batch = options.index_batch},
                      options.wal, options.streams_known_max);
  if (!log.ok()) return log.status();
  return std::make_unique<SequencedStore>(*std::move(log), *options.writer, *options.completions,
                                          *options.clock, options.recent_events);
}

absl::StatusOr<std::unique_ptr<EventStore>> OpenSqliteEventStoreReadOnly(const std::string& folder,
                                                                         Executor* polls) {
  auto log = SqliteLog::Open(folder, {.mode = LogIndex::Mode::kReadOnly});
  if (!log.ok()) return log.status();
  std::shared_ptr<FileWaits> waits;
  if (polls != nullptr) {
    auto connection =
        sql::Connection::Open(folder + "/events.db", {.application_id = kLogApplicationId});
    if (!connection.ok()) return connection.status();
    waits = std::make_shared<FileWaits>(*std::move(connection), *polls);
  }
  return std::make_unique<ReadOnlyStore>(*std::move(log), std::move(waits));
}

}  // namespace leftfold
