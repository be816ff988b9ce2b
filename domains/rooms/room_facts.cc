#include "domains/rooms/room_facts.h"

#include "core/page.h"
#include "core/timestamp.h"

namespace leftfold::rooms {
namespace {

std::int64_t UpdatedAt(const EventMeta& meta) { return absl::ToUnixMicros(meta.recorded_at()); }

// What every event changes; each statement below that changes the room does it too.
void Stamp(const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE room SET version = ?, updated_at = ? WHERE room_id = ?", meta.version(),
          UpdatedAt(meta), meta.aggregate_id());
}

template <class Event>
void SetStateOfInvitation(const Event& event, v1::InvitationState state, const EventMeta& meta,
                          WriteTx& tx) {
  tx.Exec("UPDATE invitation SET state = ? WHERE room_id = ? AND type = ? AND id = ?",
          static_cast<std::int32_t>(state), meta.aggregate_id(), event.type(), event.id());
}

// A room has at most kInviteesMax invitations.
void CountInvitations(const EventMeta& meta, WriteTx& tx) {
  std::int64_t total = 0;
  std::int64_t accepted = 0;
  std::int64_t declined = 0;
  for (Rows rows = tx.Query("SELECT state FROM invitation WHERE room_id = ?", meta.aggregate_id());
       rows.Next(); ++total) {
    if (rows.Int(0) == v1::INVITATION_STATE_ACCEPTED) ++accepted;
    if (rows.Int(0) == v1::INVITATION_STATE_DECLINED) ++declined;
  }
  tx.Exec(
      "UPDATE room SET invitations = ?, accepted = ?, declined = ?, version = ?, updated_at = ? "
      "WHERE room_id = ?",
      total, accepted, declined, meta.version(), UpdatedAt(meta), meta.aggregate_id());
}

}  // namespace

void RoomFacts::On(const v1::RoomCreated& event, const EventMeta& meta, WriteTx& tx) {
  const std::int64_t now = absl::ToUnixMicros(meta.recorded_at());
  tx.Exec(
      "INSERT OR REPLACE INTO room (room_id, name, version, created_at, updated_at) "
      "VALUES (?, ?, ?, ?, ?)",
      meta.aggregate_id(), event.name(), meta.version(), now, now);
}

void RoomFacts::On(const v1::RoomRenamed& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE room SET name = ?, version = ?, updated_at = ? WHERE room_id = ?", event.name(),
          meta.version(), UpdatedAt(meta), meta.aggregate_id());
}

void RoomFacts::On(const v1::RoomDescriptionChanged&, const EventMeta& meta, WriteTx& tx) {
  Stamp(meta, tx);
}

void RoomFacts::On(const v1::RoomDeleted&, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE room SET deleted = 1, version = ?, updated_at = ? WHERE room_id = ?",
          meta.version(), UpdatedAt(meta), meta.aggregate_id());
}

void RoomFacts::On(const v1::RoomRestored&, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE room SET deleted = 0, version = ?, updated_at = ? WHERE room_id = ?",
          meta.version(), UpdatedAt(meta), meta.aggregate_id());
}

void RoomFacts::On(const v1::SessionScheduled&, const EventMeta& meta, WriteTx& tx) {
  tx.Exec(
      "UPDATE room SET schedules = schedules + 1, version = ?, updated_at = ? WHERE room_id = ?",
      meta.version(), UpdatedAt(meta), meta.aggregate_id());
}

void RoomFacts::On(const v1::SessionRescheduled&, const EventMeta& meta, WriteTx& tx) {
  Stamp(meta, tx);
}

void RoomFacts::On(const v1::SessionCancelled&, const EventMeta& meta, WriteTx& tx) {
  tx.Exec(
      "UPDATE room SET schedules = schedules - 1, version = ?, updated_at = ? WHERE room_id = ?",
      meta.version(), UpdatedAt(meta), meta.aggregate_id());
}

void RoomFacts::On(const v1::EntityInvited& event, const EventMeta& meta, WriteTx& tx) {
  for (const v1::Invitee& invitee : event.invitees()) {
    tx.Exec("INSERT OR REPLACE INTO invitation (room_id, type, id, state) VALUES (?, ?, ?, ?)",
            meta.aggregate_id(), invitee.type(), invitee.id(),
            static_cast<std::int32_t>(v1::INVITATION_STATE_INVITED));
  }
  CountInvitations(meta, tx);
}

void RoomFacts::On(const v1::InvitationRevoked& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("DELETE FROM invitation WHERE room_id = ? AND type = ? AND id = ?", meta.aggregate_id(),
          event.type(), event.id());
  CountInvitations(meta, tx);
}

void RoomFacts::On(const v1::InvitationAccepted& event, const EventMeta& meta, WriteTx& tx) {
  SetStateOfInvitation(event, v1::INVITATION_STATE_ACCEPTED, meta, tx);
  CountInvitations(meta, tx);
}

void RoomFacts::On(const v1::InvitationDeclined& event, const EventMeta& meta, WriteTx& tx) {
  SetStateOfInvitation(event, v1::INVITATION_STATE_DECLINED, meta, tx);
  CountInvitations(meta, tx);
}

void RoomFacts::On(const v1::ExternalRoomLinked&, const EventMeta& meta, WriteTx& tx) {
  Stamp(meta, tx);
}

void RoomFacts::On(const v1::SessionStarted&, const EventMeta& meta, WriteTx& tx) {
  tx.Exec(
      "UPDATE room SET sessions_started = sessions_started + 1, version = ?, updated_at = ? WHERE "
      "room_id = ?",
      meta.version(), UpdatedAt(meta), meta.aggregate_id());
}

void RoomFacts::On(const v1::SessionEnded&, const EventMeta& meta, WriteTx& tx) { Stamp(meta, tx); }

absl::StatusOr<v1::ListRoomFactsResponse> RoomFacts::Answer(const v1::ListRoomFactsRequest& query,
                                                            ReadTx& tx) {
  const absl::StatusOr<Page> page = Page::Of(query);
  if (!page.ok()) return page.status();
  v1::ListRoomFactsResponse response;
  Rows rows = tx.Query(
      "SELECT room_id, name, deleted, schedules, invitations, accepted, declined, "
      "sessions_started, version, created_at, updated_at "
      "FROM room WHERE room_id > ? ORDER BY room_id LIMIT ?",
      page->after(), page->size() + 1);
  while (rows.Next()) {
    if (response.facts_size() == page->size()) {
      response.set_next_page_token(page->TokenAfter(response.facts().rbegin()->room_id()));
      break;
    }
    v1::RoomFacts& facts = *response.add_facts();
    facts.set_room_id(rows.Text(0));
    facts.set_name(rows.Text(1));
    facts.set_deleted(rows.Int(2) != 0);
    facts.set_schedules(static_cast<std::int32_t>(rows.Int(3)));
    facts.set_invitations(static_cast<std::int32_t>(rows.Int(4)));
    facts.set_accepted(static_cast<std::int32_t>(rows.Int(5)));
    facts.set_declined(static_cast<std::int32_t>(rows.Int(6)));
    facts.set_sessions_started(static_cast<std::int32_t>(rows.Int(7)));
    facts.set_version(rows.Int(8));
    *facts.mutable_created_at() = ToProto(absl::FromUnixMicros(rows.Int(9)));
    *facts.mutable_updated_at() = ToProto(absl::FromUnixMicros(rows.Int(10)));
  }
  return response;
}

}  // namespace leftfold::rooms
