#include "domains/rooms/invitation_mail.h"

#include <fmt/format.h>

#include "domains/rooms/room.h"

namespace leftfold::rooms {
namespace {

constexpr std::string_view kEmail = "email";

}  // namespace

absl::Status InvitationMail::React(const v1::EntityInvited& event, const EventMeta& meta,
                                   OwnTables& tables, Outbox& outbox) {
  const auto room = tables.Load<Room>(meta.aggregate_id());
  if (!room.ok()) return room.status();
  for (const v1::Invitee& invitee : event.invitees()) {
    if (invitee.type() != kEmail) continue;
    outbox.Mail(invitee.id(), fmt::format("Invitation to {}", room->name()),
                fmt::format("You are invited to the room {} ({}).\n\n{}", room->name(),
                            meta.aggregate_id(), room->description()));
  }
  return absl::OkStatus();
}

absl::Status InvitationMail::React(const v1::RoomDeleted&, const EventMeta& meta, OwnTables& tables,
                                   Outbox& outbox) {
  const auto room = tables.Load<Room>(meta.aggregate_id());
  if (!room.ok()) return room.status();
  for (const v1::Invitation& invitation : room->invitees()) {
    if (invitation.type() != kEmail) continue;
    if (invitation.state() == v1::INVITATION_STATE_DECLINED) continue;
    outbox.Mail(invitation.id(), fmt::format("{} is closed", room->name()),
                fmt::format("The room {} ({}) is closed; no further session begins in it.",
                            room->name(), meta.aggregate_id()));
  }
  return absl::OkStatus();
}

}  // namespace leftfold::rooms
