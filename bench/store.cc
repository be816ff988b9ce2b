#include <absl/time/clock.h>

#include <atomic>
#include <memory>

#include "bench/bare_log.h"
#include "bench/load.h"
#include "bench/sections.h"
#include "bench/start_call.h"
#include "core/status.h"
#include "leftfold/store/v1/event_store.grpc.pb.h"
#include "sql/connection.h"
#include "testing/child_process.h"

namespace leftfold::bench {
namespace {

namespace v1 = store::v1;

constexpr int kEventsPerAppend = 100;
constexpr int kAppendsInFlight = 32;
constexpr int kStoreConnections = 4;

v1::AppendRequest AppendTo(std::int64_t n) {
  v1::AppendRequest request;
  const std::string stream = fmt::format("sensor-{}", n % kSensors);
  for (int i = 0; i < kEventsPerAppend; ++i) {
    v1::AppendRecord& record = *request.add_records();
    record.set_stream(stream);
    record.set_type("Measured");
    record.set_json(std::string(kMeasurement));
  }
  return request;
}

// Each call appends a hundred events; the numbers are of events.
Measured AppendMany(const Options& options, const testing::ChildProcess& server,
                    v1::EventStoreService::Stub& stub) {
  static std::atomic<std::int64_t> serial = 0;
  Measured measured = Measure(server, [&] {
    return ClosedLoop(kAppendsInFlight, options.WarmUp(), options.Duration(),
                      [&](int, std::function<void(bool)> done) {
                        StartCall(stub.async(), &v1::EventStoreService::Stub::async::Append,
                                  AppendTo(++serial), Succeeded(std::move(done)));
                      });
  });
  measured.load.per_second *= kEventsPerAppend;
  measured.cpu_us /= kEventsPerAppend;
  return measured;
}

// Of one reading of the whole log.
struct Reading {
  double events_per_second = 0;
  double cpu_us = 0;
};

Reading ReadAll(const testing::ChildProcess& server, v1::EventStoreService::Stub& stub) {
  const double before = server.CpuSeconds();
  const absl::Time start = absl::Now();
  grpc::ClientContext context;
  const auto reader = stub.ReadAll(&context, v1::ReadAllRequest());
  double events = 0;
  for (v1::ReadAllResponse response; reader->Read(&response);) events += response.events_size();
  if (!reader->Finish().ok()) Die("the log cannot be read");
  return {events / absl::ToDoubleSeconds(absl::Now() - start),
          (server.CpuSeconds() - before) * 1e6 / events};
}

// The ceiling: all columns of all rows, by one statement.
Reading ScanBare(const std::string& path) {
  auto reader = sql::Connection::Open(path, {});
  if (!reader.ok()) Die("the bare scan has no file");
  const double before = OwnCpuSeconds(RUSAGE_THREAD);
  const absl::Time start = absl::Now();
  double rows_read = 0;
  std::size_t bytes = 0;
  Rows rows((*reader)->Prepare(
      "SELECT e.position, s.name, e.version, e.event_id, t.name, e.payload, e.metadata, e.chain, "
      "e.encoding, e.tags, e.recorded_at, e.category_previous, e.leaf "
      "FROM events e JOIN streams s ON s.id = e.stream_id JOIN types t ON t.id = e.type_id "
      "ORDER BY e.position"));
  for (; rows.Next(); ++rows_read) bytes += rows.Blob(5).size() + rows.Blob(1).size();
  if (bytes == 0) Die("the bare scan found nothing");
  return {rows_read / absl::ToDoubleSeconds(absl::Now() - start),
          (OwnCpuSeconds(RUSAGE_THREAD) - before) * 1e6 / rows_read};
}

void Add(const Reading& reading, std::vector<double>& per_second, std::vector<double>& cpu_us) {
  per_second.push_back(reading.events_per_second);
  cpu_us.push_back(reading.cpu_us);
}

}  // namespace

void MeasureStore(const Options& options, Report& report) {
  const std::string data = options.data + "/store";
  testing::ServerProcess server(options.leftfold, data);
  const auto channels = Connect(server.write_address, kStoreConnections);
  const auto stub = v1::EventStoreService::NewStub(channels.front());
  fmt::print("store: appends of {} events, {} repeats of {} s …\n", kEventsPerAppend,
             options.repeats, options.seconds);
  Repeats appended;
  std::vector<double> bare, bare_cpu, read, read_cpu, scanned, scanned_cpu;
  CommitCounter commits(server);
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    appended.Add(AppendMany(options, server.process, *stub));
    const BareLog log = RunBareLog(options, fmt::format("{}/bare-log-{}.db", options.data, repeat),
                                   kEventsPerAppend, commits.AppendsPerCommit());
    bare.push_back(log.events_per_second);
    bare_cpu.push_back(log.cpu_us);
  }
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    Add(ReadAll(server.process, *stub), read, read_cpu);
    Add(ScanBare(data + "/log/events.db"), scanned, scanned_cpu);
  }
  report.rows.push_back(RowOf("append of 100 events a call", "events/s", appended.per_second, bare,
                              AtLeast(0.7, "of the bare SQLite loop"),
                              {appended.cpu_us, bare_cpu}));
  report.rows.push_back(RowOf("read all", "events/s", read, scanned,
                              AtLeast(0.5, "of the bare scan"), {read_cpu, scanned_cpu}));
  Row cpu = RowOf("read all, server CPU an event", "us", read_cpu, scanned_cpu, {},
                  {read_cpu, scanned_cpu});
  cpu.goal = "<= 1 us, or <= 3 of the bare scan";
  cpu.holds = cpu.value <= 1 || *cpu.ratio() <= 3;
  report.rows.push_back(cpu);
}

}  // namespace leftfold::bench
