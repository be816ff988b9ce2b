#include "reactor/reactor_runner.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <cmath>

#include "core/kill_points.h"
#include "core/reject.h"
#include "core/status.h"
#include "event_store/follow.h"

namespace leftfold {
namespace {

// What an error hook puts into the outbox goes under the parked key with this before it.
constexpr std::string_view kHookKeyPrefix = "!";

bool MayPass(const absl::Status& failure) {
  return absl::IsUnavailable(failure) || absl::IsResourceExhausted(failure) ||
         absl::IsAborted(failure) || absl::IsDeadlineExceeded(failure);
}

// What operators ask of a reactor, and what has become of it, in a stream of its own.
using Controls = Types<core::v1::DeliveryParked, core::v1::RetryRequested, core::v1::SkipRequested>;

bool IsControl(std::string_view type) {
  return internal::IndexOf<Controls>().Find(type).has_value();
}

absl::Status CheckEntries(const std::vector<Outbox::Entry>& entries) {
  for (const Outbox::Entry& entry : entries) {
    if (entry.key.size() > kTimerNameBytesMax) {
      return Error(absl::StatusCode::kInvalidArgument, "a key has {} bytes, more than {}",
                   entry.key.size(), kTimerNameBytesMax);
    }
    const bool timed = entry.cancels || entry.due != absl::InfinitePast();
    if (!timed || (!entry.timer.empty() && entry.timer.size() <= kTimerNameBytesMax)) continue;
    return Error(absl::StatusCode::kInvalidArgument, "a timer's name has {} bytes, not 1 to {}",
                 entry.timer.size(), kTimerNameBytesMax);
  }
  return absl::OkStatus();
}

// The same number for the same input, from 0 to below 1 (splitmix64, Steele et al. 2014).
double Fraction(std::uint64_t input) {
  std::uint64_t z = input + 0x9E37'79B9'7F4A'7C15;
  z = (z ^ (z >> 30)) * 0xBF58'476D'1CE4'E5B9;
  z = (z ^ (z >> 27)) * 0x94D0'49BB'1331'11EB;
  return static_cast<double>((z ^ (z >> 31)) >> 11) / 9'007'199'254'740'992.0;
}

std::string What(const sql::OutboxRow& row) {
  switch (row.kind) {
    case DeliveryKind::kCommand:
      return row.type;
    case DeliveryKind::kHttp: {
      core::v1::HttpCall call;
      call.ParseFromString(row.payload);
      return fmt::format("http {} {}", call.method(), call.url());
    }
    case DeliveryKind::kMail: {
      core::v1::Mail mail;
      mail.ParseFromString(row.payload);
      return fmt::format("mail {}", mail.to());
    }
    case DeliveryKind::kWake:
      return fmt::format("wake {}", row.timer);
    case DeliveryKind::kEvent:
    case DeliveryKind::kHandOver:
      return fmt::format("event {}", row.type);
  }
  return "";
}

// An event that is still to be reacted to.
sql::OutboxRow UnreactedRow(const RecordedEvent& event, const std::string& key) {
  const core::v1::EventMetadata metadata = EventMeta{event}.metadata();
  return {.id = sql::RowId(event.position, 0),
          .key = key,
          .kind = DeliveryKind::kEvent,
          .type = event.type,
          .event_id = ToString(event.event_id),
          .correlation_id = metadata.correlation_id(),
          .traceparent = metadata.traceparent()};
}

}  // namespace

// The reactor's own tables. What one call writes is a savepoint, begun when it first asks, as the
// step's transaction is.
class ReactorRunner::Tables final : public OwnTables {
 public:
  Tables(ReactorRunner& runner, StateLoader& loader)
      : runner_(runner), connection_(*runner.connection_), loader_(loader) {}
  Position applied() override { return sql::ConnectionReadTx(connection_).applied(); }
  const absl::Status& status() const override { return connection_.status(); }

  // Keeps or undoes what was written since the last call. Returns what the file would not take.
  absl::Status EndCall(bool keep) {
    if (!std::exchange(saved_, false)) return absl::OkStatus();
    absl::Status refused;
    if (absl::IsInvalidArgument(connection_.status())) {
      refused = connection_.status();
      connection_.ClearStatus();
    }
    if (!keep || !refused.ok()) Step(connection_.Prepare("ROLLBACK TO leftfold_call"));
    Step(connection_.Prepare("RELEASE leftfold_call"));
    return refused;
  }

 protected:
  Cursor& Prepare(std::string_view sql) override {
    if (!std::exchange(saved_, true)) {
      runner_.Begin().IgnoreError();  // Kept in the connection.
      Step(connection_.Prepare("SAVEPOINT leftfold_call"));
    }
    return connection_.Prepare(sql);
  }
  StateLoader& loader() override { return loader_; }

 private:
  static void Step(Cursor& statement) {
    statement.Step();
    statement.Reset();
  }
  ReactorRunner& runner_;
  sql::Connection& connection_;
  StateLoader& loader_;
  bool saved_ = false;
};

absl::StatusOr<std::unique_ptr<ReactorRunner>> ReactorRunner::Open(const ReactorEntry& reactor,
                                                                   EventStore& store,
                                                                   StateLoader& loader,
                                                                   const std::string& path) {
  sql::Checkpoint start{kBeforeFirst, FirstChain(store.StoreId())};
  if (reactor.start == StartAt::kNow) {
    const Head head = store.GetHead();
    if (head.position > kBeforeFirst) start = {head.position, head.chain};
  }
  if (reactor.start_after.value_or(kBeforeFirst) > kBeforeFirst) {
    const auto event = ReadEventAt(store, *reactor.start_after);
    if (!event.ok()) return event.status();
    start = {event->position, event->chain};
  }
  auto connection = path.empty() ? sql::OpenReactorInMemory(reactor, start)
                                 : sql::OpenReactorWriter(path, reactor, start);
  if (!connection.ok()) return connection.status();
  std::unique_ptr<ReactorRunner> runner(
      new ReactorRunner(reactor, store, loader, path, *std::move(connection)));
  LEFTFOLD_RETURN_IF_ERROR(runner->Load());
  LEFTFOLD_RETURN_IF_ERROR(
      CheckOnChain(store, {runner->checkpoint_.position, runner->checkpoint_.chain}));
  return runner;
}

ReactorRunner::ReactorRunner(const ReactorEntry& reactor, EventStore& store, StateLoader& loader,
                             std::string path, std::unique_ptr<sql::Connection> connection)
    : reactor_(reactor),
      store_(store),
      path_(std::move(path)),
      stream_(StreamName(kReactionCategory, reactor.name)),
      connection_(std::move(connection)),
      tables_(std::make_unique<Tables>(*this, loader)),
      outbox_(*connection_) {}

ReactorRunner::~ReactorRunner() = default;

absl::Status ReactorRunner::Load() {
  connection_->Rollback();
  const auto checkpoint = sql::ReadCheckpoint(*connection_);
  if (!checkpoint.ok()) return checkpoint.status();
  checkpoint_ = *checkpoint;
  written_ = checkpoint_.position;
  seen_ = sql::ReadSeen(*connection_);
  seen_more_ = false;
  paused_ = sql::ReadReactorPaused(*connection_);
  local_.clear();
  // What waits goes on waiting, but for that of the step which is undone.
  std::vector<std::int64_t> delayed = outbox_.lanes().Delayed();
  for (const Delayed& undone : delayed_) std::erase(delayed, undone.id);
  delayed_.clear();
  to_tell_.clear();
  for (const std::int64_t id :
       outbox_.Load([this](std::int64_t row) { return under_way_.contains(row); })) {
    const auto row = outbox_.Read(id);
    if (!row.ok()) return row.status();
    if (row->state == sql::RowState::kDelivered) TellDelivered(*row);
    if (row->state == sql::RowState::kParking) to_tell_.push_back(TellsParked(*row));
  }
  for (const std::int64_t id : delayed) {
    if (outbox_.lanes().Has(id)) outbox_.lanes().Delay(id);
  }
  return connection_->status();
}

absl::Status ReactorRunner::Begin() {
  if (begun_) return connection_->status();
  begun_ = true;
  return connection_->Begin();
}

ReactorRunner::Next ReactorRunner::Step(BatchReader& reader, absl::Time now) {
  if (!stopped_.ok()) return Next::kStopped;
  if (std::exchange(reload_, false)) {
    if (const absl::Status loaded = Load(); !loaded.ok()) return Undo(loaded);
  }
  if (outbox_.lanes().runnable() >= kRunnableRowsMax) {
    const Next next = Step(EventRun{}, now);
    return next == Next::kWait ? Next::kFull : next;
  }
  const auto batch = reader.After(checkpoint_.position, kIntakeEventsMax);
  if (!batch.ok()) return Undo(batch.status());
  const auto wants = [&](std::string_view type) {
    return !reactor_.handles || reactor_.handles(type) || IsControl(type);
  };
  return Step(batch->RunFor(wants, wanted_), now);
}

ReactorRunner::Next ReactorRunner::Step(const EventRun& run, absl::Time now) {
  if (!stopped_.ok()) return Next::kStopped;
  if (outbox_.timers().next() <= now) Reach(KillPoint::kTimerFired, reactor_.name);
  outbox_.TakeDue(now);
  const std::int64_t events_before = counts_->events.value();
  const std::size_t results = std::min(finished_.size(), kResultsMax);
  held_up_ = absl::OkStatus();
  absl::Status status = TakeInFinished(now);
  if (status.ok()) status = TakeInTold();
  if (status.ok()) status = RunLocal(now);
  if (status.ok()) status = TakeIn(run);
  const bool far = checkpoint_.position.value - written_.value >= kCheckpointEvery;
  if (status.ok() && far) status = Begin();
  const bool took_events = begun_ && counts_->events.value() > events_before;
  if (status.ok() && begun_) {
    sql::WriteCheckpoint(*connection_, checkpoint_);
    if (std::exchange(seen_more_, false)) sql::WriteSeen(*connection_, seen_);
    if (took_events) Reach(KillPoint::kIntakeBegun, reactor_.name);
    status = connection_->Commit();
  }
  if (!status.ok()) return Undo(status);
  if (took_events) Reach(KillPoint::kIntakeCommitted, reactor_.name);
  if (begun_ && results > 0) Reach(KillPoint::kResultCommitted, reactor_.name);
  if (std::exchange(begun_, false)) written_ = checkpoint_.position;
  for (std::size_t i = 0; i < results; ++i) {
    under_way_.erase(finished_.front().first);
    if (finished_.front().second.stored) finished_.front().second.stored();
    finished_.pop_front();
  }
  if (!held_up_.ok()) return Next::kLater;
  return HasWork() || run.events.size() >= kIntakeEventsMax ? Next::kStep : Next::kWait;
}

// All is as the file has it.
ReactorRunner::Next ReactorRunner::Undo(const absl::Status& failure) {
  begun_ = false;
  connection_->Rollback();
  const absl::Status loaded = Load();
  reload_ = !loaded.ok();
  const absl::Status& reason = loaded.ok() ? failure : loaded;
  held_up_ = MayPass(reason) ? reason : absl::OkStatus();
  if (!held_up_.ok()) return Next::kLater;
  stopped_ = WithMessage(reason, fmt::format("stopped behind position {}: {}",
                                             checkpoint_.position.value, ToStd(reason.message())));
  return Next::kStopped;
}

absl::Status ReactorRunner::TakeInFinished(absl::Time now) {
  const std::size_t results = std::min(finished_.size(), kResultsMax);
  for (std::size_t i = 0; i < results; ++i) {
    auto& [id, outcome] = finished_[i];
    const auto row = under_way_.find(id);
    if (row == under_way_.end()) continue;
    if (absl::IsResourceExhausted(outcome.failure)) {
      Postpone(row->second.row);
      continue;
    }
    outcome.result.at = now;
    LEFTFOLD_RETURN_IF_ERROR(Begin());
    LEFTFOLD_RETURN_IF_ERROR(FinishOne(row->second, outcome));
  }
  return absl::OkStatus();
}

absl::Status ReactorRunner::FinishOne(const UnderWay& under_way, const DeliveryOutcome& outcome) {
  const sql::OutboxRow& row = under_way.row;
  if (!outcome.failure.ok()) {
    return Fail(row, outcome.failure, !absl::IsFailedPrecondition(outcome.failure), outcome.delay);
  }
  Called called = Call([&](OwnTables& tables, Outbox& outbox) {
    return reactor_.on_result(under_way.delivery, outcome.result, tables, outbox);
  });
  Reach(KillPoint::kResultBegun, reactor_.name);
  std::int64_t position = 0;
  if (absl::SimpleAtoi(outcome.result.receipt.position(), &position) && position > seen_.value) {
    seen_ = Position{position};
    seen_more_ = true;
  }
  if (called.status.ok()) {
    counts_->delivered.Add();
    if (!outcome.result.status.ok()) counts_->rejections.Add();
  }
  return Conclude(row, std::move(called));
}

absl::Status ReactorRunner::Conclude(const sql::OutboxRow& row, Called called) {
  LEFTFOLD_RETURN_IF_ERROR(connection_->status());
  if (!called.status.ok()) return Fail(row, called.status, MayPass(called.status));
  LEFTFOLD_RETURN_IF_ERROR(Enqueue(row, std::move(called.entries)));
  if (row.round > 0) {
    outbox_.Finish(row);
    TellDelivered(row);
  } else {
    outbox_.Remove(row);
  }
  return connection_->status();
}

template <class Code>
ReactorRunner::Called ReactorRunner::Call(Code code) {
  Outbox outbox;
  Called called{code(*tables_, outbox), outbox.TakeEntries()};
  if (called.status.ok()) called.status = CheckEntries(called.entries);
  const absl::Status refused = tables_->EndCall(called.status.ok());
  if (called.status.ok()) called.status = refused;
  if (!called.status.ok()) called.entries.clear();
  return called;
}

absl::Status ReactorRunner::TakeInTold() {
  for (const auto& [id, round, position] : std::exchange(told_, {})) {
    LEFTFOLD_RETURN_IF_ERROR(Begin());
    const auto row = sql::ReadRow(*connection_, id);
    if (!row || row->round != round) continue;
    if (row->state == sql::RowState::kDelivered) outbox_.Remove(*row);
    // Else it is still to come.
    if (position <= checkpoint_.position) outbox_.ParkingIsInLog(*row);
  }
  return connection_->status();
}

absl::Status ReactorRunner::RunLocal(absl::Time now) {
  for (std::size_t i = 0; !local_.empty() && i < kResultsMax; ++i) {
    const std::int64_t id = local_.front();
    local_.pop_front();
    LEFTFOLD_RETURN_IF_ERROR(Begin());
    const auto row = sql::ReadRow(*connection_, id);
    if (!row) continue;
    const absl::Status ran = row->kind == DeliveryKind::kEvent
                                 ? ReactToRow(*row)
                                 : FinishOne({*row, DeliveryOf(*row)},
                                             {.failure = {}, .result = {.status = {}, .at = now}});
    LEFTFOLD_RETURN_IF_ERROR(ran);
  }
  return connection_->status();
}

absl::Status ReactorRunner::ReactToRow(const sql::OutboxRow& row) {
  const auto event = ReadEventAt(store_, sql::PositionOfRow(row.id));
  if (!event.ok()) return event.status();
  Called called = Call(
      [&](OwnTables& tables, Outbox& outbox) { return reactor_.react(*event, tables, outbox); });
  LEFTFOLD_RETURN_IF_ERROR(connection_->status());
  if (!MayPass(called.status)) return Conclude(row, std::move(called));
  Postpone(row);  // The log's trouble is no attempt, as where the event did not wait.
  return absl::OkStatus();
}

absl::Status ReactorRunner::TakeIn(const EventRun& run) {
  const std::span<const RecordedEvent> events = run.events;
  bool checked = false;  // An event before the next one.
  const auto advance_to = [&](const RecordedEvent& event) {
    if (event.position > checkpoint_.position) checkpoint_ = {event.position, event.chain};
  };
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (checked && run.IsUnwanted(i)) continue;
    if (checked) advance_to(events[i - 1]);
    const RecordedEvent& event = events[i];
    if (event.position <= checkpoint_.position) {
      counts_->duplicates.Add();
      continue;
    }
    if (!checked || i >= run.linked) {
      LEFTFOLD_RETURN_IF_ERROR(CheckFollows({checkpoint_.position, checkpoint_.chain}, event));
    }
    checked = true;
    const absl::Status taken = TakeInOne(event);
    LEFTFOLD_RETURN_IF_ERROR(connection_->status());
    if (!taken.ok() && MayPass(taken)) {
      held_up_ = WithMessage(
          taken, fmt::format("at position {}: {}", event.position.value, ToStd(taken.message())));
      return absl::OkStatus();
    }
    LEFTFOLD_RETURN_IF_ERROR(taken);
  }
  if (checked) advance_to(events.back());
  return absl::OkStatus();
}

absl::Status ReactorRunner::TakeInOne(const RecordedEvent& event) {
  if (event.stream == stream_) return TakeInControl(event);
  const std::optional<std::string> key = reactor_.key(event);
  if (!key) return absl::OkStatus();
  if (outbox_.lanes().GoesBehind(*key)) {
    counts_->events.Add();
    LEFTFOLD_RETURN_IF_ERROR(Begin());
    outbox_.AddBehind(UnreactedRow(event, *key));
    return connection_->status();
  }
  Called called = Call(
      [&](OwnTables& tables, Outbox& outbox) { return reactor_.react(event, tables, outbox); });
  LEFTFOLD_RETURN_IF_ERROR(connection_->status());
  if (MayPass(called.status)) return called.status;
  counts_->events.Add();
  if (called.status.ok() && called.entries.empty()) return absl::OkStatus();
  LEFTFOLD_RETURN_IF_ERROR(Begin());
  const sql::OutboxRow row = UnreactedRow(event, *key);
  if (!called.status.ok()) {
    outbox_.Add(row);  // It is reacted to again, and parked, behind what came before it.
    return connection_->status();
  }
  return Enqueue(row, std::move(called.entries), /*fresh=*/true);
}

absl::Status ReactorRunner::TakeInControl(const RecordedEvent& event) {
  absl::Status taken;
  auto take = [&]<class E>(const E& control) {
    if constexpr (std::is_same_v<E, core::v1::DeliveryParked>) {
      taken = TakeInParked(control.delivery_id(), event);
    }
    if constexpr (std::is_same_v<E, core::v1::RetryRequested>) taken = Retry(control.key());
    if constexpr (std::is_same_v<E, core::v1::SkipRequested>) {
      taken = Skip(control.delivery_id(), event);
    }
  };
  const absl::StatusOr<bool> decoded = internal::Dispatch<Controls>(event, take);
  return decoded.ok() ? taken : decoded.status();
}

absl::Status ReactorRunner::TakeInParked(std::string_view delivery_id,
                                         const RecordedEvent& parked) {
  LEFTFOLD_RETURN_IF_ERROR(Begin());
  const auto row = FindParked(delivery_id);
  const std::string command_id = EventMeta{parked}.metadata().command_id();
  if (row && command_id == TellsParked(*row).command_id) outbox_.ParkingIsInLog(*row);
  return connection_->status();
}

absl::Status ReactorRunner::Retry(std::string_view key) {
  LEFTFOLD_RETURN_IF_ERROR(Begin());
  auto row = FindParkedOfKey(key);
  if (row && row->state == sql::RowState::kParked) outbox_.Retry(*std::move(row));
  return connection_->status();
}

std::optional<sql::OutboxRow> ReactorRunner::FindParkedOfKey(std::string_view key) {
  const std::int64_t id = outbox_.lanes().ParkedRow(key);
  return id == 0 ? std::nullopt : sql::ReadRow(*connection_, id);
}

std::optional<sql::OutboxRow> ReactorRunner::FindParked(std::string_view delivery_id) {
  const std::vector<absl::string_view> parts = absl::StrSplit(ToAbsl(delivery_id), ':');
  std::int64_t position = 0;
  std::int64_t n = 0;
  if (parts.size() != 4 || !absl::SimpleAtoi(parts[2].substr(0, parts[2].find('-')), &position) ||
      !absl::SimpleAtoi(parts[3], &n)) {
    return std::nullopt;
  }
  auto row = sql::ReadRow(*connection_, sql::RowId(Position{position}, n));
  if (!row || IdOf(*row) != delivery_id || outbox_.lanes().ParkedRow(row->key) != row->id)
    return std::nullopt;
  return row;
}

absl::StatusOr<std::optional<ReactorRunner::ToTell>> ReactorRunner::ParkingOfKey(
    std::string_view key) {
  return ParkingOf(FindParkedOfKey(key));
}

absl::StatusOr<std::optional<ReactorRunner::ToTell>> ReactorRunner::ParkingOf(
    std::string_view delivery_id) {
  return ParkingOf(FindParked(delivery_id));
}

absl::StatusOr<std::optional<ReactorRunner::ToTell>> ReactorRunner::ParkingOf(
    const std::optional<sql::OutboxRow>& row) {
  if (connection_->status().ok()) return row ? std::optional(TellsParked(*row)) : std::nullopt;
  const absl::Status failure = connection_->status();
  connection_->ClearStatus();
  return failure;
}

absl::Status ReactorRunner::Skip(std::string_view delivery_id, const RecordedEvent& decision) {
  LEFTFOLD_RETURN_IF_ERROR(Begin());
  const auto row = FindParked(delivery_id);
  if (!row || row->state != sql::RowState::kParked) return connection_->status();
  outbox_.lanes().Unpark(row->key);
  if (row->kind == DeliveryKind::kCommand) {
    const std::string actor = EventMeta{decision}.metadata().actor();
    const Result result{
        .status = absl::CancelledError("skipped by " + (actor.empty() ? "an operator" : actor)),
        .at = decision.recorded_at};
    Called called = Call([&](OwnTables& tables, Outbox& outbox) {
      return reactor_.on_result(DeliveryOf(*row), result, tables, outbox);
    });
    LEFTFOLD_RETURN_IF_ERROR(connection_->status());
    // What the reactor says against it undoes its own part alone: the row is given up.
    LEFTFOLD_RETURN_IF_ERROR(Enqueue(*row, std::move(called.entries)));
  }
  outbox_.Remove(*row);
  return connection_->status();
}

absl::Status ReactorRunner::Enqueue(const sql::OutboxRow& cause, std::vector<Outbox::Entry> entries,
                                    bool fresh) {
  const bool tells = fresh && entries.size() == 1;
  for (Outbox::Entry& entry : entries) {
    if (!entry.timer.empty()) outbox_.CancelTimer(entry.timer, cause.id);
    if (entry.cancels) continue;
    const auto id = outbox_.NewId(sql::PositionOfRow(cause.id), !tells);
    if (!id.ok()) return id.status();
    outbox_.Add({.id = *id,
                 .key = entry.key.empty() ? cause.key : entry.key,
                 .kind = entry.kind,
                 .type = std::move(entry.type),
                 .payload = std::move(entry.payload),
                 .timer = std::move(entry.timer),
                 .due = entry.due,
                 .event_id = cause.event_id,
                 .correlation_id = cause.correlation_id,
                 .traceparent = cause.traceparent});
  }
  if (outbox_.timers().size() > kReactorTimersMax) {
    return Error(absl::StatusCode::kFailedPrecondition, "it has more than {} timers",
                 kReactorTimersMax);
  }
  return connection_->status();
}

void ReactorRunner::Postpone(const sql::OutboxRow& row) {
  outbox_.lanes().Delay(row.id);
  delayed_.push_back({row.id, Jittered(kNoRoomDelay, row)});
}

absl::Status ReactorRunner::Fail(sql::OutboxRow row, const absl::Status& failure, bool may_pass,
                                 std::optional<absl::Duration> delay) {
  ++row.attempts;
  row.error = ToStd(failure.message());
  if (!may_pass || row.attempts >= reactor_.retry.attempts) return Park(std::move(row), failure);
  sql::UpdateRow(*connection_, row);
  counts_->retries.Add();
  outbox_.lanes().Delay(row.id);
  delayed_.push_back({row.id, delay.value_or(DelayOf(row))});
  return connection_->status();
}

absl::Status ReactorRunner::Park(sql::OutboxRow row, const absl::Status& failure) {
  row.state = sql::RowState::kParking;
  sql::UpdateRow(*connection_, row);
  outbox_.Park(row);
  counts_->parked.Add();
  const auto whole = outbox_.Read(row.id);
  if (!whole.ok()) return whole.status();
  const bool of_hook = row.key.starts_with(kHookKeyPrefix);  // Whose failure calls no other one.
  if (reactor_.on_parked && !of_hook) {
    Called called = Call([&](OwnTables& tables, Outbox& outbox) {
      reactor_.on_parked(DeliveryOf(*whole), failure, tables, outbox);
      return absl::OkStatus();
    });
    LEFTFOLD_RETURN_IF_ERROR(connection_->status());
    row.key.insert(0, kHookKeyPrefix);
    LEFTFOLD_RETURN_IF_ERROR(Enqueue(row, std::move(called.entries)));
  }
  to_tell_.push_back(TellsParked(*whole));
  return connection_->status();
}

ReactorRunner::ToTell ReactorRunner::TellsParked(const sql::OutboxRow& row) const {
  return {.id = row.id,
          .round = row.round,
          .command_id = fmt::format("{}:parked:{}", IdOf(row), row.round),
          .event = ParkedOf(row)};
}

void ReactorRunner::TellDelivered(const sql::OutboxRow& row) {
  core::v1::DeliveredAfterParking delivered;
  delivered.set_reactor(reactor_.name);
  delivered.set_key(row.key);
  delivered.set_delivery_id(IdOf(row));
  delivered.set_position(sql::PositionOfRow(row.id).value);
  to_tell_.push_back({.id = row.id,
                      .round = row.round,
                      .command_id = fmt::format("{}:delivered", IdOf(row)),
                      .event = std::move(delivered)});
}

core::v1::DeliveryParked ReactorRunner::ParkedOf(const sql::OutboxRow& row) const {
  core::v1::DeliveryParked parked;
  parked.set_reactor(reactor_.name);
  parked.set_key(row.key);
  parked.set_delivery_id(IdOf(row));
  parked.set_position(sql::PositionOfRow(row.id).value);
  parked.set_what(What(row));
  parked.set_attempts(row.attempts);
  parked.set_error(row.error);
  return parked;
}

absl::StatusOr<std::vector<ParkedDelivery>> ReactorRunner::ListParked(std::int64_t after,
                                                                      std::size_t limit) {
  std::vector<ParkedDelivery> parked;
  for (const sql::OutboxRow& row : sql::ListParkedRows(*connection_, after, limit)) {
    parked.push_back({row.id, ParkedOf(row), sql::CountBehind(*connection_, row.key)});
  }
  if (connection_->status().ok()) return parked;
  const absl::Status failure = connection_->status();
  connection_->ClearStatus();
  return failure;
}

// The end of the event's id tells it from one of the same position in a log that was cut off.
std::string ReactorRunner::IdOf(const sql::OutboxRow& row) const {
  constexpr std::size_t kLastGroup = 24;
  return fmt::format("lf:{}:{}-{}:{}", reactor_.name, sql::PositionOfRow(row.id).value,
                     row.event_id.substr(std::min(kLastGroup, row.event_id.size())),
                     sql::NumberOfRow(row.id));
}

Delivery ReactorRunner::DeliveryOf(const sql::OutboxRow& row) const {
  return {.id = IdOf(row),
          .row = row.id,
          .reactor = reactor_.name,
          .position = sql::PositionOfRow(row.id),
          .key = row.key,
          .kind = row.kind,
          .type = row.type,
          .payload = row.payload,
          .timer = row.timer,
          .attempts = row.attempts,
          .event_id = row.event_id,
          .correlation_id = row.correlation_id,
          .traceparent = row.traceparent};
}

absl::Duration ReactorRunner::DelayOf(const sql::OutboxRow& row) const {
  const RetryPolicy& retry = reactor_.retry;
  absl::Duration delay = retry.first_delay * std::pow(retry.multiplier, row.attempts - 1);
  return Jittered(std::min(delay, retry.ceiling), row);
}

absl::Duration ReactorRunner::Jittered(absl::Duration delay, const sql::OutboxRow& row) const {
  const auto seed =
      static_cast<std::uint64_t>(row.id) * 31 + static_cast<std::uint64_t>(row.attempts);
  return delay * (1 + reactor_.retry.jitter * (2 * Fraction(seed) - 1));
}

std::vector<Delivery> ReactorRunner::TakeDeliveries() {
  std::vector<Delivery> deliveries;
  if (!stopped_.ok() || paused_) return deliveries;
  while (under_way_.size() + local_.size() < reactor_.deliveries_max) {
    const auto id = outbox_.lanes().TakeReady();
    if (!id) break;
    Begin().IgnoreError();  // One transaction for all; kept in the connection.
    auto row = outbox_.Read(*id);
    if (!row.ok()) {
      Undo(row.status());
      return deliveries;
    }
    if (row->kind == DeliveryKind::kWake || row->kind == DeliveryKind::kEvent) {
      local_.push_back(*id);
      continue;
    }
    Delivery delivery = DeliveryOf(*row);
    row->payload.clear();
    under_way_[*id] = {*std::move(row), delivery};
    deliveries.push_back(std::move(delivery));
  }
  if (std::exchange(begun_, false)) connection_->Rollback();  // Nothing was written.
  return deliveries;
}

void ReactorRunner::Finished(std::int64_t id, DeliveryOutcome outcome) {
  finished_.emplace_back(id, std::move(outcome));
}

absl::Status ReactorRunner::Pause(std::string_view why) { return WritePaused(std::string(why)); }

absl::Status ReactorRunner::Resume() {
  if (paused_) LEFTFOLD_RETURN_IF_ERROR(WritePaused(std::nullopt));
  if (!stopped_.ok()) stopped_ = Load();
  return stopped_;
}

absl::Status ReactorRunner::WritePaused(const std::optional<std::string>& why) {
  connection_->Begin().IgnoreError();
  sql::WriteReactorPaused(*connection_, why);
  const absl::Status committed = connection_->Commit();
  if (!committed.ok()) {
    connection_->Rollback();
    return committed;
  }
  paused_ = why;
  return absl::OkStatus();
}

}  // namespace leftfold
