#include <absl/time/clock.h>

#include <map>
#include <memory>
#include <thread>

#include "bench/copies.h"
#include "bench/rooms.h"
#include "bench/sections.h"
#include "core/registry.h"
#include "core/status.h"
#include "event_store/sqlite/sqlite_event_store.h"
#include "projector/projector.h"
#include "server/thread_pool.h"
#include "sql/connection.h"
#include "sql/view_file.h"

namespace leftfold::bench {
namespace {

// The ceiling: reads the same events and runs the same fold, in transactions of the same size, and
// keeps nothing else.
void RunBareLoop(const ViewEntry& view, const std::string& log, const std::string& path) {
  auto reader = sql::Connection::Open(log, {});
  auto writer = sql::OpenViewWriter(path, view, Digest{});
  if (!reader.ok() || !writer.ok()) Die("the bare loop has no files");
  (*writer)->Run("PRAGMA synchronous=OFF; PRAGMA cache_size=-65536").IgnoreError();
  sql::ConnectionWriteTx tx(**writer);
  Rows rows((*reader)->Prepare(
      "SELECT e.position, s.name, e.version, t.name, e.payload, e.recorded_at FROM events e "
      "JOIN streams s ON s.id = e.stream_id JOIN types t ON t.id = e.type_id ORDER BY e.position"));
  RecordedEvent event;
  (*writer)->Begin().IgnoreError();
  for (std::size_t n = 1; rows.Next(); ++n) {
    event.position = Position{rows.Int(0)};
    event.stream = rows.Text(1);
    event.version = Version{rows.Int(2)};
    event.type = rows.Text(3);
    event.payload = std::string(rows.Blob(4));
    event.recorded_at = absl::FromUnixMicros(rows.Int(5));
    if (!view.fold(event, tx).ok()) Die("the bare loop cannot fold");
    if (n % kBuildBatchEventsMax != 0) continue;
    (*writer)->Commit().IgnoreError();
    (*writer)->Begin().IgnoreError();
  }
  if (!(*writer)->Commit().ok()) Die("the bare loop cannot commit");
}

void RebuildView(Projector& projector, std::string_view view) {
  auto rebuild = projector.NewRebuild(view, RebuildAction::kSwitch, kBeforeFirst);
  if (!rebuild.ok()) Die(rebuild.status().ToString());
  while (true) {
    const auto progress = (*rebuild)->Step();
    if (!progress.ok()) Die(progress.status().ToString());
    if (progress->finished) return;
  }
}

struct Spent {
  double seconds = 0;
  double cpu_seconds = 0;
};

// So many at once, each on a thread of its own.
template <class Work>
Spent Run(int threads, Work work) {
  const double cpu = OwnCpuSeconds(RUSAGE_SELF);
  const absl::Time start = absl::Now();
  {
    std::vector<std::jthread> running;
    for (int i = 0; i < threads; ++i) running.emplace_back([&work, i] { work(i); });
  }
  return {absl::ToDoubleSeconds(absl::Now() - start), OwnCpuSeconds(RUSAGE_SELF) - cpu};
}

struct Folded {
  std::vector<double> per_second, cpu_us;
  void Add(double events, const Spent& spent) {
    per_second.push_back(events / spent.seconds);
    cpu_us.push_back(spent.cpu_seconds * 1e6 / events);
  }
};

void AddRebuildRows(const std::map<int, Folded>& ours, const std::map<int, Folded>& bare,
                    Report& report) {
  Plot plot{
      "rebuild.svg", "Rebuild of views at once", "views", "events a second, in sum", false, {}};
  plot.lines = {{"Leftfold", {}, 0, 0}, {"bare loops", {}, 1, 0}};
  for (const auto& [views, folded] : ours) {
    const Folded& ceiling = bare.at(views);
    report.rows.push_back(
        RowOf(views == 1 ? "rebuild of room_directory"
                         : fmt::format("rebuild of {} views at once, in sum", views),
              "events/s", folded.per_second, ceiling.per_second,
              AtLeast(0.75, "of as many bare loops"), {folded.cpu_us, ceiling.cpu_us}));
    plot.lines[0].points.push_back(PointAt(views, folded.per_second));
    plot.lines[1].points.push_back(PointAt(views, ceiling.per_second));
  }
  report.plots.push_back(plot);
  const Folded& one = ours.begin()->second;
  const Folded& most = ours.rbegin()->second;
  report.rows.push_back(RowOf(fmt::format("rebuild of {} views beside one", ours.rbegin()->first),
                              "events/s", most.per_second, one.per_second,
                              AtLeast(2.5, "x one view"), {most.cpu_us, one.cpu_us}));
}

}  // namespace

void MeasureRebuild(const Options& options, Report& report) {
  constexpr int kAtOnceMax = 4;
  Registry registry;
  AddCopies(registry, kAtOnceMax);
  const SystemClock clock;
  ThreadPool writer("writer", 1);
  ThreadPool completions("completions", 1);
  const std::string log = options.data + "/rebuild-log";
  auto store =
      OpenSqliteEventStore(log, {.writer = &writer, .completions = &completions, .clock = &clock});
  if (!store.ok()) Die(store.status().ToString());
  fmt::print("rebuild: {} events …\n", options.rebuild_events);
  FillWithRooms(**store, options.rebuild_events);
  auto projector = Projector::Open(registry, **store, completions, clock, nullptr,
                                   options.data + "/rebuild-views");
  if (!projector.ok()) Die(projector.status().ToString());
  const auto events = static_cast<double>((*store)->GetHead().position.value);
  const auto view = [&](int i) -> const ViewEntry& {
    return registry.views()[static_cast<std::size_t>(i)];
  };
  std::map<int, Folded> bare, ours;  // By the number of views.
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    for (const int views : {1, 2, kAtOnceMax}) {
      const Spent loops = Run(views, [&](int i) {
        RunBareLoop(view(i), log + "/events.db",
                    fmt::format("{}/bare-{}-{}-{}.db", options.data, repeat, views, i));
      });
      bare[views].Add(views * events, loops);
      ours[views].Add(views * events,
                      Run(views, [&](int i) { RebuildView(**projector, view(i).name); }));
    }
  }
  AddRebuildRows(ours, bare, report);
  writer.Stop();
  completions.Stop();
}

}  // namespace leftfold::bench
