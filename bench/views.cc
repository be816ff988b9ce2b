#include <absl/time/clock.h>

#include <csignal>
#include <cstdio>
#include <thread>

#include "bench/copies.h"
#include "bench/sections.h"
#include "core/status.h"
#include "event_store/sqlite/sqlite_event_store.h"
#include "projector/projector.h"
#include "server/thread_pool.h"
#include "testing/child_process.h"

namespace leftfold::bench {
namespace {

constexpr int kManyViews = 50;
constexpr int kEventsPerSecond = 1'000;

struct Cost {
  double cpu = 0;  // Cores, while nothing is asked.
  double megabytes = 0;
};

// On two cores.
Cost CostOf(const Options& options, int views, int per_second) {
  testing::ChildProcess process({"/usr/bin/taskset", "-c", "0,1", options.self, "--run-views",
                                 fmt::to_string(views), "--events-per-second",
                                 fmt::to_string(per_second), "--data",
                                 fmt::format("{}/views-{}-{}", options.data, views, per_second)});
  process.ValueAfter("running ");
  absl::SleepFor(absl::Seconds(1));
  const double before = process.CpuSeconds();
  const absl::Time start = absl::Now();
  absl::SleepFor(absl::Seconds(options.seconds));
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  return {(process.CpuSeconds() - before) / seconds, process.ResidentMegabytes()};
}

}  // namespace

int RunViews(const std::string& data, int views, int per_second) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  Registry registry;
  AddCopies(registry, views);
  const SystemClock clock;
  ThreadPool writer("writer", 1), completions("completions", 1), projecting("projecting", 2);
  auto store = OpenSqliteEventStore(
      data + "/log", {.writer = &writer, .completions = &completions, .clock = &clock});
  if (!store.ok()) Die(store.status().ToString());
  auto projector = Projector::Open(registry, **store, projecting, clock, nullptr, data + "/views");
  if (!projector.ok()) Die(projector.status().ToString());
  (*projector)->Start();
  std::jthread appending([&](const std::stop_token& stop) {
    while (per_second > 0 && !stop.stop_requested()) {
      NewEvent event;
      event.type = "other.Event";
      AppendRequest request;
      request.streams.push_back({"other-1", Any{}, {event}});
      (*store)->Append(std::move(request), [](const absl::StatusOr<Receipt>&) {});
      absl::SleepFor(absl::Seconds(1) / per_second);
    }
  });
  fmt::print("running {} views\n", views);
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  appending.request_stop();
  appending.join();
  (*projector)->Stop();
  for (ThreadPool* pool : {&writer, &completions, &projecting}) pool->Stop();
  return 0;
}

void MeasureViews(const Options& options, Report& report) {
  fmt::print("views: {} on two cores …\n", kManyViews);
  const Cost one = CostOf(options, 1, 0);
  const Cost many = CostOf(options, kManyViews, 0);
  const Cost one_follows = CostOf(options, 1, kEventsPerSecond);
  const Cost many_follow = CostOf(options, kManyViews, kEventsPerSecond);
  report.rows.push_back(
      RowOf("CPU of 50 idle views", "cores", {many.cpu}, {}, Below(0.01, "cores")));
  const double each = (many.megabytes - one.megabytes) * 1'024 / (kManyViews - 1);
  report.rows.push_back(RowOf("memory of an idle view", "KiB", {each}, {}));
  const auto micros = [](const Cost& cost) { return cost.cpu * 1e6 / kEventsPerSecond; };
  report.rows.push_back(RowOf("CPU of 50 views, 1000 events/s they do not know", "cores",
                              {many_follow.cpu}, {one_follows.cpu}, {},
                              {{micros(many_follow)}, {micros(one_follows)}}));
}

}  // namespace leftfold::bench
