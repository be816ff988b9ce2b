#include "event_store/sqlite/sqlite_log.h"

#include <absl/container/node_hash_map.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <limits>
#include <utility>

#include "core/log.h"
#include "core/reject.h"
#include "core/status.h"
#include "event_store/read_page.h"
#include "sql/durable_file.h"

namespace leftfold {
namespace {

// Append only: a released migration never changes.
constexpr std::string_view kLogMigrations[] = {R"sql(
  CREATE TABLE store(id INTEGER PRIMARY KEY CHECK (id = 1), store_id TEXT NOT NULL) STRICT;
  CREATE TABLE categories(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, last_position INTEGER NOT NULL) STRICT;
  CREATE TABLE streams(
    id INTEGER PRIMARY KEY, category_id INTEGER NOT NULL REFERENCES categories(id), name TEXT NOT NULL UNIQUE
  ) STRICT;
  CREATE TABLE types(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
  CREATE TABLE events(
    position INTEGER PRIMARY KEY, stream_id INTEGER NOT NULL, version INTEGER NOT NULL, type_id INTEGER NOT NULL,
    encoding INTEGER NOT NULL, event_id BLOB NOT NULL, payload BLOB NOT NULL, metadata BLOB NOT NULL, tags BLOB,
    recorded_at INTEGER NOT NULL, category_previous INTEGER NOT NULL, leaf BLOB NOT NULL, chain BLOB NOT NULL) STRICT;
  CREATE TABLE commands(
    number INTEGER PRIMARY KEY, command_id TEXT NOT NULL, request_hash BLOB NOT NULL, aggregate_id TEXT NOT NULL,
    created_id TEXT NOT NULL, version INTEGER NOT NULL, position INTEGER NOT NULL) STRICT;
)sql"};

#define LEFTFOLD_EVENT_COLUMNS                                                                \
  "e.position, s.name, e.version, e.event_id, e.type_id, e.payload, e.encoding, e.metadata, " \
  "e.tags, e.recorded_at, e.category_previous, e.leaf, e.chain"
#define LEFTFOLD_EVENT_TABLES "events e JOIN streams s ON s.id = e.stream_id"

constexpr Position kEndOfLog{std::numeric_limits<std::int64_t>::max()};

// What copying the write-ahead log back may come to without harm: there is no room, or a reader has
// it.
bool IsHarmless(const absl::Status& copied) {
  return copied.ok() || absl::IsResourceExhausted(copied) || absl::IsUnavailable(copied);
}

std::int64_t BytesOf(const std::string& path) {
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(path, error);
  return error ? 0 : static_cast<std::int64_t>(bytes);
}

// What is too short leaves the rest as it is. The whole size, known, is copied by a few
// instructions.
template <class Bytes>
void CopyInto(std::string_view from, Bytes& to) {
  if (from.size() >= to.size()) {
    std::memcpy(to.data(), from.data(), sizeof to);
  } else {
    std::copy(from.begin(), from.end(), to.begin());
  }
}

// The event in a row, until the next one. The same object sees row after row: types are few, and it
// asks for the name of each once. Fails the connection where there is none.
class EventRow {
 public:
  explicit EventRow(sql::Connection& connection) : connection_(connection) {}

  EventView Of(const Rows& row) {
    tags_ = DecodeTags(row.Blob(8));
    EventView event;
    event.position = Position{row.Int(0)};
    event.stream = row.TextView(1);
    event.version = Version{row.Int(2)};
    CopyInto(row.Blob(3), event.event_id);
    event.type = TypeOf(row.Int(4));
    event.payload = row.Blob(5);
    event.encoding = static_cast<Encoding>(row.Int(6));
    event.metadata = row.Blob(7);
    event.tags = tags_;
    event.recorded_at = absl::FromUnixMicros(row.Int(9));
    event.category_previous = Position{row.Int(10)};
    CopyInto(row.Blob(11), event.leaf);
    CopyInto(row.Blob(12), event.chain);
    return event;
  }
  void OfferTo(ReadPage& page, const Rows& row) {
    const EventView event = Of(row);
    if (connection_.status().ok()) page.Offer(event);
  }

 private:
  const std::string& TypeOf(std::int64_t id) {
    if (id == last_type_) return *last_type_name_;
    const auto [found, is_new] = type_names_.try_emplace(id);
    if (is_new) {
      Rows rows = Ask(connection_, "SELECT name FROM types WHERE id = ?", id);
      if (rows.Next()) {
        found->second = rows.Text(0);
      } else {
        connection_.Fail(Error(absl::StatusCode::kDataLoss, "the log has no name of type {}", id));
      }
    }
    last_type_ = id;
    last_type_name_ = &found->second;
    return found->second;
  }

  sql::Connection& connection_;
  std::vector<Tag> tags_;
  absl::node_hash_map<std::int64_t, std::string> type_names_;
  std::int64_t last_type_ = 0;
  const std::string* last_type_name_ = nullptr;
};

StoredCommand CommandIn(const Rows& row) {
  StoredCommand found;
  CopyInto(row.Blob(0), found.request_hash);
  found.receipt = {Version{row.Int(3)}, Position{row.Int(4)}, row.Text(1), row.Text(2), true};
  return found;
}

std::optional<StoredCommand> CommandNumbered(sql::Connection& connection, std::int64_t number) {
  Rows rows = Ask(connection,
                  "SELECT request_hash, aggregate_id, created_id, version, position FROM commands "
                  "WHERE number = ?",
                  number);
  return rows.Next() ? std::optional(CommandIn(rows)) : std::nullopt;
}

// Among the commands that the index does not know yet.
std::optional<StoredCommand> CommandAfter(sql::Connection& connection, std::int64_t number,
                                          std::string_view command_id) {
  Rows rows = Ask(connection,
                  "SELECT request_hash, aggregate_id, created_id, version, position FROM commands "
                  "WHERE number > ? AND command_id = ?",
                  number, command_id);
  return rows.Next() ? std::optional(CommandIn(rows)) : std::nullopt;
}

// 0 when there is no such stream.
std::int64_t StreamIdIn(sql::Connection& connection, std::string_view stream) {
  Rows rows = Ask(connection, "SELECT id FROM streams WHERE name = ?", stream);
  return rows.Next() ? rows.Int(0) : 0;
}

constexpr absl::Duration kWalRetryDelay = absl::Seconds(5);

absl::Status WalFull(std::int64_t maximum, std::int64_t actual) {
  return WithRetryAfter(
      Reject(core::v1::ERROR_REASON_WAL_FULL,
             fmt::format("the log's write-ahead file has {} bytes, more than {}: a process outside "
                         "the server reads the log in one transaction; nothing was stored; end "
                         "that transaction and retry",
                         actual, maximum),
             {{"maximum", fmt::to_string(maximum)}, {"actual", fmt::to_string(actual)}}),
      kWalRetryDelay);
}

// Damage of this file, as clients hear of it. Without a reason it would be taken for a view's.
absl::Status OfLog(absl::Status status) {
  if (!absl::IsDataLoss(status) || !ReasonOf(status).empty()) return status;
  return Reject(
      core::v1::ERROR_REASON_DATA_LOSS,
      fmt::format("{}; run `leftfold verify`, restore a backup", ToStd(status.message())));
}

// SQLite takes a file without a byte for a new one. The index is made after the log's first commit,
// which is in one of the log's files from then on.
absl::Status CheckNotEmptied(const std::string& folder) {
  const std::string path = folder + "/events.db";
  std::error_code error;
  const bool emptied = std::filesystem::exists(path, error) && BytesOf(path) == 0 &&
                       BytesOf(path + "-wal") == 0 && BytesOf(folder + "/index.db") > 0;
  if (!emptied) return absl::OkStatus();
  return Error(absl::StatusCode::kDataLoss,
               "{0} is empty, though there is an index of it: the log was lost. Restore a backup "
               "(leftfold restore), or delete {1}/index.db to begin with an empty log",
               path, folder);
}

}  // namespace

int NewestLogFormat() { return static_cast<int>(std::size(kLogMigrations)); }

absl::Status MigrateLog(sql::Connection& writer, int format) {
  return writer.Migrate(kLogMigrations, format);
}

absl::StatusOr<std::unique_ptr<SqliteLog>> SqliteLog::Open(const std::string& folder,
                                                           const LogIndex::Options& options,
                                                           const WalLimits& wal,
                                                           std::size_t streams_known_max) {
  std::unique_ptr<SqliteLog> log(new SqliteLog(folder + "/events.db", wal));
  if (options.mode == LogIndex::Mode::kWrite) {
    LEFTFOLD_RETURN_IF_ERROR(sql::MakeFolder(folder));
    LEFTFOLD_RETURN_IF_ERROR(CheckNotEmptied(folder));
    auto writer = sql::Connection::Open(log->path_, kLogWriter);
    if (!writer.ok()) return OfLog(writer.status());
    log->writer_ = *std::move(writer);
    log->rows_.emplace(*log->writer_, streams_known_max);
    LEFTFOLD_RETURN_IF_ERROR(OfLog(MigrateLog(*log->writer_)));
    LEFTFOLD_RETURN_IF_ERROR(OfLog(log->CreateStore()));
  }
  const auto tail = log->LoadTail();
  if (!tail.ok()) return tail.status();
  LEFTFOLD_RETURN_IF_ERROR(log->CheckTail(*tail));
  auto index = LogIndex::Open(folder, options, *log);
  if (!index.ok()) return index.status();
  log->index_ = *std::move(index);
  if (options.mode == LogIndex::Mode::kWrite) {
    log->last_command_ = log->writer_->Value("SELECT max(number) FROM commands");
    LEFTFOLD_RETURN_IF_ERROR(OfLog(log->writer_->status()));
  }
  return log;
}

absl::Status SqliteLog::CreateStore() {
  LEFTFOLD_RETURN_IF_ERROR(writer_->Begin());
  {
    const std::string id = ToString(NewUuidV7(absl::UnixEpoch()));
    Rows rows = Ask(*writer_,
                    "INSERT INTO store(id, store_id) VALUES (1, ?) ON CONFLICT(id) DO NOTHING", id);
    rows.Next();
  }
  return writer_->Commit();
}

absl::Status SqliteLog::Read(const std::function<void(sql::Connection&)>& read) {
  return OfLog(readers_.Read(read));
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
  const auto read =
      CollectAll(*this, {.from = Position{tail.head.position.value - 2}, .events_max = 2});
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

absl::Status SqliteLog::BeginGroup() {
  if (!IsHarmless(wal_copied_)) return OfLog(wal_copied_);
  if (wal_too_large_ > 0) EmptyWal();
  if (!IsHarmless(wal_copied_)) return OfLog(wal_copied_);
  return OfLog(writer_->Begin());
}

absl::StatusOr<Version> SqliteLog::StreamHead(std::string_view stream) {
  KnownStream& known = rows_->Stream(std::string(stream));
  if (!writer_->status().ok()) return OfLog(writer_->status());
  if (known.version != KnownStream::kVersionNotRead) return known.version;
  if (known.id == 0) return known.version = kNoEventYet;
  const auto last = index_->LastVersion(known.id);
  if (last.ok()) known.version = *last;
  return last;
}

void SqliteLog::AddToIndex(const Group& group) {
  IndexBatch batch;
  batch.events.reserve(group.events.size());
  batch.commands.reserve(group.commands.size());
  for (const RecordedEvent& event : group.events) {
    KnownStream& stream = rows_->Stream(event.stream);
    stream.version = event.version;
    batch.events.push_back({event.position, stream.id, event.version,
                            TermsOf(event.stream, event.type, event.tags, event.metadata)});
  }
  for (const LoggedCommand& command : group.commands)
    batch.commands.push_back({++last_command_, command.record.command_id});
  IndexProgress through = index_->Through();
  through.command = last_command_;
  if (!group.events.empty()) {
    through.position = group.events.back().position;
    through.chain = group.events.back().chain;
  }
  index_->Add(std::move(batch), through);
}

absl::StatusOr<bool> SqliteLog::Fits(const IndexProgress& progress) {
  bool fits = false;
  const absl::Status status = Read([&](sql::Connection& connection) {
    if (progress.position == kBeforeFirst) {
      fits = true;
    } else {
      Rows rows =
          Ask(connection, "SELECT chain FROM events WHERE position = ?", progress.position.value);
      fits = rows.Next() && rows.Blob(0) == AsBytes(progress.chain);
    }
    Rows rows(connection.Prepare("SELECT max(number) FROM commands"));
    fits = fits && rows.Next() && progress.command <= rows.Int(0);
  });
  if (!status.ok()) return status;
  return fits;
}

absl::StatusOr<std::pair<IndexBatch, IndexProgress>> SqliteLog::ReadAfter(
    const IndexProgress& progress, std::size_t count) {
  IndexBatch batch;
  IndexProgress through = progress;
  const absl::Status status = Read([&](sql::Connection& connection) {
    const auto most = static_cast<std::int64_t>(count);
    Rows events = Ask(connection,
                      "SELECT e.position, s.name, t.name, e.tags, e.metadata, e.chain, "
                      "e.stream_id, e.version "
                      "FROM " LEFTFOLD_EVENT_TABLES
                      " JOIN types t ON t.id = e.type_id "
                      "WHERE e.position > ? ORDER BY e.position LIMIT ?",
                      progress.position.value, most);
    while (events.Next()) {
      through.position = Position{events.Int(0)};
      batch.events.push_back({through.position, events.Int(6), Version{events.Int(7)},
                              TermsOf(events.TextView(1), events.TextView(2),
                                      DecodeTags(events.Blob(3)), events.Blob(4))});
      CopyInto(events.Blob(5), through.chain);
    }
    Rows commands = Ask(connection,
                        "SELECT number, command_id FROM commands "
                        "WHERE number > ? ORDER BY number LIMIT ?",
                        progress.command, most);
    while (commands.Next()) {
      through.command = commands.Int(0);
      batch.commands.push_back({through.command, commands.Text(1)});
    }
  });
  if (!status.ok()) return status;
  return std::pair(std::move(batch), through);
}

namespace {

absl::Status TooManyLookups(Position through) {
  return Reject(core::v1::ERROR_REASON_LIMIT_EXCEEDED,
                fmt::format("the condition takes more than {0} look-ups; nothing up to position "
                            "{1} fits it: pass that as after_position",
                            kConditionLookupsMax, through.value),
                {{"limit", "condition_lookups"},
                 {"maximum", fmt::to_string(kConditionLookupsMax)},
                 {"after_position", fmt::to_string(through.value)}});
}

}  // namespace

absl::StatusOr<Position> SqliteLog::FindMatch(const AppendCondition& condition) {
  const TermQuery query = QueryOf(condition.fail_if_events_match);
  // An item without types and tags fits every event.
  if (query.alternatives.empty()) return condition.after.Next();
  Position from = condition.after.Next();
  for (std::int64_t lookups = kConditionLookupsMax;;) {
    const auto search = index_->Find(query, from, Direction::kForward, lookups);
    if (!search.ok()) return search.status();
    const std::optional<Position> found = search->found;
    if (!found && search->through >= index_->Through().position) return kBeforeFirst;
    if (!found) return TooManyLookups(search->through);
    Rows rows = Ask(*writer_,
                    "SELECT t.name, e.tags FROM events e "
                    "JOIN types t ON t.id = e.type_id WHERE e.position = ?",
                    found->value);
    if (rows.Next() &&
        MatchesAny(condition.fail_if_events_match, rows.TextView(0), DecodeTags(rows.Blob(1))))
      return *found;
    if (!writer_->status().ok()) return OfLog(writer_->status());
    from = found->Next();
  }
}

absl::Status SqliteLog::Commit(const Group& group) {
  if (group.events.empty() && group.commands.empty()) {
    writer_->Rollback();
    return absl::OkStatus();
  }
  if (wal_too_large_ > 0) {
    writer_->Rollback();
    rows_->ForgetIds();
    if (!std::exchange(wal_refuses_, true))
      LogLine("leftfold: {}-wal has {} MiB: appends are refused", path_, wal_too_large_ >> 20);
    // A disk without room for what is to be copied back is full, whoever reads.
    return absl::IsResourceExhausted(wal_copied_)
               ? wal_copied_
               : WalFull(wal_limits_.bytes_refused, wal_too_large_);
  }
  for (const RecordedEvent& event : group.events) rows_->Write(event);
  for (const auto& [category, position] : group.category_heads)
    rows_->WriteCategoryHead(category, position);
  std::int64_t number = last_command_;
  for (const LoggedCommand& command : group.commands) rows_->Write(++number, command);
  absl::Status committed = writer_->Commit();
  if (committed.ok()) {
    AddToIndex(group);
    WatchWal();
    return committed;
  }
  writer_->Rollback();
  rows_->ForgetIds();
  return OfLog(std::move(committed));
}

// The next group meets what is wrong with the file.
void SqliteLog::AfterGroup() { writer_->CheckpointEvery(kLogCheckpointPages).IgnoreError(); }

// Waits for readers that run, but not long. The commits stand whatever becomes of this; what is
// wrong with the file the next group meets.
void SqliteLog::RestartWal(std::string_view checkpoint) {
  writer_->Run(fmt::format("PRAGMA busy_timeout={}", kLogRestartWaitMs)).IgnoreError();
  writer_->Value(fmt::format("PRAGMA wal_checkpoint({})", checkpoint));
  if (!IsHarmless(writer_->status())) wal_copied_ = writer_->status();
  writer_->ClearStatus();
  writer_->Run(fmt::format("PRAGMA busy_timeout={}", sql::kBusyTimeoutMs)).IgnoreError();
}

void SqliteLog::EmptyWal() {
  bool copied = false;
  {
    Rows rows(writer_->Prepare("PRAGMA wal_checkpoint(PASSIVE)"));
    copied = rows.Next() && rows.Int(1) == rows.Int(2);
  }
  wal_copied_ = writer_->status();
  writer_->ClearStatus();
  // While a reader keeps pages from being copied there is nothing to wait for.
  if (copied) RestartWal("TRUNCATE");
  writer_->ClearStatus();
  const std::int64_t bytes = BytesOf(path_ + "-wal");
  if (bytes > wal_limits_.bytes_refused) return;
  wal_too_large_ = 0;
  if (std::exchange(wal_refuses_, false))
    LogLine("leftfold: {}-wal is back at {} MiB: appends are taken again", path_, bytes >> 20);
}

// Looks at the file only where it may have grown beyond what is allowed without a word: Linux
// writes the time of a file's change with the next sync if somebody has asked for it since the
// last, which takes a commit as long again as its own pages.
void SqliteLog::WatchWal() {
  const std::int64_t small = std::min(wal_limits_.bytes_max, wal_limits_.bytes_refused);
  if (wal_is_small_ && writer_->WalBytes() <= small) return;
  const std::int64_t bytes = BytesOf(path_ + "-wal");
  wal_is_small_ = bytes <= small;
  if (bytes > wal_limits_.bytes_refused) wal_too_large_ = bytes;
  if (bytes <= wal_limits_.bytes_max) {
    wal_restart_at_ = wal_limits_.bytes_max;
    if (std::exchange(wal_warned_, false))
      LogLine("leftfold: {}-wal is back at {} MiB", path_, bytes >> 20);
    return;
  }
  if (bytes > wal_restart_at_) {
    wal_restart_at_ = bytes + kLogWalStep;
    RestartWal("RESTART");
  }
  if (bytes > kLogWalWarnBytes && !std::exchange(wal_warned_, true)) {
    LogLine(
        "leftfold: {0}-wal has {1} MiB and grows: a reader has held {0} open in one transaction "
        "since; find the process with `fuser {0}` and end its transaction",
        path_, bytes >> 20);
  }
}

Log::Files SqliteLog::GetFiles() { return {BytesOf(path_), BytesOf(path_ + "-wal")}; }

absl::StatusOr<std::optional<StoredCommand>> SqliteLog::CommandBefore(std::string_view command_id) {
  const auto number = index_->FindCommand(command_id);
  if (!number.ok()) return number.status();
  if (!*number) return std::nullopt;
  std::optional<StoredCommand> found = CommandNumbered(*writer_, **number);
  if (!writer_->status().ok()) return OfLog(writer_->status());
  return found;
}

absl::StatusOr<std::optional<StoredCommand>> SqliteLog::FindCommand(std::string_view command_id) {
  const auto number = index_->FindCommand(command_id);
  if (!number.ok()) return number.status();
  const bool complete = writer_ != nullptr;
  if (!*number && complete) return std::nullopt;
  std::optional<StoredCommand> found;
  const absl::Status status = Read([&](sql::Connection& connection) {
    found = *number ? CommandNumbered(connection, **number)
                    : CommandAfter(connection, index_->Through().command, command_id);
  });
  if (!status.ok()) return status;
  return found;
}

namespace {

// The end of the positions from `begin` on that follow each other, as those of one append do: one
// question gets them all.
std::size_t EndOfRun(const std::vector<Position>& positions, std::size_t begin) {
  std::size_t end = begin + 1;
  while (end < positions.size() && positions[end] == positions[end - 1].Next()) ++end;
  return end;
}

}  // namespace

absl::StatusOr<std::vector<RecordedEvent>> SqliteLog::ReadStream(std::string_view stream,
                                                                 const ReadStreamOptions& options) {
  std::vector<RecordedEvent> events;
  absl::Status found;
  const absl::Status read = Read([&](sql::Connection& connection) {
    const auto positions = PositionsOf(connection, stream, options);
    found = positions.status();
    if (!positions.ok()) return;
    std::size_t bytes = 0;
    EventRow row(connection);
    for (std::size_t i = 0; i < positions->size();) {
      const std::size_t end = EndOfRun(*positions, i);
      Rows rows = Ask(connection,
                      "SELECT " LEFTFOLD_EVENT_COLUMNS " FROM " LEFTFOLD_EVENT_TABLES
                      " WHERE e.position >= ? AND e.position <= ? ORDER BY e.position",
                      (*positions)[i].value, (*positions)[end - 1].value);
      for (; i < end; ++i) {
        if (!rows.Next() || rows.Int(0) != (*positions)[i].value) return;
        bytes += rows.Blob(5).size();
        if (bytes > options.bytes_max && !events.empty()) return;
        events.push_back(CopyOf(row.Of(rows)));
      }
    }
  });
  if (!found.ok()) return found;
  if (!read.ok()) return read;
  return events;
}

absl::StatusOr<std::vector<Position>> SqliteLog::PositionsOf(sql::Connection& connection,
                                                             std::string_view stream,
                                                             const ReadStreamOptions& options) {
  const std::int64_t id = StreamIdIn(connection, stream);
  if (id == 0) return std::vector<Position>();
  const bool forward = options.direction == Direction::kForward;
  std::vector<Position> newer;
  if (writer_ == nullptr) {
    // Only a reader beside the writer finds the log longer than its index.
    const std::string_view after_index =
        forward ? "SELECT position FROM events WHERE position > ? AND stream_id = ? AND version >= "
                  "? ORDER BY position LIMIT ?"
                : "SELECT position FROM events WHERE position > ? AND stream_id = ? AND version <= "
                  "? ORDER BY position DESC LIMIT ?";
    for (Rows rows = Ask(connection, after_index, index_->Through().position.value, id,
                         options.from.value, static_cast<std::int64_t>(options.events_max));
         rows.Next();) {
      newer.push_back(Position{rows.Int(0)});
    }
  }
  auto indexed = index_->StreamPositions(id, options.from, options.direction, options.events_max);
  if (!indexed.ok()) return indexed.status();
  std::vector<Position>& positions = forward ? *indexed : newer;
  const std::vector<Position>& rest = forward ? newer : *indexed;
  for (std::size_t i = 0; i < rest.size() && positions.size() < options.events_max; ++i)
    positions.push_back(rest[i]);
  return std::move(positions);
}

absl::StatusOr<Position> SqliteLog::VisitAll(const ReadAllOptions& options, TakeEvent take) {
  ReadPage page(options, take);
  const TermQuery query = QueryOf(options.filter);
  // A reader beside the writer finds the log longer than its index. In the writer's process an
  // event is there once it is indexed, a moment after its commit: who has read it finds it in its
  // stream, too. While the log is being opened there is no index yet.
  const bool narrowed = !query.alternatives.empty();
  const Position indexed = narrowed ? index_->Through().position : kBeforeFirst;
  const bool writing = writer_ != nullptr && index_ != nullptr;
  const Position end = writing ? index_->Through().position : kEndOfLog;
  absl::Status found;
  const absl::Status status = Read([&](sql::Connection& connection) {
    if (page.forward()) {
      if (narrowed && page.through() < indexed)
        found = ReadIndexed(connection, query, indexed, page);
      if (found.ok() && !page.full()) Scan(connection, end, page);
    } else {
      if (page.through() > indexed.Next()) Scan(connection, indexed, page);
      if (narrowed && indexed > kBeforeFirst && !page.full())
        found = ReadIndexed(connection, query, indexed, page);
    }
  });
  LEFTFOLD_RETURN_IF_ERROR(found);
  if (!status.ok()) return status;
  return page.through();
}

// Forward up to `end` (inclusive); backward down to it (exclusive).
void SqliteLog::Scan(sql::Connection& connection, Position end, ReadPage& page) {
  const std::string_view scan =
      page.forward() ? "SELECT " LEFTFOLD_EVENT_COLUMNS " FROM " LEFTFOLD_EVENT_TABLES
                       " WHERE e.position > ? AND e.position <= ? ORDER BY e.position"
                     : "SELECT " LEFTFOLD_EVENT_COLUMNS " FROM " LEFTFOLD_EVENT_TABLES
                       " WHERE e.position < ? AND e.position > ? ORDER BY e.position DESC";
  Rows rows = Ask(connection, scan, page.through().value, end.value);
  EventRow row(connection);
  while (!page.full() && rows.Next()) row.OfferTo(page, rows);
}

// Forward up to `indexed`; backward from there or before.
absl::Status SqliteLog::ReadIndexed(sql::Connection& connection, const TermQuery& query,
                                    Position indexed, ReadPage& page) {
  const Direction direction = page.forward() ? Direction::kForward : Direction::kBackward;
  std::int64_t lookups = kReadLookupsMax;
  EventRow row(connection);
  while (!page.full() && (page.forward() || page.through() > Position{1})) {
    const Position from = page.forward()
                              ? page.through().Next()
                              : Position{std::min(page.through().value - 1, indexed.value)};
    const auto search = index_->Find(query, from, direction, lookups);
    if (!search.ok()) return search.status();
    const std::optional<Position> found = search->found;
    if (!found || *found > indexed) {
      page.Skip(page.forward() ? std::min(search->through, indexed) : search->through);
      if (page.through() != (page.forward() ? indexed : Position{1})) page.End();
      return absl::OkStatus();
    }
    Rows rows =
        Ask(connection,
            "SELECT " LEFTFOLD_EVENT_COLUMNS " FROM " LEFTFOLD_EVENT_TABLES " WHERE e.position = ?",
            found->value);
    if (!rows.Next()) return absl::OkStatus();
    row.OfferTo(page, rows);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<StreamInfo>> SqliteLog::ListStreams(const ListStreamsOptions& options) {
  // The names of a category lie between "<category>-" and "<category>.", the character after it.
  const std::string first = options.category.empty() ? "" : options.category + "-";
  const std::string end = options.category.empty() ? "\x7F" : options.category + ".";
  std::vector<StreamInfo> streams;
  absl::Status found;
  const absl::Status status = Read([&](sql::Connection& connection) {
    Rows rows =
        Ask(connection,
            "SELECT name, id FROM streams WHERE name > ? AND name < ? "
            "ORDER BY name LIMIT ?",
            std::max(options.after, first), end, static_cast<std::int64_t>(options.streams_max));
    while (found.ok() && rows.Next()) {
      const auto version = VersionOf(connection, rows.Int(1));
      found = version.status();
      if (version.ok()) streams.push_back({rows.Text(0), *version});
    }
  });
  if (!found.ok()) return found;
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
      Rows rows = Ask(connection, "SELECT recorded_at FROM events WHERE position = ?", middle);
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

absl::StatusOr<Version> SqliteLog::VersionOf(sql::Connection& connection, std::int64_t stream_id) {
  if (writer_ == nullptr) {
    Rows rows = Ask(connection,
                    "SELECT version FROM events WHERE position > ? AND "
                    "stream_id = ? ORDER BY position DESC LIMIT 1",
                    index_->Through().position.value, stream_id);
    if (rows.Next()) return Version{rows.Int(0)};
  }
  return index_->LastVersion(stream_id);
}

absl::StatusOr<Version> SqliteLog::StreamVersion(std::string_view stream) {
  absl::StatusOr<Version> version = kNoEventYet;
  const absl::Status status = Read([&](sql::Connection& connection) {
    const std::int64_t id = StreamIdIn(connection, stream);
    if (id != 0) version = VersionOf(connection, id);
  });
  if (!status.ok()) return status;
  return version;
}

}  // namespace leftfold
