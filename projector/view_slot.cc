#include "projector/view_slot.h"

#include <algorithm>
#include <utility>

#include "core/kill_points.h"
#include "core/log.h"
#include "core/reject.h"
#include "core/status.h"

namespace leftfold {
namespace {

std::int64_t MarkOf(const ViewSlot& slot, const sql::Generation& generation) {
  const auto reader = sql::OpenViewReader(sql::ViewPath(slot.views, slot.view.name, generation));
  return reader.ok() ? (*reader)->Value("PRAGMA user_version") : 0;
}

// Removes the generations that `is_old` names, except those that somebody asked to keep.
template <class IsOld>
void RemoveGenerations(const ViewSlot& slot, IsOld is_old) {
  const auto all = sql::ListGenerations(slot.views, slot.view.name);
  if (!all.ok()) return;  // They cost space only; the next start tries again.
  for (const sql::Generation& other : *all) {
    if (other.version != slot.view.version || !is_old(other)) continue;
    if (MarkOf(slot, other) == kKeptMark) continue;
    sql::RemoveGeneration(slot.views, slot.view.name, other);
    Reach(KillPoint::kSwitchCleaned, slot.view.name);
  }
}

// What is wrong with a view's file has no reason for clients; what is wrong with the log has.
bool TellsOfDamage(const absl::Status& failure) {
  return absl::IsDataLoss(failure) && ReasonOf(failure).empty();
}

// A store elsewhere does not answer, or is stopping. That the view's own file is busy has no
// reason.
bool TellsOfAStoreAway(const absl::Status& failure) {
  return absl::IsUnavailable(failure) && !ReasonOf(failure).empty();
}

absl::Duration RestAfter(const ViewSlot& slot, std::int64_t events, absl::Duration took)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(slot.mu) {
  if (slot.listener != nullptr && slot.listener->IsWatched(slot.view.name)) {
    return std::clamp(took, kBatchRestWatchedMin, kBatchRestWatchedMax);
  }
  return std::clamp(kBatchRestPerEvent * events, kBatchRestMin, kBatchRestMax);
}

// For how long kRestEventsMax come, if they do so as they did since the last rest began.
absl::Duration LongestRest(const ViewSlot& slot, Position now_at, absl::Time now)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(slot.mu) {
  const std::int64_t came = std::max<std::int64_t>(1, now_at.value - slot.rested_at.value);
  // Clocks may be set back.
  const absl::Duration took = std::max(now - slot.rested_from, absl::ZeroDuration());
  return std::max(kBatchRestMin,
                  took * (static_cast<double>(kRestEventsMax) / static_cast<double>(came)));
}

}  // namespace

void ViewSlot::Open(EventStore& store) {
  const auto why = sql::ReadPaused(views, view.name);
  paused = !why.ok() || *why;  // Who cannot tell does not go on.
  OpenAgain(store);
}

absl::StatusOr<std::optional<sql::Generation>> ViewSlot::FindGeneration() const {
  auto current = sql::ReadCurrent(views, view.name, view.version);
  const auto all = sql::ListGenerations(views, view.name);
  if (!current.ok() || !all.ok()) return current.ok() ? all.status() : current.status();
  if (*current) {
    // What is newer than the served one was never finished, or was rolled back.
    const auto before = sql::ReadBefore(views, view.name, view.version);
    if (!before.ok()) return before.status();
    RemoveGenerations(*this, [&](const sql::Generation& other) {
      return other.number > (*current)->number && other != *before;
    });
    return current;
  }
  std::optional<sql::Generation> prepared;
  for (const sql::Generation& other : *all) {
    if (other.version != view.version || MarkOf(*this, other) != kPreparedMark) continue;
    if (!prepared || other.number > prepared->number) prepared = other;
  }
  RemoveGenerations(*this, [&](const sql::Generation& other) { return other != prepared; });
  return prepared;
}

ViewSlot::Turn ViewSlot::OpenAgain(EventStore& store) {
  const absl::Status opened = OpenFile(store);
  opens_again = MayPass(opened);
  if (opened.ok()) {
    TellIfPaused();
    return {Turn::Next::kStep};
  }
  if (TellsOfAStoreAway(opened)) {
    MutexLock lock(status_mu);
    stopped = opened;
    log_is_away = true;
    return {Turn::Next::kStep, kStoreAwayDelay};
  }
  Tell(opened);
  return opens_again ? Turn{Turn::Next::kStep, kResumeDelay} : StayFor(opened);
}

ViewSlot::Turn ViewSlot::StayFor(const absl::Status& reason) {
  RecordStopped(reason);
  resting = recorded == reason;
  unrecorded = resting ? absl::OkStatus() : reason;
  if (resting) return {};
  return {Turn::Next::kStep, kResumeDelay};
}

absl::Status ViewSlot::OpenFile(EventStore& store) {
  if (version_lock == nullptr) {
    auto taken_lock = sql::VersionLock::Take(views, view.name, view.version);
    if (!taken_lock.ok()) return taken_lock.status();
    version_lock = *std::move(taken_lock);
  }
  const auto found = FindGeneration();
  if (!found.ok()) return found.status();
  if (!*found) return BeginBuilding(store);
  generation = **found;
  const std::string path = sql::ViewPath(views, view.name, generation);
  absl::Status failure = sql::OpenViewReader(path).status();  // Makes no file where none is.
  const auto current = sql::ReadCurrent(views, view.name, view.version);
  if (!current.ok()) return current.status();
  if (failure.ok()) {
    auto opened = ViewRunner::Open(view, store, path, ViewRunner::Mode::kServing);
    if (opened.ok()) {
      runner = *std::move(opened);
      return *current ? Serve() : BeginServing();
    }
    failure = opened.status();
  }
  // Only what is wrong with the file itself is mended by another file. One that is off the chain
  // may tell of a log that lost its end: that is for people to see, not for us to cover up, unless
  // the file was never served.
  const bool damaged = TellsOfDamage(failure) || (absl::IsDataLoss(failure) && !*current);
  if (!damaged && !absl::IsNotFound(failure)) return failure;
  LogEvent(LogLevel::kWarning, "a view cannot be served from its file and is built anew",
           {{"view", std::string(view.name)},
            {"file", path},
            {"reason", std::string(failure.message())}});
  return BeginBuilding(store);
}

absl::Status ViewSlot::Serve() {
  serving = true;
  if (listener != nullptr) listener->OnServing(view.name, runner->path());
  Publish();
  return absl::OkStatus();
}

absl::Status ViewSlot::BeginBuilding(EventStore& store) {
  const auto number = sql::NextGenerationNumber(views, view.name);
  if (!number.ok()) return number.status();
  const sql::Generation next{view.version, *number};
  build_to = store.GetHead().position;
  auto opened = ViewRunner::Open(view, store, sql::ViewPath(views, view.name, next),
                                 ViewRunner::Mode::kBuilding);
  if (!opened.ok()) return opened.status();
  generation = next;
  runner = *std::move(opened);
  serving = false;
  // Nothing to build from an empty log: it is served from the first moment.
  if (build_to == kBeforeFirst) return BeginServing();
  if (listener != nullptr) listener->OnBuilding(view.name);
  Publish();
  return absl::OkStatus();
}

absl::Status ViewSlot::BeginServing() {
  LEFTFOLD_RETURN_IF_ERROR(runner->FinishBuilding());
  LEFTFOLD_RETURN_IF_ERROR(runner->ForgetOtherFiles());
  LEFTFOLD_RETURN_IF_ERROR(sql::WriteCurrent(views, view.name, generation));
  return Serve();
}

ViewSlot::Turn ViewSlot::Step(EventStore& store, BatchReader& reader, const Clock& clock) {
  if (ended) return {};
  if (paused) {
    resting = true;
    return {};
  }
  if (!unrecorded.ok()) return StayFor(unrecorded);
  if (runner == nullptr) {
    if (opens_again) return OpenAgain(store);
    resting = true;
    return {};
  }
  const Writing writing(*this);
  runner->Resume();
  const Position before = runner->checkpoint();
  const absl::Time folds_from = clock.Now();
  const ViewRunner::Progress progress =
      serving ? runner->Step(reader, clock) : runner->Step(build_to);
  if (progress == ViewRunner::Progress::kStopped) return AfterStop(store);
  const Position after = runner->checkpoint();
  if (!serving && after >= build_to) {
    if (const absl::Status begun = BeginServing(); !begun.ok()) {
      Tell(begun);
      return {Turn::Next::kStep, kResumeDelay};
    }
  } else if (progress == ViewRunner::Progress::kFolded || CountsAsStopped()) {
    Publish();
  }
  RecordStopped(absl::OkStatus());
  if (progress == ViewRunner::Progress::kIdle) {
    return {Turn::Next::kWait, absl::ZeroDuration(), after};
  }
  told.clear();
  const bool behind =
      store.GetHead().position.value - after.value >= static_cast<std::int64_t>(kBatchEventsMax);
  const bool rests = serving && !behind;
  if (!rests) return {Turn::Next::kStep};
  const absl::Time rests_from = clock.Now();
  const absl::Duration planned =
      std::min(RestAfter(*this, after.value - before.value, rests_from - folds_from),
               LongestRest(*this, after, rests_from));
  rested_at = after;
  rested_from = rests_from;
  runner->CopyBack();
  // Clocks may be set back.
  const absl::Duration left =
      std::clamp(planned - (clock.Now() - rests_from), absl::ZeroDuration(), planned);
  return {Turn::Next::kStep, left, after, true};
}

ViewSlot::Turn ViewSlot::AfterStop(EventStore& store) {
  if (TellsOfAStoreAway(runner->stopped())) {
    PublishStatus();
    return {Turn::Next::kStep, kStoreAwayDelay};
  }
  Publish();
  Tell(runner->stopped());
  // Once: a file that is damaged while it is being built tells of more than a damaged file.
  if (serving && TellsOfDamage(runner->stopped())) {
    LogLine("leftfold: view {} is built anew", view.name);
    runner.reset();
    serving = false;
    const absl::Status begun = BeginBuilding(store);
    if (begun.ok()) return {Turn::Next::kStep};
    Tell(begun);
    opens_again = MayPass(begun);
    return opens_again ? Turn{Turn::Next::kStep, kResumeDelay} : StayFor(begun);
  }
  if (MayPass(runner->stopped())) return {Turn::Next::kStep, kResumeDelay};
  return StayFor(runner->stopped());
}

bool ViewSlot::CountsAsStopped() {
  MutexLock lock(status_mu);
  return !stopped.ok();
}

void ViewSlot::Tell(const absl::Status& reason) {
  {
    MutexLock lock(status_mu);
    stopped = reason;
  }
  if (listener != nullptr) listener->OnStopped(view.name, reason);
  RecordStopped(reason);
  const std::string message(reason.message());
  if (std::exchange(told, message) == message) return;
  LogEvent(LogLevel::kError, "view stopped",
           {{"view", std::string(view.name)}, {"reason", message}});
}

void ViewSlot::RecordStopped(const absl::Status& reason) {
  if (reason.ok()) unrecorded = reason;
  if (recorded == reason) return;
  // A disk that is full does not take it: it is tried again.
  const absl::Status written = sql::WriteStopped(views, view.name, view.version, reason);
  recorded = written.ok() ? std::optional(reason) : std::nullopt;
}

std::vector<std::int64_t> ViewSlot::OtherGenerations() const {
  std::vector<std::int64_t> others;
  const auto current = sql::ReadCurrent(views, view.name, view.version);
  const auto all = sql::ListGenerations(views, view.name);
  if (!current.ok() || !all.ok()) return others;
  const auto before = sql::ReadBefore(views, view.name, view.version);
  if (!before.ok()) return others;
  for (const sql::Generation& other : *all) {
    if (other.version != view.version || other == *current) continue;
    if (other == *before || MarkOf(*this, other) == kKeptMark) others.push_back(other.number);
  }
  std::sort(others.begin(), others.end());
  return others;
}

void ViewSlot::TellIfPaused() {
  const auto why = sql::ReadPaused(views, view.name);
  if (!why.ok()) return TellPaused(ToStd(why.status().message()));
  if (*why) TellPaused(**why);
}

void ViewSlot::TellPaused(std::string_view why) {
  const absl::Status reason = sql::Paused(view.name, why);
  {
    MutexLock status(status_mu);
    paused_for = reason;
  }
  if (listener != nullptr) listener->OnStopped(view.name, reason);
}

absl::Status ViewSlot::Pause(std::string_view why) {
  LEFTFOLD_RETURN_IF_ERROR(sql::WritePaused(views, view.name, std::string(why)));
  paused = true;
  TellPaused(why);
  return absl::OkStatus();
}

absl::StatusOr<bool> ViewSlot::Resume() {
  LEFTFOLD_RETURN_IF_ERROR(sql::WritePaused(views, view.name, std::nullopt));
  paused = false;
  {
    MutexLock status(status_mu);
    paused_for = absl::OkStatus();
  }
  unrecorded = absl::OkStatus();
  if (taken) return false;          // Who took the runner out wakes the view.
  RecordStopped(absl::OkStatus());  // Before readers see it go on; it is written again if not.
  if (runner == nullptr) {
    opens_again = true;
  } else {
    runner->TryAgain();
    if (listener != nullptr && !serving) listener->OnBuilding(view.name);
    Publish();
  }
  return std::exchange(resting, false);
}

absl::Status ViewSlot::SwitchTo(std::unique_ptr<ViewRunner>& live,
                                std::unique_ptr<ViewRunner>& next,
                                const sql::Generation& next_generation) {
  LEFTFOLD_RETURN_IF_ERROR(next->ForgetOtherFiles());
  auto read_before = sql::ReadBefore(views, view.name, view.version);
  if (!read_before.ok()) return read_before.status();
  std::optional<sql::Generation> before = serving ? std::optional(generation) : *read_before;
  if (before == next_generation) before.reset();
  Reach(KillPoint::kSwitchBegun, view.name);
  const absl::Status written = sql::WriteCurrent(views, view.name, next_generation, before);
  if (!written.ok()) {
    // It may be there all the same; then what it names must stay, and others serve it.
    const auto current = sql::ReadCurrent(views, view.name, view.version);
    if (!current.ok() || *current != next_generation) return written;
  }
  Reach(KillPoint::kSwitchWritten, view.name);
  generation = next_generation;
  runner = std::move(next);
  told.clear();
  opens_again = false;
  LEFTFOLD_RETURN_IF_ERROR(Serve());
  RecordStopped(absl::OkStatus());
  TellIfPaused();
  live.reset();
  Reach(KillPoint::kSwitchServed, view.name);
  RemoveGenerations(*this, [&](const sql::Generation& other) {
    return other != next_generation && other != before;
  });
  return absl::OkStatus();
}

void ViewSlot::PublishStatus() {
  MutexLock status(status_mu);
  checkpoint = runner->checkpoint();
  stopped = runner->stopped();
  log_is_away = TellsOfAStoreAway(stopped);
  duplicates_ignored = runner->duplicates_ignored();
  generation_number = generation.number;
  served = serving;
  parked = runner->parked_events();
}

void ViewSlot::Publish() {
  PublishStatus();
  const std::vector<std::string> touched = runner->TakeTouched();
  if (listener == nullptr) return;
  if (serving) {
    listener->OnApplied(view.name, runner->checkpoint(), touched);
  } else {
    listener->OnBuilt(view.name, runner->checkpoint(), build_to);
  }
}

}  // namespace leftfold
