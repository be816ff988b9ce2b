#include "projector/projector.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "core/reject.h"
#include "core/status.h"

namespace leftfold {
namespace {

absl::Duration RestAfter(std::int64_t events) {
  return std::clamp(kBatchRestPerEvent * events, kBatchRestMin, kBatchRestMax);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Projector>> Projector::Open(const Registry& registry,
                                                           EventStore& store, Executor& executor,
                                                           ViewListener* listener,
                                                           const std::string& views) {
  std::unique_ptr<Projector> projector(new Projector(store, executor));
  for (const ViewEntry& view : registry.views()) {
    auto slot = std::make_shared<ViewSlot>(view, views, listener);
    MutexLock lock(slot->mu);
    LEFTFOLD_RETURN_IF_ERROR(slot->Open(store));
    // Nothing to build from an empty log: it is served from the first moment.
    if (!slot->serving && store.GetHead().position == kBeforeFirst)
      LEFTFOLD_RETURN_IF_ERROR(slot->BeginServing());
    projector->slots_.push_back(slot);
  }
  return projector;
}

Projector::~Projector() { Stop(); }

void Projector::Start() {
  for (const auto& slot : slots_) Post(context_, slot, absl::ZeroDuration());
}

void Projector::Post(std::shared_ptr<Context> context, std::shared_ptr<ViewSlot> slot,
                     absl::Duration delay) {
  Executor& executor = context->executor;
  auto task = [context = std::move(context), slot = std::move(slot)] { Run(context, slot); };
  delay > absl::ZeroDuration() ? executor.PostAfter(delay, std::move(task))
                               : executor.Post(std::move(task));
}

void Projector::Stop() {
  for (const auto& slot : slots_) {
    MutexLock lock(slot->mu);
    slot->ended = true;
  }
}

// One step of one view; then either the next one is posted, or the store is asked to wake it.
void Projector::Run(const std::shared_ptr<Context>& context,
                    const std::shared_ptr<ViewSlot>& slot) {
  Position checkpoint;
  {
    MutexLock lock(slot->mu);
    if (slot->ended) return;
    const Position before = slot->runner->checkpoint();
    const ViewRunner::Progress progress =
        slot->serving ? slot->runner->Step(context->reader) : slot->runner->Step();
    if (progress == ViewRunner::Progress::kIdle && !slot->serving) {
      if (const absl::Status served = slot->BeginServing(); !served.ok()) {
        fmt::print(stderr, "leftfold: view {} cannot be served: {}\n", slot->view.name,
                   ToStd(served.message()));
        return;
      }
    }
    if (progress != ViewRunner::Progress::kIdle) slot->Publish();
    if (progress == ViewRunner::Progress::kStopped) {
      fmt::print(stderr, "leftfold: view {} {}\n", slot->view.name,
                 ToStd(slot->runner->stopped().message()));
      if (!slot->serving && slot->listener != nullptr)
        slot->listener->OnStopped(slot->view.name, slot->runner->stopped());
      slot->resting = true;
      return;
    }
    checkpoint = slot->runner->checkpoint();
    if (progress == ViewRunner::Progress::kFolded) {
      const bool behind = context->store.GetHead().position.value - checkpoint.value >=
                          static_cast<std::int64_t>(kBatchEventsMax);
      return Post(context, slot,
                  behind || !slot->serving ? absl::ZeroDuration()
                                           : RestAfter(checkpoint.value - before.value));
    }
  }
  context->store.WaitPast(checkpoint,
                          [context, slot] { Post(context, slot, absl::ZeroDuration()); });
}

std::vector<ViewStatus> Projector::ListViews() {
  const Position head = context_->store.GetHead().position;
  std::vector<ViewStatus> statuses;
  for (const auto& slot : slots_) {
    MutexLock lock(slot->status_mu);
    ViewStatus status;
    status.name = slot->view.name;
    status.version = slot->view.version;
    status.generation = slot->generation_number;
    status.checkpoint = slot->checkpoint;
    status.lag_events = std::max<std::int64_t>(0, head.value - slot->checkpoint.value);
    status.reason = std::string(slot->stopped.message());
    status.state = !slot->stopped.ok()      ? ViewState::kStopped
                   : status.lag_events == 0 ? ViewState::kLive
                                            : ViewState::kCatchingUp;
    status.duplicates_ignored = slot->duplicates_ignored;
    statuses.push_back(std::move(status));
  }
  std::sort(statuses.begin(), statuses.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return statuses;
}

absl::StatusOr<std::unique_ptr<Rebuild>> Projector::NewRebuild(std::string_view view,
                                                               RebuildAction action,
                                                               Position until) {
  std::string names;
  for (const auto& slot : slots_) {
    if (slot->view.name == view) {
      return Rebuild::New(slot, context_->store, action, until, [context = context_, slot] {
        Post(context, slot, absl::ZeroDuration());
      });
    }
    names += (names.empty() ? "" : ", ") + std::string(slot->view.name);
  }
  return Reject(core::v1::ERROR_REASON_VIEW_NOT_FOUND,
                fmt::format("there is no view {}; the views are {}", view, names),
                {{"view", std::string(view)}});
}

}  // namespace leftfold
