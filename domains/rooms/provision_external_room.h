#ifndef DOMAINS_ROOMS_PROVISION_EXTERNAL_ROOM_H_
#define DOMAINS_ROOMS_PROVISION_EXTERNAL_ROOM_H_

#include <string_view>

#include "core/reactor.h"
#include "leftfold/rooms/v1/events.pb.h"

namespace leftfold::rooms {

// Has a provider make a room of its own for each room that was created with one, and links it:
//   POST service:rooms_<provider>/v1/rooms {"room_id", "name", "description"}
// with the room's id as idempotency key. The answer is 2xx with {"external_id"}; any other one
// parks. A room that is deleted or linked meanwhile stays as it is.
struct ProvisionExternalRoom {
  static constexpr std::string_view kName = "provision_external_room";
  static constexpr RetryPolicy kRetry = kOutageRetry;
  using Reacting = Types<v1::RoomCreated>;

  static absl::Status React(const v1::RoomCreated& event, const EventMeta& meta, OwnTables& tables,
                            Outbox& outbox);
  static absl::Status OnReply(const Delivery& delivery, const HttpReply& reply, OwnTables& tables,
                              Outbox& outbox);
};

}  // namespace leftfold::rooms
#endif  // DOMAINS_ROOMS_PROVISION_EXTERNAL_ROOM_H_
