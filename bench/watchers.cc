#include <absl/time/clock.h>
#include <fmt/format.h>

#include <atomic>
#include <numeric>

#include "bench/rooms.h"
#include "bench/watch_clients.h"

namespace leftfold::bench {
namespace {

constexpr int kWatchers = 10'000;
constexpr int kChangesOfOne = 20;
constexpr int kChangesPerSecond = 1'000;

struct MeasuredWatchers {
  double kib_each = 0;  // Memory of the server, of each watcher.
  double p99_ms = 0;
  double cpu_us = 0;  // Of the server, of each delivery.
};

void Rename(RoomClient& client, WatchClients& watchers, int room, absl::Time due,
            std::atomic<int>& waiting) {
  static std::int64_t serial = 0;
  watchers.Sent(room, ++serial, due);
  ++waiting;
  client.Rename(room, RoomId(room), fmt::to_string(serial), [&](bool) { --waiting; });
}

// Each watcher its own room, or all of them the same one; then changes: of rooms in turn at a
// steady pace, or of the one room, each when all have heard of the one before.
MeasuredWatchers Measure(const Options& options, const testing::ChildProcess& server,
                         RoomClient& client, const std::string& address, bool one_room) {
  std::vector<int> rooms(kWatchers);
  if (!one_room) std::iota(rooms.begin(), rooms.end(), 0);
  const double before = server.ResidentMegabytes();
  WatchClients watchers(address, rooms);
  const double opened = server.ResidentMegabytes();
  const double cpu = server.CpuSeconds();
  const absl::Time start = absl::Now();
  std::atomic<int> waiting = 0;
  const int changes =
      one_room ? kChangesOfOne : static_cast<int>(2 * options.seconds * kChangesPerSecond);
  for (int i = 0; i < changes; ++i) {
    const absl::Time due =
        one_room ? absl::Now() : start + absl::Seconds(1) * i / kChangesPerSecond;
    absl::SleepFor(due - absl::Now());
    Rename(client, watchers, rooms[static_cast<std::size_t>(i % kWatchers)], due, waiting);
    if (one_room) watchers.AwaitAll();
  }
  watchers.AwaitAll();
  while (waiting > 0) absl::SleepFor(absl::Milliseconds(1));
  const std::vector<double> latencies = watchers.TakeLatenciesMs();
  return {(opened - before) * 1'024 / kWatchers, Percentile(latencies, 0.99),
          (server.CpuSeconds() - cpu) * 1e6 / static_cast<double>(latencies.size())};
}

void AddRows(const MeasuredWatchers& ours, const MeasuredWatchers& empty, const std::string& of,
             Report& report) {
  report.rows.push_back({"memory of a watcher, " + of, "KiB", ours.kib_each, empty.kib_each,
                         "<= 5 KiB beside an empty stream", ours.kib_each - empty.kib_each <= 5});
  report.rows.push_back(RowOf("delivery p99, " + of, "ms", {ours.p99_ms}, {empty.p99_ms}, {},
                              {{ours.cpu_us}, {empty.cpu_us}}));
}

}  // namespace

void MeasureWatchers(const Options& options, Report& report) {
  fmt::print("watchers: {} of as many rooms and of one …\n", kWatchers);
  for (const bool one_room : {false, true}) {
    // What a process has given back it does not always take again: each shape has its own.
    testing::ChildProcess empty({options.self, "--empty-server"});
    const std::string empty_address = empty.ValueAfter("commands listening on ");
    RoomClient empty_client(empty_address);
    testing::ServerProcess server(options.leftfold,
                                  options.data + (one_room ? "/watchers-one" : "/watchers"));
    RoomClient client(server.write_address);
    for (int room = 0; room < (one_room ? 1 : kWatchers); ++room) client.Create(RoomId(room));
    AwaitRest(server.process);
    const MeasuredWatchers ceiling = Measure(options, empty, empty_client, empty_address, one_room);
    const MeasuredWatchers ours =
        Measure(options, server.process, client, server.read_address, one_room);
    AddRows(ours, ceiling, one_room ? "10000 of one room" : "10000 of as many rooms", report);
  }
}

}  // namespace leftfold::bench
