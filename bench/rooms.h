#ifndef BENCH_ROOMS_H_
#define BENCH_ROOMS_H_

#include <string>

#include "bench/cheap_client.h"
#include "bench/load.h"
#include "bench/sections.h"
#include "event_store/event_store.h"
#include "leftfold/rooms/v1/commands.grpc.pb.h"
#include "testing/child_process.h"

namespace leftfold::bench {

inline constexpr int kConnections = 8;
inline constexpr int kRooms = 4'096;
inline constexpr int kInFlight = 256;

// A client of the command service over several connections.
class RoomClient {
 public:
  explicit RoomClient(const std::string& address);
  // Waits for the answer; ends the bench when it is an error.
  void Create(const std::string& room_id);
  // A rename with a name that no room had before, and with a fresh UUIDv7 as its command id.
  void Rename(int caller, const std::string& room_id, const std::string& name,
              std::function<void(bool ok)> done);

 private:
  std::vector<std::unique_ptr<rooms::v1::RoomCommandService::Stub>> stubs_;
};

std::string RoomId(int room);

// What the cheap client calls, and what with: rooms in turn, a rename with a new name and a fresh
// UUIDv7.
inline constexpr const char* kRenameRoom = "/leftfold.rooms.v1.RoomCommandService/RenameRoom";
inline constexpr const char* kGetRoom = "/leftfold.rooms.v1.RoomQueryService/GetRoom";
Compose ComposeRename();
Compose ComposeGet();

// Every room is created, then renamed until there are enough events.
void FillWithRooms(EventStore& store, int events);

}  // namespace leftfold::bench
#endif  // BENCH_ROOMS_H_
