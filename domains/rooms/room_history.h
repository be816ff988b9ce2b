#ifndef DOMAINS_ROOMS_ROOM_HISTORY_H_
#define DOMAINS_ROOMS_ROOM_HISTORY_H_

#include <absl/status/statusor.h>

#include <string_view>

#include "core/view.h"
#include "domains/rooms/room.h"
#include "leftfold/rooms/v1/queries.pb.h"

namespace leftfold::rooms {

// What happened in each room: one row a recorded event, and the state after every so many of them,
// from which the room at any version is a short fold.
struct RoomHistory {
  static constexpr std::string_view kName = "room_history";
  static constexpr int kVersion = 1;
  static constexpr std::string_view kSchema = R"(
    CREATE TABLE event (
      room_id TEXT NOT NULL,
      version INTEGER NOT NULL,
      type TEXT NOT NULL,
      payload BLOB NOT NULL,
      recorded_at INTEGER NOT NULL,  -- Unix microseconds.
      recorded BLOB NOT NULL,        -- leftfold.core.v1.RecordedEvent.
      PRIMARY KEY (room_id, version)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE state (
      room_id TEXT NOT NULL,
      version INTEGER NOT NULL,
      state BLOB NOT NULL,
      PRIMARY KEY (room_id, version)
    ) STRICT, WITHOUT ROWID;
  )";
  using Handles = Room::Events;
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
