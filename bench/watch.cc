#include <absl/time/clock.h>
#include <fmt/format.h>

#include <atomic>
#include <numeric>

#include "bench/rooms.h"
#include "bench/watch_clients.h"

namespace leftfold::bench {
namespace {

constexpr int kWatchedRooms = 1'000;
constexpr int kCommandsPerSecond = 5'000;

// Renames rooms in turn at a steady pace, whatever the answers do (open loop). Returns how long
// each answer took, in milliseconds.
std::vector<double> SendSteadily(const Options& options, RoomClient& client,
                                 WatchClients& watchers) {
  const auto commands =
      static_cast<std::int64_t>(options.seconds * options.repeats * kCommandsPerSecond);
  std::atomic<std::int64_t> answered = 0;
  std::vector<double> answers_ms(static_cast<std::size_t>(commands));
  const absl::Time start = absl::Now();
  for (std::int64_t serial = 0; serial < commands; ++serial) {
    const absl::Duration due = absl::Seconds(1) * static_cast<double>(serial) / kCommandsPerSecond;
    if (const absl::Duration early = start + due - absl::Now(); early > absl::ZeroDuration())
      absl::SleepFor(early);
    const int room = static_cast<int>(serial % kWatchedRooms);
    watchers.Sent(room, serial);
    client.Rename(
        room, RoomId(room), fmt::to_string(serial),
        [&, &took = answers_ms[static_cast<std::size_t>(serial)], sent = absl::Now()](bool) {
          took = absl::ToDoubleMilliseconds(absl::Now() - sent);
          ++answered;
        });
  }
  while (answered < commands) absl::SleepFor(absl::Milliseconds(1));
  return answers_ms;
}

}  // namespace

void MeasureWatch(const Options& options, std::vector<Row>& rows) {
  testing::ServerProcess server(options.leftfold, options.data + "/watch");
  RoomClient client(server.write_address);
  fmt::print("watch: {} watched rooms, {} commands/s …\n", kWatchedRooms, kCommandsPerSecond);
  for (int room = 0; room < kWatchedRooms; ++room) client.Create(RoomId(room));
  AwaitRest(server.process);  // A watch of a room that the view does not know yet is NOT_FOUND.
  std::vector<int> watched(kWatchedRooms);
  std::iota(watched.begin(), watched.end(), 0);
  WatchClients watchers(server.read_address, watched);
  const std::vector<double> answers = SendSteadily(options, client, watchers);
  watchers.AwaitAll();
  const std::vector<double> latencies = watchers.TakeLatenciesMs();
  const double p99 = Percentile(latencies, 0.99);
  rows.push_back({"command -> watch delivery p99, 5000/s", "ms", p99, Percentile(answers, 0.99),
                  "< 5 ms", p99 < 5});
  rows.push_back({"command -> watch delivery p50, 5000/s", "ms", Percentile(latencies, 0.5),
                  Percentile(answers, 0.5), "", true});
}

}  // namespace leftfold::bench
