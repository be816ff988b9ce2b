#include "sql/compare.h"

#include <SQLiteCpp/Column.h>
#include <SQLiteCpp/Exception.h>
#include <SQLiteCpp/Statement.h>

#include <limits>
#include <optional>
#include <utility>

#include "core/status.h"

namespace leftfold::sql {

namespace {

std::string Quoted(const std::string& name) { return "\"" + name + "\""; }

std::string Joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + Quoted(name);
  return out;
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

}  // namespace

// The statements' columns: those of the key, then those of the table.
struct ContentReader::Open {
  Open(Table opened, Connection* live, Connection& rebuilt)
      : table(std::move(opened)), b(rebuilt.database(), SelectAll()) {
    if (live != nullptr) a.emplace(live->database(), SelectAll());
  }
  std::string SelectAll() const {
    return fmt::format("SELECT {}, {} FROM {} ORDER BY {}", Joined(table.key),
                       Joined(table.columns), Quoted(table.name), Joined(table.key));
  }
  // "room_id = oak" of the row that the statement is at.
  std::string KeyOf(SQLite::Statement& row) const {
    std::string key;
    for (std::size_t i = 0; i < table.key.size(); ++i) {
      key += fmt::format("{}{} = {}", key.empty() ? "" : ", ", table.key[i],
                         Printed(row.getColumn(static_cast<int>(i))));
    }
    return key;
  }
  std::string Difference(bool in_live, bool in_rebuilt) {
    if (!in_live && !in_rebuilt) return "";
    if (!in_rebuilt)
      return fmt::format("table {}: the row {} is only in the live view", table.name, KeyOf(*a));
    if (!in_live)
      return fmt::format("table {}: the row {} is only in the rebuilt view", table.name, KeyOf(b));
    for (int column = 0; column < b.getColumnCount(); ++column) {
      if (Same(a->getColumn(column), b.getColumn(column))) continue;
      const auto own = static_cast<std::size_t>(column) - table.key.size();
      if (own >= table.columns.size())
        return fmt::format("table {}: the live view has the row {} where the rebuilt one has {}",
                           table.name, KeyOf(*a), KeyOf(b));
      return fmt::format("table {}, row {}, column {}: live {}, rebuilt {}", table.name, KeyOf(*a),
                         table.columns[own], Printed(a->getColumn(column)),
                         Printed(b.getColumn(column)));
    }
    return "";
  }

  const Table table;
  std::optional<SQLite::Statement> a;  // Of the live view.
  SQLite::Statement b;
};

ContentReader::ContentReader(Connection* live, Connection& rebuilt)
    : live_(live), rebuilt_(rebuilt) {}
ContentReader::~ContentReader() = default;

void ContentReader::Begin() {
  const auto tables_of = [](SQLite::Database& database) {
    std::deque<Table> tables;
    SQLite::Statement list(
        database,
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
  };
  tables_ = tables_of(rebuilt_.database());
  if (live_ == nullptr || tables_of(live_->database()).size() == tables_.size()) return;
  difference_ = "the views have different tables";
  live_ = nullptr;
}

// The next row; false when there is none.
bool ContentReader::Next() {
  while (open_ == nullptr) {
    if (tables_.empty()) return false;
    open_ = std::make_unique<Open>(std::move(tables_.front()), live_, rebuilt_);
    tables_.pop_front();
    hash_.AddLengthPrefixed(open_->table.name);
  }
  const bool in_rebuilt = open_->b.executeStep();
  if (open_->a) {
    const bool in_live = open_->a->executeStep();
    difference_ = open_->Difference(in_live, in_rebuilt);
    if (!difference_.empty()) {
      live_ = nullptr;
      open_->a.reset();
    }
  }
  if (!in_rebuilt) {
    open_.reset();
    return true;
  }
  for (int column = 0; column < open_->b.getColumnCount(); ++column) {
    const SQLite::Column value = open_->b.getColumn(column);
    hash_.AddLengthPrefixed(fmt::to_string(value.getType())).AddLengthPrefixed(BytesOf(value));
  }
  return true;
}

absl::StatusOr<bool> ContentReader::Step(std::int64_t rows) {
  try {
    if (!std::exchange(begun_, true)) Begin();
    for (; rows > 0; --rows) {
      if (!Next()) return true;
    }
    return false;
  } catch (const SQLite::Exception& e) {
    return ToStatus(e.getExtendedErrorCode(), e.what());
  }
}

absl::StatusOr<std::string> FirstDifference(Connection& live, Connection& rebuilt) {
  ContentReader reader(&live, rebuilt);
  const auto through = reader.Step(std::numeric_limits<std::int64_t>::max());
  if (!through.ok()) return through.status();
  return reader.difference();
}

absl::StatusOr<std::string> ContentHash(Connection& view) {
  ContentReader reader(nullptr, view);
  const auto through = reader.Step(std::numeric_limits<std::int64_t>::max());
  if (!through.ok()) return through.status();
  return reader.Hash();
}

}  // namespace leftfold::sql
