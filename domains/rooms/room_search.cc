#include "domains/rooms/room_search.h"

#include <absl/functional/function_ref.h>
#include <absl/strings/ascii.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "core/page.h"
#include "core/reject.h"
#include "domains/rooms/documents.h"
#include "domains/rooms/room.h"

namespace leftfold::rooms {
namespace {

struct Row {
  std::int64_t id = 0;
  std::string name;
  std::string description;
  bool deleted = false;
};

std::optional<Row> Find(std::string_view room_id, WriteTx& tx) {
  Rows rows =
      tx.Query("SELECT id, name, description, deleted FROM room WHERE room_id = ?", room_id);
  if (!rows.Next()) return std::nullopt;
  return Row{rows.Int(0), rows.Text(1), rows.Text(2), rows.Int(3) != 0};
}

// The words of a room in use leave the index before they change, and enter it afterwards. One row
// by VALUES each: around a statement that may write several rows SQLite puts a savepoint, at which
// FTS5 writes out all that it has gathered (three times the cost of the whole fold).
void Unindex(const Row& row, WriteTx& tx) {
  if (row.deleted) return;
  tx.Exec("INSERT INTO room_text (room_text, rowid, name, description) VALUES ('delete', ?, ?, ?)",
          row.id, row.name, row.description);
}
void Index(const Row& row, WriteTx& tx) {
  if (row.deleted) return;
  tx.Exec("INSERT INTO room_text (rowid, name, description) VALUES (?, ?, ?)", row.id, row.name,
          row.description);
}

void Change(const EventMeta& meta, WriteTx& tx, absl::FunctionRef<void(Row&)> change) {
  std::optional<Row> row = Find(meta.aggregate_id(), tx);
  if (!row) return;
  Unindex(*row, tx);
  change(*row);
  tx.Exec("UPDATE room SET name = ?, description = ?, deleted = ? WHERE id = ?", row->name,
          row->description, row->deleted, row->id);
  Index(*row, tx);
}

bool IsWordByte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || absl::ascii_isalnum(byte);
}

absl::Status CheckText(const std::string& text, const std::string& expression) {
  Violations violations;
  if (text.size() > RoomSearch::kTextBytesMax) {
    violations.Add(v1::ERROR_REASON_TEXT_TOO_LONG, "text",
                   fmt::format("must have at most {} bytes", RoomSearch::kTextBytesMax),
                   {{"maximum", fmt::to_string(RoomSearch::kTextBytesMax)},
                    {"actual", fmt::to_string(text.size())}});
  }
  if (expression.empty()) {
    violations.Add(v1::ERROR_REASON_TEXT_EMPTY, "text", "must have a letter or digit");
  }
  return violations.ToStatus();
}

}  // namespace

std::string RoomSearch::ToExpression(std::string_view text) {
  std::string expression;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at;
    while (end < text.size() && IsWordByte(text[end])) ++end;
    if (end > at) {
      if (!expression.empty()) expression += ' ';
      fmt::format_to(std::back_inserter(expression), "\"{}\"", text.substr(at, end - at));
    }
    at = end + 1;
  }
  if (!expression.empty() && IsWordByte(text.back())) expression += " *";
  return expression;
}

void RoomSearch::On(const v1::RoomCreated& event, const EventMeta& meta, WriteTx& tx) {
  if (const std::optional<Row> old = Find(meta.aggregate_id(), tx)) Unindex(*old, tx);
  const Row row{meta.position().value, event.name(), event.description()};
  tx.Exec(
      "INSERT OR REPLACE INTO room (id, room_id, name, description, deleted) "
      "VALUES (?, ?, ?, ?, 0)",
      row.id, meta.aggregate_id(), row.name, row.description);
  Index(row, tx);
}

void RoomSearch::On(const v1::RoomRenamed& event, const EventMeta& meta, WriteTx& tx) {
  Change(meta, tx, [&](Row& row) { row.name = event.name(); });
}

void RoomSearch::On(const v1::RoomDescriptionChanged& event, const EventMeta& meta, WriteTx& tx) {
  Change(meta, tx, [&](Row& row) { row.description = event.description(); });
}

void RoomSearch::On(const v1::RoomDeleted&, const EventMeta& meta, WriteTx& tx) {
  Change(meta, tx, [](Row& row) { row.deleted = true; });
}

void RoomSearch::On(const v1::RoomRestored&, const EventMeta& meta, WriteTx& tx) {
  Change(meta, tx, [](Row& row) { row.deleted = false; });
}

absl::StatusOr<v1::SearchRoomsResponse> RoomSearch::Answer(const v1::SearchRoomsRequest& query,
                                                           ReadTx& tx) {
  const std::string expression = ToExpression(query.text());
  LEFTFOLD_RETURN_IF_ERROR(CheckText(query.text(), expression));
  const absl::StatusOr<Page> page = Page::Of(query);
  if (!page.ok()) return page.status();
  // The best match has no key that a later one could be found by: matches on the pages before.
  const absl::StatusOr<std::int64_t> before = page->NumberAfter(0, kMatchesMax);
  if (!before.ok()) return before.status();
  int sent = static_cast<int>(*before);
  const int size = std::min(page->size(), kMatchesMax - sent);
  v1::SearchRoomsResponse response;
  Rows rows = tx.Query(
      "SELECT r.room_id, r.name, snippet(room_text, -1, '[', ']', '…', 16) "
      "FROM room_text AS t JOIN room AS r ON r.id = t.rowid "
      "WHERE t.room_text MATCH ? AND t.rowid >= coalesce((SELECT rowid FROM room_text "
      "WHERE room_text MATCH ? ORDER BY rowid DESC LIMIT 1 OFFSET ?), 0) "
      "ORDER BY t.rank LIMIT ? OFFSET ?",
      expression, expression, kRankedMax - 1, size + 1, sent);
  std::size_t bytes = 0;
  while (rows.Next()) {
    if (response.matches_size() == size || bytes >= kPageBytesMax) {
      sent += response.matches_size();
      if (sent < kMatchesMax) response.set_next_page_token(page->TokenAfter(fmt::to_string(sent)));
      break;
    }
    v1::RoomMatch& match = *response.add_matches();
    match.set_room_id(rows.Text(0));
    match.set_name(rows.Text(1));
    match.set_snippet(rows.Text(2));
    bytes += match.ByteSizeLong();
  }
  return response;
}

}  // namespace leftfold::rooms
