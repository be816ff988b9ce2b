#include "projector/view_slot.h"

#include <algorithm>
#include <utility>

#include "core/log.h"
#include "core/reject.h"
#include "core/status.h"

namespace leftfold {
namespace {

bool IsKept(const std::string& path) {
  const auto reader = sql::OpenViewReader(path);
  return reader.ok() && (*reader)->Value("PRAGMA user_version") == kKeptMark;
}

// Removes the generations that `is_old` names, except those that somebody asked to keep.
template <class IsOld>
void RemoveGenerations(const ViewSlot& slot, IsOld is_old) {
  const auto all = sql::ListGenerations(slot.views, slot.view.name);
  if (!all.ok()) return;  // They cost space only; the next start tries again.
  for (const sql::Generation& other : *all) {
    if (other.version != slot.view.version || !is_old(other)) continue;
    if (IsKept(sql::ViewPath(slot.views, slot.view.name, other))) continue;
    sql::RemoveGeneration(slot.views, slot.view.name, other);
  }
}

absl::Duration RestAfter(std::int64_t events) {
  return std::clamp(kBatchRestPerEvent * events, kBatchRestMin, kBatchRestMax);
}

}  // namespace

void ViewSlot::Open(EventStore& store) {
  if (const auto current = sql::ReadCurrent(views, view.name, view.version); current.ok()) {
    // What is newer than the served one was never finished.
    RemoveGenerations(*this, [&current](const sql::Generation& other) {
      return !*current || other.number > (*current)->number;
    });
  }
  OpenAgain(store);
}

ViewSlot::Turn ViewSlot::OpenAgain(EventStore& store) {
  const absl::Status opened = OpenFile(store);
  opens_again = MayPass(opened);
  if (opened.ok()) return {Turn::Next::kStep};
  Tell(opened);
  if (opens_again) return {Turn::Next::kStep, kResumeDelay};
  resting = true;
  return {};
}

absl::Status ViewSlot::OpenFile(EventStore& store) {
  const auto current = sql::ReadCurrent(views, view.name, view.version);
  if (!current.ok()) return current.status();
  if (!*current) return BeginBuilding(store);
  generation = **current;
  const std::string path = sql::ViewPath(views, view.name, generation);
  absl::Status failure = sql::OpenViewReader(path).status();  // Makes no file where none is.
  if (failure.ok()) {
    auto opened = ViewRunner::Open(view, store, path, ViewRunner::Mode::kServing);
    if (opened.ok()) {
      runner = *std::move(opened);
      serving = true;
      if (listener != nullptr) listener->OnServing(view.name, path);
      Publish();
      return absl::OkStatus();
    }
    failure = opened.status();
  }
  // Only what is wrong with the file itself is mended by another file. One that is off the chain
  // may tell of a log that lost its end: that is for people to see, not for us to cover up.
  const bool damaged = absl::IsDataLoss(failure) && ReasonOf(failure).empty();
  if (!damaged && !absl::IsNotFound(failure)) return failure;
  LogEvent(LogLevel::kWarning, "a view cannot be served from its file and is built anew",
           {{"view", std::string(view.name)},
            {"file", path},
            {"reason", std::string(failure.message())}});
  return BeginBuilding(store);
}

absl::Status ViewSlot::BeginBuilding(EventStore& store) {
  const auto number = sql::NextGenerationNumber(views, view.name);
  if (!number.ok()) return number.status();
  generation = {view.version, *number};
  build_to = store.GetHead().position;
  auto opened = ViewRunner::Open(view, store, sql::ViewPath(views, view.name, generation),
                                 ViewRunner::Mode::kBuilding);
  if (!opened.ok()) return opened.status();
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
  LEFTFOLD_RETURN_IF_ERROR(sql::WriteCurrent(views, view.name, generation));
  serving = true;
  if (listener != nullptr) listener->OnServing(view.name, runner->path());
  Publish();
  return absl::OkStatus();
}

ViewSlot::Turn ViewSlot::Step(EventStore& store, BatchReader& reader) {
  if (ended) return {};
  if (runner == nullptr) {
    if (opens_again) return OpenAgain(store);
    resting = true;
    return {};
  }
  runner->Resume();
  const Position before = runner->checkpoint();
  const ViewRunner::Progress progress = serving ? runner->Step(reader) : runner->Step(build_to);
  if (progress == ViewRunner::Progress::kStopped) return AfterStop();
  const Position after = runner->checkpoint();
  if (!serving && after >= build_to) {
    if (const absl::Status begun = BeginServing(); !begun.ok()) {
      Tell(begun);
      return {Turn::Next::kStep, kResumeDelay};
    }
  } else if (progress == ViewRunner::Progress::kFolded) {
    Publish();
  }
  if (progress == ViewRunner::Progress::kIdle) {
    return {Turn::Next::kWait, absl::ZeroDuration(), after};
  }
  told.clear();
  const bool behind =
      store.GetHead().position.value - after.value >= static_cast<std::int64_t>(kBatchEventsMax);
  const bool rests = serving && !behind;
  return {Turn::Next::kStep, rests ? RestAfter(after.value - before.value) : absl::ZeroDuration()};
}

ViewSlot::Turn ViewSlot::AfterStop() {
  Publish();
  Tell(runner->stopped());
  if (MayPass(runner->stopped())) return {Turn::Next::kStep, kResumeDelay};
  resting = true;
  return {};
}

void ViewSlot::Tell(const absl::Status& reason) {
  {
    MutexLock lock(status_mu);
    stopped = reason;
  }
  if (listener != nullptr) listener->OnStopped(view.name, reason);
  const std::string message(reason.message());
  if (std::exchange(told, message) == message) return;
  LogEvent(LogLevel::kError, "view stopped",
           {{"view", std::string(view.name)}, {"reason", message}});
}

absl::Status ViewSlot::SwitchTo(std::unique_ptr<ViewRunner>& live,
                                std::unique_ptr<ViewRunner>& next,
                                const sql::Generation& next_generation) {
  LEFTFOLD_RETURN_IF_ERROR(sql::WriteCurrent(views, view.name, next_generation));
  const sql::Generation old = std::exchange(generation, next_generation);
  const bool keep_old = std::exchange(serving, true);
  runner = std::move(next);
  if (listener != nullptr) listener->OnServing(view.name, runner->path());
  Publish();
  told.clear();
  live.reset();
  RemoveGenerations(*this, [&old, keep_old](const sql::Generation& other) {
    return other.number < old.number || (!keep_old && other == old);
  });
  return absl::OkStatus();
}

void ViewSlot::Publish() {
  {
    MutexLock lock(status_mu);
    checkpoint = runner->checkpoint();
    stopped = runner->stopped();
    duplicates_ignored = runner->duplicates_ignored();
    generation_number = generation.number;
    served = serving;
  }
  const std::vector<std::string> touched = runner->TakeTouched();
  if (listener != nullptr && serving) {
    listener->OnApplied(view.name, runner->checkpoint(), touched);
  }
}

}  // namespace leftfold
