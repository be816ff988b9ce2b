#ifndef TESTS_PROPERTY_WHOLE_PATH_REACTOR_H_
#define TESTS_PROPERTY_WHOLE_PATH_REACTOR_H_

#include <absl/time/time.h>
#include <fmt/format.h>

#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/registry.h"
#include "leftfold/rooms/v1/commands.pb.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "reactor/reactors.h"
#include "server/reactor_deliverer.h"
#include "server/state_loader.h"
#include "sql/durable_file.h"
#include "sql/reactor_file.h"
#include "testing/fake_clock.h"
#include "tests/property/whole_path_fixture.h"

// A reactor for stories of the whole path, and the world outside that it calls.
namespace leftfold::whole_path {

// The time of the scheduler that runs, which may be set, and goes on over restarts.
class StoryClock final : public Clock {
 public:
  absl::Time Now() const override { return start_ + (of_ ? of_->elapsed() : absl::ZeroDuration()); }
  void Advance(absl::Duration by) { start_ += by; }
  void Follow(const testing::VirtualScheduler* scheduler) {
    start_ = Now();
    of_ = scheduler;
    if (of_ != nullptr) start_ -= of_->elapsed();
  }

 private:
  absl::Time start_ = absl::FromUnixSeconds(testing::FakeClock::kStartSeconds);
  const testing::VirtualScheduler* of_ = nullptr;
};

// What the clerk does makes rooms, without ids and with names of their own: done twice they would
// be there twice.
inline std::string After(Position position) { return fmt::format("after {}", position.value); }
inline std::string Late(Position position) { return fmt::format("late {}", position.value); }
inline std::string Woken(Position position) { return fmt::format("woken {}", position.value); }
inline std::string Called(Position position) { return fmt::format("called {}", position.value); }

// On each event of a client's it makes a room and a call; when a room is deleted or restored,
// another room a while later. What comes of each it notes in its table.
struct Clerk {
  static constexpr std::string_view kName = "clerk";
  static constexpr std::string_view kActor = "reactor:clerk";
  static constexpr std::string_view kSchema[] = {
      "CREATE TABLE note (n INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT"};
  static constexpr RetryPolicy kRetry{
      .attempts = 3, .first_delay = absl::Milliseconds(500), .timeout = absl::Seconds(5)};
  static constexpr absl::Duration kWhile = absl::Seconds(20);
  using Reacting = Types<rooms::v1::RoomCreated, rooms::v1::RoomRenamed, rooms::v1::RoomDeleted,
                         rooms::v1::RoomRestored>;
  using Sends = Types<rooms::v1::CreateRoomRequest>;

  template <class Event>
  static absl::Status React(const Event&, const EventMeta& meta, OwnTables&, Outbox& outbox) {
    if (meta.metadata().actor() == kActor) return absl::OkStatus();
    const Position position = meta.position();
    const absl::Time later = meta.recorded_at() + kWhile;
    outbox.Send(Make(After(position)));
    outbox.Post({.method = "POST", .url = "http://outside/" + Called(position)});
    if constexpr (std::is_same_v<Event, rooms::v1::RoomDeleted>)
      outbox.SendAt(later, Late(position), Make(Late(position)));
    if constexpr (std::is_same_v<Event, rooms::v1::RoomRestored>)
      outbox.WakeAt(later, Woken(position));
    return absl::OkStatus();
  }
  static absl::Status OnResult(const rooms::v1::CreateRoomRequest& sent, const Result& result,
                               OwnTables& tables, Outbox&) {
    Note(tables, result.status.ok() ? sent.name() : "refused " + sent.name());
    return absl::OkStatus();
  }
  static absl::Status OnReply(const Delivery&, const HttpReply& reply, OwnTables& tables, Outbox&) {
    Note(tables, reply.body);
    return absl::OkStatus();
  }
  static absl::Status OnWake(std::string_view timer, absl::Time, OwnTables&, Outbox& outbox) {
    outbox.Send(Make(std::string(timer)));
    return absl::OkStatus();
  }

 private:
  static rooms::v1::CreateRoomRequest Make(const std::string& name) {
    rooms::v1::CreateRoomRequest make;
    make.set_name(name);
    return make;
  }
  static void Note(OwnTables& tables, std::string_view text) {
    tables.Exec("INSERT INTO note(text) VALUES (?)", text);
  }
};

// What a test breaks on purpose, to see that it is found.
enum class ReactorBug { kNone, kForgetsItsCheckpoint, kDeliversWithoutId };

// Somebody else's server: what comes again under a key it has done already.
class Outside {
 public:
  // What it was asked to do, each key once, in order.
  const std::vector<std::string>& done() const { return done_; }
  void Take(const std::string& key, const std::string& what) {
    const auto [known, added] = by_key_.try_emplace(key, what);
    if (added) done_.push_back(what);
    if (known->second != what) done_.push_back(fmt::format("{} under the key of {}", what, key));
  }

 private:
  std::map<std::string, std::string> by_key_;
  std::vector<std::string> done_;
};

// Deliveries that do not arrive, or whose answers get lost.
class ShakyDoor final : public Deliverer, public HttpClient {
 public:
  using Calls = std::function<void(const std::string& key, const std::string& what)>;
  ShakyDoor(const Registry& registry, CommandHandler& commands, const Clock& clock,
            Executor& executor, std::uint64_t seed, ReactorBug bug, Calls calls)
      : real_(registry, commands, *this, clock, /*mail_folder=*/""),
        executor_(executor),
        random_(seed),
        bug_(bug),
        calls_(std::move(calls)) {}

  void Deliver(const ReactorEntry& reactor, const Delivery& delivery, Done done) override {
    const std::uint64_t fate = calm ? 99 : random_() % 100;
    if (fate < 10) return Fail(done);
    Delivery delivered = delivery;
    if (bug_ == ReactorBug::kDeliversWithoutId) delivered.id += fmt::format(":{}", ++attempts_);
    if (fate >= 25) return real_.Deliver(reactor, delivered, std::move(done));
    real_.Deliver(reactor, delivered, [this, done](DeliveryOutcome) { Fail(done); });
  }
  void Send(HttpRequest request, std::function<void(absl::StatusOr<HttpReply>)> done) override {
    std::string key;
    for (const auto& [name, value] : request.headers) {
      if (name == "Idempotency-Key") key = value;
    }
    const std::string what = request.url.substr(std::string_view("http://outside/").size());
    calls_(key, what);
    executor_.PostAfter(absl::Milliseconds(random_() % 300), [done = std::move(done), what] {
      done(HttpReply{.status = 200, .headers = {}, .body = what});
    });
  }

  bool calm = false;

 private:
  void Fail(const Done& done) {
    executor_.Post([done] { done({.failure = absl::UnavailableError("lost")}); });
  }

  ReactorDeliverer real_;
  Executor& executor_;
  std::mt19937_64 random_;
  const ReactorBug bug_;
  const Calls calls_;
  int attempts_ = 0;
};

// The clerk in a process of the whole path, which must outlive it but for the tasks of its
// scheduler.
class ReactorSide {
 public:
  ReactorSide(testing::WholePath& path, const Registry& domains, const Clock& clock,
              const std::string& folder, std::uint64_t seed, ReactorBug bug, ShakyDoor::Calls calls)
      : file_(folder + "/clerk.db"),
        loader_(domains, path.seen_store(), nullptr),
        door_(domains, path.commands(), clock, path.scheduler().Pool(), seed, bug,
              std::move(calls)) {
    std::filesystem::create_directory(folder);
    registry_.Add<Clerk>();
    std::deque<ReactorEntry> reactors = registry_.reactors();
    if (bug == ReactorBug::kForgetsItsCheckpoint && std::filesystem::exists(file_)) {
      sql::RemoveDatabase(file_);
      reactors.front().start = StartAt::kNow;
    }
    reactors_ = Reactors::Open(reactors,
                               {.store = path.seen_store(),
                                .loader = loader_,
                                .deliverer = door_,
                                .clock = clock,
                                .executor = path.scheduler().Pool()},
                               folder);
    reactors_->Start();
  }

  ReactorStatus Status() { return reactors_->List().front(); }
  // As an operator.
  void RetryAll() {
    const auto parked = reactors_->ListParked(Clerk::kName, 0, 1'000);
    if (!parked.ok()) return;
    for (const ParkedDelivery& delivery : *parked)
      reactors_->Retry(Clerk::kName, delivery.parked.key(), "ann", [](const auto&) {});
  }
  void CalmDown() { door_.calm = true; }
  // What it has noted, in order.
  std::vector<std::string> Notes() const {
    const auto reader = testing::Must(sql::OpenReactorReader(file_));
    std::vector<std::string> notes;
    sql::ConnectionReadTx tx(*reader);
    for (Rows rows = tx.Query("SELECT text FROM note ORDER BY n"); rows.Next();)
      notes.push_back(rows.Text(0));
    return notes;
  }

 private:
  const std::string file_;
  Registry registry_;
  LogStateLoader loader_;
  ShakyDoor door_;
  std::unique_ptr<Reactors> reactors_;
};

}  // namespace leftfold::whole_path
#endif  // TESTS_PROPERTY_WHOLE_PATH_REACTOR_H_
