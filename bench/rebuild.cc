#include <absl/time/clock.h>

#include <atomic>
#include <memory>

#include "bench/sections.h"
#include "core/registry.h"
#include "core/status.h"
#include "event_store/sqlite/sqlite_event_store.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "projector/projector.h"
#include "server/thread_pool.h"
#include "sql/connection.h"
#include "sql/view_file.h"

namespace leftfold::bench {
namespace {

constexpr int kRooms = 4'096;
constexpr int kEventsPerAppend = 100;
constexpr std::string_view kView = "room_directory";

template <class Event>
NewEvent Encoded(const Event& event) {
  NewEvent encoded;
  encoded.type = event.GetDescriptor()->full_name();
  encoded.payload = event.SerializeAsString();
  return encoded;
}

void Append(EventStore& store, StreamAppend stream, std::atomic<int>& waiting) {
  AppendRequest request;
  request.streams.push_back(std::move(stream));
  ++waiting;
  store.Append(std::move(request), [&](const absl::StatusOr<Receipt>& receipt) {
    if (!receipt.ok()) Die(receipt.status().ToString());
    --waiting;
  });
}

// Every room is created, then renamed until there are enough events.
void Fill(EventStore& store, int events) {
  std::atomic<int> waiting = 0;
  int written = 0;
  for (int room = 0; room < kRooms; ++room, ++written) {
    rooms::v1::RoomCreated created;
    created.set_name("Oak");
    Append(store, {fmt::format("room-room{}", room), Any{}, {Encoded(created)}}, waiting);
  }
  for (int append = 0; written < events; ++append, written += kEventsPerAppend) {
    StreamAppend stream{fmt::format("room-room{}", append % kRooms), Any{}, {}};
    for (int i = 0; i < kEventsPerAppend; ++i) {
      rooms::v1::RoomRenamed renamed;
      renamed.set_name(fmt::format("Oak {}", written + i));
      stream.events.push_back(Encoded(renamed));
    }
    Append(store, std::move(stream), waiting);
    while (waiting > 1'000) absl::SleepFor(absl::Milliseconds(1));
  }
  while (waiting > 0) absl::SleepFor(absl::Milliseconds(1));
}

// The ceiling: reads the same events and runs the same fold, in transactions of the same size, and
// keeps nothing else.
double BareLoopSeconds(const ViewEntry& view, const std::string& log, const std::string& path) {
  auto reader = sql::Connection::Open(log, {});
  auto writer = sql::OpenViewWriter(path, view, Digest{});
  if (!reader.ok() || !writer.ok()) Die("the bare loop has no files");
  (*writer)->Run("PRAGMA synchronous=OFF; PRAGMA cache_size=-65536").IgnoreError();
  const absl::Time start = absl::Now();
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
  return absl::ToDoubleSeconds(absl::Now() - start);
}

double RebuildSeconds(Projector& projector) {
  const absl::Time start = absl::Now();
  auto rebuild = projector.NewRebuild(kView, RebuildAction::kSwitch, kBeforeFirst);
  if (!rebuild.ok()) Die(rebuild.status().ToString());
  while (true) {
    const auto progress = (*rebuild)->Step();
    if (!progress.ok()) Die(progress.status().ToString());
    if (progress->finished) return absl::ToDoubleSeconds(absl::Now() - start);
  }
}

}  // namespace

void MeasureRebuild(const Options& options, std::vector<Row>& rows) {
  Registry registry;
  RegisterAllDomains(registry);
  const SystemClock clock;
  ThreadPool writer("writer", 1);
  ThreadPool completions("completions", 1);
  const std::string log = options.data + "/rebuild-log";
  auto store =
      OpenSqliteEventStore(log, {.writer = &writer, .completions = &completions, .clock = &clock});
  if (!store.ok()) Die(store.status().ToString());
  fmt::print("rebuild: {} events …\n", options.rebuild_events);
  Fill(**store, options.rebuild_events);
  auto projector =
      Projector::Open(registry, **store, completions, nullptr, options.data + "/rebuild-views");
  if (!projector.ok()) Die(projector.status().ToString());
  const auto events = static_cast<double>((*store)->GetHead().position.value);
  std::vector<double> bare, ours;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    const std::string path = fmt::format("{}/bare-{}.db", options.data, repeat);
    bare.push_back(events / BareLoopSeconds(*registry.FindView(kView), log + "/events.db", path));
    ours.push_back(events / RebuildSeconds(**projector));
  }
  const double rate = Median(ours);
  const double ceiling = Median(bare);
  rows.push_back({"rebuild of room_directory", "events/s", rate, ceiling, ">= 0.4 of the bare loop",
                  rate >= 0.4 * ceiling});
  writer.Stop();
  completions.Stop();
}

}  // namespace leftfold::bench
