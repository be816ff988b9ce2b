#include "reactor/reactor_runner.h"

#include <absl/strings/numbers.h>

#include <algorithm>
#include <cmath>

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

absl::Status CheckEntries(const std::vector<Outbox::Entry>& entries) {
  for (const Outbox::Entry& entry : entries) {
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

}  // namespace

// The reactor's own tables. What one call writes is a savepoint, begun when it first asks.
class ReactorRunner::Tables final : public OwnTables {
 public:
  Tables(sql::Connection& connection, StateLoader& loader)
      : connection_(connection), loader_(loader) {}
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
    if (!std::exchange(saved_, true)) Step(connection_.Prepare("SAVEPOINT leftfold_call"));
    return connection_.Prepare(sql);
  }
  StateLoader& loader() override { return loader_; }

 private:
  static void Step(Cursor& statement) {
    statement.Step();
    statement.Reset();
  }
  sql::Connection& connection_;
  StateLoader& loader_;
  bool saved_ = false;
};

absl::StatusOr<std::unique_ptr<ReactorRunner>> ReactorRunner::Open(const ReactorEntry& reactor,
                                                                   EventStore& store,
                                                                   StateLoader& loader,
                                                                   const std::string& path) {
  std::unique_ptr<ReactorRunner> runner(new ReactorRunner(reactor, store, path));
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
  runner->connection_ = *std::move(connection);
  runner->tables_ = std::make_unique<Tables>(*runner->connection_, loader);
  LEFTFOLD_RETURN_IF_ERROR(runner->Load());
  LEFTFOLD_RETURN_IF_ERROR(
      CheckOnChain(store, {runner->checkpoint_.position, runner->checkpoint_.chain}));
  return runner;
}

ReactorRunner::ReactorRunner(const ReactorEntry& reactor, EventStore& store, std::string path)
    : reactor_(reactor),
      store_(store),
      path_(std::move(path)),
      stream_(StreamName(kReactionCategory, reactor.name)) {}

ReactorRunner::~ReactorRunner() = default;

absl::Status ReactorRunner::Load() {
  connection_->Rollback();
  const auto checkpoint = sql::ReadCheckpoint(*connection_);
  if (!checkpoint.ok()) return checkpoint.status();
  checkpoint_ = *checkpoint;
  written_ = checkpoint_.position;
  paused_ = sql::ReadReactorPaused(*connection_);
  LoadRows();
  return connection_->status();
}

void ReactorRunner::LoadRows() {
  lanes_ = ReactorLanes();
  timers_ = ReactorTimers();
  numbers_.clear();
  fired_.clear();
  local_.clear();
  delayed_.clear();
  to_tell_.clear();
  sql::ForEachRow(*connection_, [this](const sql::OutboxIndex& row) {
    Numbers& numbers = numbers_[sql::PositionOfRow(row.id).value];
    ++numbers.rows;
    numbers.next = std::max(numbers.next, sql::NumberOfRow(row.id) + 1);
    if (!row.timer.empty() && under_way_.contains(row.id)) {
      fired_[row.timer] = row.id;
    } else if (!row.timer.empty() && row.state == sql::RowState::kWaiting) {
      return timers_.Add({row.timer, row.id, row.key}, row.due);
    }
    lanes_.Add(row.id, row.key, row.kind == DeliveryKind::kEvent);
    if (row.state != sql::RowState::kWaiting) lanes_.Park(row.id);
  });
  std::vector<std::string> behind;
  sql::ForEachBehind(*connection_, [&](std::string_view key, std::int64_t rows) {
    lanes_.AddBehind(key, rows);
    behind.emplace_back(key);
  });
  sql::ForEachNextNumber(*connection_, [this](Position position, std::int64_t next) {
    Numbers& numbers = numbers_[position.value];
    numbers.next = std::max(numbers.next, next);
    numbers.written = true;
  });
  for (const auto& [id, under_way] : under_way_) lanes_.SetRunning(id);
  std::int64_t after = 0;
  for (bool more = true; more && connection_->status().ok();) {
    const auto page = sql::ListParkedRows(*connection_, after, kResultsMax);
    for (const sql::OutboxRow& row : page) {
      if (row.state == sql::RowState::kParking) Tell(row);
      after = row.id;
    }
    more = page.size() == kResultsMax;
  }
  for (const std::string& key : behind) {
    if (lanes_.NeedsBehind(key)) TakeBehind(key);
  }
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
  if (lanes_.runnable() >= kRunnableRowsMax) {
    const Next next = Step({}, 0, now);
    return next == Next::kWait ? Next::kFull : next;
  }
  const auto batch = reader.After(checkpoint_.position, kIntakeEventsMax, kIntakeBytesMax);
  if (!batch.ok()) return Undo(batch.status());
  return Step(batch->events(), batch->linked(), now);
}

ReactorRunner::Next ReactorRunner::Step(std::span<const RecordedEvent> events, std::size_t linked,
                                        absl::Time now) {
  if (!stopped_.ok()) return Next::kStopped;
  for (ReactorTimers::Timer& timer : timers_.TakeDue(now)) {
    lanes_.Add(timer.id, timer.key, false);
    fired_[std::move(timer.name)] = timer.id;
  }
  const std::size_t results = std::min(finished_.size(), kResultsMax);
  later_ = false;
  absl::Status status = TakeInFinished(now);
  if (status.ok()) status = TakeInTold();
  if (status.ok()) status = RunLocal(now);
  if (status.ok()) status = TakeIn(events, linked);
  const bool far = checkpoint_.position.value - written_.value >= kCheckpointEvery;
  if (status.ok() && far) status = Begin();
  if (status.ok() && begun_) {
    sql::WriteCheckpoint(*connection_, checkpoint_);
    status = connection_->Commit();
  }
  if (!status.ok()) return Undo(status);
  if (std::exchange(begun_, false)) written_ = checkpoint_.position;
  for (std::size_t i = 0; i < results; ++i) {
    under_way_.erase(finished_.front().first);
    if (finished_.front().second.stored) finished_.front().second.stored();
    finished_.pop_front();
  }
  if (later_) return Next::kLater;
  return HasWork() || !events.empty() ? Next::kStep : Next::kWait;
}

// All is as the file has it.
ReactorRunner::Next ReactorRunner::Undo(const absl::Status& failure) {
  begun_ = false;
  connection_->Rollback();
  const absl::Status loaded = Load();
  reload_ = !loaded.ok();
  if (MayPass(loaded.ok() ? failure : loaded)) return Next::kLater;
  const absl::Status& reason = loaded.ok() ? failure : loaded;
  stopped_ =
      absl::Status(reason.code(), fmt::format("stopped behind position {}: {}",
                                              checkpoint_.position.value, ToStd(reason.message())));
  reason.ForEachPayload(
      [this](auto url, const absl::Cord& payload) { stopped_.SetPayload(url, payload); });
  return Next::kStopped;
}

absl::Status ReactorRunner::TakeInFinished(absl::Time now) {
  const std::size_t results = std::min(finished_.size(), kResultsMax);
  for (std::size_t i = 0; i < results; ++i) {
    auto& [id, outcome] = finished_[i];
    const auto row = under_way_.find(id);
    if (row == under_way_.end()) continue;
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
  LEFTFOLD_RETURN_IF_ERROR(connection_->status());
  if (!called.status.ok()) return Fail(row, called.status, MayPass(called.status));
  counts_->delivered.Add();
  if (!outcome.result.status.ok()) counts_->rejections.Add();
  LEFTFOLD_RETURN_IF_ERROR(Enqueue({.position = sql::PositionOfRow(row.id),
                                    .key = row.key,
                                    .event_id = row.event_id,
                                    .correlation_id = row.correlation_id,
                                    .traceparent = row.traceparent},
                                   std::move(called.entries)));
  Remove(row);
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
  for (const std::int64_t id : std::exchange(told_, {})) {
    LEFTFOLD_RETURN_IF_ERROR(Begin());
    auto row = sql::ReadRow(*connection_, id);
    if (!row || row->state != sql::RowState::kParking) continue;
    row->state = sql::RowState::kParked;
    sql::UpdateRow(*connection_, *row);
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
  if (!called.status.ok()) return Fail(row, called.status, MayPass(called.status));
  LEFTFOLD_RETURN_IF_ERROR(Enqueue({.position = event->position,
                                    .key = row.key,
                                    .event_id = row.event_id,
                                    .correlation_id = row.correlation_id,
                                    .traceparent = row.traceparent},
                                   std::move(called.entries)));
  Remove(row);
  return connection_->status();
}

absl::Status ReactorRunner::TakeIn(std::span<const RecordedEvent> events, std::size_t linked) {
  bool checked = false;  // An event before the next one.
  for (std::size_t i = 0; i < events.size(); ++i) {
    const RecordedEvent& event = events[i];
    if (event.position <= checkpoint_.position) {
      counts_->duplicates.Add();
      continue;
    }
    if (!checked || i >= linked) {
      LEFTFOLD_RETURN_IF_ERROR(CheckFollows({checkpoint_.position, checkpoint_.chain}, event));
    }
    checked = true;
    const absl::Status taken = TakeInOne(event);
    LEFTFOLD_RETURN_IF_ERROR(connection_->status());
    if (!taken.ok() && MayPass(taken)) {
      later_ = true;
      break;
    }
    LEFTFOLD_RETURN_IF_ERROR(taken);
    checkpoint_ = {event.position, event.chain};
  }
  return absl::OkStatus();
}

absl::Status ReactorRunner::TakeInOne(const RecordedEvent& event) {
  if (event.stream == stream_) return TakeInControl(event);
  const std::optional<std::string> key = reactor_.key(event);
  if (!key) return absl::OkStatus();
  LEFTFOLD_RETURN_IF_ERROR(Begin());
  const core::v1::EventMetadata metadata = EventMeta{event}.metadata();
  sql::OutboxRow row{.id = sql::RowId(event.position, 0),
                     .key = *key,
                     .kind = DeliveryKind::kEvent,
                     .type = event.type,
                     .event_id = ToString(event.event_id),
                     .correlation_id = metadata.correlation_id(),
                     .traceparent = metadata.traceparent()};
  if (lanes_.GoesBehind(*key)) {
    counts_->events.Add();
    row.behind = true;
    sql::InsertRow(*connection_, row);
    lanes_.AddBehind(*key);
    return connection_->status();
  }
  Called called = Call(
      [&](OwnTables& tables, Outbox& outbox) { return reactor_.react(event, tables, outbox); });
  LEFTFOLD_RETURN_IF_ERROR(connection_->status());
  if (MayPass(called.status)) return called.status;
  counts_->events.Add();
  if (!called.status.ok()) {
    AddRow(row);  // It is reacted to again, and parked, behind what came before it.
    return connection_->status();
  }
  return Enqueue({.position = event.position,
                  .key = *key,
                  .event_id = row.event_id,
                  .correlation_id = row.correlation_id,
                  .traceparent = row.traceparent,
                  .fresh = true},
                 std::move(called.entries));
}

absl::Status ReactorRunner::TakeInControl(const RecordedEvent& event) {
  absl::Status taken;
  auto take = [&]<class E>(const E& control) {
    if constexpr (std::is_same_v<E, core::v1::RetryRequested>) taken = Retry(control.key());
    if constexpr (std::is_same_v<E, core::v1::SkipRequested>) taken = Skip(control.delivery_id());
  };
  using Controls = Types<core::v1::RetryRequested, core::v1::SkipRequested>;
  const absl::StatusOr<bool> decoded = internal::Dispatch<Controls>(event, take);
  return decoded.ok() ? taken : decoded.status();
}

absl::Status ReactorRunner::Retry(std::string_view key) {
  const std::int64_t id = lanes_.ParkedRow(key);
  if (id == 0) return absl::OkStatus();
  LEFTFOLD_RETURN_IF_ERROR(Begin());
  auto row = sql::ReadRow(*connection_, id);
  if (!row) return absl::DataLossError("a parked row is not in its file");
  row->attempts = 0;
  ++row->round;
  row->state = sql::RowState::kWaiting;
  sql::UpdateRow(*connection_, *row);
  if (!row->timer.empty()) fired_[row->timer] = id;
  lanes_.Unpark(key);
  return connection_->status();
}

absl::Status ReactorRunner::Skip(std::string_view delivery_id) {
  const std::string prefix = fmt::format("lf:{}:", reactor_.name);
  const std::size_t colon = delivery_id.rfind(':');
  std::int64_t position = 0;
  std::int64_t n = 0;
  if (!delivery_id.starts_with(prefix) || colon < prefix.size() ||
      !absl::SimpleAtoi(ToAbsl(delivery_id.substr(prefix.size(), colon - prefix.size())),
                        &position) ||
      !absl::SimpleAtoi(ToAbsl(delivery_id.substr(colon + 1)), &n)) {
    return absl::OkStatus();
  }
  LEFTFOLD_RETURN_IF_ERROR(Begin());
  const auto row = sql::ReadRow(*connection_, sql::RowId(Position{position}, n));
  if (!row || lanes_.ParkedRow(row->key) != row->id) return connection_->status();
  lanes_.Unpark(row->key);
  Remove(*row);
  return connection_->status();
}

absl::Status ReactorRunner::Enqueue(const Source& source, std::vector<Outbox::Entry> entries) {
  const bool tells = source.fresh && entries.size() == 1;
  for (Outbox::Entry& entry : entries) {
    if (!entry.timer.empty()) CancelTimer(entry.timer);
    if (entry.cancels) continue;
    const auto id = NewRowId(source.position, !tells);
    if (!id.ok()) return id.status();
    AddRow({.id = *id,
            .key = source.key,
            .kind = entry.kind,
            .type = std::move(entry.type),
            .payload = std::move(entry.payload),
            .timer = std::move(entry.timer),
            .due = entry.due,
            .event_id = source.event_id,
            .correlation_id = source.correlation_id,
            .traceparent = source.traceparent});
  }
  if (timers_.size() > kReactorTimersMax) {
    return Error(absl::StatusCode::kFailedPrecondition, "it has more than {} timers",
                 kReactorTimersMax);
  }
  return connection_->status();
}

absl::StatusOr<std::int64_t> ReactorRunner::NewRowId(Position position, bool write) {
  Numbers& numbers = numbers_[position.value];
  if (numbers.next >= kDeliveriesPerEventMax) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "the event at position {} led to {} deliveries: do its results lead to ever more?",
                 position.value, numbers.next);
  }
  const std::int64_t n = numbers.next++;
  if (write) {
    sql::WriteNextNumber(*connection_, position, numbers.next);
    numbers.written = true;
  }
  return sql::RowId(position, n);
}

void ReactorRunner::AddRow(const sql::OutboxRow& row) {
  sql::InsertRow(*connection_, row);
  Numbers& numbers = numbers_[sql::PositionOfRow(row.id).value];
  ++numbers.rows;
  numbers.next = std::max(numbers.next, sql::NumberOfRow(row.id) + 1);
  if (row.timer.empty()) return lanes_.Add(row.id, row.key, row.kind == DeliveryKind::kEvent);
  timers_.Add({row.timer, row.id, row.key}, row.due);
}

void ReactorRunner::CancelTimer(std::string_view timer) {
  std::int64_t id = timers_.Remove(timer);
  if (id == 0) {
    const auto fired = fired_.find(ToAbsl(timer));
    if (fired == fired_.end()) return;
    id = fired->second;
    const std::string key = lanes_.KeyOf(id);
    if (lanes_.Remove(id)) Remove({.id = id, .key = key, .timer = std::string(timer)});
    return;
  }
  Remove({.id = id, .timer = std::string(timer)});
}

void ReactorRunner::Remove(const sql::OutboxRow& row) {
  sql::DeleteRow(*connection_, row.id);
  lanes_.Finish(row.id);
  if (const auto fired = fired_.find(row.timer); fired != fired_.end() && fired->second == row.id) {
    fired_.erase(fired);
  }
  const Position position = sql::PositionOfRow(row.id);
  const auto numbers = numbers_.find(position.value);
  if (numbers != numbers_.end() && --numbers->second.rows == 0) {
    if (numbers->second.written) sql::ForgetNextNumber(*connection_, position);
    numbers_.erase(numbers);
  }
  if (lanes_.NeedsBehind(row.key)) TakeBehind(row.key);
}

void ReactorRunner::TakeBehind(const std::string& key) {
  const auto rows = sql::TakeBehind(*connection_, key, kTakeBehindMax);
  for (const sql::OutboxIndex& row : rows) {
    Numbers& numbers = numbers_[sql::PositionOfRow(row.id).value];
    ++numbers.rows;
    numbers.next = std::max(numbers.next, sql::NumberOfRow(row.id) + 1);
    lanes_.Add(row.id, row.key, row.kind == DeliveryKind::kEvent);
  }
  lanes_.TakenFromBehind(key, std::ssize(rows));
}

absl::Status ReactorRunner::Fail(sql::OutboxRow row, const absl::Status& failure, bool may_pass,
                                 std::optional<absl::Duration> delay) {
  ++row.attempts;
  row.error = ToStd(failure.message());
  if (!may_pass || row.attempts >= reactor_.retry.attempts) return Park(std::move(row), failure);
  sql::UpdateRow(*connection_, row);
  counts_->retries.Add();
  lanes_.Delay(row.id);
  delayed_.push_back({row.id, delay.value_or(DelayOf(row))});
  return connection_->status();
}

absl::Status ReactorRunner::Park(sql::OutboxRow row, const absl::Status& failure) {
  row.state = sql::RowState::kParking;
  sql::UpdateRow(*connection_, row);
  lanes_.Park(row.id);
  counts_->parked.Add();
  const bool of_hook = row.key.starts_with(kHookKeyPrefix);  // Whose failure calls no other one.
  if (reactor_.on_parked && !of_hook) {
    const auto whole = sql::ReadRow(*connection_, row.id);
    Called called = Call([&](OwnTables& tables, Outbox& outbox) {
      reactor_.on_parked(DeliveryOf(whole.value_or(row)), failure, tables, outbox);
      return absl::OkStatus();
    });
    LEFTFOLD_RETURN_IF_ERROR(connection_->status());
    LEFTFOLD_RETURN_IF_ERROR(Enqueue({.position = sql::PositionOfRow(row.id),
                                      .key = fmt::format("{}{}", kHookKeyPrefix, row.key),
                                      .event_id = row.event_id,
                                      .correlation_id = row.correlation_id,
                                      .traceparent = row.traceparent},
                                     std::move(called.entries)));
  }
  if (const auto whole = sql::ReadRow(*connection_, row.id)) Tell(*whole);
  return connection_->status();
}

void ReactorRunner::Tell(const sql::OutboxRow& row) {
  to_tell_.push_back({.id = row.id,
                      .command_id = fmt::format("{}:parked:{}", IdOf(row.id), row.round),
                      .event = ParkedOf(row)});
}

core::v1::DeliveryParked ReactorRunner::ParkedOf(const sql::OutboxRow& row) const {
  core::v1::DeliveryParked parked;
  parked.set_reactor(reactor_.name);
  parked.set_key(row.key);
  parked.set_delivery_id(IdOf(row.id));
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

std::string ReactorRunner::IdOf(std::int64_t row) const {
  return fmt::format("lf:{}:{}:{}", reactor_.name, sql::PositionOfRow(row).value,
                     sql::NumberOfRow(row));
}

Delivery ReactorRunner::DeliveryOf(const sql::OutboxRow& row) const {
  return {.id = IdOf(row.id),
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
  delay = std::min(delay, retry.ceiling);
  const auto seed =
      static_cast<std::uint64_t>(row.id) * 31 + static_cast<std::uint64_t>(row.attempts);
  return delay * (1 + retry.jitter * (2 * Fraction(seed) - 1));
}

std::vector<Delivery> ReactorRunner::TakeDeliveries() {
  std::vector<Delivery> deliveries;
  if (!stopped_.ok() || paused_) return deliveries;
  while (under_way_.size() + local_.size() < reactor_.deliveries_max) {
    const auto id = lanes_.TakeReady();
    if (!id) break;
    auto row = sql::ReadRow(*connection_, *id);
    if (!row) {
      Undo(connection_->status().ok() ? absl::DataLossError("a row is not in its file")
                                      : connection_->status());
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
