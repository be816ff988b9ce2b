#ifndef TESTS_UNIT_PROJECTOR_PARKING_FIXTURE_H_
#define TESTS_UNIT_PROJECTOR_PARKING_FIXTURE_H_

#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/projector_fixture.h"

// A view that parks, for tests of the projector.
namespace leftfold::projecting {

// One row a room: its names in order. It cannot take the name "poison", nor "later" before there is
// a room "allow"; "clock" is a bug of its own.
struct Trails : NotAsked {
  static constexpr std::string_view kName = "trails";
  static constexpr int kVersion = 1;
  static constexpr Poison kOnPoison = Poison::kParkStream;
  static constexpr std::string_view kSchema =
      "CREATE TABLE trail(id TEXT PRIMARY KEY, names TEXT NOT NULL) STRICT";
  using Handles = Types<rooms::v1::RoomRenamed>;
  static void On(const rooms::v1::RoomRenamed& event, const EventMeta& meta, WriteTx& tx) {
    tx.Exec(
        "INSERT INTO trail VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET names = names || ',' || "
        "?2",
        meta.aggregate_id(), event.name());
    tx.Touch(meta.aggregate_id());
    if (event.name() == "poison") tx.Exec("INSERT INTO trail VALUES ('x', NULL)");
    if (event.name() == "clock") tx.Exec("INSERT INTO trail VALUES ('x', datetime('now'))");
    if (event.name() == "later") {
      tx.Exec(
          "UPDATE trail SET names = (SELECT trail.names FROM trail AS allow WHERE allow.id = "
          "'allow') WHERE id = ?",
          meta.aggregate_id());
    }
  }
};

// "a:poison" renames the room a.
inline void Rename(FakeStore& store, const std::vector<std::string>& renames) {
  for (const std::string& rename : renames) {
    const std::size_t colon = rename.find(':');
    rooms::v1::RoomRenamed renamed;
    renamed.set_name(rename.substr(colon + 1));
    store.Add("room-" + rename.substr(0, colon), renamed);
  }
}

// The rows of a file of the view Trails, and its checkpoint: "3: a=1,2 b=1".
inline std::string TrailsOf(const std::string& path) {
  auto reader = sql::OpenViewReader(path);
  if (!reader.ok()) return std::string(reader.status().message());
  const auto checkpoint = sql::ReadCheckpoint(**reader);
  std::vector<std::string> rooms;
  for (Rows rows((*reader)->Prepare("SELECT id, names FROM trail ORDER BY id")); rows.Next();) {
    rooms.push_back(fmt::format("{}={}", rows.Text(0), rows.Text(1)));
  }
  return fmt::format("{}: {}", checkpoint.ok() ? checkpoint->position.value : -1,
                     fmt::join(rooms, " "));
}

}  // namespace leftfold::projecting
#endif  // TESTS_UNIT_PROJECTOR_PARKING_FIXTURE_H_
