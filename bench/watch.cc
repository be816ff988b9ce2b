#include <absl/time/clock.h>
#include <fmt/format.h>

#include <atomic>
#include <numeric>

#include "bench/rooms.h"
#include "bench/sweep.h"
#include "bench/watch_clients.h"

namespace leftfold::bench {
namespace {

constexpr int kWatchedRooms = 1'000;
constexpr int kCommandsPerSecond = 5'000;

std::int64_t NextSerial() {
  static std::int64_t serial = 0;
  return ++serial;
}

// Renames rooms in turn at a steady pace, whatever the answers do (open loop).
LoadResult SendSteadily(const Options& options, int per_second, RoomClient& client,
                        WatchClients& watchers) {
  const auto commands = static_cast<std::int64_t>(options.seconds * per_second);
  std::atomic<std::int64_t> answered = 0, failed = 0;
  LoadResult result;
  result.latencies_us.resize(static_cast<std::size_t>(commands));
  const absl::Time start = absl::Now();
  for (std::int64_t i = 0; i < commands; ++i) {
    const absl::Time due = start + absl::Seconds(1) * static_cast<double>(i) / per_second;
    absl::SleepFor(due - absl::Now());
    const int room = static_cast<int>(i % kWatchedRooms);
    const std::int64_t serial = NextSerial();
    watchers.Sent(room, serial, due);
    client.Rename(room, RoomId(room), fmt::to_string(serial),
                  [&, &took = result.latencies_us[static_cast<std::size_t>(i)], due](bool ok) {
                    took = absl::ToDoubleMicroseconds(absl::Now() - due);
                    if (!ok) ++failed;
                    ++answered;
                  });
  }
  while (answered < commands) absl::SleepFor(absl::Milliseconds(1));
  result.calls = answered;
  result.failures = failed;
  return result;
}

std::vector<double> Millis(std::vector<double> micros) {
  for (double& value : micros) value /= 1e3;
  return micros;
}

}  // namespace

void MeasureWatch(const Options& options, Report& report) {
  testing::ServerProcess server(options.leftfold, options.data + "/watch");
  RoomClient client(server.write_address);
  fmt::print("watch: {} watched rooms, to {} commands/s …\n", kWatchedRooms, kCommandsPerSecond);
  for (int room = 0; room < kWatchedRooms; ++room) client.Create(RoomId(room));
  AwaitRest(server.process);  // A watch of a room that the view does not know yet is NOT_FOUND.
  std::vector<int> watched(kWatchedRooms);
  std::iota(watched.begin(), watched.end(), 0);
  WatchClients watchers(server.read_address, watched);
  Curves curves;  // From the scheduled time, by commands a second.
  curves.ours_name = "delivery";
  curves.empty_name = "answer alone";
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    for (const int per_second : {500, 1'000, 2'000, kCommandsPerSecond}) {
      Measured answers = Measure(server.process, [&] {
        LoadResult sent = SendSteadily(options, per_second, client, watchers);
        watchers.AwaitAll();
        return sent;
      });
      curves.empty[per_second].Add(answers);
      answers.load.latencies_us = watchers.TakeLatenciesMs();
      for (double& latency : answers.load.latencies_us) latency *= 1e3;
      curves.ours[per_second].Add(answers);
    }
  }
  const Repeats& deliveries = curves.ours.at(kCommandsPerSecond);
  const Repeats& answers = curves.empty.at(kCommandsPerSecond);
  report.rows.push_back(RowOf("command -> watch delivery p99, 5000/s", "ms",
                              Millis(deliveries.p99_us), Millis(answers.p99_us), Below(3, "ms"),
                              {deliveries.cpu_us, {}}));
  report.rows.push_back(RowOf("command -> watch delivery p50, 5000/s", "ms",
                              Millis(deliveries.p50_us), Millis(answers.p50_us), {},
                              {deliveries.cpu_us, {}}));
  PlotLatency(curves, "watch", "From a command to its watcher", "commands a second (open loop)",
              report);
}

}  // namespace leftfold::bench
