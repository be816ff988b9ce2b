#include <atomic>

#include "bench/rooms.h"
#include "bench/start_call.h"
#include "bench/sweep.h"
#include "core/status.h"
#include "leftfold/rooms/v1/queries.grpc.pb.h"

namespace leftfold::bench {
namespace {

// A client of the query service over several connections.
class QueryClient {
 public:
  explicit QueryClient(const std::string& address) {
    for (const auto& channel : Connect(address, kConnections)) {
      stubs_.push_back(rooms::v1::RoomQueryService::NewStub(channel));
    }
  }
  void Get(int caller, const std::string& room_id, std::function<void(bool ok)> done) {
    rooms::v1::GetRoomRequest request;
    request.set_room_id(room_id);
    StartCall(stubs_[static_cast<std::size_t>(caller) % stubs_.size()]->async(),
              &rooms::v1::RoomQueryService::Stub::async::GetRoom, std::move(request),
              Succeeded(std::move(done)));
  }

 private:
  std::vector<std::unique_ptr<rooms::v1::RoomQueryService::Stub>> stubs_;
};

Measured Get(const Options& options, const testing::ChildProcess& server, QueryClient& client) {
  static std::atomic<std::int64_t> serial = 0;
  return Measure(server, [&] {
    return ClosedLoop(kInFlight, options.WarmUp(), options.Duration(),
                      [&](int caller, std::function<void(bool)> done) {
                        client.Get(caller, RoomId(static_cast<int>(++serial % kRooms)),
                                   std::move(done));
                      });
  });
}

}  // namespace

void MeasureQueries(const Options& options, Report& report) {
  testing::ChildProcess empty({options.self, "--empty-server"});
  const std::string empty_address = empty.ValueAfter("commands listening on ");
  testing::ServerProcess server(options.leftfold, options.data + "/queries");
  RoomClient commands(server.write_address);
  fmt::print("queries: {} rooms, {} repeats of {} s …\n", kRooms, options.repeats, options.seconds);
  for (int room = 0; room < kRooms; ++room) commands.Create(RoomId(room));
  AwaitRest(server.process);
  QueryClient empty_client(empty_address), client(server.read_address);
  Repeats ceiling, ours;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    ceiling.Add(Get(options, empty, empty_client));
    ours.Add(Get(options, server.process, client));
  }
  report.rows.push_back(RowOf("GetRoom, 256 in flight", "1/s", ours.per_second, ceiling.per_second,
                              AtLeast(0.9, "of the empty RPC"), {ours.cpu_us, ceiling.cpu_us}));

  CheapClient empty_cheap(empty_address, kGetRoom, kConnections, ComposeGet());
  CheapClient cheap(server.read_address, kGetRoom, kConnections, ComposeGet());
  const Curves curves = SweepInFlight(options, {server.process, cheap}, {empty, empty_cheap});
  const Repeats& many = curves.ours.at(kInFlight);
  const Repeats& empty_many = curves.empty.at(kInFlight);
  report.rows.push_back(RowOf("GetRoom, 256 in flight, cheap client", "1/s", many.per_second,
                              empty_many.per_second, {}, {many.cpu_us, empty_many.cpu_us}));
  const std::string in_flight = "calls in flight (closed loop, cheap client)";
  PlotThroughput(curves, "queries", "GetRoom: throughput", in_flight, report);
  PlotLatency(curves, "queries", "GetRoom: latency", in_flight, report);
}

}  // namespace leftfold::bench
