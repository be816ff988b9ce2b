#include "projector/rebuild.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/kill_points.h"
#include "core/reject.h"
#include "core/status.h"

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
absl::Status NothingToCompare() {
  return Reject(core::v1::ERROR_REASON_VIEW_REBUILDING,
                "the view is being built: there is nothing to compare with; try again later");
}

absl::Status CheckServed(ViewSlot& slot) {
  {
    MutexLock lock(slot.mu);
    if (slot.serving) return absl::OkStatus();
  }
  MutexLock lock(slot.status_mu);
  if (!slot.stopped.ok()) return slot.stopped;
  return NothingToCompare();
}

absl::Status RunsAlready(const ViewEntry& view) {
  return Reject(core::v1::ERROR_REASON_REBUILD_RUNNING,
                fmt::format("{} is being rebuilt already; wait for it", view.name),
                {{"view", std::string(view.name)}});
}

absl::Status NoGeneration(const ViewEntry& view, std::int64_t generation,
                          const std::vector<std::int64_t>& others) {
  return Reject(core::v1::ERROR_REASON_GENERATION_NOT_FOUND,
                fmt::format("{} has no generation {} beside the one that is served; {}", view.name,
                            generation,
                            others.empty() ? "there is none: RebuildView makes one"
                                           : fmt::format("there are {}", fmt::join(others, ", "))),
                {{"view", std::string(view.name)}, {"generation", fmt::to_string(generation)}});
}

}  // namespace

std::shared_ptr<BatchReader> NewRebuildReader(EventStore& store) {
  return std::make_shared<BatchReader>(store, std::make_shared<SharedBatches>(),
                                       kBuildBatchEventsMax);
}

absl::StatusOr<std::unique_ptr<Rebuild>> Rebuild::Begin(std::shared_ptr<ViewSlot> slot,
                                                        EventStore& store, AheadReader reader,
                                                        RebuildAction action, Position until,
                                                        std::function<void()> wake) {
  {
    MutexLock lock(slot->status_mu);
    if (std::exchange(slot->rebuilding, true)) return RunsAlready(slot->view);
  }
  std::unique_ptr<Rebuild> rebuild(
      new Rebuild(std::move(slot), store, std::move(reader), action, until, std::move(wake)));
  MutexLock lock(rebuild->slot_->mu);
  if (rebuild->slot_->ended) return ServerStopping();
  rebuild->lock_ = rebuild->slot_->version_lock;
  if (rebuild->lock_ == nullptr) {
    return WithRetryAfter(
        Reject(core::v1::ERROR_REASON_REBUILD_RUNNING,
               fmt::format("another process writes generations of {}; wait for it",
                           rebuild->slot_->view.name),
               {{"view", std::string(rebuild->slot_->view.name)}}),
        kResumeDelay);
  }
  return rebuild;
}

absl::StatusOr<std::unique_ptr<Rebuild>> Rebuild::New(std::shared_ptr<ViewSlot> slot,
                                                      EventStore& store, AheadReader reader,
                                                      RebuildAction action, Position until,
                                                      std::function<void()> wake) {
  LEFTFOLD_RETURN_IF_ERROR(CheckUntil(action, until, store.GetHead().position));
  const bool compares = action == RebuildAction::kVerify || action == RebuildAction::kSwitch;
  const absl::Status served = compares ? CheckServed(*slot) : absl::OkStatus();
  if (action == RebuildAction::kVerify) LEFTFOLD_RETURN_IF_ERROR(served);
  auto rebuild = Begin(std::move(slot), store, std::move(reader), action, until, std::move(wake));
  if (!rebuild.ok()) return rebuild;
  Rebuild& begun = **rebuild;
  MutexLock lock(begun.slot_->mu);  // Nobody else takes the same number.
  LEFTFOLD_RETURN_IF_ERROR(begun.OpenNew());
  ViewRunner* live = begun.slot_->runner.get();
  if (live != nullptr) LEFTFOLD_RETURN_IF_ERROR(begun.TakeDecisions(live->connection(), false));
  begun.compares_ = compares && served.ok();
  begun.compared_.not_compared = std::string(served.message());
  return rebuild;
}

absl::StatusOr<std::unique_ptr<Rebuild>> Rebuild::OfGeneration(std::shared_ptr<ViewSlot> slot,
                                                               EventStore& store,
                                                               AheadReader reader,
                                                               std::int64_t generation,
                                                               std::function<void()> wake) {
  auto rebuild = Begin(std::move(slot), store, std::move(reader), RebuildAction::kSwitch,
                       kBeforeFirst, std::move(wake));
  if (!rebuild.ok()) return rebuild;
  Rebuild& begun = **rebuild;
  MutexLock lock(begun.slot_->mu);
  const auto others = begun.slot_->OtherGenerations();
  if (std::find(others.begin(), others.end(), generation) == others.end()) {
    return NoGeneration(begun.slot_->view, generation, others);
  }
  LEFTFOLD_RETURN_IF_ERROR(begun.OpenOld({begun.slot_->view.version, generation}));
  return rebuild;
}

absl::StatusOr<std::unique_ptr<Rebuild>> Rebuild::Prepare(const ViewEntry& view, EventStore& store,
                                                          Executor& executor,
                                                          const std::string& views) {
  auto slot = std::make_shared<ViewSlot>(view, views, nullptr);
  std::optional<sql::Generation> found;
  {
    MutexLock lock(slot->mu);
    auto taken = sql::VersionLock::Take(views, view.name, view.version);
    if (!taken.ok()) return taken.status();
    slot->version_lock = *std::move(taken);
    const auto generation = slot->FindGeneration();
    if (!generation.ok()) return generation.status();
    found = *generation;
  }
  auto rebuild = Begin(slot, store, {NewRebuildReader(store), executor}, RebuildAction::kPrepare,
                       kBeforeFirst, [] {});
  if (!rebuild.ok()) return rebuild;
  Rebuild& begun = **rebuild;
  if (found && begun.OpenOld(*found).ok()) return rebuild;
  MutexLock lock(begun.slot_->mu);
  LEFTFOLD_RETURN_IF_ERROR(begun.OpenNew());
  return rebuild;
}

absl::Status Rebuild::OpenNew() {
  const auto number = sql::NextGenerationNumber(slot_->views, slot_->view.name);
  if (!number.ok()) return number.status();
  generation_ = {slot_->view.version, *number};
  auto runner = ViewRunner::Open(slot_->view, store_,
                                 sql::ViewPath(slot_->views, slot_->view.name, generation_),
                                 ViewRunner::Mode::kBuilding);
  if (!runner.ok()) return runner.status();
  runner_ = *std::move(runner);
  return absl::OkStatus();
}

absl::Status Rebuild::OpenOld(const sql::Generation& generation) {
  const std::string path = sql::ViewPath(slot_->views, slot_->view.name, generation);
  LEFTFOLD_RETURN_IF_ERROR(sql::OpenViewReader(path).status());  // Makes no file where none is.
  auto runner = ViewRunner::Open(slot_->view, store_, path, ViewRunner::Mode::kServing);
  if (!runner.ok()) return runner.status();
  runner_ = *std::move(runner);
  generation_ = generation;
  durable_ = keep_file_ = true;
  return absl::OkStatus();
}

Rebuild::~Rebuild() {
  EndComparison();
  runner_.reset();
  if (!keep_file_ && generation_.number > 0) {
    sql::RemoveGeneration(slot_->views, slot_->view.name, generation_);
  }
  MutexLock lock(slot_->status_mu);
  slot_->rebuilding = false;
}

// How far to fold before the next thing is done.
Position Rebuild::Limit() {
  if (action_ == RebuildAction::kKeep) return until_;
  if (snapshot_ != nullptr) return compared_.compared_at;
  if (!compares_) return store_.GetHead().position;
  MutexLock lock(slot_->status_mu);
  // It goes back where a file was found damaged, and is built anew.
  return std::max(slot_->checkpoint, runner_->checkpoint());
}

absl::StatusOr<RebuildProgress> Rebuild::Step() {
  const Position limit = Limit();
  const ViewRunner::Progress progress = runner_->Step(reader_, limit);
  if (progress == ViewRunner::Progress::kStopped) return runner_->stopped();
  if (progress == ViewRunner::Progress::kFolded) Reach(KillPoint::kRebuildFolded, slot_->view.name);
  const RebuildProgress so_far{.done = runner_->checkpoint().value, .total = limit.value};
  if (runner_->checkpoint() < limit) {
    if (progress != ViewRunner::Progress::kIdle) return so_far;
    return Error(absl::StatusCode::kDataLoss,
                 "the log ends before position {}; run `leftfold verify`", limit.value);
  }
  if (compares_) {
    const auto done = Compare();
    if (!done.ok()) return done.status();
    RebuildProgress comparing = compared_;
    comparing.done = so_far.done;
    comparing.total = so_far.total;
    comparing.comparing = comparison_ != nullptr;
    if (*done) EndComparison();
    if (*done && action_ == RebuildAction::kVerify) return FinishedAt(runner_->checkpoint());
    return comparing;
  }
  const bool follows = action_ == RebuildAction::kSwitch || action_ == RebuildAction::kPrepare;
  if (follows && !durable_) {
    // The bulk reaches the disk while the live view goes on; then what came meanwhile is folded.
    LEFTFOLD_RETURN_IF_ERROR(runner_->FinishBuilding());
    durable_ = true;
    Reach(KillPoint::kRebuildDurable, slot_->view.name);
    return so_far;
  }
  return Finish();
}

absl::StatusOr<bool> Rebuild::CompareRows() {
  if (snapshot_ == nullptr) {
    LEFTFOLD_RETURN_IF_ERROR(BeginToCompare());
    return false;  // Now it is folded to where that is.
  }
  if (comparison_ == nullptr) {
    LEFTFOLD_RETURN_IF_ERROR(TakeDecisions(*snapshot_, true));
    comparison_ = std::make_unique<sql::ContentReader>(snapshot_.get(), runner_->connection());
  }
  if (!counted_) {
    const auto counted = comparison_->Count(kCountRowsMax);
    if (!counted.ok()) return counted;
    counted_ = *counted;
    compared_.rows_to_compare = comparison_->rows_counted();
    return false;
  }
  const auto through = comparison_->Step(kCompareRowsMax);
  compared_.compared_rows = comparison_->rows_read();
  if (!through.ok() || !*through) return through;
  compared_.difference = comparison_->difference();
  compared_.equal = compared_.difference.empty();
  compared_.content_hash = comparison_->Hash();
  Reach(KillPoint::kRebuildCompared, slot_->view.name);
  return true;
}

absl::StatusOr<bool> Rebuild::Compare() {
  auto done = CompareRows();
  if (done.ok() || action_ == RebuildAction::kVerify) return done;
  // A switch is what mends a file that cannot be read.
  compared_ = {.not_compared = std::string(done.status().message())};
  return true;
}

absl::Status Rebuild::BeginToCompare() {
  std::string live;
  {
    MutexLock lock(slot_->mu);
    if (slot_->ended) return ServerStopping();
    // A file that was found damaged meanwhile is closed, and built anew.
    if (!slot_->serving || slot_->runner == nullptr) return NothingToCompare();
    live = slot_->runner->path();
  }
  auto snapshot = sql::OpenViewReader(live);
  if (!snapshot.ok()) return snapshot.status();
  LEFTFOLD_RETURN_IF_ERROR((*snapshot)->Begin());
  const auto checkpoint = sql::ReadCheckpoint(**snapshot);  // The first read: it is of this state.
  if (!checkpoint.ok()) return checkpoint.status();
  LEFTFOLD_RETURN_IF_ERROR(TakeDecisions(**snapshot, false));
  compared_.compared_at = checkpoint->position;
  snapshot_ = *std::move(snapshot);
  return absl::OkStatus();
}

void Rebuild::EndComparison() {
  compares_ = false;
  comparison_.reset();
  snapshot_.reset();
}

absl::Status Rebuild::FoldTo(Position position) {
  while (runner_->checkpoint() < position) {
    const ViewRunner::Progress progress = runner_->Step(reader_, position);
    if (progress == ViewRunner::Progress::kStopped) return runner_->stopped();
    if (progress == ViewRunner::Progress::kIdle) {
      return Error(absl::StatusCode::kDataLoss,
                   "the log ends before position {}, where the live view is", position.value);
    }
  }
  return absl::OkStatus();
}

RebuildProgress Rebuild::FinishedAt(Position position) const {
  RebuildProgress result = compared_;
  result.done = result.total = position.value;
  result.finished = true;
  result.position = position;
  result.generation = generation_.number;
  return result;
}

absl::StatusOr<RebuildProgress> Rebuild::Finish() {
  if (action_ == RebuildAction::kKeep) return Keep(kKeptMark);
  return action_ == RebuildAction::kPrepare ? Keep(kPreparedMark) : Switch();
}

absl::StatusOr<RebuildProgress> Rebuild::Keep(int mark) {
  RebuildProgress result = FinishedAt(runner_->checkpoint());
  result.file = runner_->path();
  LEFTFOLD_RETURN_IF_ERROR(runner_->connection().Run(fmt::format("PRAGMA user_version={}", mark)));
  LEFTFOLD_RETURN_IF_ERROR(runner_->FinishBuilding());
  keep_file_ = true;
  runner_.reset();  // Closed, the file is one file and can be taken away.
  return result;
}

absl::StatusOr<RebuildProgress> Rebuild::Switch() {
  std::unique_ptr<ViewRunner> live;
  {
    MutexLock lock(slot_->mu);
    if (slot_->ended) return ServerStopping();
    live = std::move(slot_->runner);  // There is none where no file could be opened.
    slot_->taken = true;
  }
  Reach(KillPoint::kRebuildPaused, slot_->view.name);
  auto result = SwitchFrom(live);
  bool wake = false;
  {
    MutexLock lock(slot_->mu);
    if (slot_->runner == nullptr) slot_->runner = std::move(live);  // Nothing was switched.
    slot_->taken = false;
    wake = !slot_->ended && std::exchange(slot_->resting, false);
  }
  if (wake) wake_();
  return result;
}

absl::Status Rebuild::TakeDecisions(sql::Connection& live, bool caught_up) {
  const auto skipped = sql::ReadSkipped(live);
  LEFTFOLD_RETURN_IF_ERROR(live.status());
  LEFTFOLD_RETURN_IF_ERROR(runner_->TakeSkips(skipped));
  if (!caught_up) return absl::OkStatus();
  const ViewRunner::ParkedStreams parked_there = sql::ReadParkedStreams(live);
  LEFTFOLD_RETURN_IF_ERROR(live.status());
  const ViewRunner::ParkedStreams parked = runner_->parked();
  for (const auto& [name, stream] : parked) {
    const auto there = parked_there.find(name);
    const bool further = there == parked_there.end() || stream.first < there->second.first;
    for (bool goes_on = further; goes_on;) {
      const auto retried = runner_->RetryParked(name);
      if (!retried.ok()) return retried.status();
      goes_on = retried->folded > 0 && retried->parked > 0;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<RebuildProgress> Rebuild::SwitchFrom(std::unique_ptr<ViewRunner>& live) {
  bool served = false;
  {
    MutexLock lock(slot_->mu);
    served = slot_->serving;
  }
  // Who reads the view never sees it go back.
  if (live != nullptr) LEFTFOLD_RETURN_IF_ERROR(TakeDecisions(live->connection(), false));
  if (served && live != nullptr) LEFTFOLD_RETURN_IF_ERROR(FoldTo(live->checkpoint()));
  if (live != nullptr) LEFTFOLD_RETURN_IF_ERROR(TakeDecisions(live->connection(), true));
  LEFTFOLD_RETURN_IF_ERROR(runner_->connection().Run("PRAGMA user_version=0"));
  const RebuildProgress result = FinishedAt(runner_->checkpoint());
  MutexLock lock(slot_->mu);
  if (slot_->ended) return ServerStopping();
  LEFTFOLD_RETURN_IF_ERROR(slot_->SwitchTo(live, runner_, generation_));
  keep_file_ = true;
  return result;
}

}  // namespace leftfold
