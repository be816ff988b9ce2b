#ifndef DOMAINS_ROOMS_ROOM_FACTS_H_
#define DOMAINS_ROOMS_ROOM_FACTS_H_

#include <absl/status/statusor.h>

#include <string_view>

#include "core/view.h"
#include "domains/rooms/room.h"
#include "leftfold/rooms/v1/queries.pb.h"

namespace leftfold::rooms {

// Rooms in numbers, in flat rows as a warehouse wants them; deleted ones stay.
struct RoomFacts {
  static constexpr std::string_view kName = "room_facts";
  static constexpr int kVersion = 1;
  static constexpr std::string_view kSchema = R"(
    CREATE TABLE room (
      room_id TEXT PRIMARY KEY NOT NULL,
      name TEXT NOT NULL,
      deleted INTEGER NOT NULL DEFAULT 0,
      schedules INTEGER NOT NULL DEFAULT 0,
      invitations INTEGER NOT NULL DEFAULT 0,
      accepted INTEGER NOT NULL DEFAULT 0,
      declined INTEGER NOT NULL DEFAULT 0,
      sessions_started INTEGER NOT NULL DEFAULT 0,
      version INTEGER NOT NULL,
      created_at INTEGER NOT NULL,  -- Unix microseconds.
      updated_at INTEGER NOT NULL   -- Unix microseconds.
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE invitation (
      room_id TEXT NOT NULL,
      type TEXT NOT NULL,
      id TEXT NOT NULL,
      state INTEGER NOT NULL,
      PRIMARY KEY (room_id, type, id)
    ) STRICT, WITHOUT ROWID;
  )";
  using Handles = Room::Events;
  using Queries = Types<v1::ListRoomFactsRequest>;
  using Watches = Types<>;

  static void On(const v1::RoomCreated& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RoomRenamed& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RoomDescriptionChanged& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RoomDeleted& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RoomRestored& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::SessionScheduled& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::SessionRescheduled& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::SessionCancelled& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::EntityInvited& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::InvitationRevoked& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::InvitationAccepted& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::InvitationDeclined& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::ExternalRoomLinked& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::SessionStarted& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::SessionEnded& event, const EventMeta& meta, WriteTx& tx);

  static absl::StatusOr<v1::ListRoomFactsResponse> Answer(const v1::ListRoomFactsRequest& query,
                                                          ReadTx& tx);
};

}  // namespace leftfold::rooms
#endif  // DOMAINS_ROOMS_ROOM_FACTS_H_
