#include "reactor/reactors.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <optional>
#include <utility>
#include <variant>

#include "core/kill_points.h"
#include "core/log.h"
#include "core/reject.h"
#include "core/status.h"
#include "sql/durable_file.h"

namespace leftfold {
namespace {

// An append of one event of the engine's to a reactor's stream.
template <class Event>
AppendRequest AppendOfEngine(std::string_view reactor, const Event& event, const Uuid& event_id,
                             const core::v1::EventMetadata& metadata) {
  NewEvent added;
  added.event_id = event_id;
  added.type = Event::descriptor()->full_name();
  added.payload = event.SerializeAsString();
  AppendRequest request;
  request.streams.push_back({.stream = StreamName(kReactionCategory, reactor), .events = {added}});
  request.metadata = metadata.SerializeAsString();
  return request;
}

// Of what a reactor tells: it is in the log once, whoever appends it.
AppendRequest AppendOf(const std::string& reactor, const ReactorRunner::ToTell& told) {
  core::v1::EventMetadata metadata;
  metadata.set_actor("reactor:" + reactor);
  metadata.set_command_id(told.command_id);
  AppendRequest request = std::visit(
      [&](const auto& event) {
        return AppendOfEngine(reactor, event, DerivedUuid(told.command_id, 0), metadata);
      },
      told.event);
  request.command =
      CommandRecord{.command_id = told.command_id, .aggregate_id = reactor, .created_id = ""};
  return request;
}

}  // namespace

struct Reactors::Context {
  Context(const Parts& parts_given, std::string folder_given)
      : parts(parts_given), folder(std::move(folder_given)), reader(parts.store, parts.batches) {}
  const Parts parts;
  const std::string folder;
  BatchReader reader;
  std::atomic<bool> stopped = false;

  static void Wake(const std::shared_ptr<Context>& context, const SlotPtr& slot);
  static void WakeAfter(const std::shared_ptr<Context>& context, const SlotPtr& slot,
                        absl::Duration delay);
  static void Run(const std::shared_ptr<Context>& context, const SlotPtr& slot);
  static void Deliver(const std::shared_ptr<Context>& context, const SlotPtr& slot,
                      const std::vector<Delivery>& deliveries);
  static void Tell(const std::shared_ptr<Context>& context, const SlotPtr& slot,
                   const ReactorRunner::ToTell& told);
  static void AwaitTimer(const std::shared_ptr<Context>& context, const SlotPtr& slot,
                         absl::Time due);
  static void AwaitEvents(const std::shared_ptr<Context>& context, const SlotPtr& slot,
                          Position checkpoint);
};

struct Reactors::Slot {
  explicit Slot(const ReactorEntry& entry) : reactor(entry) {}
  const ReactorEntry reactor;
  const std::shared_ptr<Histogram> attempt_seconds =
      std::make_shared<Histogram>(kAttemptSecondsBounds);

  Mutex mu;
  std::unique_ptr<ReactorRunner> runner ABSL_GUARDED_BY(mu);
  absl::Status unopened ABSL_GUARDED_BY(mu);
  bool ended ABSL_GUARDED_BY(mu) = false;
  absl::Time alarm ABSL_GUARDED_BY(mu) = absl::InfiniteFuture();  // When a timer's wake-up comes.

  // What came since the last step.
  struct Inbox {
    std::vector<std::pair<std::int64_t, DeliveryOutcome>> finished;
    std::vector<std::pair<ReactorRunner::ToTell, Position>> told;
    std::vector<std::int64_t> undelayed;
  };
  Mutex inbox_mu;
  Inbox inbox ABSL_GUARDED_BY(inbox_mu);

  std::atomic<bool> posted = false;       // It has a task.
  std::atomic<bool> waiting = false;      // The store will wake it.
  std::atomic<bool> wakes_later = false;  // WakeAfter will.

  Mutex status_mu;
  ReactorStatus status ABSL_GUARDED_BY(status_mu);

  // Opens its file, unless it is open or has ended.
  absl::Status Open(const Context& context) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    if (ended || runner != nullptr) return absl::OkStatus();
    auto opened = ReactorRunner::Open(reactor, context.parts.store, context.parts.loader,
                                      fmt::format("{}/{}.db", context.folder, reactor.name));
    unopened = opened.status();
    if (opened.ok()) runner = *std::move(opened);
    Publish();
    return unopened;
  }

  // Returns when no step is under way; there are none after it.
  void End() {
    MutexLock lock(mu);
    ended = true;
    runner.reset();
  }

  bool Ended() {
    MutexLock lock(mu);
    return ended;
  }

  void TakeInbox() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    Inbox came;
    {
      MutexLock lock(inbox_mu);
      std::swap(came, inbox);
    }
    for (auto& [id, outcome] : came.finished) runner->Finished(id, std::move(outcome));
    for (const auto& [told, position] : came.told) runner->Told(told, position);
    for (const std::int64_t id : came.undelayed) runner->Undelay(id);
  }

  void Publish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    MutexLock lock(status_mu);
    status.name = reactor.name;
    status.attempt_seconds = attempt_seconds;
    const absl::Status& stopped = runner == nullptr ? unopened : runner->stopped();
    const bool open_later = runner == nullptr && absl::IsUnavailable(unopened);
    const bool held_up = stopped.ok() && runner != nullptr && !runner->held_up().ok();
    const absl::Status& trouble = held_up ? runner->held_up() : stopped;
    const std::string before = std::exchange(status.reason, std::string(trouble.message()));
    status.state = open_later || held_up ? ReactorState::kHeldUp
                   : !stopped.ok()       ? ReactorState::kStopped
                                         : ReactorState::kLive;
    if (!trouble.ok() && status.reason != before) {
      LogLine("reactor {}: {}", reactor.name, status.reason);
    }
    if (runner == nullptr) return;
    if (stopped.ok() && runner->paused()) {
      status.state = ReactorState::kPaused;
      status.reason = *runner->paused();
    }
    status.checkpoint = runner->checkpoint();
    status.waiting = static_cast<std::int64_t>(runner->runnable());
    status.under_way = static_cast<std::int64_t>(runner->under_way());
    status.timers = static_cast<std::int64_t>(runner->timers());
    status.parked_keys = runner->parked_keys();
    status.events = runner->counts().events.value();
    status.delivered = runner->counts().delivered.value();
    status.rejections = runner->counts().rejections.value();
    status.retries = runner->counts().retries.value();
    status.parked = runner->counts().parked.value();
  }
};

std::unique_ptr<Reactors> Reactors::Open(const std::deque<ReactorEntry>& reactors,
                                         const Parts& parts, const std::string& folder) {
  std::unique_ptr<Reactors> opened(new Reactors(std::make_shared<Context>(parts, folder)));
  for (const ReactorEntry& reactor : reactors) opened->Add(reactor).IgnoreError();
  return opened;
}

absl::Status Reactors::Add(const ReactorEntry& reactor) {
  auto slot = std::make_shared<Slot>(reactor);
  absl::Status opened;
  {
    MutexLock lock(slot->mu);
    opened = slot->Open(*context_);
  }
  bool started = false;
  {
    MutexLock lock(mu_);
    slots_.push_back(slot);
    started = started_;
  }
  if (started) Context::Wake(context_, slot);
  return opened;
}

void Reactors::Remove(std::string_view reactor) {
  SlotPtr slot;
  {
    MutexLock lock(mu_);
    const auto found = std::find_if(slots_.begin(), slots_.end(), [&](const SlotPtr& other) {
      return other->reactor.name == reactor;
    });
    if (found == slots_.end()) return;
    slot = *found;
    slots_.erase(found);
  }
  slot->End();
}

void Reactors::Delete(std::string_view reactor) {
  Remove(reactor);
  sql::RemoveDatabase(fmt::format("{}/{}.db", context_->folder, reactor));
}

std::vector<Reactors::SlotPtr> Reactors::Slots() {
  MutexLock lock(mu_);
  return slots_;
}

Reactors::~Reactors() { Stop(); }

void Reactors::Start() {
  {
    MutexLock lock(mu_);
    started_ = true;
  }
  for (const SlotPtr& slot : Slots()) Context::Wake(context_, slot);
}

void Reactors::Stop() {
  context_->stopped = true;
  for (const SlotPtr& slot : Slots()) slot->End();
}

void Reactors::Context::Wake(const std::shared_ptr<Context>& context, const SlotPtr& slot) {
  if (context->stopped || slot->posted.exchange(true)) return;
  context->parts.executor.Post([context, slot] { Run(context, slot); });
}

void Reactors::Context::WakeAfter(const std::shared_ptr<Context>& context, const SlotPtr& slot,
                                  absl::Duration delay) {
  if (slot->wakes_later.exchange(true)) return;
  context->parts.executor.PostAfter(delay, [context, slot] {
    slot->wakes_later = false;
    Wake(context, slot);
  });
}

void Reactors::Context::Run(const std::shared_ptr<Context>& context, const SlotPtr& slot) {
  slot->posted = false;
  std::vector<Delivery> deliveries;
  std::vector<ReactorRunner::ToTell> to_tell;
  std::vector<ReactorRunner::Delayed> delayed;
  ReactorRunner::Next next = ReactorRunner::Next::kStopped;
  Position checkpoint;
  std::int64_t taken_in = 0;
  absl::Time timer = absl::InfiniteFuture();
  {
    MutexLock lock(slot->mu);
    const bool log_was_away = absl::IsUnavailable(slot->unopened);
    if (log_was_away && absl::IsUnavailable(slot->Open(*context)))
      return WakeAfter(context, slot, kReactorRetryDelay);
    if (slot->ended || slot->runner == nullptr) return;
    ReactorRunner& runner = *slot->runner;
    slot->TakeInbox();
    const Position before = runner.checkpoint();
    next = runner.Step(context->reader, context->parts.clock.Now());
    deliveries = runner.TakeDeliveries();
    to_tell = runner.TakeToTell();
    delayed = runner.TakeDelayed();
    checkpoint = runner.checkpoint();
    taken_in = checkpoint.value - before.value;
    if (!runner.held_up().ok()) next = ReactorRunner::Next::kLater;
    const bool waits = next == ReactorRunner::Next::kWait || next == ReactorRunner::Next::kFull;
    if (waits && runner.HasWork()) next = ReactorRunner::Next::kStep;
    if (waits && runner.next_timer() < slot->alarm) timer = slot->alarm = runner.next_timer();
    slot->Publish();
  }
  if (timer != absl::InfiniteFuture()) AwaitTimer(context, slot, timer);
  for (const auto& [id, delay] : delayed) {
    context->parts.executor.PostAfter(delay, [context, slot, row = id] {
      {
        MutexLock lock(slot->inbox_mu);
        slot->inbox.undelayed.push_back(row);
      }
      Wake(context, slot);
    });
  }
  for (const auto& told : to_tell) Tell(context, slot, told);
  Deliver(context, slot, deliveries);
  if (next == ReactorRunner::Next::kStep) return Wake(context, slot);
  if (next == ReactorRunner::Next::kLater) return WakeAfter(context, slot, kReactorRetryDelay);
  if (next != ReactorRunner::Next::kWait) return;
  if (taken_in == 0) return AwaitEvents(context, slot, checkpoint);
  WakeAfter(context, slot,
            std::clamp(kIntakeRestPerEvent * taken_in, kIntakeRestMin, kIntakeRestMax));
}

void Reactors::Context::AwaitEvents(const std::shared_ptr<Context>& context, const SlotPtr& slot,
                                    Position checkpoint) {
  if (slot->waiting.exchange(true)) return;
  context->parts.store.WaitPast(checkpoint, [context, slot] {
    slot->waiting = false;
    Wake(context, slot);
  });
}

void Reactors::Context::AwaitTimer(const std::shared_ptr<Context>& context, const SlotPtr& slot,
                                   absl::Time due) {
  const absl::Duration left = std::max(due - context->parts.clock.Now(), absl::ZeroDuration());
  context->parts.executor.PostAfter(std::min(left, kClockLookEvery), [context, slot, due] {
    {
      MutexLock lock(slot->mu);
      if (slot->alarm == due) slot->alarm = absl::InfiniteFuture();  // The next step sets it anew.
    }
    Wake(context, slot);
  });
}

void Reactors::Context::Deliver(const std::shared_ptr<Context>& context, const SlotPtr& slot,
                                const std::vector<Delivery>& deliveries) {
  for (const Delivery& delivery : deliveries) {
    if (context->stopped) return;
    Reach(KillPoint::kDeliveryTaken, slot->reactor.name);
    context->parts.deliverer.Deliver(
        slot->reactor, delivery,
        [context, slot, row = delivery.row, is_command = delivery.kind == DeliveryKind::kCommand,
         begun = context->parts.clock.Now()](DeliveryOutcome outcome) {
          if (outcome.failure.ok() && outcome.result.status.ok()) {
            Reach(is_command ? KillPoint::kCommandAccepted : KillPoint::kAnswered,
                  slot->reactor.name);
          }
          // Clocks may be set back.
          slot->attempt_seconds->Observe(
              std::max(0.0, absl::ToDoubleSeconds(context->parts.clock.Now() - begun)));
          {
            MutexLock lock(slot->inbox_mu);
            slot->inbox.finished.emplace_back(row, std::move(outcome));
          }
          Wake(context, slot);
        });
  }
}

void Reactors::Context::Tell(const std::shared_ptr<Context>& context, const SlotPtr& slot,
                             const ReactorRunner::ToTell& told) {
  context->parts.store.Append(AppendOf(slot->reactor.name, told),
                              [context, slot, told](const absl::StatusOr<Receipt>& receipt) {
                                if (!receipt.ok()) {
                                  return context->parts.executor.PostAfter(
                                      kReactorRetryDelay, [context, slot, told] {
                                        if (!context->stopped && !slot->Ended())
                                          Tell(context, slot, told);
                                      });
                                }
                                {
                                  MutexLock lock(slot->inbox_mu);
                                  slot->inbox.told.emplace_back(told, receipt->position);
                                }
                                Wake(context, slot);
                              });
}

std::vector<ReactorStatus> Reactors::List() {
  const Position head = context_->parts.store.GetHead().position;
  std::vector<ReactorStatus> all;
  for (const SlotPtr& slot : Slots()) {
    MutexLock lock(slot->status_mu);
    ReactorStatus& status = all.emplace_back(slot->status);
    status.lag_events = std::max<std::int64_t>(0, head.value - status.checkpoint.value);
    if (status.state == ReactorState::kLive && status.lag_events > 0) {
      status.state = ReactorState::kCatchingUp;
    }
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return all;
}

absl::StatusOr<Reactors::SlotPtr> Reactors::Find(std::string_view reactor) {
  std::string names;
  for (const SlotPtr& slot : Slots()) {
    if (slot->reactor.name == reactor) return slot;
    names += (names.empty() ? "" : ", ") + slot->reactor.name;
  }
  return Reject(core::v1::ERROR_REASON_REACTOR_NOT_FOUND,
                fmt::format("there is no reactor {}; the reactors are {}", reactor, names),
                {{"reactor", std::string(reactor)}});
}

template <class Work>
auto Reactors::OnRunner(std::string_view reactor, Work work)
    -> decltype(work(std::declval<ReactorRunner&>())) {
  const auto slot = Find(reactor);
  if (!slot.ok()) return slot.status();
  MutexLock lock((*slot)->mu);
  if ((*slot)->ended) return ServerStopping();
  if ((*slot)->runner == nullptr) return (*slot)->unopened;
  auto result = work(*(*slot)->runner);
  (*slot)->Publish();
  return result;
}

absl::StatusOr<std::vector<ParkedDelivery>> Reactors::ListParked(std::string_view reactor,
                                                                 std::int64_t after,
                                                                 std::size_t limit) {
  return OnRunner(reactor, [&](ReactorRunner& runner) { return runner.ListParked(after, limit); });
}

absl::Status Reactors::Pause(std::string_view reactor, std::string_view why) {
  return OnRunner(reactor, [&](ReactorRunner& runner) { return runner.Pause(why); });
}

absl::Status Reactors::Resume(std::string_view reactor) {
  const auto slot = Find(reactor);
  if (!slot.ok()) return slot.status();
  {
    MutexLock lock((*slot)->mu);
    LEFTFOLD_RETURN_IF_ERROR((*slot)->Open(*context_));
  }
  LEFTFOLD_RETURN_IF_ERROR(
      OnRunner(reactor, [](ReactorRunner& runner) { return runner.Resume(); }));
  Context::Wake(context_, *slot);
  return absl::OkStatus();
}

template <class Event, class Parking>
void Reactors::Record(std::string_view reactor, const Event& event, const std::string& actor,
                      Parking parking, Recorded done) {
  const absl::StatusOr<std::optional<ReactorRunner::ToTell>> parked = OnRunner(reactor, parking);
  if (!parked.ok()) return done(parked.status());
  if (!*parked) {
    return done(Reject(core::v1::ERROR_REASON_NOT_PARKED,
                       fmt::format("{} has nothing of that kind parked; ListParkedDeliveries shows "
                                   "all",
                                   reactor),
                       {{"reactor", std::string(reactor)}}));
  }
  core::v1::EventMetadata metadata;
  metadata.set_actor(actor);
  AppendRequest decision =
      AppendOfEngine(reactor, event, NewUuidV7(context_->parts.clock.Now()), metadata);
  context_->parts.store.Append(AppendOf(std::string(reactor), **parked),
                               [context = context_, decision = std::move(decision),
                                done = std::move(done)](const absl::StatusOr<Receipt>& told) {
                                 if (!told.ok()) return done(told.status());
                                 context->parts.store.Append(
                                     decision, [done](const absl::StatusOr<Receipt>& receipt) {
                                       if (!receipt.ok()) return done(receipt.status());
                                       done(receipt->position);
                                     });
                               });
}

void Reactors::Retry(std::string_view reactor, std::string_view key, const std::string& actor,
                     Recorded done) {
  core::v1::RetryRequested event;
  event.set_reactor(std::string(reactor));
  event.set_key(std::string(key));
  Record(
      reactor, event, actor, [key](ReactorRunner& runner) { return runner.ParkingOfKey(key); },
      std::move(done));
}

void Reactors::Skip(std::string_view reactor, std::string_view delivery_id, std::string_view why,
                    const std::string& actor, Recorded done) {
  core::v1::SkipRequested event;
  event.set_reactor(std::string(reactor));
  event.set_delivery_id(std::string(delivery_id));
  event.set_why(std::string(why));
  Record(
      reactor, event, actor,
      [delivery_id](ReactorRunner& runner) { return runner.ParkingOf(delivery_id); },
      std::move(done));
}

}  // namespace leftfold
