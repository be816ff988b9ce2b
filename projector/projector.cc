#include "projector/projector.h"

#include <algorithm>
#include <utility>

#include "core/reject.h"
#include "core/status.h"

namespace leftfold {

// A rebuild on the executor. Whoever takes `rebuild_` out gives the answer, so there is one.
class Projector::RebuildTask : public std::enable_shared_from_this<RebuildTask> {
 public:
  RebuildTask(Executor& executor, std::unique_ptr<Rebuild> rebuild, RebuildListener listener)
      : executor_(executor), listener_(std::move(listener)), rebuild_(std::move(rebuild)) {}

  void Post() {
    executor_.Post([self = shared_from_this()] { self->Run(); });
  }
  void End(const absl::Status& why) {
    std::unique_ptr<Rebuild> rebuild;
    {
      MutexLock lock(mu_);
      rebuild = std::move(rebuild_);
    }
    if (rebuild == nullptr) return;
    rebuild.reset();  // Its file is gone before the answer.
    listener_.done(why);
  }

 private:
  void Run() {
    std::unique_ptr<Rebuild> ended;
    absl::StatusOr<RebuildProgress> progress;
    {
      MutexLock lock(mu_);
      if (rebuild_ == nullptr) return;
      progress = rebuild_->Step();
      if (!progress.ok() || progress->finished) ended = std::move(rebuild_);
    }
    if (progress.ok()) listener_.progress(*progress);
    if (ended == nullptr) return Post();
    ended.reset();
    listener_.done(progress);
  }

  Executor& executor_;
  const RebuildListener listener_;
  Mutex mu_;  // Held over a step: who ends the rebuild waits for it.
  std::unique_ptr<Rebuild> rebuild_ ABSL_GUARDED_BY(mu_);
};

absl::StatusOr<std::unique_ptr<Projector>> Projector::Open(const Registry& registry,
                                                           EventStore& store, Executor& executor,
                                                           ViewListener* listener,
                                                           const std::string& views) {
  std::unique_ptr<Projector> projector(new Projector(store, executor));
  for (const ViewEntry& view : registry.views()) {
    auto slot = std::make_shared<ViewSlot>(view, views, listener);
    MutexLock lock(slot->mu);
    slot->Open(store);
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
  context_->stopped = true;
  std::vector<std::weak_ptr<RebuildTask>> rebuilds;
  {
    MutexLock lock(mu_);
    rebuilds.swap(rebuilds_);
  }
  for (const auto& weak : rebuilds) {
    if (const auto task = weak.lock()) {
      task->End(Reject(core::v1::ERROR_REASON_STOPPING, "the server is stopping"));
    }
  }
  for (const auto& slot : slots_) {
    MutexLock lock(slot->mu);
    slot->ended = true;
  }
}

// One step of one view; then either the next one is posted, or the store is asked to wake it.
void Projector::Run(const std::shared_ptr<Context>& context,
                    const std::shared_ptr<ViewSlot>& slot) {
  ViewSlot::Turn turn;
  {
    MutexLock lock(slot->mu);
    turn = slot->Step(context->store, context->reader);
  }
  switch (turn.next) {
    case ViewSlot::Turn::Next::kNothing:
      return;
    case ViewSlot::Turn::Next::kStep:
      return Post(context, slot, turn.delay);
    case ViewSlot::Turn::Next::kWait:
      context->store.WaitPast(turn.checkpoint, [context, slot] {
        if (!context->stopped) Post(context, slot, absl::ZeroDuration());
      });
  }
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
    const bool near = status.lag_events < static_cast<std::int64_t>(kBatchEventsMax);
    status.state = !slot->stopped.ok()    ? ViewState::kStopped
                   : slot->served && near ? ViewState::kLive
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

absl::StatusOr<std::function<void()>> Projector::StartRebuild(std::string_view view,
                                                              RebuildAction action, Position until,
                                                              RebuildListener listener) {
  auto rebuild = NewRebuild(view, action, until);
  if (!rebuild.ok()) return rebuild.status();
  const auto task =
      std::make_shared<RebuildTask>(context_->executor, *std::move(rebuild), std::move(listener));
  {
    MutexLock lock(mu_);
    if (context_->stopped) {
      return Reject(core::v1::ERROR_REASON_STOPPING, "the server is stopping");
    }
    std::erase_if(rebuilds_, [](const auto& weak) { return weak.expired(); });
    rebuilds_.push_back(task);
  }
  task->Post();
  return [weak = std::weak_ptr<RebuildTask>(task)] {
    if (const auto alive = weak.lock())
      alive->End(absl::CancelledError("the rebuild is abandoned"));
  };
}

}  // namespace leftfold
