#ifndef TESTING_SIGN_DOMAIN_H_
#define TESTING_SIGN_DOMAIN_H_

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "core/aggregate.h"
#include "core/event_wire.h"
#include "core/registry.h"
#include "core/view.h"
#include "leftfold/rooms/v1/commands.pb.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "leftfold/rooms/v1/queries.pb.h"

// A tiny domain with a past, for tests of upcasters. It borrows the messages of rooms, because
// commands must have RPCs, but not what they mean there.
namespace leftfold::testing {

// A sign with a name and a description. What it wrote once:
//   SessionCancelled {schedule_id}            now RoomRenamed {name}
//   ExternalRoomLinked {provider, external_id} now RoomRenamed {name}, RoomDescriptionChanged
//   RoomRestored                              means nothing any more
struct Sign {
  static constexpr std::string_view kCategory = "sign";
  using Commands = Types<rooms::v1::RenameRoomRequest>;
  using Creates = Types<>;
  using Events = Types<rooms::v1::RoomRenamed, rooms::v1::RoomDescriptionChanged>;
  using Upcasts =
      Types<rooms::v1::SessionCancelled, rooms::v1::ExternalRoomLinked, rooms::v1::RoomRestored>;
  struct State {
    std::string name;
    std::string description;
    int events = 0;
  };
  static constexpr int kStateVersion = 1;
  using Decision = leftfold::Decision<Events>;

  static void Validate(const rooms::v1::RenameRoomRequest&, Violations&) {}
  static Decision Decide(const rooms::v1::RenameRoomRequest& command, const State& state,
                         const CommandContext&) {
    if (command.name() == state.name) return Accept();
    return Accept(Renamed(command.name()));
  }

  static void Evolve(State& state, const rooms::v1::RoomRenamed& event) {
    state.name = event.name();
    ++state.events;
  }
  static void Evolve(State& state, const rooms::v1::RoomDescriptionChanged& event) {
    state.description = event.description();
    ++state.events;
  }

  static Types<rooms::v1::RoomRenamed>::List Upcast(const rooms::v1::SessionCancelled& old) {
    return {Renamed(old.schedule_id())};
  }
  static Events::List Upcast(const rooms::v1::ExternalRoomLinked& old) {
    return {Renamed(old.provider()), Described(old.external_id())};
  }
  static Types<rooms::v1::RoomRenamed>::List Upcast(const rooms::v1::RoomRestored&) { return {}; }

  static rooms::v1::RoomRenamed Renamed(const std::string& name) {
    rooms::v1::RoomRenamed event;
    event.set_name(name);
    return event;
  }
  static rooms::v1::RoomDescriptionChanged Described(const std::string& description) {
    rooms::v1::RoomDescriptionChanged event;
    event.set_description(description);
    return event;
  }
  // The old ones.
  static rooms::v1::SessionCancelled OldName(const std::string& name) {
    rooms::v1::SessionCancelled event;
    event.set_schedule_id(name);
    return event;
  }
  static rooms::v1::ExternalRoomLinked OldBoth(const std::string& name,
                                               const std::string& description) {
    rooms::v1::ExternalRoomLinked event;
    event.set_provider(name);
    event.set_external_id(description);
    return event;
  }
};

// One row an event that it was given, as it was told of it: "sign-a@0=oak".
struct SignTrail {
  static constexpr std::string_view kName = "sign_trail";
  static constexpr int kVersion = 1;
  static constexpr std::string_view kSchema =
      "CREATE TABLE line (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;";
  using Handles = Sign::Events;
  using Queries = Types<rooms::v1::GetRoomRequest>;
  using Watches = Types<>;

  static void On(const rooms::v1::RoomRenamed& event, const EventMeta& meta, WriteTx& tx) {
    Add(event.name(), meta, tx);
  }
  static void On(const rooms::v1::RoomDescriptionChanged& event, const EventMeta& meta,
                 WriteTx& tx) {
    Add(event.description(), meta, tx);
  }
  // All lines as the description, separated by spaces.
  static absl::StatusOr<rooms::v1::GetRoomResponse> Answer(const rooms::v1::GetRoomRequest&,
                                                           ReadTx& tx) {
    rooms::v1::GetRoomResponse response;
    std::string& lines = *response.mutable_room()->mutable_description();
    for (Rows rows = tx.Query("SELECT text FROM line ORDER BY number"); rows.Next();) {
      if (!lines.empty()) lines += ' ';
      lines += rows.Text(0);
    }
    return response;
  }

 private:
  static void Add(const std::string& what, const EventMeta& meta, WriteTx& tx) {
    tx.Exec("INSERT INTO line(text) VALUES (?)",
            fmt::format("{}@{}#{}={}", meta.stream(), meta.version().value, meta.position().value,
                        what));
  }
};

// Keeps events as they were recorded and folds them when it is asked for a version.
struct SignHistory {
  static constexpr std::string_view kName = "sign_history";
  static constexpr int kVersion = 1;
  static constexpr std::string_view kSchema =
      "CREATE TABLE event (version INTEGER PRIMARY KEY, recorded BLOB NOT NULL) STRICT;";
  using Handles = StoredEvents<Sign>;
  using Queries = Types<rooms::v1::GetRoomAtRequest>;
  using Watches = Types<>;

  template <class Event>
  static void On(const Event&, const EventMeta& meta, WriteTx& tx) {
    const std::string recorded = ToProto(meta.recorded).SerializeAsString();
    tx.Exec("INSERT INTO event(version, recorded) VALUES (?, ?)", meta.version(), AsBlob{recorded});
  }
  static absl::StatusOr<rooms::v1::GetRoomAtResponse> Answer(
      const rooms::v1::GetRoomAtRequest& query, ReadTx& tx) {
    Sign::State state;
    core::v1::RecordedEvent recorded;
    for (Rows rows = tx.Query("SELECT recorded FROM event WHERE version <= ? ORDER BY version",
                              query.version());
         rows.Next();) {
      if (!recorded.ParseFromString(std::string(rows.Blob(0))) ||
          !FoldStored<Sign>(recorded, state)) {
        return absl::InternalError("a stored row does not decode");
      }
    }
    rooms::v1::GetRoomAtResponse response;
    response.mutable_room()->set_name(state.name);
    response.mutable_room()->set_description(state.description);
    return response;
  }
};

}  // namespace leftfold::testing
#endif  // TESTING_SIGN_DOMAIN_H_
