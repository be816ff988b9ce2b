#include <fmt/format.h>

#include <atomic>
#include <memory>

#include "bench/append_sessions.h"
#include "bench/bare_log.h"
#include "bench/load.h"
#include "bench/sections.h"
#include "bench/start_call.h"
#include "testing/child_process.h"

namespace leftfold::bench {
namespace {

namespace v1 = store::v1;

constexpr int kUnaryInFlight = 256;
constexpr int kUnaryConnections = 8;

v1::AppendRequest OneMeasurement() {
  static std::atomic<std::int64_t> serial = 0;
  v1::AppendRequest request;
  v1::AppendRecord& record = *request.add_records();
  record.set_stream(fmt::format("sensor-{}", ++serial % kSensors));
  record.set_type("Measured");
  record.set_json(std::string(kMeasurement));
  return request;
}

LoadResult AppendUnary(const Options& options, const std::string& address) {
  std::vector<std::unique_ptr<v1::EventStoreService::Stub>> stubs;
  for (const auto& channel : Connect(address, kUnaryConnections))
    stubs.push_back(v1::EventStoreService::NewStub(channel));
  return ClosedLoop(kUnaryInFlight, options.WarmUp(), options.Duration(),
                    [&](int caller, std::function<void(bool)> done) {
                      StartCall(stubs[static_cast<std::size_t>(caller) % stubs.size()]->async(),
                                &v1::EventStoreService::Stub::async::Append, OneMeasurement(),
                                Succeeded(std::move(done)));
                    });
}

}  // namespace

void MeasureSessions(const Options& options, Report& report) {
  testing::ServerProcess server(options.leftfold, options.data + "/sessions");
  fmt::print("sessions: appends of 1 event, {} repeats of {} s …\n", options.repeats,
             options.seconds);
  Repeats unary, sessions;
  std::vector<double> bare, bare_cpu;
  CommitCounter commits(server);
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    unary.Add(Measure(server.process, [&] { return AppendUnary(options, server.write_address); }));
    commits.AppendsPerCommit();
    sessions.Add(Measure(server.process, [&] {
      return AppendThroughSessions(server.write_address, OneMeasurement, options.WarmUp(),
                                   options.Duration());
    }));
    const BareLog log =
        RunBareLog(options, fmt::format("{}/bare-sessions-{}.db", options.data, repeat), 1,
                   commits.AppendsPerCommit());
    bare.push_back(log.events_per_second);
    bare_cpu.push_back(log.cpu_us);
  }
  report.rows.push_back(RowOf("AppendSession, 1 event an append", "1/s", sessions.per_second,
                              unary.per_second, AtLeast(4, "x unary appends"),
                              {sessions.cpu_us, unary.cpu_us}));
  report.rows.push_back(RowOf("AppendSession, beside a bare loop", "1/s", sessions.per_second, bare,
                              AtLeast(0.8, "of the bare SQLite loop"),
                              {sessions.cpu_us, bare_cpu}));
}

}  // namespace leftfold::bench
