#include <absl/time/clock.h>
#include <sys/resource.h>

#include <memory>

#include "bench/load.h"
#include "bench/sections.h"
#include "core/sha256.h"
#include "core/status.h"
#include "event_store/sqlite/sqlite_log.h"
#include "leftfold/store/v1/event_store.grpc.pb.h"
#include "testing/child_process.h"

namespace leftfold::bench {
namespace {

namespace v1 = store::v1;

constexpr int kStreams = 1'024;
constexpr int kEventsPerAppend = 100;
constexpr int kAppendsInFlight = 32;
constexpr int kStoreConnections = 4;
constexpr std::string_view kPayload =
    R"({"sensor": "north-7", "celsius": 21.4, "humidity": 0.47, "battery": 0.93, "firmware": "4.1.7"})";

v1::AppendRequest AppendTo(std::int64_t n) {
  v1::AppendRequest request;
  const std::string stream = fmt::format("sensor-{}", n % kStreams);
  for (int i = 0; i < kEventsPerAppend; ++i) {
    v1::AppendRecord& record = *request.add_records();
    record.set_stream(stream);
    record.set_type("Measured");
    record.set_json(std::string(kPayload));
  }
  return request;
}

double AppendedPerSecond(const Options& options, v1::EventStoreService::Stub& stub) {
  std::atomic<std::int64_t> serial = 0;
  const LoadResult load = ClosedLoop(
      kAppendsInFlight, absl::Seconds(options.seconds / 3), absl::Seconds(options.seconds),
      [&](int, std::function<void(bool)> done) {
        struct Call {
          grpc::ClientContext context;
          v1::AppendRequest request;
          v1::AppendResponse response;
        };
        auto call = std::make_shared<Call>();
        call->request = AppendTo(++serial);
        stub.async()->Append(
            &call->context, &call->request, &call->response,
            [call, done = std::move(done)](const grpc::Status& status) { done(status.ok()); });
      });
  if (load.failures > 0) Die(fmt::format("{} appends failed", load.failures));
  return load.per_second * kEventsPerAppend;
}

// The ceiling: the same rows in the log's own tables, a commit with an fsync for each append, and
// nothing else.
double BareRowsPerSecond(const Options& options, const std::string& path) {
  auto writer = sql::Connection::Open(
      path, {.role = sql::Role::kWriter, .full_sync = true, .autocheckpoint_pages = 4'000});
  if (!writer.ok() || !MigrateLog(**writer).ok()) Die("the bare loop has no file");
  (*writer)->Run("INSERT INTO categories VALUES (1, 'sensor', 0)").IgnoreError();
  for (int i = 0; i < kStreams; ++i)
    (*writer)
        ->Run(fmt::format("INSERT INTO streams VALUES ({}, 1, 'sensor-{}')", i + 1, i))
        .IgnoreError();
  const std::string digest(32, 'x');
  const std::string metadata(20, 'm');
  const absl::Time start = absl::Now();
  std::int64_t position = 0;
  for (std::int64_t append = 0; absl::Now() - start < absl::Seconds(options.seconds); ++append) {
    (*writer)->Begin().IgnoreError();
    for (int i = 0; i < kEventsPerAppend; ++i) {
      Cursor& insert =
          (*writer)->Prepare("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
      insert.Bind(1, ++position);
      insert.Bind(2, append % kStreams + 1);
      insert.Bind(3, append / kStreams * kEventsPerAppend + i);
      insert.Bind(4, std::int64_t{1});
      insert.Bind(5, std::int64_t{1});
      insert.BindBlob(6, std::string_view(digest).substr(0, 16));
      insert.BindBlob(7, kPayload);
      insert.BindBlob(8, metadata);
      insert.BindNull(9);
      insert.Bind(10, std::int64_t{1'700'000'000'000'000});
      insert.Bind(11, position - 1);
      insert.BindBlob(12, digest);
      insert.BindBlob(13, digest);
      insert.Step();
    }
    if (!(*writer)->Commit().ok()) Die("the bare loop cannot commit");
  }
  return static_cast<double>(position) / absl::ToDoubleSeconds(absl::Now() - start);
}

double ThreadCpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Server CPU for each event of one ReadAll, in microseconds.
double ReadMicros(const testing::ChildProcess& server, v1::EventStoreService::Stub& stub,
                  double* events) {
  const double before = server.CpuSeconds();
  grpc::ClientContext context;
  const auto reader = stub.ReadAll(&context, v1::ReadAllRequest());
  *events = 0;
  for (v1::ReadAllResponse response; reader->Read(&response);) *events += response.events_size();
  if (!reader->Finish().ok()) Die("the log cannot be read");
  return (server.CpuSeconds() - before) * 1e6 / *events;
}

// The ceiling: all columns of all rows, by one statement.
double BareScanMicros(const std::string& path) {
  auto reader = sql::Connection::Open(path, {});
  if (!reader.ok()) Die("the bare scan has no file");
  const double before = ThreadCpuSeconds();
  double rows_read = 0;
  std::size_t bytes = 0;
  Rows rows((*reader)->Prepare(
      "SELECT e.position, s.name, e.version, e.event_id, t.name, e.payload, e.metadata, e.chain, "
      "e.encoding, e.tags, e.recorded_at, e.category_previous, e.leaf "
      "FROM events e JOIN streams s ON s.id = e.stream_id JOIN types t ON t.id = e.type_id "
      "ORDER BY e.position"));
  for (; rows.Next(); ++rows_read) bytes += rows.Blob(5).size() + rows.Blob(1).size();
  if (bytes == 0) Die("the bare scan found nothing");
  return (ThreadCpuSeconds() - before) * 1e6 / rows_read;
}

}  // namespace

void MeasureStore(const Options& options, std::vector<Row>& rows) {
  const std::string data = options.data + "/store";
  testing::ServerProcess server(options.leftfold, data);
  const auto channels = Connect(server.write_address, kStoreConnections);
  const auto stub = v1::EventStoreService::NewStub(channels.front());
  fmt::print("store: appends of {} events, {} repeats of {} s …\n", kEventsPerAppend,
             options.repeats, options.seconds);
  std::vector<double> appended, bare, read, scanned;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    appended.push_back(AppendedPerSecond(options, *stub));
    bare.push_back(
        BareRowsPerSecond(options, fmt::format("{}/bare-log-{}.db", options.data, repeat)));
  }
  AwaitRest(server.process);
  double events = 0;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    read.push_back(ReadMicros(server.process, *stub, &events));
    scanned.push_back(BareScanMicros(data + "/log/events.db"));
  }
  const double rate = Median(appended);
  const double ceiling = Median(bare);
  rows.push_back({"append of 100 events a call", "events/s", rate, ceiling,
                  ">= 0.5 of the bare SQLite loop", rate >= 0.5 * ceiling});
  const double micros = Median(read);
  const double scan = Median(scanned);
  rows.push_back({"read all, server CPU an event", "us", micros, scan,
                  "<= 1 us, or <= 3 of the bare scan", micros <= 1 || micros <= 3 * scan});
}

}  // namespace leftfold::bench
