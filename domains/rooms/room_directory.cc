#include "domains/rooms/room_directory.h"

#include <utility>

#include "core/page.h"
#include "domains/rooms/documents.h"

namespace leftfold::rooms {
namespace {

// The room when it is in use.
absl::StatusOr<v1::Room> FindInUse(std::string_view room_id, ReadTx& tx) {
  Rows rows = tx.Query("SELECT document FROM room WHERE room_id = ? AND deleted = 0", room_id);
  if (!rows.Next()) return NoSuchRoom(room_id);
  v1::Room room;
  if (!Decode(rows.Blob(0), room)) return BrokenRow("room", room_id);
  return room;
}

Rows SelectPage(bool include_deleted, std::string_view after, int limit, ReadTx& tx) {
  if (include_deleted) {
    return tx.Query("SELECT room_id, document FROM room WHERE room_id > ? ORDER BY room_id LIMIT ?",
                    after, limit);
  }
  return tx.Query(
      "SELECT room_id, document FROM room INDEXED BY room_in_use "
      "WHERE deleted = 0 AND room_id > ? ORDER BY room_id LIMIT ?",
      after, limit);
}

}  // namespace

void RoomDirectory::Change(const EventMeta& meta, WriteTx& tx,
                           absl::FunctionRef<void(v1::Room&)> change) {
  v1::Room room;
  {
    Rows rows = tx.Query("SELECT document FROM room WHERE room_id = ?", meta.aggregate_id());
    if (!rows.Next()) return;
    if (!DecodeOrFail(rows.Blob(0), "room", meta.aggregate_id(), room, tx)) return;
  }
  change(room);
  Stamp(meta, room);
  const std::string document = room.SerializeAsString();
  tx.Exec("UPDATE room SET document = ? WHERE room_id = ?", AsBlob{document}, meta.aggregate_id());
  tx.Touch(meta.aggregate_id());
}

void RoomDirectory::On(const v1::RoomCreated& event, const EventMeta& meta, WriteTx& tx) {
  v1::Room room;
  fold::Apply(room, event);
  Stamp(meta, room);
  const std::string document = room.SerializeAsString();
  tx.Exec("INSERT OR REPLACE INTO room (room_id, deleted, document) VALUES (?, 0, ?)",
          meta.aggregate_id(), AsBlob{document});
  tx.Touch(meta.aggregate_id());
}

void RoomDirectory::On(const v1::RoomDeleted& event, const EventMeta& meta, WriteTx& tx) {
  Change(meta, tx, [&](v1::Room& room) { fold::Apply(room, event); });
  tx.Exec("UPDATE room SET deleted = 1 WHERE room_id = ?", meta.aggregate_id());
}

void RoomDirectory::On(const v1::RoomRestored& event, const EventMeta& meta, WriteTx& tx) {
  Change(meta, tx, [&](v1::Room& room) { fold::Apply(room, event); });
  tx.Exec("UPDATE room SET deleted = 0 WHERE room_id = ?", meta.aggregate_id());
}

absl::StatusOr<v1::GetRoomResponse> RoomDirectory::Answer(const v1::GetRoomRequest& query,
                                                          ReadTx& tx) {
  absl::StatusOr<v1::Room> room = FindInUse(query.room_id(), tx);
  if (!room.ok()) return room.status();
  v1::GetRoomResponse response;
  *response.mutable_room() = *std::move(room);
  return response;
}

absl::StatusOr<v1::ListRoomsResponse> RoomDirectory::Answer(const v1::ListRoomsRequest& query,
                                                            ReadTx& tx) {
  const absl::StatusOr<Page> page = Page::Of(query);
  if (!page.ok()) return page.status();
  v1::ListRoomsResponse response;
  std::size_t bytes = 0;
  Rows rows = SelectPage(query.include_deleted(), page->after(), page->size() + 1, tx);
  while (rows.Next()) {
    if (response.rooms_size() == page->size() || bytes >= kPageBytesMax) {
      response.set_next_page_token(page->TokenAfter(response.rooms().rbegin()->room_id()));
      break;
    }
    bytes += rows.Blob(1).size();
    if (!Decode(rows.Blob(1), *response.add_rooms())) return BrokenRow("room", rows.TextView(0));
  }
  return response;
}

absl::StatusOr<v1::WatchRoomResponse> RoomDirectory::Answer(const v1::WatchRoomRequest& watch,
                                                            ReadTx& tx) {
  absl::StatusOr<v1::Room> room = FindInUse(watch.room_id(), tx);
  if (!room.ok()) return room.status();
  v1::WatchRoomResponse response;
  *response.mutable_room() = *std::move(room);
  return response;
}

bool RoomDirectory::Matches(const v1::WatchRoomsRequest&, std::string_view key, ReadTx& tx) {
  return tx.Query("SELECT 1 FROM room WHERE room_id = ? AND deleted = 0", key).Next();
}

std::vector<std::string> RoomDirectory::Keys(const v1::WatchRoomsRequest&, std::string_view after,
                                             int limit, ReadTx& tx) {
  std::vector<std::string> keys;
  Rows rows = tx.Query(
      "SELECT room_id FROM room INDEXED BY room_in_use WHERE deleted = 0 AND room_id > ? "
      "ORDER BY room_id LIMIT ?",
      after, limit);
  while (rows.Next()) keys.push_back(rows.Text(0));
  return keys;
}

absl::StatusOr<v1::WatchRoomsResponse> RoomDirectory::Answer(const v1::WatchRoomsRequest&,
                                                             std::string_view key, ReadTx& tx) {
  absl::StatusOr<v1::Room> room = FindInUse(key, tx);
  if (!room.ok()) return room.status();
  v1::WatchRoomsResponse response;
  *response.mutable_room() = *std::move(room);
  return response;
}

}  // namespace leftfold::rooms
