#include "projector/rebuild.h"

#include <utility>

#include "core/reject.h"
#include "core/status.h"
#include "sql/compare.h"

namespace leftfold {
namespace {

absl::Status CheckUntil(RebuildAction action, Position until, Position head) {
  if (action != RebuildAction::kKeep || (until.value >= 1 && until <= head)) {
    return absl::OkStatus();
  }
  Violations violations;
  violations.Add("until_position",
                 fmt::format("must be from 1 to {}, the head of the log", head.value));
  return violations.ToStatus();
}

// Only what is served can be compared with.
absl::Status CheckServed(ViewSlot& slot) {
  {
    MutexLock lock(slot.mu);
    if (slot.serving) return absl::OkStatus();
  }
  MutexLock lock(slot.status_mu);
  if (!slot.stopped.ok()) return slot.stopped;
  return Reject(core::v1::ERROR_REASON_VIEW_REBUILDING,
                "the view is being built for the first time: nothing to compare with");
}

absl::Status Stopping() {
  return Reject(core::v1::ERROR_REASON_STOPPING, "the server is stopping");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Rebuild>> Rebuild::New(std::shared_ptr<ViewSlot> slot,
                                                      EventStore& store, RebuildAction action,
                                                      Position until, std::function<void()> wake) {
  LEFTFOLD_RETURN_IF_ERROR(CheckUntil(action, until, store.GetHead().position));
  if (action == RebuildAction::kVerify) LEFTFOLD_RETURN_IF_ERROR(CheckServed(*slot));
  {
    MutexLock lock(slot->status_mu);
    if (std::exchange(slot->rebuilding, true)) {
      return Reject(core::v1::ERROR_REASON_REBUILD_RUNNING,
                    fmt::format("{} is being rebuilt already; wait for it", slot->view.name),
                    {{"view", std::string(slot->view.name)}});
    }
  }
  std::unique_ptr<Rebuild> rebuild(
      new Rebuild(std::move(slot), store, action, until, std::move(wake)));
  ViewSlot& of = *rebuild->slot_;
  MutexLock lock(of.mu);  // Nobody else takes the same number.
  const auto number = sql::NextGenerationNumber(of.views, of.view.name);
  if (!number.ok()) return number.status();
  rebuild->generation_ = {of.view.version, *number};
  auto runner =
      ViewRunner::Open(of.view, store, sql::ViewPath(of.views, of.view.name, rebuild->generation_),
                       ViewRunner::Mode::kBuilding);
  if (!runner.ok()) return runner.status();
  rebuild->runner_ = *std::move(runner);
  return rebuild;
}

Rebuild::~Rebuild() {
  runner_.reset();
  if (!keep_file_ && generation_.number > 0) {
    sql::RemoveGeneration(slot_->views, slot_->view.name, generation_);
  }
  MutexLock lock(slot_->status_mu);
  slot_->rebuilding = false;
}

// How far to fold before the live view has to be paused.
Position Rebuild::Limit() {
  if (action_ == RebuildAction::kKeep) return until_;
  if (action_ == RebuildAction::kSwitch) return store_.GetHead().position;
  MutexLock lock(slot_->status_mu);
  return slot_->checkpoint;
}

absl::StatusOr<RebuildProgress> Rebuild::Step() {
  const Position limit = Limit();
  const ViewRunner::Progress progress = runner_->Step(limit);
  if (progress == ViewRunner::Progress::kStopped) return runner_->stopped();
  const RebuildProgress so_far{.done = runner_->checkpoint().value, .total = limit.value};
  if (runner_->checkpoint() < limit) {
    if (progress != ViewRunner::Progress::kIdle) return so_far;
    return Error(absl::StatusCode::kDataLoss,
                 "the log ends before position {}; run `leftfold verify`", limit.value);
  }
  if (action_ == RebuildAction::kSwitch && !durable_) {
    // The bulk reaches the disk while the live view goes on; then what came meanwhile is folded.
    LEFTFOLD_RETURN_IF_ERROR(runner_->FinishBuilding());
    durable_ = true;
    return so_far;
  }
  return Finish();
}

absl::Status Rebuild::FoldTo(Position position) {
  while (runner_->checkpoint() < position) {
    const ViewRunner::Progress progress = runner_->Step(position);
    if (progress == ViewRunner::Progress::kStopped) return runner_->stopped();
    if (progress == ViewRunner::Progress::kIdle) {
      return Error(absl::StatusCode::kDataLoss,
                   "the log ends before position {}, where the live view is", position.value);
    }
  }
  return absl::OkStatus();
}

RebuildProgress Rebuild::FinishedAt(Position position) const {
  return {.done = position.value,
          .total = position.value,
          .finished = true,
          .position = position,
          .generation = generation_.number};
}

absl::StatusOr<RebuildProgress> Rebuild::Finish() {
  return action_ == RebuildAction::kKeep ? Keep() : FinishPaused();
}

absl::StatusOr<RebuildProgress> Rebuild::Keep() {
  RebuildProgress result = FinishedAt(runner_->checkpoint());
  result.file = runner_->path();
  LEFTFOLD_RETURN_IF_ERROR(
      runner_->connection().Run(fmt::format("PRAGMA user_version={}", kKeptMark)));
  LEFTFOLD_RETURN_IF_ERROR(runner_->FinishBuilding());
  keep_file_ = true;
  runner_.reset();  // Closed, the file is one file and can be taken away.
  return result;
}

absl::StatusOr<RebuildProgress> Rebuild::FinishPaused() {
  std::unique_ptr<ViewRunner> live;
  {
    MutexLock lock(slot_->mu);
    if (slot_->ended) return Stopping();
    live = std::move(slot_->runner);  // There is none where no file could be opened.
  }
  auto result = action_ == RebuildAction::kVerify ? Compare(*live) : Switch(live);
  bool wake = false;
  {
    MutexLock lock(slot_->mu);
    if (slot_->runner == nullptr) slot_->runner = std::move(live);  // Nothing was switched.
    wake = !slot_->ended && std::exchange(slot_->resting, false);
  }
  if (wake) wake_();
  return result;
}

absl::StatusOr<RebuildProgress> Rebuild::Compare(ViewRunner& live) {
  LEFTFOLD_RETURN_IF_ERROR(FoldTo(live.checkpoint()));
  RebuildProgress result = FinishedAt(runner_->checkpoint());
  auto difference = sql::FirstDifference(live.connection(), runner_->connection());
  if (!difference.ok()) return difference.status();
  result.difference = *std::move(difference);
  result.equal = result.difference.empty();
  return result;
}

absl::StatusOr<RebuildProgress> Rebuild::Switch(std::unique_ptr<ViewRunner>& live) {
  bool served = false;
  {
    MutexLock lock(slot_->mu);
    served = slot_->serving;
  }
  // Who reads the view never sees it go back.
  if (served) LEFTFOLD_RETURN_IF_ERROR(FoldTo(live->checkpoint()));
  const RebuildProgress result = FinishedAt(runner_->checkpoint());
  MutexLock lock(slot_->mu);
  if (slot_->ended) return Stopping();
  LEFTFOLD_RETURN_IF_ERROR(slot_->SwitchTo(live, runner_, generation_));
  keep_file_ = true;
  return result;
}

}  // namespace leftfold
