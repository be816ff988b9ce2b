#include "domains/rooms/room_history.h"

#include <fmt/format.h>

#include <limits>
#include <optional>
#include <string>

#include "core/event_wire.h"
#include "core/page.h"
#include "core/registry.h"
#include "domains/rooms/documents.h"

namespace leftfold::rooms {
namespace {

// The state after the event of `version`; nullopt when a row does not decode.
std::optional<Room::State> StateAt(std::string_view room_id, std::int64_t version, ReadTx& tx) {
  Room::State state;
  std::int64_t last = -1;
  {
    Rows rows = tx.Query(
        "SELECT s.version, s.state FROM room AS r JOIN state AS s ON s.room = r.id "
        "WHERE r.room_id = ? AND s.version <= ? ORDER BY s.version DESC LIMIT 1",
        room_id, version);
    if (rows.Next()) {
      if (!Decode(rows.Blob(1), state)) return std::nullopt;
      last = rows.Int(0);
    }
  }
  Rows rows = tx.Query(
      "SELECT e.recorded FROM room AS r JOIN version AS v ON v.room = r.id "
      "JOIN event AS e ON e.position = v.position "
      "WHERE r.room_id = ? AND v.version > ? AND v.version <= ? ORDER BY v.version",
      room_id, last, version);
  core::v1::RecordedEvent recorded;
  while (rows.Next()) {
    if (!Decode(rows.Blob(0), recorded) || !FoldStored<Room>(recorded, state)) return std::nullopt;
  }
  return state;
}

// The event of `version`; nullopt when there is none or it does not decode.
std::optional<core::v1::RecordedEvent> EventAt(std::string_view room_id, std::int64_t version,
                                               ReadTx& tx) {
  Rows rows = tx.Query(
      "SELECT e.recorded FROM room AS r JOIN version AS v ON v.room = r.id "
      "JOIN event AS e ON e.position = v.position WHERE r.room_id = ? AND v.version = ?",
      room_id, version);
  core::v1::RecordedEvent recorded;
  if (!rows.Next() || !Decode(rows.Blob(0), recorded)) return std::nullopt;
  return recorded;
}

v1::Room ToDocument(std::string_view room_id, std::int64_t version, Room::State state) {
  v1::Room room;
  room.set_room_id(std::string(room_id));
  room.set_version(version);
  room.set_name(std::move(*state.mutable_name()));
  room.set_description(std::move(*state.mutable_description()));
  room.set_external_provider(std::move(*state.mutable_external_provider()));
  room.set_external_room_id(std::move(*state.mutable_external_room_id()));
  room.mutable_schedules()->Swap(state.mutable_schedules());
  room.mutable_invitees()->Swap(state.mutable_invitees());
  room.set_deleted(state.deleted());
  return room;
}

}  // namespace

void RoomHistory::Record(const EventMeta& meta, WriteTx& tx) {
  const std::int64_t version = meta.version().value;
  std::string recorded;
  AppendEvent(ViewOf(meta.recorded), false, recorded);
  if (version == 0) {
    tx.Exec("INSERT OR REPLACE INTO room (id, room_id) VALUES (?, ?)", meta.position(),
            meta.aggregate_id());
  }
  tx.Exec("INSERT INTO event (position, recorded) VALUES (?, ?)", meta.position(),
          AsBlob{recorded});
  tx.Exec(
      "INSERT INTO version (room, version, position) "
      "VALUES ((SELECT id FROM room WHERE room_id = ?), ?, ?)",
      meta.aggregate_id(), version, meta.position());
  if ((version + 1) % kEventsPerState != 0) return;
  const std::optional<Room::State> state = StateAt(meta.aggregate_id(), version, tx);
  if (!state) return tx.Fail(BrokenRow("room", meta.aggregate_id()));
  const std::string bytes = state->SerializeAsString();
  tx.Exec(
      "INSERT INTO state (room, version, state) "
      "VALUES ((SELECT id FROM room WHERE room_id = ?), ?, ?)",
      meta.aggregate_id(), version, AsBlob{bytes});
}

absl::StatusOr<v1::ListRoomEventsResponse> RoomHistory::Answer(
    const v1::ListRoomEventsRequest& query, ReadTx& tx) {
  const absl::StatusOr<Page> page = Page::Of(query);
  if (!page.ok()) return page.status();
  const absl::StatusOr<std::int64_t> after =
      page->NumberAfter(-1, std::numeric_limits<std::int64_t>::max());
  if (!after.ok()) return after.status();
  std::int64_t version = *after;
  v1::ListRoomEventsResponse response;
  std::size_t bytes = 0;
  Rows rows = tx.Query(
      "SELECT v.version, e.recorded FROM room AS r JOIN version AS v ON v.room = r.id "
      "JOIN event AS e ON e.position = v.position "
      "WHERE r.room_id = ? AND v.version > ? ORDER BY v.version LIMIT ?",
      query.room_id(), version, page->size() + 1);
  while (rows.Next()) {
    if (response.events_size() == page->size() || bytes >= kPageBytesMax) {
      response.set_next_page_token(page->TokenAfter(fmt::to_string(version)));
      break;
    }
    version = rows.Int(0);
    bytes += rows.Blob(1).size();
    if (!Decode(rows.Blob(1), *response.add_events())) return BrokenRow("room", query.room_id());
  }
  if (response.events().empty() && version < 0) return NoSuchRoom(query.room_id());
  return response;
}

absl::StatusOr<v1::GetRoomAtResponse> RoomHistory::Answer(const v1::GetRoomAtRequest& query,
                                                          ReadTx& tx) {
  const auto first = EventAt(query.room_id(), 0, tx);
  if (!first) return NoSuchRoom(query.room_id());
  const auto last = EventAt(query.room_id(), query.version(), tx);
  if (!last) {
    return Reject(v1::ERROR_REASON_VERSION_NOT_FOUND,
                  fmt::format("room {} has no version {}", query.room_id(), query.version()),
                  {{"room_id", query.room_id()}, {"version", fmt::to_string(query.version())}});
  }
  std::optional<Room::State> state = StateAt(query.room_id(), query.version(), tx);
  if (!state) return BrokenRow("room", query.room_id());
  v1::GetRoomAtResponse response;
  *response.mutable_room() = ToDocument(query.room_id(), query.version(), *std::move(state));
  *response.mutable_room()->mutable_created_at() = first->recorded_at();
  *response.mutable_room()->mutable_updated_at() = last->recorded_at();
  return response;
}

}  // namespace leftfold::rooms
