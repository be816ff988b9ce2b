#include "bench/watch_clients.h"

#include <absl/strings/numbers.h>
#include <absl/time/clock.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "bench/rooms.h"
#include "core/status.h"
#include "testing/watch_stream.h"

namespace leftfold::bench {

struct WatchClients::Room {
  std::mutex mu;
  std::vector<std::pair<std::int64_t, absl::Time>> sent;
};

class WatchClients::Stream {
 public:
  Stream(WatchClients& all, rooms::v1::RoomQueryService::Stub& stub, int number, Room& room)
      : all_(all),
        room_(room),
        watch_(
            RequestOf(number),
            [&](auto* context, auto* request, auto* reactor) {
              stub.async()->WatchRoom(context, request, reactor);
            },
            [this](const rooms::v1::WatchRoomResponse& state) { Hear(state, absl::Now()); },
            [](const grpc::Status& status) {
              Die(fmt::format("a watch ended: {}", status.error_message()));
            }) {
    watch_.Read();
  }
  void Close() { watch_.Close(); }
  bool HasAll() {
    const std::scoped_lock lock(room_.mu, mu_);
    return heard_ == room_.sent.size();
  }
  std::vector<double> Take() {
    const std::lock_guard lock(mu_);
    return std::exchange(latencies_ms_, {});
  }

 private:
  static rooms::v1::WatchRoomRequest RequestOf(int number) {
    rooms::v1::WatchRoomRequest request;
    request.set_room_id(RoomId(number));
    return request;
  }
  void Hear(const rooms::v1::WatchRoomResponse& state, absl::Time now) {
    if (!std::exchange(started_, true)) ++all_.started_;
    std::int64_t serial = -1;
    if (!absl::SimpleAtoi(state.room().name(), &serial)) return;
    const std::scoped_lock lock(room_.mu, mu_);
    for (; heard_ < room_.sent.size() && room_.sent[heard_].first <= serial; ++heard_) {
      latencies_ms_.push_back(absl::ToDoubleMilliseconds(now - room_.sent[heard_].second));
    }
  }

  WatchClients& all_;
  Room& room_;
  bool started_ = false;
  std::mutex mu_;
  std::size_t heard_ = 0;  // Of room_.sent.
  std::vector<double> latencies_ms_;
  // Last: it calls while the others are there.
  testing::WatchStream<rooms::v1::WatchRoomRequest, rooms::v1::WatchRoomResponse> watch_;
};

WatchClients::WatchClients(const std::string& address, const std::vector<int>& rooms) {
  for (const auto& channel : Connect(address, kConnections)) {
    stubs_.push_back(rooms::v1::RoomQueryService::NewStub(channel));
  }
  const int last = rooms.empty() ? -1 : *std::max_element(rooms.begin(), rooms.end());
  for (int room = 0; room <= last; ++room) rooms_.push_back(std::make_unique<Room>());
  for (std::size_t i = 0; i < rooms.size(); ++i) {
    streams_.push_back(std::make_unique<Stream>(*this, *stubs_[i % stubs_.size()], rooms[i],
                                                *rooms_[static_cast<std::size_t>(rooms[i])]));
  }
  while (started_ < static_cast<int>(rooms.size())) absl::SleepFor(absl::Milliseconds(1));
}

WatchClients::~WatchClients() {
  for (const auto& stream : streams_) stream->Close();
}

void WatchClients::Sent(int room, std::int64_t serial, absl::Time at) {
  Room& to = *rooms_[static_cast<std::size_t>(room)];
  const std::lock_guard lock(to.mu);
  to.sent.emplace_back(serial, at);
}

void WatchClients::AwaitAll() {
  constexpr absl::Duration kPatience = absl::Seconds(60);
  const absl::Time end = absl::Now() + kPatience;
  for (const auto& stream : streams_) {
    while (!stream->HasAll()) {
      if (absl::Now() > end) Die("changes were never delivered");
      absl::SleepFor(absl::Milliseconds(1));
    }
  }
}

std::vector<double> WatchClients::TakeLatenciesMs() {
  std::vector<double> all;
  for (const auto& stream : streams_) {
    const std::vector<double> of_one = stream->Take();
    all.insert(all.end(), of_one.begin(), of_one.end());
  }
  return all;
}

}  // namespace leftfold::bench
