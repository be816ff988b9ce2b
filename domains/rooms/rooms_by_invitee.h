#ifndef DOMAINS_ROOMS_ROOMS_BY_INVITEE_H_
#define DOMAINS_ROOMS_ROOMS_BY_INVITEE_H_

#include <absl/status/statusor.h>

#include <string_view>

#include "core/view.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "leftfold/rooms/v1/queries.pb.h"

namespace leftfold::rooms {

// Which rooms somebody is invited to: one row an invitation.
struct RoomsByInvitee {
  static constexpr std::string_view kName = "rooms_by_invitee";
  static constexpr int kVersion = 1;
  static constexpr std::string_view kSchema = R"(
    CREATE TABLE room (
      room_id TEXT PRIMARY KEY NOT NULL,
      name TEXT NOT NULL,
      deleted INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE invitation (
      type TEXT NOT NULL,
      id TEXT NOT NULL,
      room_id TEXT NOT NULL,
      state INTEGER NOT NULL,
      deleted INTEGER NOT NULL,
      PRIMARY KEY (type, id, deleted, room_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX invitation_of_room ON invitation (room_id);
  )";
  using Handles =
      Types<v1::RoomCreated, v1::RoomRenamed, v1::RoomDeleted, v1::RoomRestored, v1::EntityInvited,
            v1::InvitationRevoked, v1::InvitationAccepted, v1::InvitationDeclined>;
  using Queries = Types<v1::ListRoomsForRequest>;
  using Watches = Types<>;

  static void On(const v1::RoomCreated& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RoomRenamed& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RoomDeleted& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RoomRestored& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::EntityInvited& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::InvitationRevoked& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::InvitationAccepted& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::InvitationDeclined& event, const EventMeta& meta, WriteTx& tx);

  static absl::StatusOr<v1::ListRoomsForResponse> Answer(const v1::ListRoomsForRequest& query,
                                                         ReadTx& tx);
};

}  // namespace leftfold::rooms
#endif  // DOMAINS_ROOMS_ROOMS_BY_INVITEE_H_
