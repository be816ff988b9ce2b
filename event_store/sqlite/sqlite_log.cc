#include "event_store/sqlite/sqlite_log.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <utility>

#include "core/reject.h"
#include "core/status.h"

namespace leftfold {
namespace {

// Append only: a released migration never changes.
constexpr std::string_view kMigrations[] = {R"sql(
  CREATE TABLE store(id INTEGER PRIMARY KEY CHECK (id = 1), store_id TEXT NOT NULL) STRICT;
  CREATE TABLE categories(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, last_position INTEGER NOT NULL) STRICT;
  CREATE TABLE streams(
    id INTEGER PRIMARY KEY, category_id INTEGER NOT NULL REFERENCES categories(id), name TEXT NOT NULL UNIQUE
  ) STRICT;
  CREATE TABLE types(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
  CREATE TABLE events(
    position INTEGER PRIMARY KEY, stream_id INTEGER NOT NULL, version INTEGER NOT NULL, type_id INTEGER NOT NULL,
    encoding INTEGER NOT NULL, event_id BLOB NOT NULL, payload BLOB NOT NULL, metadata BLOB NOT NULL, tags BLOB,
    recorded_at INTEGER NOT NULL, category_previous INTEGER NOT NULL, leaf BLOB NOT NULL, chain BLOB NOT NULL,
    UNIQUE (stream_id, version)) STRICT;
  CREATE TABLE commands(
    number INTEGER PRIMARY KEY, command_id TEXT NOT NULL UNIQUE, request_hash BLOB NOT NULL, aggregate_id TEXT NOT NULL,
    created_id TEXT NOT NULL, version INTEGER NOT NULL, position INTEGER NOT NULL) STRICT;
)sql"};

#define LEFTFOLD_EVENT_COLUMNS                                                                     \
  "e.position, s.name, e.version, e.event_id, t.name, e.payload, e.encoding, e.metadata, e.tags, " \
  "e.recorded_at, "                                                                                \
  "e.category_previous, e.leaf, e.chain"
#define LEFTFOLD_EVENT_TABLES \
  "events e JOIN streams s ON s.id = e.stream_id JOIN types t ON t.id = e.type_id"

template <class Bytes>
void CopyInto(std::string_view from, Bytes& to) {
  std::copy_n(from.begin(), std::min(from.size(), to.size()), to.begin());
}

RecordedEvent EventIn(const Rows& row) {
  RecordedEvent event;
  event.position = Position{row.Int(0)};
  event.stream = row.Text(1);
  event.version = Version{row.Int(2)};
  CopyInto(row.Blob(3), event.event_id);
  event.type = row.Text(4);
  event.payload = std::string(row.Blob(5));
  event.encoding = static_cast<Encoding>(row.Int(6));
  event.metadata = std::string(row.Blob(7));
  event.tags = DecodeTags(row.Blob(8));
  event.recorded_at = absl::FromUnixMicros(row.Int(9));
  event.category_previous = Position{row.Int(10)};
  CopyInto(row.Blob(11), event.leaf);
  CopyInto(row.Blob(12), event.chain);
  return event;
}

// Takes rows until a limit is reached; the first is taken whatever its size.
std::vector<RecordedEvent> Take(Rows& rows, std::size_t events_max, std::size_t bytes_max) {
  std::vector<RecordedEvent> events;
  std::size_t bytes = 0;
  while (events.size() < events_max && rows.Next()) {
    bytes += rows.Blob(5).size();
    if (bytes > bytes_max && !events.empty()) break;
    events.push_back(EventIn(rows));
  }
  return events;
}

template <class... Args>
Rows Bound(Cursor& cursor, const Args&... args) {
  int index = 0;
  const auto bind = [&](const auto& value) {
    ++index;
    if constexpr (std::is_convertible_v<decltype(value), std::string_view>) {
      cursor.BindText(index, value);
    } else {
      cursor.Bind(index, std::int64_t{value});
    }
  };
  (bind(args), ...);
  return Rows(cursor);
}

std::optional<StoredCommand> CommandIn(sql::Connection& connection, std::string_view command_id) {
  Rows rows =
      Bound(connection.Prepare(
                "SELECT request_hash, aggregate_id, created_id, version, position FROM commands "
                "WHERE command_id = ?"),
            command_id);
  if (!rows.Next()) return std::nullopt;
  StoredCommand found;
  CopyInto(rows.Blob(0), found.request_hash);
  found.receipt = {Version{rows.Int(3)}, Position{rows.Int(4)}, rows.Text(1), rows.Text(2), true};
  return found;
}

// Found at the end of the stream's part of the index: no row of a stream changes with an append,
// which would cost a page of its own.
Version StreamVersionIn(sql::Connection& connection, std::string_view stream) {
  Rows rows = Bound(
      connection.Prepare(
          "SELECT version FROM events WHERE stream_id = (SELECT id FROM streams WHERE name = ?) "
          "ORDER BY version DESC LIMIT 1"),
      stream);
  return rows.Next() ? Version{rows.Int(0)} : kNoEventYet;
}

}  // namespace

int LogFormat() { return static_cast<int>(std::size(kMigrations)); }

absl::Status MigrateLog(sql::Connection& writer, int format) {
  return writer.Migrate(kMigrations, format);
}

absl::StatusOr<std::unique_ptr<SqliteLog>> SqliteLog::Open(const std::string& folder, Mode mode) {
  std::unique_ptr<SqliteLog> log(new SqliteLog(folder + "/events.db"));
  if (mode == Mode::kWrite) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error)
      return Error(absl::StatusCode::kInternal, "cannot create {}: {}", folder, error.message());
    auto writer = sql::Connection::Open(log->path_, {.role = sql::Role::kWriter,
                                                     .full_sync = true,
                                                     .autocheckpoint_pages = kLogCheckpointPages,
                                                     .cache_kib = 8'192,
                                                     .application_id = kLogApplicationId});
    if (!writer.ok()) return writer.status();
    log->writer_ = *std::move(writer);
    LEFTFOLD_RETURN_IF_ERROR(MigrateLog(*log->writer_));
    LEFTFOLD_RETURN_IF_ERROR(log->CreateStore());
  }
  const auto tail = log->LoadTail();
  if (!tail.ok()) return tail.status();
  LEFTFOLD_RETURN_IF_ERROR(log->CheckTail(*tail));
  return log;
}

absl::Status SqliteLog::CreateStore() {
  LEFTFOLD_RETURN_IF_ERROR(writer_->Begin());
  {
    const std::string id = ToString(NewUuidV7(absl::UnixEpoch()));
    Rows rows =
        Bound(writer_->Prepare(
                  "INSERT INTO store(id, store_id) VALUES (1, ?) ON CONFLICT(id) DO NOTHING"),
              id);
    rows.Next();
  }
  return writer_->Commit();
}

absl::StatusOr<Tail> SqliteLog::LoadTail() {
  Tail tail;
  const absl::Status status = Read([&](sql::Connection& connection) {
    connection.Begin().IgnoreError();  // A failure is kept in the connection.
    Rows store(connection.Prepare("SELECT store_id FROM store"));
    if (store.Next()) tail.store_id = store.Text(0);
    tail.head.chain = FirstChain(tail.store_id);
    Rows last(connection.Prepare(
        "SELECT position, chain, recorded_at FROM events ORDER BY position DESC LIMIT 1"));
    if (last.Next()) {
      tail.head.position = Position{last.Int(0)};
      CopyInto(last.Blob(1), tail.head.chain);
      tail.recorded_at = absl::FromUnixMicros(last.Int(2));
    }
    Rows categories(connection.Prepare("SELECT name, last_position FROM categories"));
    while (categories.Next()) tail.category_heads[categories.Text(0)] = Position{categories.Int(1)};
    connection.Commit().IgnoreError();
  });
  if (!status.ok()) return status;
  return tail;
}

Tail SqliteLog::GetTail() {
  auto tail = LoadTail();
  if (!tail.ok()) Die(fmt::format("the log cannot be read: {}", ToStd(tail.status().message())));
  return *std::move(tail);
}

// The whole chain is the business of `leftfold verify`; here only a tail that was lost or replaced
// must be noticed.
absl::Status SqliteLog::CheckTail(const Tail& tail) {
  // Whoever cuts events off leaves their category's last position behind.
  Position last_of_all;
  for (const auto& [category, position] : tail.category_heads)
    last_of_all = std::max(last_of_all, position);
  bool fits = last_of_all == tail.head.position;
  if (fits && tail.head.position == kBeforeFirst) return absl::OkStatus();
  const auto read = ReadAll({.from = Position{tail.head.position.value - 2}, .events_max = 2});
  if (!read.ok()) return read.status();
  const std::vector<RecordedEvent>& last = read->events;
  const bool single = tail.head.position.value == 1;
  fits = fits && last.size() == (single ? 1u : 2u) && last.back().position == tail.head.position &&
         ChainOf(single ? FirstChain(tail.store_id) : last.front().chain, last.back()) ==
             last.back().chain;
  if (fits) return absl::OkStatus();
  return Reject(core::v1::ERROR_REASON_DATA_LOSS,
                fmt::format("the end of the log does not fit its chain at position {}; run "
                            "`leftfold verify`, restore a backup",
                            tail.head.position.value),
                {{"position", fmt::to_string(tail.head.position.value)}});
}

absl::Status SqliteLog::Read(const std::function<void(sql::Connection&)>& read) {
  std::unique_ptr<sql::Connection> connection;
  {
    MutexLock lock(mu_);
    if (!idle_.empty()) {
      connection = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (connection == nullptr) {
    auto opened = sql::Connection::Open(path_, {.application_id = kLogApplicationId});
    if (!opened.ok()) return opened.status();
    connection = *std::move(opened);
  }
  read(*connection);
  absl::Status status = connection->status();
  if (!status.ok()) return status;  // The connection is closed with it.
  MutexLock lock(mu_);
  if (idle_.size() < kIdleReadersMax) idle_.push_back(std::move(connection));
  return status;
}

absl::Status SqliteLog::BeginGroup() { return writer_->Begin(); }

absl::StatusOr<Version> SqliteLog::StreamHead(std::string_view stream) {
  const Version version = StreamVersionIn(*writer_, stream);
  if (!writer_->status().ok()) return writer_->status();
  return version;
}

std::int64_t SqliteLog::CategoryId(std::string_view category) {
  auto [it, added] = category_ids_.try_emplace(std::string(category));
  if (!added) return it->second;
  {
    Rows found = Bound(writer_->Prepare("SELECT id FROM categories WHERE name = ?"), category);
    if (found.Next()) return it->second = found.Int(0);
  }
  Rows made = Bound(
      writer_->Prepare("INSERT INTO categories(name, last_position) VALUES (?, 0) RETURNING id"),
      category);
  if (made.Next()) it->second = made.Int(0);
  return it->second;
}

std::int64_t SqliteLog::TypeId(const std::string& type) {
  auto [it, added] = type_ids_.try_emplace(type);
  if (!added) return it->second;
  {
    Rows found = Bound(writer_->Prepare("SELECT id FROM types WHERE name = ?"), type);
    if (found.Next()) return it->second = found.Int(0);
  }
  Rows made = Bound(writer_->Prepare("INSERT INTO types(name) VALUES (?) RETURNING id"), type);
  if (made.Next()) it->second = made.Int(0);
  return it->second;
}

std::int64_t SqliteLog::StreamId(const std::string& stream) {
  if (stream_ids_.size() > kStreamIdsMax) stream_ids_.clear();
  auto [it, added] = stream_ids_.try_emplace(stream);
  if (!added) return it->second;
  {
    Rows found = Bound(writer_->Prepare("SELECT id FROM streams WHERE name = ?"), stream);
    if (found.Next()) return it->second = found.Int(0);
  }
  const std::int64_t category = CategoryId(CategoryOf(stream));
  Rows made =
      Bound(writer_->Prepare("INSERT INTO streams(category_id, name) VALUES (?, ?) RETURNING id"),
            category, stream);
  if (made.Next()) it->second = made.Int(0);
  return it->second;
}

void SqliteLog::WriteEvents(const Group& group) {
  for (const RecordedEvent& event : group.events) {
    const std::int64_t stream_id = StreamId(event.stream);
    const std::int64_t type_id = TypeId(event.type);
    Cursor& insert =
        writer_->Prepare("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    insert.Bind(1, event.position.value);
    insert.Bind(2, stream_id);
    insert.Bind(3, event.version.value);
    insert.Bind(4, type_id);
    insert.Bind(5, static_cast<std::int64_t>(event.encoding));
    insert.BindBlob(6,
                    {reinterpret_cast<const char*>(event.event_id.data()), event.event_id.size()});
    insert.BindBlob(7, event.payload);
    insert.BindBlob(8, event.metadata);
    const std::string tags = EncodeTags(event.tags);
    tags.empty() ? insert.BindNull(9) : insert.BindBlob(9, tags);
    insert.Bind(10, absl::ToUnixMicros(event.recorded_at));
    insert.Bind(11, event.category_previous.value);
    insert.BindBlob(12, AsBytes(event.leaf));
    insert.BindBlob(13, AsBytes(event.chain));
    insert.Step();
    insert.Reset();
  }
  for (const auto& [category, position] : group.category_heads) {
    Rows rows = Bound(writer_->Prepare("UPDATE categories SET last_position = ? WHERE id = ?"),
                      position.value, CategoryId(category));
    rows.Next();
  }
}

void SqliteLog::WriteCommands(const Group& group) {
  for (const LoggedCommand& command : group.commands) {
    Cursor& insert = writer_->Prepare(
        "INSERT INTO commands(command_id, request_hash, aggregate_id, created_id, version, "
        "position) VALUES (?, ?, ?, ?, ?, ?)");
    insert.BindText(1, command.record.command_id);
    insert.BindBlob(2, AsBytes(command.record.request_hash));
    insert.BindText(3, command.record.aggregate_id);
    insert.BindText(4, command.record.created_id);
    insert.Bind(5, command.version.value);
    insert.Bind(6, command.position.value);
    insert.Step();
    insert.Reset();
  }
}

absl::StatusOr<Position> SqliteLog::FindMatch(const AppendCondition& condition) {
  Rows rows = Bound(writer_->Prepare("SELECT e.position, t.name, e.tags FROM events e "
                                     "JOIN types t ON t.id = e.type_id WHERE e.position > ?"),
                    condition.after.value);
  while (rows.Next()) {
    if (MatchesAny(condition.fail_if_events_match, rows.Text(1), DecodeTags(rows.Blob(2))))
      return Position{rows.Int(0)};
  }
  if (!writer_->status().ok()) return writer_->status();
  return kBeforeFirst;
}

absl::Status SqliteLog::Commit(const Group& group) {
  if (group.events.empty() && group.commands.empty()) {
    writer_->Rollback();
    return absl::OkStatus();
  }
  WriteEvents(group);
  WriteCommands(group);
  absl::Status committed = writer_->Commit();
  if (committed.ok()) return committed;
  writer_->Rollback();
  // Ids that the lost transaction made are not there.
  stream_ids_.clear();
  category_ids_.clear();
  type_ids_.clear();
  return committed;
}

absl::StatusOr<std::optional<StoredCommand>> SqliteLog::CommandBefore(std::string_view command_id) {
  const std::optional<StoredCommand> found = CommandIn(*writer_, command_id);
  if (!writer_->status().ok()) return writer_->status();
  return found;
}

absl::StatusOr<std::optional<StoredCommand>> SqliteLog::FindCommand(std::string_view command_id) {
  std::optional<StoredCommand> found;
  const absl::Status status =
      Read([&](sql::Connection& connection) { found = CommandIn(connection, command_id); });
  if (!status.ok()) return status;
  return found;
}

absl::StatusOr<std::vector<RecordedEvent>> SqliteLog::ReadStream(std::string_view stream,
                                                                 const ReadStreamOptions& options) {
  std::vector<RecordedEvent> events;
  const absl::Status status = Read([&](sql::Connection& connection) {
    Cursor& statement =
        options.direction == Direction::kForward
            ? connection.Prepare(
                  "SELECT " LEFTFOLD_EVENT_COLUMNS " FROM " LEFTFOLD_EVENT_TABLES
                  " WHERE e.stream_id = (SELECT id FROM streams WHERE name = ?) AND e.version >= ? "
                  "ORDER BY e.version")
            : connection.Prepare(
                  "SELECT " LEFTFOLD_EVENT_COLUMNS " FROM " LEFTFOLD_EVENT_TABLES
                  " WHERE e.stream_id = (SELECT id FROM streams WHERE name = ?) AND e.version <= ? "
                  "ORDER BY e.version DESC");
    Rows rows = Bound(statement, stream, options.from.value);
    events = Take(rows, options.events_max, options.bytes_max);
  });
  if (!status.ok()) return status;
  return events;
}

absl::StatusOr<ReadAllResult> SqliteLog::ReadAll(const ReadAllOptions& options) {
  ReadAllResult result{{}, options.from};
  const absl::Status status = Read([&](sql::Connection& connection) {
    Cursor& statement =
        options.direction == Direction::kForward
            ? connection.Prepare("SELECT " LEFTFOLD_EVENT_COLUMNS " FROM " LEFTFOLD_EVENT_TABLES
                                 " WHERE e.position > ? ORDER BY e.position")
            : connection.Prepare("SELECT " LEFTFOLD_EVENT_COLUMNS " FROM " LEFTFOLD_EVENT_TABLES
                                 " WHERE e.position < ? ORDER BY e.position DESC");
    Rows rows = Bound(statement, options.from.value);
    std::size_t bytes = 0;
    std::size_t passed_over = 0;
    while (passed_over < kScanEventsMax && result.events.size() < options.events_max &&
           rows.Next()) {
      RecordedEvent event = EventIn(rows);
      const Position position = event.position;
      if (options.filter.Matches(event)) {
        bytes += event.payload.size();
        if (bytes > options.bytes_max && !result.events.empty()) break;
        result.events.push_back(std::move(event));
      } else {
        ++passed_over;
      }
      result.through = position;
    }
  });
  if (!status.ok()) return status;
  return result;
}

absl::StatusOr<std::vector<StreamInfo>> SqliteLog::ListStreams(const ListStreamsOptions& options) {
  // The names of a category lie between "<category>-" and "<category>.", the character after it.
  const std::string first = options.category.empty() ? "" : options.category + "-";
  const std::string end = options.category.empty() ? "\x7F" : options.category + ".";
  std::vector<StreamInfo> streams;
  const absl::Status status = Read([&](sql::Connection& connection) {
    Rows rows =
        Bound(connection.Prepare(
                  "SELECT s.name, (SELECT max(version) FROM events e WHERE e.stream_id = s.id) "
                  "FROM streams s WHERE s.name > ? AND s.name < ? ORDER BY s.name LIMIT ?"),
              std::max(options.after, first), end, static_cast<std::int64_t>(options.streams_max));
    while (rows.Next()) streams.push_back({rows.Text(0), Version{rows.Int(1)}});
  });
  if (!status.ok()) return status;
  return streams;
}

absl::StatusOr<Position> SqliteLog::PositionBefore(absl::Time time) {
  Position before;
  const absl::Status status = Read([&](sql::Connection& connection) {
    connection.Begin().IgnoreError();  // A failure is kept in the connection.
    std::int64_t first_after = 1;
    {
      Rows last(connection.Prepare("SELECT max(position) FROM events"));
      if (last.Next()) first_after += last.Int(0);
    }
    std::int64_t low = 1;
    while (low < first_after) {
      const std::int64_t middle = low + (first_after - low) / 2;
      Rows rows =
          Bound(connection.Prepare("SELECT recorded_at FROM events WHERE position = ?"), middle);
      if (rows.Next() && absl::FromUnixMicros(rows.Int(0)) < time) {
        low = middle + 1;
      } else {
        first_after = middle;
      }
    }
    before = Position{low - 1};
    connection.Commit().IgnoreError();
  });
  if (!status.ok()) return status;
  return before;
}

absl::StatusOr<Version> SqliteLog::StreamVersion(std::string_view stream) {
  Version version = kNoEventYet;
  const absl::Status status =
      Read([&](sql::Connection& connection) { version = StreamVersionIn(connection, stream); });
  if (!status.ok()) return status;
  return version;
}

}  // namespace leftfold
