#include "event_store/sqlite/sqlite_event_store.h"

#include <utility>

#include "core/status.h"
#include "event_store/sequencer.h"
#include "event_store/sqlite/sqlite_log.h"

namespace leftfold {
namespace {

class ReadOnlyStore final : public EventStore {
 public:
  explicit ReadOnlyStore(std::unique_ptr<Log> log) : log_(std::move(log)) {}
  void Append(AppendRequest, AppendDone done) override {
    done(Error(absl::StatusCode::kFailedPrecondition, "the log is open for reading only"));
  }
  absl::StatusOr<std::optional<StoredCommand>> FindCommand(std::string_view command_id) override {
    return log_->FindCommand(command_id);
  }
  absl::StatusOr<std::vector<RecordedEvent>> ReadStream(std::string_view stream,
                                                        const ReadStreamOptions& options) override {
    return log_->ReadStream(stream, options);
  }
  absl::StatusOr<ReadAllResult> ReadAll(const ReadAllOptions& options) override {
    return log_->ReadAll(options);
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
    if (GetHead().position > position) wake();
  }

 private:
  const std::unique_ptr<Log> log_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<EventStore>> OpenSqliteEventStore(
    const std::string& folder, const SqliteStoreOptions& options) {
  auto log = SqliteLog::Open(
      folder, {.mode = LogIndex::Mode::kWrite,
               .behind = options.behind != nullptr ? options.behind : options.completions,
               .batch = options.index_batch});
  if (!log.ok()) return log.status();
  return std::make_unique<SequencedStore>(*std::move(log), *options.writer, *options.completions,
                                          *options.clock);
}

absl::StatusOr<std::unique_ptr<EventStore>> OpenSqliteEventStoreReadOnly(
    const std::string& folder) {
  auto log = SqliteLog::Open(folder, {.mode = LogIndex::Mode::kReadOnly});
  if (!log.ok()) return log.status();
  return std::make_unique<ReadOnlyStore>(*std::move(log));
}

}  // namespace leftfold
