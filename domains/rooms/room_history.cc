#include "domains/rooms/room_history.h"

#include <absl/strings/numbers.h>
#include <fmt/format.h>

#include <optional>
#include <string>

#include "core/page.h"
#include "domains/rooms/documents.h"

namespace leftfold::rooms {
namespace {

// Folds one stored event; false when it does not decode or is none of a room's.
bool Fold(const std::string& type, std::string_view payload, Room::State& state) {
  bool folded = false;
  Room::Events::ForEach([&]<class Event>() {
    if (folded || Event::descriptor()->full_name() != type) return;
    Event event;
    if (!Decode(payload, event)) return;
    Room::Evolve(state, event);
    folded = true;
  });
  return folded;
}

// The state after the event of `version`; nullopt when a row does not decode.
std::optional<Room::State> StateAt(std::string_view room_id, std::int64_t version, ReadTx& tx) {
  Room::State state;
  std::int64_t last = -1;
  {
    Rows rows = tx.Query(
        "SELECT version, state FROM state WHERE room_id = ? AND version <= ? "
        "ORDER BY version DESC LIMIT 1",
        room_id, version);
    if (rows.Next()) {
      if (!Decode(rows.Blob(1), state)) return std::nullopt;
      last = rows.Int(0);
    }
  }
  Rows rows = tx.Query(
      "SELECT type, payload FROM event WHERE room_id = ? AND version > ? AND version <= ? "
      "ORDER BY version",
      room_id, last, version);
  while (rows.Next()) {
    if (!Fold(rows.Text(0), rows.Blob(1), state)) return std::nullopt;
  }
  return state;
}

std::optional<absl::Time> RecordedAt(std::string_view room_id, std::int64_t version, ReadTx& tx) {
  Rows rows =
      tx.Query("SELECT recorded_at FROM event WHERE room_id = ? AND version = ?", room_id, version);
  if (!rows.Next()) return std::nullopt;
  return absl::FromUnixMicros(rows.Int(0));
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
  const std::string recorded = ToProto(meta.recorded).SerializeAsString();
  tx.Exec(
      "INSERT OR REPLACE INTO event (room_id, version, type, payload, recorded_at, recorded) "
      "VALUES (?, ?, ?, ?, ?, ?)",
      meta.aggregate_id(), version, meta.recorded.type, AsBlob{meta.recorded.payload},
      absl::ToUnixMicros(meta.recorded_at()), AsBlob{recorded});
  if ((version + 1) % kEventsPerState != 0) return;
  const std::optional<Room::State> state = StateAt(meta.aggregate_id(), version, tx);
  if (!state) return;
  const std::string bytes = state->SerializeAsString();
  tx.Exec("INSERT OR REPLACE INTO state (room_id, version, state) VALUES (?, ?, ?)",
          meta.aggregate_id(), version, AsBlob{bytes});
}

absl::StatusOr<v1::ListRoomEventsResponse> RoomHistory::Answer(
    const v1::ListRoomEventsRequest& query, ReadTx& tx) {
  const absl::StatusOr<Page> page = Page::Of(query);
  if (!page.ok()) return page.status();
  std::int64_t version = -1;
  if (!absl::SimpleAtoi(page->after(), &version)) version = -1;
  v1::ListRoomEventsResponse response;
  std::size_t bytes = 0;
  Rows rows = tx.Query(
      "SELECT version, recorded FROM event WHERE room_id = ? AND version > ? "
      "ORDER BY version LIMIT ?",
      query.room_id(), version, page->size() + 1);
  while (rows.Next()) {
    if (response.events_size() == page->size() || bytes >= kPageBytesMax) {
      response.set_next_page_token(page->TokenAfter(fmt::to_string(version)));
      break;
    }
    version = rows.Int(0);
    bytes += rows.Blob(1).size();
    if (!Decode(rows.Blob(1), *response.add_events())) return BrokenRow(query.room_id());
  }
  if (response.events().empty() && version < 0) return NoSuchRoom(query.room_id());
  return response;
}

absl::StatusOr<v1::GetRoomAtResponse> RoomHistory::Answer(const v1::GetRoomAtRequest& query,
                                                          ReadTx& tx) {
  const std::optional<absl::Time> created_at = RecordedAt(query.room_id(), 0, tx);
  if (!created_at) return NoSuchRoom(query.room_id());
  const std::optional<absl::Time> updated_at = RecordedAt(query.room_id(), query.version(), tx);
  if (!updated_at) {
    return Reject(v1::ERROR_REASON_VERSION_NOT_FOUND,
                  fmt::format("room {} has no version {}", query.room_id(), query.version()),
                  {{"room_id", query.room_id()}, {"version", fmt::to_string(query.version())}});
  }
  std::optional<Room::State> state = StateAt(query.room_id(), query.version(), tx);
  if (!state) return BrokenRow(query.room_id());
  v1::GetRoomAtResponse response;
  *response.mutable_room() = ToDocument(query.room_id(), query.version(), *std::move(state));
  *response.mutable_room()->mutable_created_at() = ToProto(*created_at);
  *response.mutable_room()->mutable_updated_at() = ToProto(*updated_at);
  return response;
}

}  // namespace leftfold::rooms
