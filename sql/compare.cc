#include "sql/compare.h"

#include <SQLiteCpp/Column.h>
#include <SQLiteCpp/Exception.h>
#include <SQLiteCpp/Statement.h>

#include <algorithm>
#include <limits>
#include <map>
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

std::string OnlyIn(std::string_view view, std::string_view table, std::string_view row) {
  return fmt::format("table {}: the row {} is only in the {} view", table, row, view);
}

bool Same(const SQLite::Column& a, const SQLite::Column& b) {
  if (a.getType() != b.getType()) return false;
  if (a.isInteger()) return a.getInt64() == b.getInt64();
  if (a.isFloat()) return a.getDouble() == b.getDouble();
  return BytesOf(a) == BytesOf(b);
}

}  // namespace

// Which rows of a table the two views have.
class ContentReader::Reading {
 public:
  // `live` may be nullptr.
  Reading(Table table, std::string_view select, Connection* live, Connection& rebuilt)
      : table_(std::move(table)), b_(rebuilt.database(), std::string(select)) {
    if (live != nullptr) a_.emplace(live->database(), std::string(select));
  }
  virtual ~Reading() = default;

  enum class Next { kRow, kOther, kEnd };
  // One row of each, at the most: kRow when the rebuilt view had one that was not read before.
  virtual Next Step(Sha256& hash) = 0;
  // The first row that differs, in words, once one is found.
  const std::string& difference() const { return difference_; }

 protected:
  static void AddRow(SQLite::Statement& row, Sha256& hash) {
    for (int column = 0; column < row.getColumnCount(); ++column) {
      const SQLite::Column value = row.getColumn(column);
      hash.AddLengthPrefixed(fmt::to_string(value.getType())).AddLengthPrefixed(BytesOf(value));
    }
  }
  // "room_id = oak": the first columns of the row that the statement is at, by these names.
  static std::string Shown(SQLite::Statement& row, const std::vector<std::string>& names) {
    std::string shown;
    for (std::size_t i = 0; i < names.size(); ++i) {
      shown += fmt::format("{}{} = {}", shown.empty() ? "" : ", ", names[i],
                           Printed(row.getColumn(static_cast<int>(i))));
    }
    return shown;
  }

  const Table table_;
  std::optional<SQLite::Statement> a_;  // Of the live view, as long as it is compared.
  SQLite::Statement b_;
  std::string difference_;
};

// A table with a key. The statements' columns: those of the key, then those of the table.
class ContentReader::InOrder final : public Reading {
 public:
  InOrder(const Table& table, Connection* live, Connection& rebuilt)
      : Reading(table,
                fmt::format("SELECT {}, {} FROM {} ORDER BY {}", Joined(table.key),
                            Joined(table.columns), Quoted(table.name), table.order),
                live, rebuilt) {}

  Next Step(Sha256& hash) override {
    const bool in_rebuilt = b_.executeStep();
    if (a_) {
      difference_ = Difference(a_->executeStep(), in_rebuilt);
      if (!difference_.empty()) a_.reset();
    }
    if (!in_rebuilt) return Next::kEnd;
    AddRow(b_, hash);
    return Next::kRow;
  }

 private:
  std::string Difference(bool in_live, bool in_rebuilt) {
    const std::string& name = table_.name;
    if (!in_live && !in_rebuilt) return "";
    if (!in_rebuilt) return OnlyIn("live", name, Shown(*a_, table_.key));
    if (!in_live) return OnlyIn("rebuilt", name, Shown(b_, table_.key));
    for (int column = 0; column < b_.getColumnCount(); ++column) {
      if (Same(a_->getColumn(column), b_.getColumn(column))) continue;
      const auto own = static_cast<std::size_t>(column) - table_.key.size();
      if (own >= table_.columns.size())
        return fmt::format("table {}: the live view has the row {} where the rebuilt one has {}",
                           name, Shown(*a_, table_.key), Shown(b_, table_.key));
      return fmt::format("table {}, row {}, column {}: live {}, rebuilt {}", name,
                         Shown(*a_, table_.key), table_.columns[own],
                         Printed(a_->getColumn(column)), Printed(b_.getColumn(column)));
    }
    return "";
  }
};

// A table without key: what counts is which rows there are, and how many of each. Their hashes are
// added up in buckets, and only where the sums of a bucket differ its rows are looked at, in a
// second reading. What differs is found, not what was forged: sums of hashes are no proof.
class ContentReader::AsTheyCome final : public Reading {
 public:
  AsTheyCome(const Table& table, Connection* live, Connection& rebuilt)
      : Reading(table, fmt::format("SELECT {} FROM {}", Joined(table.columns), Quoted(table.name)),
                live, rebuilt),
        live_sums_(kBuckets),
        rebuilt_sums_(kBuckets) {}

  Next Step(Sha256& hash) override {
    const bool in_rebuilt = Advance(b_);
    const bool in_live = a_ && Advance(*a_);
    if (in_rebuilt) Take(b_, rebuilt_sums_, &Times::rebuilt);
    if (in_live) Take(*a_, live_sums_, &Times::live);
    if (in_rebuilt && !bucket_) return Next::kRow;
    if (in_rebuilt || in_live) return Next::kOther;
    if (bucket_) {
      difference_ = Difference();
      a_.reset();
      return Next::kEnd;
    }
    for (const Digest& sum : rebuilt_sums_) hash.Add(AsBytes(sum));
    const auto [live, rebuilt] =
        std::mismatch(live_sums_.begin(), live_sums_.end(), rebuilt_sums_.begin());
    if (!a_ || live == live_sums_.end()) return Next::kEnd;
    bucket_ = static_cast<std::size_t>(live - live_sums_.begin());
    a_->reset();
    b_.reset();
    return Next::kOther;
  }

 private:
  static constexpr std::size_t kBuckets = 1 << 12;
  struct Times {
    std::string row;
    std::int64_t live = 0;
    std::int64_t rebuilt = 0;
  };

  static bool Advance(SQLite::Statement& rows) { return !rows.isDone() && rows.executeStep(); }
  void Take(SQLite::Statement& row, std::vector<Digest>& sums, std::int64_t Times::*times) {
    AddRow(row, row_hash_);
    const Digest digest = row_hash_.Finish();
    const std::size_t bucket = (std::size_t{digest[0]} << 8 | digest[1]) % kBuckets;
    if (!bucket_) {
      unsigned carry = 0;
      for (std::size_t i = 0; i < digest.size(); ++i) {
        carry += sums[bucket][i] + digest[i];
        sums[bucket][i] = static_cast<std::uint8_t>(carry);
        carry >>= 8;
      }
    } else if (bucket == *bucket_) {
      Times& found = found_[digest];
      if (found.row.empty()) found.row = Shown(row, table_.columns);
      ++(found.*times);
    }
  }
  std::string Difference() const {
    for (const auto& [digest, found] : found_) {
      if (found.live == found.rebuilt) continue;
      if (found.rebuilt == 0) return OnlyIn("live", table_.name, found.row);
      if (found.live == 0) return OnlyIn("rebuilt", table_.name, found.row);
      return fmt::format(
          "table {}: the row {} is there {} times in the live view, {} in the "
          "rebuilt one",
          table_.name, found.row, found.live, found.rebuilt);
    }
    return "";
  }

  Sha256 row_hash_;
  std::vector<Digest> live_sums_;
  std::vector<Digest> rebuilt_sums_;
  std::optional<std::size_t> bucket_;  // Whose rows are looked at.
  std::map<Digest, Times> found_;      // Of that bucket.
};

ContentReader::ContentReader(Connection* live, Connection& rebuilt)
    : live_(live), rebuilt_(rebuilt) {}
ContentReader::~ContentReader() = default;

ContentReader::Table ContentReader::Describe(SQLite::Database& database, std::string name,
                                             bool is_virtual) {
  Table table;
  table.name = std::move(name);
  const auto add_key = [&](const std::string& column, bool descending) {
    table.key.push_back(column);
    table.order += fmt::format("{}{}{}", table.order.empty() ? "" : ", ", Quoted(column),
                               descending ? " DESC" : "");
  };
  if (is_virtual) add_key("rowid", false);
  SQLite::Statement key(database,
                        "SELECT part.name, part.desc FROM pragma_index_list(?) AS list, "
                        "pragma_index_xinfo(list.name) AS part "
                        "WHERE list.origin = 'pk' AND part.key ORDER BY part.seqno");
  key.bind(1, table.name);
  while (key.executeStep()) add_key(key.getColumn(0).getString(), key.getColumn(1).getInt() != 0);
  SQLite::Statement columns(database, "SELECT name, pk FROM pragma_table_info(?) ORDER BY cid");
  columns.bind(1, table.name);
  std::string integer_key;  // Has no index: it is the rowid.
  while (columns.executeStep()) {
    table.columns.push_back(columns.getColumn(0).getString());
    if (columns.getColumn(1).getInt() > 0) integer_key = table.columns.back();
  }
  if (table.key.empty() && !integer_key.empty()) add_key(integer_key, false);
  return table;
}

std::deque<ContentReader::Table> ContentReader::TablesOf(SQLite::Database& database) {
  std::deque<Table> tables;
  SQLite::Statement list(database,
                         "SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND type "
                         "IN ('table', 'virtual') "
                         "AND name NOT LIKE 'leftfold\\_%' ESCAPE '\\' AND name NOT LIKE "
                         "'sqlite\\_%' ESCAPE '\\' ORDER BY name");
  while (list.executeStep()) {
    tables.push_back(Describe(database, list.getColumn(0).getString(),
                              list.getColumn(1).getString() == "virtual"));
  }
  return tables;
}

void ContentReader::Begin() {
  tables_ = TablesOf(rebuilt_.database());
  for (const Table& table : tables_) uncounted_.push_back(table.name);
  if (live_ == nullptr || TablesOf(live_->database()).size() == tables_.size()) return;
  difference_ = "the views have different tables";
  live_ = nullptr;
}

// The next row; false when there is none.
bool ContentReader::Read() {
  if (reading_ == nullptr) {
    if (tables_.empty()) return false;
    const Table& table = tables_.front();
    hash_.AddLengthPrefixed(table.name);
    if (table.key.empty()) {
      reading_ = std::make_unique<AsTheyCome>(table, live_, rebuilt_);
    } else {
      reading_ = std::make_unique<InOrder>(table, live_, rebuilt_);
    }
    tables_.pop_front();
  }
  const Reading::Next next = reading_->Step(hash_);
  if (next == Reading::Next::kRow) ++rows_read_;
  if (live_ != nullptr && !reading_->difference().empty()) {
    difference_ = reading_->difference();
    live_ = nullptr;
  }
  if (next == Reading::Next::kEnd) reading_.reset();
  return true;
}

// Calls `next` so many times; true when it said that nothing is left.
template <class Next>
absl::StatusOr<bool> ContentReader::Repeat(std::int64_t times, Next next) {
  try {
    if (!std::exchange(begun_, true)) Begin();
    for (; times > 0; --times) {
      if (!next()) return true;
    }
    return false;
  } catch (const SQLite::Exception& e) {
    return ToStatus(e.getExtendedErrorCode(), e.what());
  }
}

absl::StatusOr<bool> ContentReader::Count(std::int64_t rows) {
  return Repeat(rows, [this] {
    while (counting_ == nullptr || !counting_->executeStep()) {
      if (uncounted_.empty()) return false;
      counting_ = std::make_unique<SQLite::Statement>(
          rebuilt_.database(), fmt::format("SELECT 1 FROM {}", Quoted(uncounted_.front())));
      uncounted_.pop_front();
    }
    ++rows_counted_;
    return true;
  });
}

absl::StatusOr<bool> ContentReader::Step(std::int64_t rows) {
  return Repeat(rows, [this] { return Read(); });
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
