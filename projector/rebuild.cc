#include "projector/rebuild.h"

#include <utility>

#include "core/reject.h"
#include "core/status.h"
#include "sql/compare.h"

namespace leftfold {

absl::StatusOr<std::unique_ptr<Rebuild>> Rebuild::New(std::shared_ptr<ViewSlot> slot,
                                                      EventStore& store, RebuildAction action,
                                                      Position until, std::function<void()> wake) {
  const Position head = store.GetHead().position;
  if (action == RebuildAction::kKeep && (until.value < 1 || until > head)) {
    Violations violations;
    violations.Add("until_position",
                   fmt::format("must be from 1 to {}, the head of the log", head.value));
    return violations.ToStatus();
  }
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
  const ViewSlot& of = *rebuild->slot_;
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
  if (!keep_file_ && generation_.number > 0)
    sql::RemoveGeneration(slot_->views, slot_->view.name, generation_);
  MutexLock lock(slot_->status_mu);
  slot_->rebuilding = false;
}

// How far to fold before the live view has to be stopped.
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
  if (runner_->checkpoint() >= limit) return Finish();
  return RebuildProgress{.done = runner_->checkpoint().value, .total = limit.value};
}

absl::Status Rebuild::FoldTo(Position position) {
  while (runner_->checkpoint() < position) {
    if (runner_->Step(position) == ViewRunner::Progress::kStopped) return runner_->stopped();
  }
  return absl::OkStatus();
}

absl::StatusOr<RebuildProgress> Rebuild::Finish() {
  RebuildProgress result;
  result.generation = generation_.number;
  if (action_ == RebuildAction::kKeep) {
    result.file = runner_->path();
    LEFTFOLD_RETURN_IF_ERROR(runner_->FinishBuilding());
    keep_file_ = true;
    result.position = runner_->checkpoint();
  } else {
    MutexLock lock(slot_->mu);
    if (slot_->ended) return Reject(core::v1::ERROR_REASON_STOPPING, "the server is stopping");
    if (action_ == RebuildAction::kVerify && !slot_->serving) {
      return Reject(core::v1::ERROR_REASON_VIEW_REBUILDING,
                    "the view is being built for the first time: nothing to compare with");
    }
    const Position live = slot_->runner->checkpoint();
    LEFTFOLD_RETURN_IF_ERROR(FoldTo(live));
    result.position = runner_->checkpoint();
    if (action_ == RebuildAction::kVerify) {
      auto difference = sql::FirstDifference(slot_->runner->connection(), runner_->connection());
      if (!difference.ok()) return difference.status();
      result.difference = *std::move(difference);
      result.equal = result.difference.empty();
    } else {
      LEFTFOLD_RETURN_IF_ERROR(slot_->SwitchTo(std::move(runner_), generation_));
      keep_file_ = true;
      if (std::exchange(slot_->resting, false)) wake_();
    }
  }
  result.done = result.total = result.position.value;
  result.finished = true;
  return result;
}

}  // namespace leftfold
