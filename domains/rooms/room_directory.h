#ifndef DOMAINS_ROOMS_ROOM_DIRECTORY_H_
#define DOMAINS_ROOMS_ROOM_DIRECTORY_H_

#include <absl/functional/function_ref.h>
#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/view.h"
#include "domains/rooms/room.h"
#include "domains/rooms/room_fold.h"
#include "leftfold/rooms/v1/queries.pb.h"

namespace leftfold::rooms {

// The rooms as documents: one row a room, ready to be sent.
struct RoomDirectory {
  static constexpr std::string_view kName = "room_directory";
  static constexpr int kVersion = 1;
  static constexpr std::string_view kSchema = R"(
    CREATE TABLE room (
      room_id TEXT PRIMARY KEY NOT NULL,
      deleted INTEGER NOT NULL,
      document BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX room_in_use ON room (room_id) WHERE deleted = 0;
  )";
  using Handles = Room::Events;
  using Queries = Types<v1::GetRoomRequest, v1::ListRoomsRequest>;
  using Watches = Types<v1::WatchRoomRequest, v1::WatchRoomsRequest>;

  template <class Event>
  static void On(const Event& event, const EventMeta& meta, WriteTx& tx) {
    Change(meta, tx, [&](v1::Room& room) { fold::Apply(room, event); });
  }
  static void On(const v1::RoomCreated& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RoomDeleted& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RoomRestored& event, const EventMeta& meta, WriteTx& tx);

  static absl::StatusOr<v1::GetRoomResponse> Answer(const v1::GetRoomRequest& query, ReadTx& tx);
  static std::string Stream(const v1::GetRoomRequest& query) {
    return StreamName(Room::kCategory, query.room_id());
  }
  static absl::StatusOr<v1::ListRoomsResponse> Answer(const v1::ListRoomsRequest& query,
                                                      ReadTx& tx);

  static std::string Key(const v1::WatchRoomRequest& watch) { return watch.room_id(); }
  static absl::StatusOr<v1::WatchRoomResponse> Answer(const v1::WatchRoomRequest& watch,
                                                      ReadTx& tx);

  static bool Matches(const v1::WatchRoomsRequest& watch, std::string_view key, ReadTx& tx);
  static std::vector<std::string> Keys(const v1::WatchRoomsRequest& watch, std::string_view after,
                                       int limit, ReadTx& tx);
  static absl::StatusOr<v1::WatchRoomsResponse> Answer(const v1::WatchRoomsRequest& watch,
                                                       std::string_view key, ReadTx& tx);

 private:
  // Loads the event's room, lets `change` change it, stores it.
  static void Change(const EventMeta& meta, WriteTx& tx, absl::FunctionRef<void(v1::Room&)> change);
};

}  // namespace leftfold::rooms
#endif  // DOMAINS_ROOMS_ROOM_DIRECTORY_H_
