#ifndef DOMAINS_ROOMS_INVITATION_MAIL_H_
#define DOMAINS_ROOMS_INVITATION_MAIL_H_

#include <string_view>

#include "core/reactor.h"
#include "leftfold/rooms/v1/events.pb.h"

namespace leftfold::rooms {

// Writes to invitees that are e-mail addresses: that they are invited, and that the room is gone,
// unless they had declined. Users and groups have no address here: they see it in the views. Those
// of before it first ran are not written to.
struct InvitationMail {
  static constexpr std::string_view kName = "invitation_mail";
  static constexpr RetryPolicy kRetry = kOutageRetry;
  static constexpr StartAt kStart = StartAt::kNow;
  using Reacting = Types<v1::EntityInvited, v1::RoomDeleted>;

  static absl::Status React(const v1::EntityInvited& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const v1::RoomDeleted& event, const EventMeta& meta, OwnTables& tables,
                            Outbox& outbox);
};

}  // namespace leftfold::rooms
#endif  // DOMAINS_ROOMS_INVITATION_MAIL_H_
