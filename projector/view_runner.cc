#include "projector/view_runner.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/reject.h"
#include "core/status.h"

namespace leftfold {
namespace {

absl::Status Hole(Position position) {
  return Reject(
      core::v1::ERROR_REASON_DATA_LOSS,
      fmt::format("the log has no event at position {}; run `leftfold verify` and restore a backup",
                  position.value),
      {{"position", fmt::to_string(position.value)}});
}

absl::Status OffTheChain(Position position) {
  return Reject(core::v1::ERROR_REASON_DATA_LOSS,
                fmt::format("the chain value at position {} does not fit; run `leftfold verify`, "
                            "then rebuild the view",
                            position.value),
                {{"position", fmt::to_string(position.value)}});
}

absl::Status Changed(Position position) {
  return Reject(core::v1::ERROR_REASON_DATA_LOSS,
                fmt::format("the event at position {} is not what was recorded; run `leftfold "
                            "verify` and restore a backup",
                            position.value),
                {{"position", fmt::to_string(position.value)}});
}

// Positions between two deletions of old changes.
constexpr std::int64_t kForgetEvery = 1'000;

// fsync of a file that may not be there.
absl::Status SyncFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0 && errno == ENOENT) return absl::OkStatus();
  const bool synced = file >= 0 && fsync(file) == 0;
  const int code = errno;
  if (file >= 0) close(file);
  if (synced) return absl::OkStatus();
  return Error(absl::StatusCode::kInternal, "cannot fsync {}: {}", path, std::strerror(code));
}

}  // namespace

bool MayPass(const absl::Status& failure) {
  return absl::IsResourceExhausted(failure) || absl::IsUnavailable(failure);
}

absl::StatusOr<std::unique_ptr<ViewRunner>> ViewRunner::Open(const ViewEntry& view,
                                                             EventStore& store,
                                                             const std::string& path, Mode mode) {
  std::unique_ptr<ViewRunner> runner(new ViewRunner(view, store, path, mode));
  auto connection = sql::OpenViewWriter(path, view, FirstChain(store.StoreId()));
  if (!connection.ok()) return connection.status();
  runner->connection_ = *std::move(connection);
  if (mode == Mode::kBuilding) {
    // Nobody reads the file yet, and an interrupted build is begun anew.
    LEFTFOLD_RETURN_IF_ERROR(
        runner->connection_->Run("PRAGMA synchronous=OFF; PRAGMA cache_size=-65536"));
  }
  auto checkpoint = sql::ReadCheckpoint(*runner->connection_);
  if (!checkpoint.ok()) return checkpoint.status();
  runner->checkpoint_ = *checkpoint;
  LEFTFOLD_RETURN_IF_ERROR(runner->CheckChain());
  return runner;
}

absl::Status ViewRunner::CheckChain() {
  const Position at = checkpoint_.position;
  if (at == kBeforeFirst) {
    const bool fits = checkpoint_.chain == FirstChain(store_.StoreId());
    return fits ? absl::OkStatus() : OffTheChain(at);
  }
  const auto read = store_.ReadAll({.from = Position{at.value - 1}, .events_max = 1});
  if (!read.ok()) return read.status();
  const bool fits = !read->events.empty() && read->events.front().position == at &&
                    read->events.front().chain == checkpoint_.chain;
  return fits ? absl::OkStatus() : OffTheChain(at);
}

ViewRunner::Progress ViewRunner::Step(Position limit) {
  if (!stopped_.ok()) return Progress::kStopped;
  if (checkpoint_.position >= limit) return Progress::kIdle;
  const bool building = mode_ == Mode::kBuilding;
  if (building && limit != kNoLimit) built_to_ = std::max(built_to_, limit);
  const std::size_t most = building ? kBuildBatchEventsMax : kBatchEventsMax;
  const Position head = store_.GetHead().position;  // Before the read, which may see more.
  const auto room = static_cast<std::uint64_t>(limit.value - checkpoint_.position.value);
  const auto read =
      store_.ReadAll({.from = checkpoint_.position,
                      .events_max = static_cast<std::size_t>(std::min<std::uint64_t>(most, room)),
                      .bytes_max = kBatchBytesMax});
  if (!read.ok()) return StopAt(checkpoint_.position.Next(), read.status());
  return FoldOrIdle(head, read->events, 0);
}

ViewRunner::Progress ViewRunner::Step(BatchReader& reader) {
  if (!stopped_.ok()) return Progress::kStopped;
  const Position head = store_.GetHead().position;  // Before the read, which may see more.
  const auto batch = reader.After(checkpoint_.position, kBatchEventsMax, kBatchBytesMax);
  if (!batch.ok()) return StopAt(checkpoint_.position.Next(), batch.status());
  return FoldOrIdle(head, batch->events(), batch->linked());
}

ViewRunner::Progress ViewRunner::FoldOrIdle(Position head, std::span<const RecordedEvent> events,
                                            std::size_t linked) {
  if (!events.empty()) return Fold(events, linked);
  if (head <= checkpoint_.position) return Progress::kIdle;
  return StopAt(checkpoint_.position.Next(), Hole(checkpoint_.position.Next()));
}

ViewRunner::Progress ViewRunner::Offer(std::vector<RecordedEvent> events) {
  if (!stopped_.ok()) return Progress::kStopped;
  HoldBack(std::move(events));
  Progress progress = Progress::kIdle;
  while (!held_back_.empty() && progress != Progress::kStopped) {
    const bool next = held_back_.begin()->first == checkpoint_.position.Next();
    progress = next ? FoldHeldBack() : CloseGap();
  }
  return progress;
}

void ViewRunner::HoldBack(std::vector<RecordedEvent> events) {
  for (RecordedEvent& event : events) {
    const Position position = event.position;
    if (position <= checkpoint_.position || held_back_.contains(position)) {
      ++duplicates_ignored_;
    } else if (held_back_.size() < kHeldBackMax) {
      held_back_.emplace(position, std::move(event));
    }
  }
}

// Folds the first of what is held back, as far as it has no gap.
ViewRunner::Progress ViewRunner::FoldHeldBack() {
  std::vector<RecordedEvent> next;
  Position expected = checkpoint_.position.Next();
  while (!held_back_.empty() && held_back_.begin()->first == expected &&
         next.size() < kBatchEventsMax) {
    next.push_back(std::move(held_back_.extract(held_back_.begin()).mapped()));
    expected = expected.Next();
  }
  return Fold(next, 0);
}

// Reads what is missing before the first event that is held back.
ViewRunner::Progress ViewRunner::CloseGap() {
  const Progress progress = Step(Position{held_back_.begin()->first.value - 1});
  if (progress != Progress::kIdle) return progress;
  // Somebody has the later event and the store does not have this one: it will never come.
  return StopAt(checkpoint_.position.Next(), Hole(checkpoint_.position.Next()));
}

ViewRunner::Progress ViewRunner::Fold(std::span<const RecordedEvent> events, std::size_t linked) {
  Attempt attempt = FoldTransaction(events, linked);
  if (attempt.status.ok()) return Progress::kFolded;
  if (attempt.culprit.value_or(0) > 0) {
    // What came before the event that cannot be folded counts.
    Attempt before = FoldTransaction(events.first(*attempt.culprit), linked);
    if (!before.status.ok()) attempt = std::move(before);
  }
  return StopAt(checkpoint_.position.Next(), attempt.status);
}

ViewRunner::Attempt ViewRunner::FoldTransaction(std::span<const RecordedEvent> events,
                                                std::size_t linked) {
  sql::ConnectionWriteTx tx(*connection_);
  sql::Checkpoint next = checkpoint_;
  Attempt attempt{connection_->Begin(), std::nullopt};
  for (std::size_t i = 0; i < events.size() && attempt.status.ok(); ++i) {
    attempt.status = FoldOne(events[i], 0 < i && i < linked, tx, next);
    if (!attempt.status.ok()) attempt.culprit = i;
  }
  if (attempt.status.ok()) {
    WriteChanges(tx, next.position);
    sql::WriteCheckpoint(*connection_, next);
    attempt.status = connection_->Commit();
  }
  if (!attempt.status.ok()) {
    connection_->Rollback();
    return attempt;
  }
  checkpoint_ = next;
  if (mode_ == Mode::kServing) {
    const std::ptrdiff_t before = std::ssize(touched_);
    for (const auto& [key, position] : tx.touched()) touched_.push_back(key);
    // The table's order is another one in each run; watches are told in this one.
    std::sort(touched_.begin() + before, touched_.end());
  }
  return attempt;
}

absl::Status ViewRunner::FoldOne(const RecordedEvent& event, bool follows,
                                 sql::ConnectionWriteTx& tx, sql::Checkpoint& next) {
  if (!follows) {
    if (event.position != next.position.Next()) return Hole(next.position.Next());
    if (LeafOf(event) != event.leaf) return Changed(event.position);
    if (ChainOf(next.chain, event) != event.chain) return OffTheChain(event.position);
  }
  tx.SetPosition(event.position);
  const absl::StatusOr<bool> handled = view_.fold(event, tx);
  if (!handled.ok()) return handled.status();
  next = {event.position, event.chain};
  return tx.status();
}

// Counted from the checkpoint and not from the head: who reads the file while it lags relies on the
// kChangesKept positions before the checkpoint.
void ViewRunner::WriteChanges(const sql::ConnectionWriteTx& tx, Position end) {
  const Position oldest{std::max(end, built_to_).value - sql::kChangesKept};
  for (const auto& [key, position] : tx.touched()) {
    if (position > oldest) sql::WriteChange(*connection_, position, key);
  }
  if (oldest.value < changes_forgotten_.value + kForgetEvery) return;
  sql::ForgetChanges(*connection_, oldest);
  changes_forgotten_ = oldest;
}

ViewRunner::Progress ViewRunner::StopAt(Position position, const absl::Status& reason) {
  // What is lost without a reason for clients is the file, not the log.
  const bool damaged = absl::IsDataLoss(reason) && ReasonOf(reason).empty();
  stopped_ = absl::Status(
      reason.code(),
      fmt::format("stopped at position {}: {}{}", position.value, ToStd(reason.message()),
                  damaged ? fmt::format("; rebuild it: leftfold replay {}", view_.name) : ""));
  reason.ForEachPayload(
      [this](auto url, const absl::Cord& payload) { stopped_.SetPayload(url, payload); });
  stopped_at_ = position;
  return Progress::kStopped;
}

void ViewRunner::Resume() {
  if (MayPass(stopped_)) stopped_ = absl::OkStatus();
}

absl::Status ViewRunner::FinishBuilding() {
  // Commits sync from now on; what was written before is synced here, for a checkpoint syncs
  // nothing when there is nothing left for it to copy.
  LEFTFOLD_RETURN_IF_ERROR(connection_->Run("PRAGMA synchronous=NORMAL; PRAGMA cache_size=-2048"));
  LEFTFOLD_RETURN_IF_ERROR(connection_->Checkpoint());
  LEFTFOLD_RETURN_IF_ERROR(SyncFile(path_ + "-wal"));
  LEFTFOLD_RETURN_IF_ERROR(SyncFile(path_));
  mode_ = Mode::kServing;
  return absl::OkStatus();
}

std::vector<std::string> ViewRunner::TakeTouched() { return std::exchange(touched_, {}); }

}  // namespace leftfold
