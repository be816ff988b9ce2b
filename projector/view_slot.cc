#include "projector/view_slot.h"

#include <cstdio>
#include <utility>

#include "core/status.h"

namespace leftfold {

absl::Status ViewSlot::Open(EventStore& store) {
  const auto current = sql::ReadCurrent(views, view.name, view.version);
  if (!current.ok()) return current.status();
  const auto all = sql::ListGenerations(views, view.name);
  if (!all.ok()) return all.status();
  for (const sql::Generation& other : *all) {
    // What is newer than the served one was never finished.
    const bool unfinished =
        other.version == view.version && (!*current || other.number > (*current)->number);
    if (unfinished) sql::RemoveGeneration(views, view.name, other);
  }
  if (!*current) return BeginBuilding(store);
  generation = **current;
  const std::string path = sql::ViewPath(views, view.name, generation);
  auto opened = sql::OpenViewReader(path);
  if (opened.ok()) {
    auto next = ViewRunner::Open(view, store, path, ViewRunner::Mode::kServing);
    if (next.ok()) {
      runner = *std::move(next);
      serving = true;
      if (listener != nullptr) listener->OnServing(view.name, path);
      Publish();
      return absl::OkStatus();
    }
    broken = next.status();
  } else {
    broken = opened.status();
  }
  fmt::print(stderr, "leftfold: view {} cannot be served from {}: {}; it is built anew\n",
             view.name, path, ToStd(broken.message()));
  return BeginBuilding(store);
}

absl::Status ViewSlot::BeginBuilding(EventStore& store) {
  const auto number = sql::NextGenerationNumber(views, view.name);
  if (!number.ok()) return number.status();
  generation = {view.version, *number};
  auto next = ViewRunner::Open(view, store, sql::ViewPath(views, view.name, generation),
                               ViewRunner::Mode::kBuilding);
  if (!next.ok()) return next.status();
  runner = *std::move(next);
  serving = false;
  broken = absl::OkStatus();
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

absl::Status ViewSlot::SwitchTo(std::unique_ptr<ViewRunner> next,
                                const sql::Generation& next_generation) {
  LEFTFOLD_RETURN_IF_ERROR(next->FinishBuilding());
  LEFTFOLD_RETURN_IF_ERROR(sql::WriteCurrent(views, view.name, next_generation));
  const sql::Generation old = std::exchange(generation, next_generation);
  runner = std::move(next);
  const bool keep_old = std::exchange(serving, true);
  if (listener != nullptr) listener->OnServing(view.name, runner->path());
  Publish();
  if (const auto all = sql::ListGenerations(views, view.name); all.ok()) {
    for (const sql::Generation& other : *all) {
      const bool older = other.version == view.version &&
                         (other.number < old.number || (!keep_old && other == old));
      if (older) sql::RemoveGeneration(views, view.name, other);
    }
  }
  return absl::OkStatus();
}

void ViewSlot::Publish() {
  {
    MutexLock lock(status_mu);
    checkpoint = runner->checkpoint();
    stopped = runner->stopped();
    duplicates_ignored = runner->duplicates_ignored();
    generation_number = generation.number;
  }
  const std::vector<std::string> touched = runner->TakeTouched();
  if (listener == nullptr || !serving) return;
  listener->OnApplied(view.name, runner->checkpoint(), touched);
  if (!runner->stopped().ok()) listener->OnStopped(view.name, runner->stopped());
}

}  // namespace leftfold
