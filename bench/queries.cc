#include <atomic>

#include "bench/rooms.h"
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
    struct Pending {
      grpc::ClientContext context;
      rooms::v1::GetRoomRequest request;
      rooms::v1::GetRoomResponse response;
    };
    auto pending = std::make_shared<Pending>();
    pending->request.set_room_id(room_id);
    stubs_[static_cast<std::size_t>(caller) % stubs_.size()]->async()->GetRoom(
        &pending->context, &pending->request, &pending->response,
        [pending, done = std::move(done)](const grpc::Status& status) { done(status.ok()); });
  }

 private:
  std::vector<std::unique_ptr<rooms::v1::RoomQueryService::Stub>> stubs_;
};

LoadResult Measure(const Options& options, QueryClient& client) {
  static std::atomic<std::int64_t> serial = 0;
  const LoadResult load =
      ClosedLoop(kInFlight, absl::Seconds(options.seconds / 3), absl::Seconds(options.seconds),
                 [&](int caller, std::function<void(bool)> done) {
                   client.Get(caller, RoomId(static_cast<int>(++serial % kRooms)), std::move(done));
                 });
  if (load.failures > 0) Die(fmt::format("{} queries failed", load.failures));
  return load;
}

}  // namespace

void MeasureQueries(const Options& options, std::vector<Row>& rows) {
  testing::ChildProcess empty({options.self, "--empty-server"});
  QueryClient empty_client(empty.ValueAfter("commands listening on "));
  testing::ServerProcess server(options.leftfold, options.data + "/queries");
  RoomClient commands(server.write_address);
  QueryClient client(server.read_address);
  fmt::print("queries: {} rooms, {} repeats of {} s …\n", kRooms, options.repeats, options.seconds);
  for (int room = 0; room < kRooms; ++room) commands.Create(RoomId(room));
  AwaitRest(server.process);
  std::vector<double> ceiling, ours;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    ceiling.push_back(Measure(options, empty_client).per_second);
    ours.push_back(Measure(options, client).per_second);
  }
  const double rate = Median(ours);
  rows.push_back({"GetRoom, 256 in flight", "1/s", rate, Median(ceiling), ">= 0.8 of the empty RPC",
                  rate >= 0.8 * Median(ceiling)});
}

}  // namespace leftfold::bench
