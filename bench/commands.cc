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

// Which room a caller renames with its n-th command of all.
using RoomOf = int (*)(int caller, std::int64_t n);
int NextRoom(int, std::int64_t n) { return static_cast<int>(n % kRooms); }
int OneRoom(int, std::int64_t) { return 0; }
int OwnRoom(int caller, std::int64_t) { return caller; }

Measured Rename(const Options& options, const testing::ChildProcess& server, RoomClient& client,
                int in_flight, RoomOf room_of = NextRoom) {
  static std::atomic<std::int64_t> serial = 0;
  return Measure(server, [&] {
    return ClosedLoop(in_flight, options.WarmUp(), options.Duration(),
                      [&](int caller, std::function<void(bool)> done) {
                        const std::int64_t n = ++serial;
                        client.Rename(caller, RoomId(room_of(caller, n)), fmt::format("Oak {}", n),
                                      std::move(done));
                      });
  });
}

}  // namespace

void MeasureCommands(const Options& options, Report& report) {
  testing::ChildProcess empty({options.self, "--empty-server"});
  RoomClient empty_client(empty.ValueAfter("commands listening on "));
  testing::ChildProcess synced({options.self, "--empty-server", "--data", options.data});
  RoomClient synced_client(synced.ValueAfter("commands listening on "));
  testing::ServerProcess server(options.leftfold, options.data + "/commands");
  RoomClient client(server.write_address);
  testing::ServerProcess writer(
      testing::ServerProcess::CommandOf(options.leftfold, options.data + "/write_role", "write"));
  RoomClient writer_client(writer.write_address);
  fmt::print("commands: {} rooms, {} repeats of {} s …\n", kRooms, options.repeats,
             options.seconds);
  for (int room = 0; room < kRooms; ++room) {
    client.Create(RoomId(room));
    writer_client.Create(RoomId(room));
  }
  Repeats empty_many, synced_many, writer_many, ours_many, empty_one, synced_one, writer_one,
      ours_one;
  std::vector<double> sync_us, floor_us;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    empty_many.Add(Rename(options, empty, empty_client, kInFlight));
    synced_many.Add(Rename(options, synced, synced_client, kInFlight));
    writer_many.Add(Rename(options, writer.process, writer_client, kInFlight));
    ours_many.Add(Rename(options, server.process, client, kInFlight));
    empty_one.Add(Rename(options, empty, empty_client, 1));
    synced_one.Add(Rename(options, synced, synced_client, 1));
    sync_us.push_back(SyncMicros(options.data));
    floor_us.push_back(empty_one.p50_us.back() + sync_us.back());
    writer_one.Add(Rename(options, writer.process, writer_client, 1));
    ours_one.Add(Rename(options, server.process, client, 1));
  }
  report.rows.push_back(RowOf("durable commands, 256 in flight", "1/s", ours_many.per_second,
                              empty_many.per_second, AtLeast(0.9, "of the empty RPC"),
                              {ours_many.cpu_us, empty_many.cpu_us}));
  report.rows.push_back(RowOf("durable commands, write role alone, 256 in flight", "1/s",
                              writer_many.per_second, empty_many.per_second, {},
                              {writer_many.cpu_us, empty_many.cpu_us}));
  report.rows.push_back(RowOf("empty RPC, its group written + synced, 256 in flight", "1/s",
                              synced_many.per_second, empty_many.per_second, {},
                              {synced_many.cpu_us, empty_many.cpu_us}));
  report.rows.push_back(RowOf("command p50, 1 in flight", "us", ours_one.p50_us, floor_us,
                              AtMost(1.15, "of RPC + fdatasync"),
                              {ours_one.cpu_us, empty_one.cpu_us}));
  report.rows.push_back(RowOf("command p50, write role alone, 1 in flight", "us", writer_one.p50_us,
                              floor_us, {}, {writer_one.cpu_us, empty_one.cpu_us}));
  report.rows.push_back(RowOf("empty RPC, written + synced, p50, 1 in flight", "us",
                              synced_one.p50_us, floor_us, {},
                              {synced_one.cpu_us, empty_one.cpu_us}));
  report.rows.push_back(RowOf("write + fdatasync of 4 KiB, p50", "us", sync_us, {}));
}

void MeasureHot(const Options& options, Report& report) {
  testing::ServerProcess server(options.leftfold, options.data + "/hot");
  RoomClient client(server.write_address);
  fmt::print("hot: {} clients on one room and on as many rooms, {} repeats of {} s …\n", kInFlight,
             options.repeats, options.seconds);
  for (int room = 0; room < kInFlight; ++room) client.Create(RoomId(room));
  Repeats one, own;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    one.Add(Rename(options, server.process, client, kInFlight, OneRoom));
    own.Add(Rename(options, server.process, client, kInFlight, OwnRoom));
  }
  report.rows.push_back(RowOf("commands on one aggregate, 256 in flight", "1/s", one.per_second,
                              own.per_second, AtLeast(0.8, "of 256 aggregates"),
                              {one.cpu_us, own.cpu_us}));
}

void MeasureIdle(const Options& options, Report& report) {
  testing::ChildProcess empty({options.self, "--empty-server"});
  RoomClient empty_client(empty.ValueAfter("commands listening on "));
  testing::ServerProcess server(options.leftfold, options.data + "/idle");
  RoomClient client(server.write_address);
  client.Create(RoomId(0));
  report.rows.push_back(RowOf("idle resident memory", "MB", {server.process.ResidentMegabytes()},
                              {empty.ResidentMegabytes()}, Below(48, "MB")));
}

}  // namespace leftfold::bench
