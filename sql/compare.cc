#include "sql/compare.h"

#include <SQLiteCpp/Column.h>
#include <SQLiteCpp/Exception.h>
#include <SQLiteCpp/Statement.h>

#include <vector>

#include "core/sha256.h"
#include "core/status.h"

namespace leftfold::sql {
namespace {

struct Table {
  std::string name;
  std::vector<std::string> columns;
  std::vector<std::string> key;  // Columns of the primary key; all columns where there is none.
};

std::string Quoted(const std::string& name) { return "\"" + name + "\""; }

std::string Joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + Quoted(name);
  return out;
}

std::vector<Table> TablesOf(SQLite::Database& database) {
  std::vector<Table> tables;
  SQLite::Statement list(database,
                         "SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND type "
                         "IN ('table', 'virtual') "
                         "AND name NOT LIKE 'leftfold\\_%' ESCAPE '\\' AND name NOT LIKE "
                         "'sqlite\\_%' ESCAPE '\\' ORDER BY name");
  while (list.executeStep()) {
    Table table;
    table.name = list.getColumn(0).getString();
    if (list.getColumn(1).getString() == "virtual") table.key = {"rowid"};
    SQLite::Statement columns(database, "SELECT name, pk FROM pragma_table_info(?) ORDER BY cid");
    columns.bind(1, table.name);
    while (columns.executeStep()) {
      table.columns.push_back(columns.getColumn(0).getString());
      if (columns.getColumn(1).getInt() > 0) table.key.push_back(table.columns.back());
    }
    if (table.key.empty()) table.key = table.columns;
    tables.push_back(std::move(table));
  }
  return tables;
}

// Numbers as SQLite prints them.
std::string_view BytesOf(const SQLite::Column& value) {
  const auto* text = static_cast<const char*>(value.getBlob());  // Before its size is asked.
  return {text, static_cast<std::size_t>(value.getBytes())};
}

std::string Printed(const SQLite::Column& value) {
  if (value.isNull()) return "NULL";
  const std::string_view bytes = BytesOf(value);
  constexpr std::size_t kShownBytes = 60;
  const std::string shown = value.isBlob() ? "x" + ToHex(bytes.substr(0, kShownBytes))
                                           : std::string(bytes.substr(0, kShownBytes));
  return bytes.size() > kShownBytes ? shown + "…" : shown;
}

bool Same(const SQLite::Column& a, const SQLite::Column& b) {
  if (a.getType() != b.getType()) return false;
  if (a.isInteger()) return a.getInt64() == b.getInt64();
  if (a.isFloat()) return a.getDouble() == b.getDouble();
  return BytesOf(a) == BytesOf(b);
}

// "room_id = oak" of the row that the statement is at; the key's columns stand before the table's.
std::string KeyOf(SQLite::Statement& row, const Table& table) {
  std::string key;
  for (std::size_t i = 0; i < table.key.size(); ++i) {
    key += fmt::format("{}{} = {}", key.empty() ? "" : ", ", table.key[i],
                       Printed(row.getColumn(static_cast<int>(i))));
  }
  return key;
}

std::string SelectAllOf(const Table& table) {
  return fmt::format("SELECT {}, {} FROM {} ORDER BY {}", Joined(table.key), Joined(table.columns),
                     Quoted(table.name), Joined(table.key));
}

std::string DifferenceIn(const Table& table, SQLite::Database& live, SQLite::Database& rebuilt) {
  SQLite::Statement a(live, SelectAllOf(table));
  SQLite::Statement b(rebuilt, SelectAllOf(table));
  while (true) {
    const bool in_live = a.executeStep();
    const bool in_rebuilt = b.executeStep();
    if (!in_live && !in_rebuilt) return "";
    if (!in_rebuilt)
      return fmt::format("table {}: the row {} is only in the live view", table.name,
                         KeyOf(a, table));
    if (!in_live)
      return fmt::format("table {}: the row {} is only in the rebuilt view", table.name,
                         KeyOf(b, table));
    for (std::size_t i = 0; i < table.key.size(); ++i) {
      const int column = static_cast<int>(i);
      if (Same(a.getColumn(column), b.getColumn(column))) continue;
      return fmt::format("table {}: the live view has the row {} where the rebuilt one has {}",
                         table.name, KeyOf(a, table), KeyOf(b, table));
    }
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      const int column = static_cast<int>(table.key.size() + i);
      if (Same(a.getColumn(column), b.getColumn(column))) continue;
      return fmt::format("table {}, row {}, column {}: live {}, rebuilt {}", table.name,
                         KeyOf(a, table), table.columns[i], Printed(a.getColumn(column)),
                         Printed(b.getColumn(column)));
    }
  }
}

}  // namespace

absl::StatusOr<std::string> FirstDifference(Connection& live, Connection& rebuilt) {
  try {
    const std::vector<Table> tables = TablesOf(live.database());
    if (tables.size() != TablesOf(rebuilt.database()).size())
      return "the views have different tables";
    for (const Table& table : tables) {
      if (std::string difference = DifferenceIn(table, live.database(), rebuilt.database());
          !difference.empty()) {
        return difference;
      }
    }
    return "";
  } catch (const SQLite::Exception& e) {
    return ToStatus(e.getExtendedErrorCode(), e.what());
  }
}

absl::StatusOr<std::string> ContentHash(Connection& view) {
  try {
    Sha256 hash;
    for (const Table& table : TablesOf(view.database())) {
      hash.AddLengthPrefixed(table.name);
      SQLite::Statement rows(view.database(), SelectAllOf(table));
      while (rows.executeStep()) {
        for (int column = 0; column < rows.getColumnCount(); ++column) {
          const SQLite::Column value = rows.getColumn(column);
          hash.AddLengthPrefixed(fmt::to_string(value.getType())).AddLengthPrefixed(BytesOf(value));
        }
      }
    }
    return ToHex(AsBytes(hash.Finish()));
  } catch (const SQLite::Exception& e) {
    return ToStatus(e.getExtendedErrorCode(), e.what());
  }
}

}  // namespace leftfold::sql
