#ifndef TESTING_COUNTER_DOMAIN_H_
#define TESTING_COUNTER_DOMAIN_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "core/aggregate.h"
#include "core/registry.h"
#include "core/view.h"
#include "leftfold/rooms/v1/commands.pb.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "leftfold/rooms/v1/queries.pb.h"
#include "leftfold/rooms/v1/state.pb.h"
#include "testing/event_store_contract.h"

// A tiny domain for tests of the engines. It borrows the messages of rooms, because commands must
// have RPCs, but not their rules.
namespace leftfold::testing {

// Created once, renamed often; names of creations are claimed until the counter is deleted.
struct Counter {
  static constexpr std::string_view kCategory = "counter";
  using Commands = Types<rooms::v1::CreateRoomRequest, rooms::v1::RenameRoomRequest,
                         rooms::v1::DeleteRoomRequest>;
  using Creates = Types<rooms::v1::CreateRoomRequest>;
  using Events = Types<rooms::v1::RoomCreated, rooms::v1::RoomRenamed, rooms::v1::RoomDeleted>;
  using State = rooms::v1::RoomState;  // Its description is the claimed name.
  static constexpr int kStateVersion = 1;
  using Decision = leftfold::Decision<Events>;

  template <class Command>
  static void Validate(const Command&, Violations&) {}

  static Decision Decide(const rooms::v1::CreateRoomRequest& command, const State& state,
                         const CommandContext&) {
    if (state.exists()) return Reject(rooms::v1::ERROR_REASON_ROOM_EXISTS, "it is there");
    rooms::v1::RoomCreated created;
    created.set_name(command.name());
    return Accept(created).Take(
        "counter_name", command.name(),
        Reject(rooms::v1::ERROR_REASON_ALREADY_LINKED, "another counter has this name"));
  }
  static Decision Decide(const rooms::v1::RenameRoomRequest& command, const State& state,
                         const CommandContext& context) {
    if (!state.exists()) return Reject(rooms::v1::ERROR_REASON_ROOM_NOT_FOUND, "it is not there");
    if (command.name() == state.name()) return Accept();
    rooms::v1::RoomRenamed renamed;
    renamed.set_name(command.name());
    return Accept(renamed).Created(context.NewId(0));
  }
  static Decision Decide(const rooms::v1::DeleteRoomRequest&, const State& state,
                         const CommandContext&) {
    if (!state.exists()) return Reject(rooms::v1::ERROR_REASON_ROOM_NOT_FOUND, "it is not there");
    return Accept(rooms::v1::RoomDeleted()).Release("counter_name", state.description());
  }

  static void Evolve(State& state, const rooms::v1::RoomCreated& event) {
    state.set_exists(true);
    state.set_name(event.name());
    state.set_description(event.name());
  }
  static void Evolve(State& state, const rooms::v1::RoomRenamed& event) {
    state.set_name(event.name());
  }
  static void Evolve(State& state, const rooms::v1::RoomDeleted&) { state.Clear(); }
};

// One row a counter; its trail shows every name in the order of the events.
struct Counts {
  static constexpr std::string_view kName = "counts";
  static constexpr int kVersion = 1;
  static constexpr std::string_view kSchema = R"(
    CREATE TABLE counter (
      id TEXT PRIMARY KEY NOT NULL,
      trail TEXT NOT NULL,
      position INTEGER NOT NULL
    ) STRICT;
  )";
  using Handles = Types<rooms::v1::RoomCreated, rooms::v1::RoomRenamed>;
  using Queries = Types<rooms::v1::GetRoomRequest>;
  using Watches = Types<>;

  template <class Event>
  static void On(const Event& event, const EventMeta& meta, WriteTx& tx) {
    tx.Exec(
        "INSERT INTO counter(id, trail, position) VALUES (?1, ?2, ?3) ON CONFLICT(id) DO UPDATE "
        "SET trail = trail || ',' || ?2, position = ?3",
        meta.aggregate_id(), event.name(), meta.position());
    tx.Touch(meta.aggregate_id());
  }
  static absl::StatusOr<rooms::v1::GetRoomResponse> Answer(const rooms::v1::GetRoomRequest&,
                                                           ReadTx&) {
    return rooms::v1::GetRoomResponse();
  }
};

// Another view of the same events, to see that one view's trouble is not another's.
struct Totals {
  static constexpr std::string_view kName = "totals";
  static constexpr int kVersion = 1;
  static constexpr std::string_view kSchema =
      "CREATE TABLE total (type TEXT PRIMARY KEY NOT NULL, events INTEGER NOT NULL) STRICT;";
  using Handles = Types<rooms::v1::RoomRenamed>;
  using Queries = Types<rooms::v1::GetRoomRequest>;
  using Watches = Types<>;

  static void On(const rooms::v1::RoomRenamed&, const EventMeta&, WriteTx& tx) {
    tx.Exec(
        "INSERT INTO total(type, events) VALUES ('renamed', 1) ON CONFLICT(type) DO UPDATE SET "
        "events = events + 1");
    tx.Touch("renamed");
  }
  static absl::StatusOr<rooms::v1::GetRoomResponse> Answer(const rooms::v1::GetRoomRequest&,
                                                           ReadTx&) {
    return rooms::v1::GetRoomResponse();
  }
};

// An append of one RoomRenamed event to the counter.
inline AppendRequest RenameOf(const std::string& id, const std::string& name) {
  rooms::v1::RoomRenamed renamed;
  renamed.set_name(name);
  AppendRequest request = AppendOf("counter-" + id, {renamed.SerializeAsString()});
  request.streams.front().events.front().type = renamed.GetDescriptor()->full_name();
  return request;
}

// The same, but the payload is no RoomRenamed.
inline AppendRequest PoisonOf(const std::string& id) {
  AppendRequest request = RenameOf(id, "");
  request.streams.front().events.front().payload = "\xff\xff";
  return request;
}

}  // namespace leftfold::testing
#endif  // TESTING_COUNTER_DOMAIN_H_
