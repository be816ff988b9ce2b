#ifndef BENCH_WATCH_CLIENTS_H_
#define BENCH_WATCH_CLIENTS_H_

#include <absl/time/time.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "leftfold/rooms/v1/queries.grpc.pb.h"

namespace leftfold::bench {

// Watchers of rooms over a few connections, which clock when they hear of each name that was sent.
// A watch delivers states, so a state with a later name tells of the earlier ones too.
class WatchClients {
 public:
  // Watcher i watches the room of the number rooms[i]. Returns when each has had its first state;
  // ends the bench when one ends.
  WatchClients(const std::string& address, const std::vector<int>& rooms);
  // Hangs up.
  ~WatchClients();

  // The room is about to be renamed to `serial`, which was to be done at this time; those of one
  // room rise.
  void Sent(int room, std::int64_t serial, absl::Time at);
  // Waits until every watcher has heard of the newest name of its room.
  void AwaitAll();
  // From that time to each watcher of the room, in milliseconds; and forgets them.
  std::vector<double> TakeLatenciesMs();

 private:
  class Stream;
  struct Room;

  std::vector<std::unique_ptr<rooms::v1::RoomQueryService::Stub>> stubs_;
  std::vector<std::unique_ptr<Room>> rooms_;
  std::atomic<int> started_ = 0;
  std::vector<std::unique_ptr<Stream>> streams_;
};

}  // namespace leftfold::bench
#endif  // BENCH_WATCH_CLIENTS_H_
