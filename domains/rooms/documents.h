#ifndef DOMAINS_ROOMS_DOCUMENTS_H_
#define DOMAINS_ROOMS_DOCUMENTS_H_

#include <absl/status/status.h>
#include <fmt/format.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "core/event.h"
#include "core/reject.h"
#include "core/timestamp.h"
#include "leftfold/rooms/v1/commands.pb.h"
#include "leftfold/rooms/v1/queries.pb.h"

// What several views of rooms say in the same way.
namespace leftfold::rooms {

// A page ends with the row that reaches this. With the largest row (a room with kInviteesMax
// invitees, 0.3 MiB) it stays below the 4 MiB that gRPC clients take by default.
inline constexpr std::size_t kPageBytesMax = 2 << 20;

inline absl::Status NoSuchRoom(std::string_view room_id) {
  return Reject(v1::ERROR_REASON_ROOM_NOT_FOUND, fmt::format("there is no room {}", room_id),
                {{"room_id", std::string(room_id)}});
}

// A stored row that does not decode; the view needs to be rebuilt.
inline absl::Status BrokenRow(std::string_view room_id) {
  return Error(absl::StatusCode::kInternal, "the stored row of room {} does not decode", room_id);
}

template <class Message>
bool Decode(std::string_view bytes, Message& message) {
  return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
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
