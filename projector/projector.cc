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

absl::StatusOr<std::unique_ptr<Projector>> Projector::Open(
    const Registry& registry, EventStore& store, Executor& executor, const Clock& clock,
    ViewListener* listener, const std::string& views, std::shared_ptr<SharedBatches> batches) {
  std::unique_ptr<Projector> projector(new Projector(store, executor, clock, std::move(batches)));
  projector->listener_ = listener;
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
  if (listener_ != nullptr) listener_->HurryBy(NewHurry());
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
      task->End(ServerStopping());
    }
  }
  for (const auto& slot : slots_) {
    MutexLock lock(slot->mu);
    slot->ended = true;
    slot->version_lock.reset();
  }
}

// One step of one view; then either the next one is posted, or the store is asked to wake it.
void Projector::Run(const std::shared_ptr<Context>& context,
                    const std::shared_ptr<ViewSlot>& slot) {
  ViewSlot::Turn turn;
  {
    MutexLock lock(slot->mu);
    turn = slot->Step(context->store, context->reader, context->clock);
  }
  switch (turn.next) {
    case ViewSlot::Turn::Next::kNothing:
      return;
    case ViewSlot::Turn::Next::kStep:
      return turn.rests ? Rest(context, slot, turn) : Post(context, slot, turn.delay);
    case ViewSlot::Turn::Next::kWait:
      context->store.WaitPast(turn.checkpoint, [context, slot] {
        if (!context->stopped) Post(context, slot, absl::ZeroDuration());
      });
  }
}

void Projector::Rest(const std::shared_ptr<Context>& context, const std::shared_ptr<ViewSlot>& slot,
                     const ViewSlot::Turn& turn) {
  const std::uint64_t number = ++slot->rests_begun;
  slot->rest = number;
  context->executor.PostAfter(turn.delay, [context, slot, number] {
    std::uint64_t mine = number;
    if (slot->rest.compare_exchange_strong(mine, 0)) Run(context, slot);
  });
  // Who came before there was a rest could not end it.
  const std::int64_t awaited = slot->awaited;
  if (awaited > turn.checkpoint.value && awaited <= context->store.GetHead().position.value)
    EndRest(context, slot);
}

void Projector::EndRest(const std::shared_ptr<Context>& context,
                        const std::shared_ptr<ViewSlot>& slot) {
  if (slot->rest.exchange(0) != 0) Post(context, slot, absl::ZeroDuration());
}

ViewListener::Hurry Projector::NewHurry() const {
  return [context = context_, slots = slots_](std::string_view view, Position position) {
    if (context->stopped) return;
    for (const auto& slot : slots) {
      if (slot->view.name != view) continue;
      std::int64_t farthest = slot->awaited;
      while (farthest < position.value &&
             !slot->awaited.compare_exchange_weak(farthest, position.value)) {
      }
      EndRest(context, slot);
    }
  };
}

namespace {

// Caller holds no lock: it reads the folder and the store.
void AddFiles(const ViewSlot& slot, ViewStatus& status) {
  status.bytes = sql::ViewBytes(slot.views, slot.view.name, {status.version, status.generation});
  status.other_generations = slot.OtherGenerations();
  const auto before = sql::ReadBefore(slot.views, slot.view.name, slot.view.version);
  if (before.ok() && *before) status.previous_generation = (*before)->number;
}

ViewStatus StatusOf(ViewSlot& slot, const Head& head) {
  MutexLock lock(slot.status_mu);
  ViewStatus status;
  status.name = slot.view.name;
  status.version = slot.view.version;
  status.generation = slot.generation_number;
  status.checkpoint = slot.checkpoint;
  status.lag_events = std::max<std::int64_t>(0, head.position.value - slot.checkpoint.value);
  status.lag_unknown = head.last_told;
  status.parked_events = slot.parked;
  status.duplicates_ignored = slot.duplicates_ignored;
  if (!slot.paused_for.ok()) {
    status.state = ViewState::kPaused;
    status.reason = std::string(slot.paused_for.message());
  } else if (!slot.stopped.ok()) {
    // A log that is away is no stop: the view goes on when it is back.
    const bool serves = slot.served && status.lag_unknown;
    status.state = !slot.log_is_away ? ViewState::kStopped
                   : serves          ? ViewState::kServed
                                     : ViewState::kCatchingUp;
    status.reason = std::string(slot.stopped.message());
  } else if (slot.rebuilding) {
    status.state = ViewState::kRebuilding;
  } else {
    status.state = slot.served ? ServedState(status) : ViewState::kCatchingUp;
  }
  return status;
}

}  // namespace

ViewState ServedState(const ViewStatus& view) {
  if (view.lag_unknown) return ViewState::kServed;
  const bool near = view.lag_events < static_cast<std::int64_t>(kBatchEventsMax);
  return near ? ViewState::kLive : ViewState::kCatchingUp;
}

void AddOldestUnapplied(EventStore& log, std::vector<ViewStatus>& views) {
  for (ViewStatus& view : views) {
    if (view.lag_unknown || view.lag_events == 0) continue;
    const auto next = log.ReadAll({.from = view.checkpoint, .events_max = 1});
    if (!next.ok()) return;  // Each view would wait for a store that is away.
    if (!next->events.empty()) view.oldest_unapplied = next->events.front().recorded_at;
  }
}

std::vector<ViewStatus> Projector::ListViews() {
  const Head head = context_->store.GetHead();
  std::vector<ViewStatus> statuses;
  for (const auto& slot : slots_) {
    AddFiles(*slot, statuses.emplace_back(StatusOf(*slot, head)));
  }
  AddOldestUnapplied(context_->store, statuses);
  std::sort(statuses.begin(), statuses.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return statuses;
}

absl::StatusOr<std::shared_ptr<ViewSlot>> Projector::Find(std::string_view view) const {
  std::string names;
  for (const auto& slot : slots_) {
    if (slot->view.name == view) return slot;
    names += (names.empty() ? "" : ", ") + std::string(slot->view.name);
  }
  return Reject(core::v1::ERROR_REASON_VIEW_NOT_FOUND,
                fmt::format("there is no view {}; the views are {}", view, names),
                {{"view", std::string(view)}});
}

std::function<void()> Projector::WakeOf(const std::shared_ptr<ViewSlot>& slot) const {
  return [context = context_, slot] { Post(context, slot, absl::ZeroDuration()); };
}

AheadReader Projector::Context::ReaderOfRebuild() {
  MutexLock lock(mu);
  auto batches = of_rebuilds.lock();
  if (batches == nullptr) batches = NewRebuildReader(store);
  of_rebuilds = batches;
  return {std::move(batches), executor};
}

absl::StatusOr<std::unique_ptr<Rebuild>> Projector::NewRebuild(std::string_view view,
                                                               RebuildAction action,
                                                               Position until) {
  const auto slot = Find(view);
  if (!slot.ok()) return slot.status();
  return Rebuild::New(*slot, context_->store, context_->ReaderOfRebuild(), action, until,
                      WakeOf(*slot));
}

absl::StatusOr<std::unique_ptr<Rebuild>> Projector::NewSwitch(std::string_view view,
                                                              std::int64_t generation) {
  const auto slot = Find(view);
  if (!slot.ok()) return slot.status();
  return Rebuild::OfGeneration(*slot, context_->store, context_->ReaderOfRebuild(), generation,
                               WakeOf(*slot));
}

absl::StatusOr<std::unique_ptr<Rebuild>> Projector::NewRollback(std::string_view view) {
  const auto slot = Find(view);
  if (!slot.ok()) return slot.status();
  const ViewEntry& entry = (*slot)->view;
  const auto before = sql::ReadBefore((*slot)->views, entry.name, entry.version);
  if (!before.ok()) return before.status();
  if (*before) return NewSwitch(view, (*before)->number);
  return Reject(core::v1::ERROR_REASON_GENERATION_NOT_FOUND,
                fmt::format("{} has served no generation before this one; SwitchView serves one "
                            "that was kept, RebuildView makes one",
                            view),
                {{"view", std::string(view)}, {"generation", "0"}});
}

absl::Status Projector::PauseView(std::string_view view, std::string_view why) {
  const auto slot = Find(view);
  if (!slot.ok()) return slot.status();
  MutexLock lock((*slot)->mu);
  return (*slot)->ended ? ServerStopping() : (*slot)->Pause(why);
}

absl::Status Projector::ResumeView(std::string_view view) {
  const auto slot = Find(view);
  if (!slot.ok()) return slot.status();
  bool wake = false;
  {
    MutexLock lock((*slot)->mu);
    if ((*slot)->ended) return ServerStopping();
    const auto resumed = (*slot)->Resume();
    if (!resumed.ok()) return resumed.status();
    wake = *resumed;
  }
  if (wake) WakeOf (*slot)();
  return absl::OkStatus();
}

absl::StatusOr<std::vector<sql::ParkedEvent>> Projector::ListParked(std::string_view view,
                                                                    Position after,
                                                                    std::size_t limit) {
  const auto slot = Find(view);
  if (!slot.ok()) return slot.status();
  std::string path;
  {
    MutexLock lock((*slot)->status_mu);
    path = sql::ViewPath((*slot)->views, view, {(*slot)->view.version, (*slot)->generation_number});
  }
  auto reader = sql::OpenViewReader(path);
  if (absl::IsNotFound(reader.status())) return std::vector<sql::ParkedEvent>();
  if (!reader.ok()) return reader.status();
  return sql::ListParked(**reader, after, limit);
}

template <class Work>
auto Projector::OnRunner(std::string_view view, Work work)
    -> decltype(work(std::declval<ViewRunner&>())) {
  const auto slot = Find(view);
  if (!slot.ok()) return slot.status();
  MutexLock lock((*slot)->mu);
  if ((*slot)->ended) return ServerStopping();
  if ((*slot)->runner == nullptr) {
    return Reject(core::v1::ERROR_REASON_REBUILD_RUNNING,
                  fmt::format("the file of {} is being compared or switched, or cannot be opened; "
                              "try again",
                              view),
                  {{"view", std::string(view)}});
  }
  const ViewSlot::Writing writing(**slot);
  auto result = work(*(*slot)->runner);
  (*slot)->PublishStatus();
  return result;
}

absl::StatusOr<ViewRunner::Retried> Projector::RetryParked(std::string_view view,
                                                           std::string_view stream) {
  return OnRunner(view, [&](ViewRunner& runner) { return runner.RetryParked(stream); });
}

absl::Status Projector::SkipParked(std::string_view view, Position position,
                                   const sql::Skip& skip) {
  return OnRunner(view, [&](ViewRunner& runner) { return runner.SkipParked(position, skip); });
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
      return ServerStopping();
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
