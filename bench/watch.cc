#include <absl/strings/numbers.h>
#include <absl/time/clock.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "bench/rooms.h"
#include "core/status.h"
#include "leftfold/rooms/v1/queries.grpc.pb.h"

namespace leftfold::bench {
namespace {

constexpr int kWatchedRooms = 20;
constexpr int kCommandsPerSecond = 2'000;

// Renames room r to "<serial>" at a steady pace whatever the answers do (open loop), and clocks
// when its watcher hears of each serial. A watch delivers states, so a state with a later serial
// tells of the earlier ones too.
class WatchedRoom {
 public:
  WatchedRoom(const std::string& address, const std::string& room_id)
      : stub_(rooms::v1::RoomQueryService::NewStub(Connect(address, 1).front())) {
    request_.set_room_id(room_id);
    reader_ = std::jthread([this] { Read(); });
  }
  void Sent(std::int64_t serial) {
    const std::lock_guard lock(mu_);
    sent_.emplace_back(serial, absl::Now());
  }
  bool Ready() const { return ready_; }
  std::vector<double> Finish() {
    context_.TryCancel();
    reader_.join();
    return std::move(latencies_ms_);
  }
  std::size_t Waiting() {
    const std::lock_guard lock(mu_);
    return sent_.size();
  }

 private:
  void Read() {
    const auto reader = stub_->WatchRoom(&context_, request_);
    rooms::v1::WatchRoomResponse state;
    while (reader->Read(&state)) {
      ready_ = true;
      std::int64_t serial = -1;
      if (!absl::SimpleAtoi(state.room().name(), &serial)) continue;
      const absl::Time now = absl::Now();
      const std::lock_guard lock(mu_);
      while (!sent_.empty() && sent_.front().first <= serial) {
        latencies_ms_.push_back(absl::ToDoubleMilliseconds(now - sent_.front().second));
        sent_.erase(sent_.begin());
      }
    }
  }

  std::unique_ptr<rooms::v1::RoomQueryService::Stub> stub_;
  rooms::v1::WatchRoomRequest request_;
  grpc::ClientContext context_;
  std::mutex mu_;
  std::vector<std::pair<std::int64_t, absl::Time>> sent_;
  std::vector<double> latencies_ms_;
  std::atomic<bool> ready_ = false;
  std::jthread reader_;
};

void SendSteadily(const Options& options, RoomClient& client,
                  std::vector<std::unique_ptr<WatchedRoom>>& watched) {
  const auto commands =
      static_cast<std::int64_t>(options.seconds * options.repeats * kCommandsPerSecond);
  std::atomic<std::int64_t> answered = 0;
  const absl::Time start = absl::Now();
  for (std::int64_t serial = 0; serial < commands; ++serial) {
    const absl::Duration due = absl::Seconds(1) * static_cast<double>(serial) / kCommandsPerSecond;
    if (const absl::Duration early = start + due - absl::Now(); early > absl::ZeroDuration())
      absl::SleepFor(early);
    const int room = static_cast<int>(serial % kWatchedRooms);
    watched[static_cast<std::size_t>(room)]->Sent(serial);
    client.Rename(room, RoomId(room), fmt::to_string(serial), [&](bool) { ++answered; });
  }
  while (answered < commands) absl::SleepFor(absl::Milliseconds(1));
}

}  // namespace

void MeasureWatch(const Options& options, std::vector<Row>& rows) {
  testing::ServerProcess server(options.leftfold, options.data + "/watch");
  RoomClient client(server.write_address);
  fmt::print("watch: {} watched rooms, {} commands/s …\n", kWatchedRooms, kCommandsPerSecond);
  std::vector<std::unique_ptr<WatchedRoom>> watched;
  for (int room = 0; room < kWatchedRooms; ++room) client.Create(RoomId(room));
  absl::SleepFor(
      absl::Milliseconds(500));  // A watch of a room that the view does not know yet is NOT_FOUND.
  for (int room = 0; room < kWatchedRooms; ++room) {
    watched.push_back(std::make_unique<WatchedRoom>(server.read_address, RoomId(room)));
    while (!watched.back()->Ready()) absl::SleepFor(absl::Milliseconds(1));
  }
  SendSteadily(options, client, watched);
  absl::SleepFor(absl::Seconds(1));
  std::vector<double> latencies;
  std::size_t lost = 0;
  for (auto& room : watched) {
    lost += room->Waiting();
    const std::vector<double> of_room = room->Finish();
    latencies.insert(latencies.end(), of_room.begin(), of_room.end());
  }
  if (lost > 0) Die(fmt::format("{} changes were never delivered", lost));
  const double p99 = Percentile(latencies, 0.99);
  rows.push_back(
      {"command -> watch delivery p99, 2000/s", "ms", p99, std::nullopt, "< 20 ms", p99 < 20});
  rows.push_back({"command -> watch delivery p50, 2000/s", "ms", Percentile(latencies, 0.5),
                  std::nullopt, "", true});
}

}  // namespace leftfold::bench
