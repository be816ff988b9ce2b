#include <absl/time/clock.h>

#include <algorithm>
#include <atomic>
#include <memory>

#include "bench/sections.h"
#include "core/registry.h"
#include "core/status.h"
#include "event_store/sqlite/sqlite_event_store.h"
#include "event_store/sqlite/sqlite_snapshots.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "server/thread_pool.h"
#include "write_api/aggregate_loader.h"
#include "write_api/snapshotter.h"

namespace leftfold::bench {
namespace {

constexpr int kLargeEvents = 100'000;
constexpr int kSmallEvents = 100;
constexpr int kLoads = 300;
constexpr int kLoadsOfAllEvents = 3;

// Appends so many renames to the room.
void Rename(EventStore& store, const std::string& stream, int events) {
  for (int written = 0; written < events;) {
    StreamAppend append{stream, Any{}, {}};
    for (; written < events && append.events.size() < kAppendEventsMax; ++written) {
      rooms::v1::RoomRenamed renamed;
      renamed.set_name(fmt::format("Oak {}", written));
      NewEvent& event = append.events.emplace_back();
      event.type = renamed.GetDescriptor()->full_name();
      event.payload = renamed.SerializeAsString();
    }
    AppendRequest request;
    request.streams.push_back(std::move(append));
    std::atomic<bool> done = false;
    store.Append(std::move(request), [&](const absl::StatusOr<Receipt>& receipt) {
      if (!receipt.ok()) Die(receipt.status().ToString());
      done = true;
      done.notify_one();
    });
    done.wait(false);
  }
}

double LoadMicros(const AggregateEntry& aggregate, const std::string& stream, EventStore& store,
                  SnapshotStore* snapshots) {
  const std::int64_t start = absl::GetCurrentTimeNanos();
  const auto loaded = LoadAggregate(aggregate, stream, store, snapshots);
  if (!loaded.ok()) Die(loaded.status().ToString());
  return static_cast<double>(absl::GetCurrentTimeNanos() - start) / 1e3;
}

}  // namespace

void MeasureLoad(const Options& options, Report& report) {
  Registry registry;
  RegisterAllDomains(registry);
  const auto room =
      std::find_if(registry.aggregates().begin(), registry.aggregates().end(),
                   [](const AggregateEntry& entry) { return entry.category == "room"; });
  const SystemClock clock;
  ThreadPool writer("writer", 1);
  ThreadPool completions("completions", 1);
  const std::string folder = options.data + "/load-log";
  auto opened = OpenSqliteEventStore(
      folder, {.writer = &writer, .completions = &completions, .clock = &clock});
  if (!opened.ok()) Die(opened.status().ToString());
  EventStore& store = **opened;
  fmt::print("load: an aggregate of {} events …\n", kLargeEvents);
  // As many events after the snapshot as there can be before the next is asked for.
  constexpr int kAfterSnapshot = kSnapshotEvery - 1;
  Rename(store, "room-large", kLargeEvents - kAfterSnapshot);
  SqliteSnapshots snapshots(folder);
  {
    ThreadPool background("background", 1);
    Snapshotter snapshotter(store, snapshots, background);
    snapshotter.Ask(*room, "room-large");
    background.Stop();
  }
  Rename(store, "room-large", kAfterSnapshot);
  Rename(store, "room-small", kSmallEvents);
  std::vector<double> large, small, all;
  for (int i = 0; i < kLoads; ++i) {
    large.push_back(LoadMicros(*room, "room-large", store, &snapshots));
    small.push_back(LoadMicros(*room, "room-small", store, &snapshots));
  }
  for (int i = 0; i < kLoadsOfAllEvents; ++i)
    all.push_back(LoadMicros(*room, "room-large", store, nullptr));
  // One load after the other: their spread says nothing of the medians'.
  report.rows.push_back(RowOf("load of 100,000 events with a snapshot", "us", {Median(large)},
                              {Median(small)}, AtMost(1.5, "of 100 events")));
  report.rows.push_back(RowOf("load of 100,000 events without", "us", all, {Median(small)}));
  writer.Stop();
  completions.Stop();
}

}  // namespace leftfold::bench
