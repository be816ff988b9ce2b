#include "projector/view_runner.h"

#include <algorithm>
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

// Positions between two deletions of old changes.
constexpr std::int64_t kForgetEvery = 1'000;

}  // namespace

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
  if (at == kBeforeFirst)
    return checkpoint_.chain == FirstChain(store_.StoreId()) ? absl::OkStatus() : OffTheChain(at);
  const auto events = store_.ReadAll({.from = Position{at.value - 1}, .events_max = 1});
  if (!events.ok()) return events.status();
  const bool fits = !events->empty() && events->front().position == at &&
                    events->front().chain == checkpoint_.chain;
  return fits ? absl::OkStatus() : OffTheChain(at);
}

ViewRunner::Progress ViewRunner::Step(Position limit) {
  if (!stopped_.ok()) return Progress::kStopped;
  if (checkpoint_.position >= limit) return Progress::kIdle;
  const std::size_t most = mode_ == Mode::kBuilding ? kBuildBatchEventsMax : kBatchEventsMax;
  const Position head = store_.GetHead().position;  // Before the read, which may see more.
  const auto room = static_cast<std::uint64_t>(limit.value - checkpoint_.position.value);
  const auto events =
      store_.ReadAll({.from = checkpoint_.position,
                      .events_max = static_cast<std::size_t>(std::min<std::uint64_t>(most, room)),
                      .bytes_max = kBatchBytesMax});
  if (!events.ok()) return StopAt(checkpoint_.position.Next(), events.status());
  return FoldOrIdle(head, *events);
}

ViewRunner::Progress ViewRunner::Step(BatchReader& reader) {
  if (!stopped_.ok()) return Progress::kStopped;
  const Position head = store_.GetHead().position;  // Before the read, which may see more.
  const auto batch = reader.After(checkpoint_.position, kBatchEventsMax, kBatchBytesMax);
  if (!batch.ok()) return StopAt(checkpoint_.position.Next(), batch.status());
  return FoldOrIdle(head, batch->events());
}

ViewRunner::Progress ViewRunner::FoldOrIdle(Position head, std::span<const RecordedEvent> events) {
  if (!events.empty()) return Fold(events);
  if (head <= checkpoint_.position) return Progress::kIdle;
  return StopAt(checkpoint_.position.Next(), Hole(checkpoint_.position.Next()));
}

ViewRunner::Progress ViewRunner::Offer(std::vector<RecordedEvent> events) {
  if (!stopped_.ok()) return Progress::kStopped;
  for (RecordedEvent& event : events) {
    if (event.position <= checkpoint_.position || held_back_.contains(event.position)) {
      ++duplicates_ignored_;
    } else if (held_back_.size() < kHeldBackMax) {
      held_back_.emplace(event.position, std::move(event));
    }
  }
  std::vector<RecordedEvent> next;
  Position expected = checkpoint_.position.Next();
  while (!held_back_.empty() && held_back_.begin()->first == expected) {
    next.push_back(std::move(held_back_.extract(held_back_.begin()).mapped()));
    expected = expected.Next();
  }
  Progress progress = next.empty() ? Progress::kIdle : Fold(next);
  while (progress != Progress::kStopped && !held_back_.empty()) {
    progress = Step(Position{held_back_.rbegin()->first});
    held_back_.erase(held_back_.begin(), held_back_.upper_bound(checkpoint_.position));
  }
  return progress;
}

ViewRunner::Progress ViewRunner::Fold(std::span<const RecordedEvent> events) {
  std::size_t failed = events.size();
  const absl::Status status = FoldTransaction(events, &failed);
  if (status.ok()) return Progress::kFolded;
  // What came before the event that cannot be folded counts.
  if (failed > 0 && failed < events.size()) {
    std::size_t again = failed;
    const absl::Status before = FoldTransaction(events.first(failed), &again);
    if (!before.ok()) return StopAt(events[std::min(again, failed)].position, before);
  }
  return StopAt(events[std::min(failed, events.size() - 1)].position, status);
}

absl::Status ViewRunner::FoldTransaction(std::span<const RecordedEvent> events,
                                         std::size_t* failed) {
  sql::ConnectionWriteTx tx(*connection_);
  sql::Checkpoint next = checkpoint_;
  absl::Status status = connection_->Begin();
  for (std::size_t i = 0; i < events.size() && status.ok(); ++i) {
    status = FoldOne(events[i], tx, next);
    if (!status.ok()) *failed = i;
  }
  if (status.ok()) {
    WriteChanges(tx);
    sql::WriteCheckpoint(*connection_, next);
    status = connection_->Commit();
  }
  if (!status.ok()) {
    connection_->Rollback();
    return status;
  }
  checkpoint_ = next;
  for (const auto& [key, position] : tx.touched()) touched_.push_back(key);
  return status;
}

absl::Status ViewRunner::FoldOne(const RecordedEvent& event, sql::ConnectionWriteTx& tx,
                                 sql::Checkpoint& next) {
  if (event.position != next.position.Next()) return Hole(next.position.Next());
  if (ChainOf(next.chain, event) != event.chain) return OffTheChain(event.position);
  tx.SetPosition(event.position);
  const absl::StatusOr<bool> handled = view_.fold(event, tx);
  if (!handled.ok()) return handled.status();
  next = {event.position, event.chain};
  return tx.status();
}

void ViewRunner::WriteChanges(const sql::ConnectionWriteTx& tx) {
  const Position oldest{store_.GetHead().position.value - sql::kChangesKept};
  for (const auto& [key, position] : tx.touched()) {
    if (position > oldest) sql::WriteChange(*connection_, position, key);
  }
  if (oldest.value < changes_forgotten_.value + kForgetEvery) return;
  sql::ForgetChanges(*connection_, oldest);
  changes_forgotten_ = oldest;
}

ViewRunner::Progress ViewRunner::StopAt(Position position, const absl::Status& reason) {
  stopped_ = absl::Status(reason.code(), fmt::format("stopped at position {}: {}", position.value,
                                                     ToStd(reason.message())));
  return Progress::kStopped;
}

absl::Status ViewRunner::FinishBuilding() {
  mode_ = Mode::kServing;
  // The checkpoint syncs the write-ahead log first, then the file.
  LEFTFOLD_RETURN_IF_ERROR(connection_->Run("PRAGMA synchronous=NORMAL; PRAGMA cache_size=-2048"));
  return connection_->Checkpoint();
}

std::vector<std::string> ViewRunner::TakeTouched() { return std::exchange(touched_, {}); }

}  // namespace leftfold
