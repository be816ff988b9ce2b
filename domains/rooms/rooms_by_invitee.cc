#include "domains/rooms/rooms_by_invitee.h"

#include <fmt/format.h>

#include <string>

#include "core/page.h"
#include "core/reject.h"
#include "domains/rooms/room.h"

namespace leftfold::rooms {
namespace {

void SetDeleted(bool deleted, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE room SET deleted = ? WHERE room_id = ?", deleted, meta.aggregate_id());
  tx.Exec("UPDATE invitation SET deleted = ? WHERE room_id = ?", deleted, meta.aggregate_id());
}

// Invitations change while the room is in use only.
template <class Event>
void SetStateOfInvitee(const Event& event, v1::InvitationState state, const EventMeta& meta,
                       WriteTx& tx) {
  tx.Exec(
      "UPDATE invitation SET state = ? WHERE type = ? AND id = ? AND deleted = 0 AND room_id = ?",
      static_cast<std::int32_t>(state), event.type(), event.id(), meta.aggregate_id());
}

}  // namespace

void RoomsByInvitee::On(const v1::RoomCreated& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("INSERT OR REPLACE INTO room (room_id, name, deleted) VALUES (?, ?, 0)",
          meta.aggregate_id(), event.name());
}

void RoomsByInvitee::On(const v1::RoomRenamed& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE room SET name = ? WHERE room_id = ?", event.name(), meta.aggregate_id());
}

void RoomsByInvitee::On(const v1::RoomDeleted&, const EventMeta& meta, WriteTx& tx) {
  SetDeleted(true, meta, tx);
}

void RoomsByInvitee::On(const v1::RoomRestored&, const EventMeta& meta, WriteTx& tx) {
  SetDeleted(false, meta, tx);
}

void RoomsByInvitee::On(const v1::EntityInvited& event, const EventMeta& meta, WriteTx& tx) {
  for (const v1::Invitee& invitee : event.invitees()) {
    tx.Exec(
        "INSERT OR REPLACE INTO invitation (type, id, room_id, state, deleted) "
        "VALUES (?, ?, ?, ?, 0)",
        invitee.type(), invitee.id(), meta.aggregate_id(),
        static_cast<std::int32_t>(v1::INVITATION_STATE_INVITED));
  }
}

void RoomsByInvitee::On(const v1::InvitationRevoked& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("DELETE FROM invitation WHERE type = ? AND id = ? AND deleted = 0 AND room_id = ?",
          event.type(), event.id(), meta.aggregate_id());
}

void RoomsByInvitee::On(const v1::InvitationAccepted& event, const EventMeta& meta, WriteTx& tx) {
  SetStateOfInvitee(event, v1::INVITATION_STATE_ACCEPTED, meta, tx);
}

void RoomsByInvitee::On(const v1::InvitationDeclined& event, const EventMeta& meta, WriteTx& tx) {
  SetStateOfInvitee(event, v1::INVITATION_STATE_DECLINED, meta, tx);
}

absl::StatusOr<v1::ListRoomsForResponse> RoomsByInvitee::Answer(
    const v1::ListRoomsForRequest& query, ReadTx& tx) {
  Violations violations;
  if (!IsInviteeType(query.type())) {
    violations.Add(v1::ERROR_REASON_INVALID_INVITEE_TYPE, "type", "must be user, group or email",
                   {{"type", query.type()}});
  }
  if (!IsForeignId(query.id())) {
    violations.Add(
        v1::ERROR_REASON_INVALID_INVITEE_ID, "id",
        fmt::format("must have 1 to {} bytes without control characters", kForeignIdBytesMax),
        {{"maximum", fmt::to_string(kForeignIdBytesMax)}});
  }
  if (!violations.empty()) return violations.ToStatus();
  const absl::StatusOr<Page> page = Page::Of(query);
  if (!page.ok()) return page.status();
  v1::ListRoomsForResponse response;
  Rows rows = tx.Query(
      "SELECT i.room_id, r.name, i.state FROM invitation AS i JOIN room AS r USING (room_id) "
      "WHERE i.type = ? AND i.id = ? AND i.deleted = 0 AND i.room_id > ? "
      "ORDER BY i.room_id LIMIT ?",
      query.type(), query.id(), page->after(), page->size() + 1);
  while (rows.Next()) {
    if (response.invitations_size() == page->size()) {
      response.set_next_page_token(page->TokenAfter(response.invitations().rbegin()->room_id()));
      break;
    }
    v1::RoomInvitation& invitation = *response.add_invitations();
    invitation.set_room_id(rows.Text(0));
    invitation.set_name(rows.Text(1));
    invitation.set_state(static_cast<v1::InvitationState>(rows.Int(2)));
  }
  return response;
}

}  // namespace leftfold::rooms
