#include "projector/view_runner.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <limits>
#include <utility>

#include "core/ids.h"
#include "core/reject.h"
#include "core/status.h"
#include "event_store/follow.h"

namespace leftfold {
namespace {

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
  LEFTFOLD_RETURN_IF_ERROR(runner->ReadProgress());
  LEFTFOLD_RETURN_IF_ERROR(
      CheckOnChain(store, {runner->checkpoint_.position, runner->checkpoint_.chain}));
  return runner;
}

absl::Status ViewRunner::ReadProgress() {
  auto checkpoint = sql::ReadCheckpoint(*connection_);
  if (!checkpoint.ok()) return checkpoint.status();
  checkpoint_ = *checkpoint;
  ReadParking();
  return connection_->status();
}

void ViewRunner::TryAgain() {
  const Position before = checkpoint_.position;
  stopped_ = ReadProgress();
  if (!stopped_.ok() || mode_ != Mode::kServing || checkpoint_.position == before) return;
  const auto changed = sql::ChangesAfter(*connection_, before, std::numeric_limits<int>::max());
  if (!changed.ok()) stopped_ = changed.status();
  if (changed.ok() && *changed)
    touched_.insert(touched_.end(), (*changed)->begin(), (*changed)->end());
}

ViewRunner::Progress ViewRunner::Step(Position limit) {
  if (!stopped_.ok()) return Progress::kStopped;
  if (checkpoint_.position >= limit) return Progress::kIdle;
  const Position head = store_.GetHead().position;  // Before the read, which may see more.
  const auto read = store_.ReadAll(
      {.from = checkpoint_.position, .events_max = RoomTo(limit), .bytes_max = kBatchBytesMax});
  if (!read.ok()) return StopAt(checkpoint_.position.Next(), read.status());
  return FoldOrIdle(head, {read->events, 0, {}}, nullptr);
}

ViewRunner::Progress ViewRunner::Step(AheadReader& reader, Position limit) {
  if (!stopped_.ok()) return Progress::kStopped;
  if (checkpoint_.position >= limit) return Progress::kIdle;
  const Position head = store_.GetHead().position;  // Before the read, which may see more.
  const auto batch = reader.After(checkpoint_.position, RoomTo(limit));
  if (!batch.ok()) return StopAt(checkpoint_.position.Next(), batch.status());
  return FoldOrIdle(head, RunOf(*batch), nullptr);
}

std::size_t ViewRunner::RoomTo(Position limit) {
  const bool building = mode_ == Mode::kBuilding;
  if (building && limit != kNoLimit) built_to_ = std::max(built_to_, limit);
  const std::size_t most = building ? kBuildBatchEventsMax : kBatchEventsMax;
  const auto room = static_cast<std::uint64_t>(limit.value - checkpoint_.position.value);
  return static_cast<std::size_t>(std::min<std::uint64_t>(most, room));
}

ViewRunner::Progress ViewRunner::Step(BatchReader& reader, const Clock& clock) {
  if (!stopped_.ok()) return Progress::kStopped;
  const Position head = store_.GetHead().position;  // Before the read, which may see more.
  const auto batch = reader.After(checkpoint_.position, kBatchEventsMax);
  if (!batch.ok()) return StopAt(checkpoint_.position.Next(), batch.status());
  return FoldOrIdle(head, RunOf(*batch), &clock);
}

EventRun ViewRunner::RunOf(const BatchReader::Batch& batch) {
  return batch.RunFor(view_.handles, wanted_);
}

ViewRunner::Progress ViewRunner::FoldOrIdle(Position head, const EventRun& run,
                                            const Clock* clock) {
  if (!run.events.empty()) return Fold(run, clock);
  if (head <= checkpoint_.position) return Progress::kIdle;
  return StopAt(checkpoint_.position.Next(), HoleAt(checkpoint_.position.Next()));
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
  return Fold({next, 0, {}}, nullptr);
}

// Reads what is missing before the first event that is held back.
ViewRunner::Progress ViewRunner::CloseGap() {
  const Progress progress = Step(Position{held_back_.begin()->first.value - 1});
  if (progress != Progress::kIdle) return progress;
  // Somebody has the later event and the store does not have this one: it will never come.
  return StopAt(checkpoint_.position.Next(), HoleAt(checkpoint_.position.Next()));
}

ViewRunner::Progress ViewRunner::Fold(EventRun run, const Clock* clock) {
  std::optional<Until> until;
  if (clock != nullptr) until.emplace(Until{*clock, clock->Now() + kBatchTimeMax});
  while (true) {
    Attempt attempt = FoldTransaction(run, until ? &*until : nullptr);
    if (attempt.status.ok()) return Progress::kFolded;
    if (attempt.can_be_parked && view_.on_poison == Poison::kParkStream) {
      const std::size_t passed = *attempt.culprit + 1;
      attempt = FoldTransaction(run.First(passed), nullptr, &attempt.status);
      run = run.From(passed);
      const bool ends = run.events.empty() || (until && until->Passed());
      if (attempt.status.ok() && ends) return Progress::kFolded;
      if (attempt.status.ok()) continue;
    } else if (attempt.culprit.value_or(0) > 0) {
      // What came before the event that cannot be folded counts.
      Attempt before = FoldTransaction(run.First(*attempt.culprit), nullptr);
      if (!before.status.ok()) attempt = std::move(before);
    }
    return StopAt(checkpoint_.position.Next(), attempt.status);
  }
}

ViewRunner::Attempt ViewRunner::FoldTransaction(const EventRun& run, const Until* until,
                                                const absl::Status* poison) {
  const std::span<const RecordedEvent> events = run.events;
  sql::ConnectionWriteTx tx(*connection_);
  parking_.clear();
  Attempt attempt{connection_->Begin(), std::nullopt};
  // Whether the event before did: none does whose type the view does not handle.
  bool took_time = false;
  const auto checkpoint_before = [&](std::size_t i) {
    return i == 0 ? checkpoint_ : sql::Checkpoint{events[i - 1].position, events[i - 1].chain};
  };
  std::size_t folded = 0;
  for (std::size_t i = 0; i < events.size() && attempt.status.ok(); folded = ++i) {
    if (run.IsUnwanted(i) && parked_.empty()) continue;
    if (std::exchange(took_time, true) && until != nullptr && until->Passed()) break;
    const RecordedEvent& event = events[i];
    if (i == 0 || i >= run.linked) {
      const sql::Checkpoint before = checkpoint_before(i);
      attempt.status = CheckFollows({before.position, before.chain}, event);
    }
    if (attempt.status.ok()) {
      const auto stream = parked_.empty() ? parked_.end() : parked_.find(event.stream);
      if (poison != nullptr && i + 1 == events.size()) {
        attempt.status = Park(event, ToStd(poison->message()));
      } else if (stream != parked_.end()) {
        attempt.status = Park(event, fmt::format("waits behind position {} of its stream",
                                                 stream->second.first.value));
      } else if (skipped_.empty() || !IsSkipped(event)) {
        const absl::StatusOr<bool> handled = FoldOne(event, tx, attempt.can_be_parked);
        attempt.status = handled.status();
        took_time = handled.value_or(true);
      }
    }
    if (!attempt.status.ok()) attempt.culprit = i;
  }
  const sql::Checkpoint next = checkpoint_before(folded);
  if (attempt.status.ok()) {
    WriteChanges(tx, next.position);
    sql::WriteCheckpoint(*connection_, next);
    attempt.status = connection_->Commit();
  }
  if (!attempt.status.ok()) {
    connection_->Rollback();
    Unpark();
    return attempt;
  }
  checkpoint_ = next;
  if (mode_ == Mode::kServing) {
    std::move(retried_.begin(), retried_.end(), std::back_inserter(touched_));
    retried_.clear();
    const std::ptrdiff_t before = std::ssize(touched_);
    for (const auto& [key, position] : tx.touched()) touched_.push_back(key);
    // The table's order is another one in each run; watches are told in this one.
    std::sort(touched_.begin() + before, touched_.end());
  }
  return attempt;
}

// `refused`: it is the event that the view cannot take, and not the file.
absl::StatusOr<bool> ViewRunner::FoldOne(const RecordedEvent& event, sql::ConnectionWriteTx& tx,
                                         bool& refused) {
  tx.SetPosition(event.position);
  absl::StatusOr<bool> handled = view_.fold(event, tx);
  refused = !handled.ok() || absl::IsInvalidArgument(tx.status());
  if (handled.ok() && !tx.status().ok()) return tx.status();
  return handled;
}

absl::Status ViewRunner::Park(const RecordedEvent& event, std::string_view reason) {
  if (parked_events_ >= kParkedEventsMax) {
    return Reject(core::v1::ERROR_REASON_LIMIT_EXCEEDED,
                  fmt::format("{} events are parked, which is the most: retry or skip some, then "
                              "resume the view",
                              parked_events_),
                  {{"limit", "kParkedEventsMax"},
                   {"maximum", fmt::to_string(kParkedEventsMax)},
                   {"actual", fmt::to_string(parked_events_ + 1)}});
  }
  sql::WriteParked(*connection_, {.position = event.position,
                                  .stream = event.stream,
                                  .event_id = ToString(event.event_id),
                                  .type = event.type,
                                  .reason = std::string(reason),
                                  .skip = std::nullopt});
  sql::ParkedStream& stream =
      parked_.try_emplace(event.stream, sql::ParkedStream{event.position, 0}).first->second;
  ++stream.events;
  ++parked_events_;
  parking_.push_back(event.stream);
  return connection_->status();
}

bool ViewRunner::IsSkipped(const RecordedEvent& event) const {
  const auto skip = skipped_.find(event.position);
  return skip != skipped_.end() && skip->second == ToString(event.event_id);
}

void ViewRunner::ReadParking() {
  auto parked = sql::ReadParkedStreams(*connection_);
  const auto skipped = sql::ReadSkipped(*connection_);
  if (!connection_->status().ok()) return;  // Nothing goes on before it is looked at.
  parked_ = std::move(parked);
  parked_events_ = 0;
  for (const auto& [name, stream] : parked_) parked_events_ += stream.events;
  skipped_.clear();
  for (const sql::ParkedEvent& event : skipped) skipped_[event.position] = event.event_id;
}

// What a transaction that failed had parked is not.
void ViewRunner::Unpark() {
  for (const std::string& name : parking_) {
    const auto stream = parked_.find(name);
    if (--stream->second.events == 0) parked_.erase(stream);
    --parked_events_;
  }
}

absl::StatusOr<RecordedEvent> ViewRunner::ReadParkedEvent(const sql::ParkedEvent& parked) {
  auto event = ReadEventAt(store_, parked.position);
  if (event.ok() && ToString(event->event_id) != parked.event_id) return ChangedAt(parked.position);
  return event;
}

// Folds `events`; the last one is left parked, for `poison`, if that is given.
ViewRunner::Attempt ViewRunner::RetryTransaction(std::span<const sql::ParkedEvent> events,
                                                 const absl::Status* poison) {
  sql::ConnectionWriteTx tx(*connection_);
  Attempt attempt{connection_->Begin(), std::nullopt};
  for (std::size_t i = 0; i < events.size() && attempt.status.ok(); ++i) {
    if (poison != nullptr && i + 1 == events.size()) {
      sql::WriteReason(*connection_, events[i].position, ToStd(poison->message()));
      continue;
    }
    const auto event = ReadParkedEvent(events[i]);
    attempt.status =
        event.ok() ? FoldOne(*event, tx, attempt.can_be_parked).status() : event.status();
    if (!attempt.status.ok()) attempt.culprit = i;
    sql::RemoveParked(*connection_, events[i].position);
  }
  if (attempt.status.ok()) {
    // Who was told of the checkpoint was told of other rows: it counts as a change after it.
    for (const auto& [key, position] : tx.touched()) {
      sql::WriteChange(*connection_, checkpoint_.position.Next(), key);
    }
    attempt.status = connection_->Commit();
  }
  if (!attempt.status.ok()) {
    connection_->Rollback();
    return attempt;
  }
  const std::ptrdiff_t before = std::ssize(retried_);
  for (const auto& [key, position] : tx.touched()) retried_.push_back(key);
  std::sort(retried_.begin() + before, retried_.end());
  return attempt;
}

absl::StatusOr<ViewRunner::Retried> ViewRunner::RetryParked(std::string_view stream) {
  if (!parked_.contains(stream)) {
    return Reject(core::v1::ERROR_REASON_NOT_PARKED,
                  fmt::format("{} has no parked events of the stream {}; ListParked shows all",
                              view_.name, stream),
                  {{"view", std::string(view_.name)}, {"stream", std::string(stream)}});
  }
  const auto events = sql::ReadParked(*connection_, stream, kRetryEventsMax);
  LEFTFOLD_RETURN_IF_ERROR(connection_->status());
  Retried retried{.folded = std::ssize(events)};
  Attempt attempt = RetryTransaction(events, nullptr);
  if (!attempt.status.ok()) {
    if (!attempt.can_be_parked) return attempt.status;
    retried = {.folded = static_cast<std::int64_t>(*attempt.culprit),
               .reason = std::string(attempt.status.message())};
    attempt = RetryTransaction(std::span(events).first(*attempt.culprit + 1), &attempt.status);
    LEFTFOLD_RETURN_IF_ERROR(attempt.status);
  }
  ReadParking();
  LEFTFOLD_RETURN_IF_ERROR(connection_->status());
  if (const auto left = parked_.find(stream); left != parked_.end()) {
    retried.parked = left->second.events;
    if (retried.reason.empty()) retried.reason = "not retried yet: retry again";
  }
  return retried;
}

absl::Status ViewRunner::SkipParked(Position position, const sql::Skip& skip) {
  // None is before the first position of the log.
  auto found =
      sql::ListParked(*connection_, Position{std::max(position, Position{1}).value - 1}, 1);
  if (!found.ok()) return found.status();
  const Metadata metadata = {{"view", std::string(view_.name)},
                             {"position", fmt::to_string(position.value)}};
  if (found->empty() || found->front().position != position || found->front().skip) {
    return Reject(core::v1::ERROR_REASON_NOT_PARKED,
                  fmt::format("{} has no parked event at position {}; ListParked shows all",
                              view_.name, position.value),
                  metadata);
  }
  const std::string& stream = found->front().stream;
  const Position first = parked_.find(stream)->second.first;
  if (first != position) {
    return Reject(
        core::v1::ERROR_REASON_NOT_FIRST_PARKED,
        fmt::format("position {} waits behind {} of {}: skip or retry that one first",
                    position.value, first.value, stream),
        {metadata[0], metadata[1], {"first", fmt::to_string(first.value)}, {"stream", stream}});
  }
  found->front().skip = skip;
  return TakeSkips(*found);
}

absl::Status ViewRunner::TakeSkips(const std::vector<sql::ParkedEvent>& skipped) {
  connection_->Begin().IgnoreError();
  for (const sql::ParkedEvent& event : skipped) {
    if (skipped_.contains(event.position)) continue;
    if (event.position <= checkpoint_.position) {
      const auto here = sql::ListParked(*connection_, Position{event.position.value - 1}, 1);
      if (!here.ok()) break;
      if (here->empty() || here->front().event_id != event.event_id) continue;  // It was folded.
      sql::RemoveParked(*connection_, event.position);
    }
    sql::WriteSkipped(*connection_, event);
  }
  const absl::Status committed = connection_->Commit();
  if (!committed.ok()) {
    connection_->Rollback();
    return committed;
  }
  ReadParking();
  return connection_->status();
}

absl::Status ViewRunner::ForgetOtherFiles() {
  connection_->Begin().IgnoreError();
  sql::ForgetChangesBefore(*connection_, checkpoint_.position.Next());
  if (const absl::Status committed = connection_->Commit(); !committed.ok()) {
    connection_->Rollback();
    return committed;
  }
  return connection_->Checkpoint();
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
  stopped_ = WithMessage(
      reason,
      fmt::format("stopped at position {}: {}{}", position.value, ToStd(reason.message()),
                  damaged ? fmt::format("; rebuild it: leftfold replay {}", view_.name) : ""));
  stopped_at_ = position;
  return Progress::kStopped;
}

void ViewRunner::Resume() {
  if (MayPass(stopped_)) TryAgain();
}

void ViewRunner::CopyBack() {
  const absl::Status copied = connection_->CheckpointEvery(kCopyBackPages);
  if (copied.ok()) return;
  connection_->ClearStatus();
  StopAt(checkpoint_.position.Next(), copied);
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
