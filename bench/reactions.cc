#include <absl/time/clock.h>

#include "bench/rooms.h"
#include "core/registry.h"
#include "core/status.h"
#include "event_store/sqlite/sqlite_event_store.h"
#include "leftfold/rooms/v1/commands.pb.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "projector/projector.h"
#include "reactor/reactors.h"
#include "server/thread_pool.h"

namespace leftfold::bench {
namespace {

using RoomEvents = Types<rooms::v1::RoomCreated, rooms::v1::RoomRenamed>;

// Folds nothing: the projector's own work.
struct NoFold {
  static constexpr std::string_view kName = "no_fold",
                                    kSchema = "CREATE TABLE t (n INTEGER) STRICT";
  static constexpr int kVersion = 1;
  using Handles = RoomEvents;
  using Queries = Types<>;
  using Watches = Types<>;
  template <class Event>
  static void On(const Event&, const EventMeta&, WriteTx&) {}
};

// Does nothing: the engine's own work.
struct NoReaction {
  static constexpr std::string_view kName = "no_reaction";
  using Reacting = RoomEvents;
  template <class Event>
  static absl::Status React(const Event&, const EventMeta&, OwnTables&, Outbox&) {
    return absl::OkStatus();
  }
};

// Has something delivered for each event.
struct SendsCommand {
  static constexpr std::string_view kName = "sends_command";
  using Reacting = RoomEvents;
  template <class Event>
  static absl::Status React(const Event&, const EventMeta& meta, OwnTables&, Outbox& outbox) {
    rooms::v1::DeleteRoomRequest command;
    command.set_room_id(std::string(meta.aggregate_id()));
    outbox.Send(command);
    return absl::OkStatus();
  }
};

// Everything is delivered at once.
class AtOnce final : public Deliverer {
 public:
  void Deliver(const ReactorEntry&, const Delivery&, Done done) override { done({}); }
};

class NoStates final : public StateLoader {
 public:
  absl::StatusOr<std::string> LoadState(std::string_view, std::string_view) override {
    return absl::NotFoundError("no states here");
  }
};

// Folds the whole log into a new generation.
double SecondsOfProjector(Projector& projector) {
  const absl::Time start = absl::Now();
  auto rebuild = projector.NewRebuild(NoFold::kName, RebuildAction::kSwitch, kBeforeFirst);
  if (!rebuild.ok()) Die(rebuild.status().ToString());
  while (true) {
    const auto progress = (*rebuild)->Step();
    if (!progress.ok()) Die(progress.status().ToString());
    if (progress->finished) return absl::ToDoubleSeconds(absl::Now() - start);
  }
}

// Until the reactor, which has no file yet, has taken in the whole log and delivered everything.
template <class Reactor>
double SecondsOfReactor(EventStore& store, Executor& executor, const std::string& folder) {
  const SystemClock clock;
  Registry registry;
  registry.Add<Reactor>();
  NoStates states;
  AtOnce deliverer;
  const std::int64_t head = store.GetHead().position.value;
  const absl::Time start = absl::Now();
  const auto reactors = Reactors::Open(registry.reactors(),
                                       {.store = store,
                                        .loader = states,
                                        .deliverer = deliverer,
                                        .clock = clock,
                                        .executor = executor},
                                       folder);
  reactors->Start();
  while (true) {
    const ReactorStatus status = reactors->List().front();
    if (status.state == ReactorState::kStopped) Die(status.reason);
    if (status.checkpoint.value == head && status.waiting == 0) break;
    absl::SleepFor(absl::Milliseconds(1));
  }
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  reactors->Stop();
  return seconds;
}

}  // namespace

void MeasureReactions(const Options& options, Report& report) {
  const SystemClock clock;
  ThreadPool writer("writer", 1), completions("completions", 1), reacting("reacting", 2);
  auto store =
      OpenSqliteEventStore(options.data + "/reactions-log",
                           {.writer = &writer, .completions = &completions, .clock = &clock});
  if (!store.ok()) Die(store.status().ToString());
  fmt::print("reactions: {} events …\n", options.rebuild_events);
  FillWithRooms(**store, options.rebuild_events);
  Registry registry;
  registry.Add<NoFold>();
  auto projector = Projector::Open(registry, **store, completions, clock, nullptr,
                                   options.data + "/reactions-views");
  if (!projector.ok()) Die(projector.status().ToString());
  const auto events = static_cast<double>((*store)->GetHead().position.value);
  std::vector<double> folded, reacted, delivered, folded_cpu, reacted_cpu, delivered_cpu;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    const auto folder = [&](std::string_view of) {
      return fmt::format("{}/reactions-{}-{}", options.data, of, repeat);
    };
    double cpu = OwnCpuSeconds(RUSAGE_SELF);
    const auto cpu_us = [&] {
      const double before = std::exchange(cpu, OwnCpuSeconds(RUSAGE_SELF));
      return (cpu - before) * 1e6 / events;
    };
    folded.push_back(events / SecondsOfProjector(**projector));
    folded_cpu.push_back(cpu_us());
    reacted.push_back(events / SecondsOfReactor<NoReaction>(**store, reacting, folder("none")));
    reacted_cpu.push_back(cpu_us());
    delivered.push_back(events / SecondsOfReactor<SendsCommand>(**store, reacting, folder("send")));
    delivered_cpu.push_back(cpu_us());
  }
  report.rows.push_back(RowOf("reactions that do nothing", "1/s", reacted, folded,
                              AtLeast(0.5, "of a view that does so"), {reacted_cpu, folded_cpu}));
  report.rows.push_back(RowOf("reactions with a delivery each, at once", "1/s", delivered, folded,
                              {}, {delivered_cpu, folded_cpu}));
  for (ThreadPool* pool : {&reacting, &writer, &completions}) pool->Stop();
}

}  // namespace leftfold::bench
