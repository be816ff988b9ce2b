#ifndef DOMAINS_ROOMS_DOCUMENTS_H_
#define DOMAINS_ROOMS_DOCUMENTS_H_

#include <absl/status/status.h>
#include <fmt/format.h>

#include <string>
#include <string_view>

#include "core/documents.h"
#include "core/event.h"
#include "core/reject.h"
#include "core/timestamp.h"
#include "leftfold/rooms/v1/commands.pb.h"
#include "leftfold/rooms/v1/queries.pb.h"

// What several views of rooms say in the same way.
namespace leftfold::rooms {

inline absl::Status NoSuchRoom(std::string_view room_id) {
  return Reject(v1::ERROR_REASON_ROOM_NOT_FOUND, fmt::format("there is no room {}", room_id),
                {{"room_id", std::string(room_id)}});
}

// Which room and version a document is of, and since when.
inline void Stamp(const EventMeta& meta, v1::Room& room) {
  room.set_room_id(std::string(meta.aggregate_id()));
  room.set_version(meta.version().value);
  *room.mutable_updated_at() = ToProto(meta.recorded_at());
  if (!room.has_created_at()) *room.mutable_created_at() = room.updated_at();
}

}  // namespace leftfold::rooms
#endif  // DOMAINS_ROOMS_DOCUMENTS_H_
