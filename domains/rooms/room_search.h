#ifndef DOMAINS_ROOMS_ROOM_SEARCH_H_
#define DOMAINS_ROOMS_ROOM_SEARCH_H_

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

#include "core/view.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "leftfold/rooms/v1/queries.pb.h"

namespace leftfold::rooms {

// Rooms by the words of their names and descriptions. The index keeps no text of its own: it is
// told the old words before they change, and reads the rows for the snippets.
struct RoomSearch {
  static constexpr std::string_view kName = "room_search";
  static constexpr int kVersion = 2;
  static constexpr std::string_view kSchema = R"(
    CREATE TABLE room (
      id INTEGER PRIMARY KEY,  -- Position of the room's first event.
      room_id TEXT NOT NULL UNIQUE,
      name TEXT NOT NULL,
      description TEXT NOT NULL,
      deleted INTEGER NOT NULL
    ) STRICT;
    CREATE VIEW room_in_use AS SELECT id, name, description FROM room WHERE deleted = 0;
    CREATE VIRTUAL TABLE room_text USING fts5(
      name, description, content = 'room_in_use', content_rowid = 'id',
      tokenize = 'unicode61 remove_diacritics 2'
    );
  )";
  using Handles = Types<v1::RoomCreated, v1::RoomRenamed, v1::RoomDescriptionChanged,
                        v1::RoomDeleted, v1::RoomRestored>;
  using Queries = Types<v1::SearchRoomsRequest>;
  using Watches = Types<>;

  static constexpr std::size_t kTextBytesMax = 200;
  // Matches that the pages of one search reach; a search with more of them needs another word.
  static constexpr int kMatchesMax = 1'000;
  // Matches that are ranked, those of the rooms that were made last: ranking takes time for each.
  static constexpr int kRankedMax = 10'000;

  static void On(const v1::RoomCreated& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RoomRenamed& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RoomDescriptionChanged& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RoomDeleted& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RoomRestored& event, const EventMeta& meta, WriteTx& tx);

  static absl::StatusOr<v1::SearchRoomsResponse> Answer(const v1::SearchRoomsRequest& query,
                                                        ReadTx& tx);

  // The words of `text` as an FTS5 expression that is well-formed whatever `text` is; the last word
  // may be a beginning. "" when there is no word.
  static std::string ToExpression(std::string_view text);
};

}  // namespace leftfold::rooms
#endif  // DOMAINS_ROOMS_ROOM_SEARCH_H_
