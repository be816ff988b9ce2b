#include <absl/time/clock.h>
#include <fcntl.h>
#include <unistd.h>

#include <atomic>

#include "bench/rooms.h"
#include "core/status.h"

namespace leftfold::bench {
namespace {

// p50 of one 4 KiB write + fdatasync, in microseconds: what the disk asks for a group of one.
double SyncMicros(const std::string& folder) {
  const std::string path = folder + "/fdatasync";
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  const std::string page(4'096, 'x');
  std::vector<double> micros;
  for (int i = 0; i < 500; ++i) {
    const std::int64_t start = absl::GetCurrentTimeNanos();
    if (write(file, page.data(), page.size()) != 4'096 || fdatasync(file) != 0)
      Die("cannot write to the bench's folder");
    micros.push_back(static_cast<double>(absl::GetCurrentTimeNanos() - start) / 1e3);
  }
  close(file);
  unlink(path.c_str());
  return Median(micros);
}

struct MeasuredCommands {
  double per_second = 0;
  double p50_us = 0;
  double cpu_us = 0;  // Of the server, per answer.
};

// Which room a caller renames with its n-th command of all.
using RoomOf = int (*)(int caller, std::int64_t n);
int NextRoom(int, std::int64_t n) { return static_cast<int>(n % kRooms); }
int OneRoom(int, std::int64_t) { return 0; }
int OwnRoom(int caller, std::int64_t) { return caller; }

MeasuredCommands Measure(const Options& options, const testing::ChildProcess& server,
                         RoomClient& client, int in_flight, RoomOf room_of = NextRoom) {
  static std::atomic<std::int64_t> serial = 0;
  const double cpu_before = server.CpuSeconds();
  const std::int64_t serial_before = serial;
  const LoadResult load =
      ClosedLoop(in_flight, absl::Seconds(options.seconds / 3), absl::Seconds(options.seconds),
                 [&](int caller, std::function<void(bool)> done) {
                   const std::int64_t n = ++serial;
                   client.Rename(caller, RoomId(room_of(caller, n)), fmt::format("Oak {}", n),
                                 std::move(done));
                 });
  if (load.failures > 0) Die(fmt::format("{} commands failed", load.failures));
  const auto calls = static_cast<double>(serial - serial_before);
  return {load.per_second, Median(load.latencies_us),
          (server.CpuSeconds() - cpu_before) * 1e6 / calls};
}

struct Medians {
  std::vector<double> per_second, p50_us, cpu_us;
  void Add(const MeasuredCommands& m) {
    per_second.push_back(m.per_second);
    p50_us.push_back(m.p50_us);
    cpu_us.push_back(m.cpu_us);
  }
};

}  // namespace

void MeasureCommands(const Options& options, std::vector<Row>& rows) {
  testing::ChildProcess empty({options.self, "--empty-server"});
  RoomClient empty_client(empty.ValueAfter("commands listening on "));
  testing::ServerProcess server(options.leftfold, options.data + "/commands");
  RoomClient client(server.write_address);
  fmt::print("commands: {} rooms, {} repeats of {} s …\n", kRooms, options.repeats,
             options.seconds);
  for (int room = 0; room < kRooms; ++room) client.Create(RoomId(room));
  Medians empty_many, ours_many, empty_one, ours_one;
  std::vector<double> sync_us;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    empty_many.Add(Measure(options, empty, empty_client, kInFlight));
    ours_many.Add(Measure(options, server.process, client, kInFlight));
    empty_one.Add(Measure(options, empty, empty_client, 1));
    sync_us.push_back(SyncMicros(options.data));
    ours_one.Add(Measure(options, server.process, client, 1));
  }
  const double rate = Median(ours_many.per_second);
  const double rate_ceiling = Median(empty_many.per_second);
  rows.push_back({"durable commands, 256 in flight", "1/s", rate, rate_ceiling,
                  ">= 0.6 of the empty RPC", rate >= 0.6 * rate_ceiling});
  const double p50 = Median(ours_one.p50_us);
  const double p50_floor = Median(empty_one.p50_us) + Median(sync_us);
  rows.push_back({"command p50, 1 in flight", "us", p50, p50_floor, "<= 1.3 of RPC + fdatasync",
                  p50 <= 1.3 * p50_floor});
  rows.push_back({"server CPU per command, 256 in flight", "us", Median(ours_many.cpu_us),
                  Median(empty_many.cpu_us), "", true});
  rows.push_back(
      {"write + fdatasync of 4 KiB, p50", "us", Median(sync_us), std::nullopt, "", true});
}

void MeasureHot(const Options& options, std::vector<Row>& rows) {
  testing::ServerProcess server(options.leftfold, options.data + "/hot");
  RoomClient client(server.write_address);
  fmt::print("hot: {} clients on one room and on as many rooms, {} repeats of {} s …\n", kInFlight,
             options.repeats, options.seconds);
  for (int room = 0; room < kInFlight; ++room) client.Create(RoomId(room));
  Medians one, own;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    one.Add(Measure(options, server.process, client, kInFlight, OneRoom));
    own.Add(Measure(options, server.process, client, kInFlight, OwnRoom));
  }
  const double rate = Median(one.per_second);
  const double apart = Median(own.per_second);
  rows.push_back({"commands on one aggregate, 256 in flight", "1/s", rate, apart,
                  ">= 0.6 of 256 aggregates", rate >= 0.6 * apart});
}

void MeasureIdle(const Options& options, std::vector<Row>& rows) {
  testing::ServerProcess server(options.leftfold, options.data + "/idle");
  RoomClient client(server.write_address);
  client.Create(RoomId(0));
  const double megabytes = server.process.ResidentMegabytes();
  rows.push_back(
      {"idle resident memory", "MB", megabytes, std::nullopt, "< 64 MB", megabytes < 64});
}

}  // namespace leftfold::bench
