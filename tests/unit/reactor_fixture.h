#ifndef TESTS_UNIT_REACTOR_FIXTURE_H_
#define TESTS_UNIT_REACTOR_FIXTURE_H_

#include <absl/strings/numbers.h>
#include <absl/strings/str_split.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "event_store/memory/memory_event_store.h"
#include "leftfold/core/v1/reactions.pb.h"
#include "reactor/reactors.h"
#include "server/reactor_deliverer.h"
#include "server/state_loader.h"
#include "testing/counter_domain.h"
#include "testing/environment.h"
#include "testing/forwarding_store.h"
#include "testing/scheduler_clock.h"
#include "testing/temporary_folder.h"
#include "testing/virtual_scheduler.h"
#include "write_api/command_handler.h"

// What tests of the reactor engine share: a reactor that does what names of counters say, on a
// memory store, the real command handler and a virtual scheduler.
namespace leftfold::reacting {

inline rooms::v1::RenameRoomRequest Rename(std::string_view id, std::string_view name) {
  rooms::v1::RenameRoomRequest command;
  command.set_room_id(std::string(id));
  command.set_name(std::string(name));
  return command;
}

// Does what the words of a counter's name say: "rename=x", "mail=TO=SUBJECT", "tell=ID=x" (renames
// another, in that one's order), "http=/path", "wake=NAME=SECONDS", "later=NAME=SECONDS=x" (a
// rename at a time), "cancel=NAME", "load" (remembers the counter's name as the log has it),
// "fail", "refused" (a row that its table does not take), "busy" (while Worker::busy). What came of
// it is in its table `result`, in order.
struct Worker {
  static constexpr std::string_view kName = "worker";
  static constexpr std::string_view kSchema[] = {
      "CREATE TABLE result (n INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT"};
  static constexpr RetryPolicy kRetry{.attempts = 3, .first_delay = absl::Seconds(1)};
  using Reacting = Types<rooms::v1::RoomCreated, rooms::v1::RoomRenamed>;
  using Sends = Types<rooms::v1::RenameRoomRequest>;

  static inline bool busy = false;  // Tests only: reactors have no such thing.
  static inline bool broken = false;

  static void Note(OwnTables& tables, std::string_view text) {
    tables.Exec("INSERT INTO result(text) VALUES (?)", text);
  }
  template <class Event>
  static absl::Status React(const Event& event, const EventMeta& meta, OwnTables& tables,
                            Outbox& outbox) {
    for (const absl::string_view word : absl::StrSplit(event.name(), ' ')) {
      const absl::Status done = Do(ToStd(word), meta, tables, outbox);
      if (!done.ok()) return done;
    }
    return absl::OkStatus();
  }
  static absl::Status Do(std::string_view word, const EventMeta& meta, OwnTables& tables,
                         Outbox& outbox) {
    const std::vector<std::string> parts = absl::StrSplit(ToAbsl(word), '=');
    const std::string& verb = parts[0];
    int seconds = 0;
    if (parts.size() > 2 && !absl::SimpleAtoi(parts[2], &seconds)) seconds = 0;
    const absl::Time when = meta.recorded_at() + absl::Seconds(seconds);
    if (verb == "note") Note(tables, fmt::format("{} {}", meta.aggregate_id(), parts[1]));
    if (verb == "rename") outbox.Send(Rename(meta.aggregate_id(), parts[1]));
    if (verb == "tell") outbox.Send(Rename(parts[1], parts[2]), "counter-" + parts[1]);
    if (verb == "http") outbox.Post({.method = "POST", .url = "http://test" + parts[1]});
    if (verb == "mail") {
      outbox.Mail(parts[1], parts.size() > 2 ? parts[2] : "hello\nBcc: you", "from a counter");
    }
    if (verb == "wake") outbox.WakeAt(when, parts[1]);
    if (verb == "later") outbox.SendAt(when, parts[1], Rename(meta.aggregate_id(), parts[3]));
    if (verb == "cancel") outbox.Cancel(parts[1]);
    if (verb == "fail" && broken) {
      Note(tables, "must be undone");
      return absl::FailedPreconditionError("it is broken");
    }
    if (verb == "busy" && busy) return absl::UnavailableError("busy");
    if (verb == "refused") tables.Exec("INSERT INTO result(text) VALUES (NULL)");
    if (verb == "load") {
      const auto state = tables.Load<testing::Counter>(meta.aggregate_id());
      if (!state.ok()) return state.status();
      Note(tables, "loaded " + state->name());
    }
    return absl::OkStatus();
  }
  static absl::Status OnResult(const rooms::v1::RenameRoomRequest& sent, const Result& result,
                               OwnTables& tables, Outbox& outbox) {
    if (absl::IsCancelled(result.status)) {
      Note(tables,
           fmt::format("{} {} {}", sent.room_id(), sent.name(), ToStd(result.status.message())));
      return broken ? absl::FailedPreconditionError("it is broken") : absl::OkStatus();
    }
    Note(tables, fmt::format("{} {} {}", sent.room_id(), sent.name(),
                             result.status.ok() ? "done" : ReasonOf(result.status)));
    const std::vector<std::string> steps = absl::StrSplit(sent.name(), absl::MaxSplits('>', 1));
    if (steps.size() > 1 && result.status.ok()) outbox.Send(Rename(sent.room_id(), steps[1]));
    return absl::OkStatus();
  }
  static absl::Status OnReply(const Delivery&, const HttpReply& reply, OwnTables& tables, Outbox&) {
    Note(tables, fmt::format("http {}", reply.status));
    return absl::OkStatus();
  }
  static absl::Status OnWake(std::string_view timer, absl::Time, OwnTables& tables,
                             Outbox& outbox) {
    Note(tables, fmt::format("woken {}", ToStd(ToAbsl(timer))));
    if (timer.starts_with("stop-")) outbox.Cancel(timer.substr(5));
    return absl::OkStatus();
  }
  static void OnParked(const Delivery& delivery, const absl::Status&, OwnTables& tables,
                       Outbox& outbox) {
    Note(tables, fmt::format("parked {}", delivery.id));
    outbox.Send(Rename("alarm", "parked"));
  }
};

// Passes deliveries on, unless it is told otherwise; answers HTTP calls by their URLs.
class ScriptedDeliverer final : public Deliverer, public HttpClient {
 public:
  ScriptedDeliverer(const Registry& registry, CommandHandler& commands, const Clock& clock,
                    Executor& executor)
      : real_(registry, commands, *this, clock, mail.path()), executor_(executor) {}

  void Deliver(const ReactorEntry& reactor, const Delivery& delivery, Done done) override {
    log.push_back(delivery.id);
    if (int& times = full[delivery.key]; times > 0) {
      --times;
      return executor_.Post([done] { done({.failure = absl::ResourceExhaustedError("full")}); });
    }
    if (int& times = fail_before[delivery.key]; times > 0) {
      --times;
      return executor_.Post([done] { done({.failure = absl::UnavailableError("scripted")}); });
    }
    if (int& times = fail_after[delivery.key]; times > 0) {
      --times;  // It is done, but nobody hears of it.
      return real_.Deliver(reactor, delivery, [done](DeliveryOutcome) {
        done({.failure = absl::DeadlineExceededError("scripted")});
      });
    }
    if (held.contains(delivery.key)) {
      return held[delivery.key].push_back(
          [this, &reactor, delivery, done] { real_.Deliver(reactor, delivery, done); });
    }
    real_.Deliver(reactor, delivery, std::move(done));
  }
  void Send(HttpRequest request, std::function<void(absl::StatusOr<HttpReply>)> done) override {
    requests.push_back(request);
    const std::string path = request.url.substr(std::string("http://test").size());
    std::vector<int>& script = replies[path];
    int status = 200;
    if (!script.empty()) {
      status = script.front();
      if (script.size() > 1) script.erase(script.begin());
    }
    executor_.Post([done = std::move(done), status, body = bodies[path]] {
      if (status == 0) return done(absl::UnavailableError("no reply"));
      done(HttpReply{.status = status, .headers = {}, .body = body});
    });
  }
  void Release(const std::string& key) {
    const auto node = held.extract(key);
    for (const auto& deliver : node.mapped()) deliver();
  }

  testing::TemporaryFolder mail;
  std::vector<std::string> log;            // Ids, once for each attempt.
  std::map<std::string, int> full;         // By key: for so many attempts there is no room,
  std::map<std::string, int> fail_before;  // so many do not arrive,
  std::map<std::string, int> fail_after;   // or are not answered.
  std::map<std::string, std::vector<std::function<void()>>> held;
  std::map<std::string, std::vector<int>> replies;  // By path; the last one stays.
  std::map<std::string, std::string> bodies;        // Of replies, by path.
  std::vector<HttpRequest> requests;

 private:
  ReactorDeliverer real_;
  Executor& executor_;
};

// Passes all on; may keep to itself what reactors tell the log, or what it answers them.
class ScriptedStore final : public testing::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  void Append(AppendRequest request, AppendDone done) override {
    const auto tells_of = [&](std::string_view what) {
      return request.command && request.command->command_id.find(what) != std::string::npos;
    };
    if (!tells_of(":parked:") && !tells_of(":delivered"))
      return store_.Append(std::move(request), std::move(done));
    ++tells;
    if (away) return done(absl::UnavailableError("scripted"));
    store_.Append(std::move(request), [this, done](absl::StatusOr<Receipt> receipt) {
      if (!hold) return done(std::move(receipt));
      held.push_back([done, receipt] { done(receipt); });
    });
  }
  absl::StatusOr<ReadAllResult> ReadAll(const ReadAllOptions& options) override {
    if (unreadable) return absl::UnavailableError("scripted");
    return store_.ReadAll(options);
  }
  int tells = 0;
  bool unreadable = false;
  bool away = false;
  bool hold = false;
  std::vector<std::function<void()>> held;
};

class ReactorFixture {
 public:
  explicit ReactorFixture(std::uint64_t seed = 1) : scheduler_(seed) {
    registry_.Add<testing::Counter>();
    registry_.Add<Worker>();
    Worker::busy = false;
    Worker::broken = false;
    store_ = NewMemoryEventStore(scheduler_.Serial(), scheduler_.Pool(), clock_);
    log_ = std::make_unique<ScriptedStore>(*store_);
    commands_ =
        std::make_unique<CommandHandler>(registry_, *store_, clock_, scheduler_.Pool(), nullptr);
    Start();
  }

  // What a process with reactors does at its start, and at its end by a crash: what it has asked
  // for is done all the same, but nobody hears of it. The log lives on.
  void Start() {
    if (loader_ == nullptr) {
      loader_ = std::make_unique<LogStateLoader>(registry_, *store_, nullptr);
    }
    auto deliverer =
        std::make_unique<ScriptedDeliverer>(registry_, *commands_, clock_, scheduler_.Pool());
    if (deliverer_ != nullptr) {
      deliverer->log = deliverer_->log;
      deliverer->replies = deliverer_->replies;
      deliverer->bodies = deliverer_->bodies;
      deliverer->requests = deliverer_->requests;
      gone_.push_back(std::move(deliverer_));
    }
    deliverer_ = std::move(deliverer);
    reactors_ = Reactors::Open(registry_.reactors(),
                               {.store = *log_,
                                .loader = *loader_,
                                .deliverer = *deliverer_,
                                .clock = clock_,
                                .executor = scheduler_.Pool()},
                               folder_.path());
    reactors_->Start();
  }
  void Crash() {
    reactors_->Stop();
    reactors_.reset();
  }
  void Restart() {
    Crash();
    Start();
  }

  // All that can be done is done, also by reactors that rest.
  void Settle() { scheduler_.RunFor(kIntakeRestMin); }
  // Returns how many tasks ran.
  std::int64_t RunFor(absl::Duration time) { return scheduler_.RunFor(time); }

  core::v1::CommandReceipt Send(std::unique_ptr<google::protobuf::Message> command) {
    absl::StatusOr<core::v1::CommandReceipt> answer = absl::UnknownError("not answered");
    bool answered = false;
    const CommandEntry* entry = registry_.FindCommand(command->GetDescriptor()->full_name());
    commands_->Handle(*entry, std::move(command), Caller{},
                      [&](absl::StatusOr<core::v1::CommandReceipt> receipt) {
                        answer = std::move(receipt);
                        answered = true;
                      });
    while (!answered && scheduler_.RunOne()) {
    }
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.value_or(core::v1::CommandReceipt());
  }
  core::v1::CommandReceipt Create(const std::string& id, const std::string& name) {
    auto command = std::make_unique<rooms::v1::CreateRoomRequest>();
    command->set_room_id(id);
    command->set_name(name);
    return Send(std::move(command));
  }

  // The names that a counter has had.
  std::vector<std::string> Names(const std::string& id) {
    std::vector<std::string> names;
    const auto events = store_->ReadStream("counter-" + id, {});
    for (const RecordedEvent& event : *events) {
      rooms::v1::RoomRenamed renamed;  // RoomCreated has its name in the same field.
      renamed.ParseFromString(event.payload);
      names.push_back(renamed.name());
    }
    return names;
  }
  // The id of what a counter's first event leads to first.
  std::string IdOfFirst(const std::string& id) {
    const auto events = store_->ReadStream("counter-" + id, {});
    return IdOf("worker", events->front(), 0);
  }
  static std::string IdOf(std::string_view reactor, const RecordedEvent& event, int n) {
    return fmt::format("lf:{}:{}-{}:{}", reactor, event.position.value,
                       ToString(event.event_id).substr(24), n);
  }
  // The same for what the log's first event leads to.
  std::string IdOfLogs(std::string_view reactor, int n) {
    return IdOf(reactor, store_->ReadAll({})->events.front(), n);
  }
  // What the reactor has noted.
  std::vector<std::string> Results() {
    auto reader = sql::OpenReactorReader(folder_.path() + "/worker.db");
    EXPECT_TRUE(reader.ok()) << reader.status();
    std::vector<std::string> results;
    sql::ConnectionReadTx tx(**reader);
    for (Rows rows = tx.Query("SELECT text FROM result ORDER BY n"); rows.Next();) {
      results.push_back(rows.Text(0));
    }
    return results;
  }
  // Rows of the outbox.
  std::int64_t Outbox() {
    auto reader = sql::OpenReactorReader(folder_.path() + "/worker.db");
    return (*reader)->Value("SELECT count(*) FROM leftfold_outbox");
  }
  // An event of the reactor's own stream, past the engine.
  void Append(const google::protobuf::Message& event) {
    NewEvent added;
    added.event_id = NewUuidV7(clock_.Now());
    added.type = event.GetDescriptor()->full_name();
    added.payload = event.SerializeAsString();
    AppendRequest request;
    request.streams.push_back({.stream = "reaction-worker", .events = {added}});
    bool done = false;
    store_->Append(std::move(request), [&](const absl::StatusOr<Receipt>& receipt) {
      EXPECT_TRUE(receipt.ok()) << receipt.status();
      done = true;
    });
    while (!done && scheduler_.RunOne()) {
    }
  }
  // Types of the events in the reactor's own stream.
  std::vector<std::string> Troubles() {
    std::vector<std::string> types;
    const auto events = store_->ReadStream("reaction-worker", {});
    for (const RecordedEvent& event : *events) {
      types.push_back(event.type.substr(event.type.rfind('.') + 1));
    }
    return types;
  }
  ReactorStatus Status() { return reactors_->List().front(); }

  testing::VirtualScheduler& scheduler() { return scheduler_; }
  testing::SchedulerClock& clock() { return clock_; }
  EventStore& store() { return *store_; }
  ScriptedStore& log() { return *log_; }
  ScriptedDeliverer& deliverer() { return *deliverer_; }
  Reactors& reactors() { return *reactors_; }
  Registry& registry() { return registry_; }
  const std::string& folder() const { return folder_.path(); }

 private:
  testing::TemporaryFolder folder_;
  testing::VirtualScheduler scheduler_;
  testing::SchedulerClock clock_{scheduler_};
  Registry registry_;
  std::unique_ptr<EventStore> store_;
  std::unique_ptr<ScriptedStore> log_;  // The store, as reactors see it.
  std::unique_ptr<CommandHandler> commands_;
  std::unique_ptr<LogStateLoader> loader_;
  std::unique_ptr<ScriptedDeliverer> deliverer_;
  std::vector<std::unique_ptr<ScriptedDeliverer>> gone_;
  std::unique_ptr<Reactors> reactors_;
};

// Runs a schedule for each of so many seeds, or LEFTFOLD_SCHEDULES of them, or for LEFTFOLD_SEED
// alone.
inline void ForEachSchedule(std::uint64_t otherwise,
                            const std::function<void(std::uint64_t)>& run) {
  const std::uint64_t schedules =
      testing::HasSeed() ? 1 : testing::FromEnvironment("LEFTFOLD_SCHEDULES").value_or(otherwise);
  const std::uint64_t first = testing::Seed();
  for (std::uint64_t seed = first; seed < first + schedules; ++seed) {
    run(seed);
    if (::testing::Test::HasFailure()) {
      FAIL() << "LEFTFOLD_SEED=" << seed << " runs this schedule again";
    }
  }
}

}  // namespace leftfold::reacting
#endif  // TESTS_UNIT_REACTOR_FIXTURE_H_
