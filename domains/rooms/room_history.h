#ifndef DOMAINS_ROOMS_ROOM_HISTORY_H_
#define DOMAINS_ROOMS_ROOM_HISTORY_H_

#include <absl/status/statusor.h>

#include <string_view>

#include "core/view.h"
#include "domains/rooms/room.h"
#include "leftfold/rooms/v1/queries.pb.h"

namespace leftfold::rooms {

// What happened in each room: one row a recorded event, and the state after every so many of them,
// from which the room at any version is a short fold. Rows are appended in the log's order; only
// the narrow index of versions is written in the order of rooms.
struct RoomHistory {
  static constexpr std::string_view kName = "room_history";
  static constexpr int kVersion = 2;
  static constexpr std::string_view kSchema = R"(
    CREATE TABLE room (
      id INTEGER PRIMARY KEY,  -- Position of the room's first event.
      room_id TEXT NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE event (
      position INTEGER PRIMARY KEY,
      recorded BLOB NOT NULL  -- leftfold.core.v1.RecordedEvent.
    ) STRICT;
    CREATE TABLE version (
      room INTEGER NOT NULL REFERENCES room,
      version INTEGER NOT NULL,
      position INTEGER NOT NULL REFERENCES event,
      PRIMARY KEY (room, version)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE state (
      room INTEGER NOT NULL REFERENCES room,
      version INTEGER NOT NULL,
      state BLOB NOT NULL,
      PRIMARY KEY (room, version)
    ) STRICT, WITHOUT ROWID;
  )";
  using Handles = StoredEvents<Room>;  // As they were recorded, the old ones too.
  using Queries = Types<v1::ListRoomEventsRequest, v1::GetRoomAtRequest>;
  using Watches = Types<>;

  // A state is kept after every so many events, so that a fold is never longer.
  static constexpr std::int64_t kEventsPerState = 256;

  template <class Event>
  static void On(const Event&, const EventMeta& meta, WriteTx& tx) {
    Record(meta, tx);
  }

  static absl::StatusOr<v1::ListRoomEventsResponse> Answer(const v1::ListRoomEventsRequest& query,
                                                           ReadTx& tx);
  static absl::StatusOr<v1::GetRoomAtResponse> Answer(const v1::GetRoomAtRequest& query,
                                                      ReadTx& tx);

 private:
  static void Record(const EventMeta& meta, WriteTx& tx);
};

}  // namespace leftfold::rooms
#endif  // DOMAINS_ROOMS_ROOM_HISTORY_H_
