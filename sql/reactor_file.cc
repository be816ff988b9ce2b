#include "sql/reactor_file.h"

#include <filesystem>

#include "core/status.h"
#include "sql/durable_file.h"

namespace leftfold::sql {
namespace {

constexpr std::string_view kReactorTables = R"sql(
  CREATE TABLE leftfold_checkpoint(
    id INTEGER PRIMARY KEY CHECK (id = 1), position INTEGER NOT NULL, chain BLOB NOT NULL,
    reactor TEXT NOT NULL, paused TEXT, seen INTEGER NOT NULL DEFAULT 0) STRICT;
  CREATE TABLE leftfold_outbox(
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, kind INTEGER NOT NULL, type TEXT NOT NULL,
    payload BLOB NOT NULL, timer TEXT NOT NULL, due INTEGER, attempts INTEGER NOT NULL,
    round INTEGER NOT NULL, state INTEGER NOT NULL, error TEXT NOT NULL, behind INTEGER NOT NULL,
    event_id TEXT NOT NULL, correlation_id TEXT NOT NULL, traceparent TEXT NOT NULL) STRICT;
  CREATE INDEX leftfold_outbox_behind ON leftfold_outbox(key, id) WHERE behind = 1;
  CREATE INDEX leftfold_outbox_parked ON leftfold_outbox(id) WHERE state > 0;
  CREATE TABLE leftfold_numbers(position INTEGER PRIMARY KEY, next INTEGER NOT NULL) STRICT;
)sql";

bool HasSeen(Connection& connection) {
  return connection.Value(
             "SELECT count(*) FROM pragma_table_info('leftfold_checkpoint') "
             "WHERE name = 'seen'") == 1;
}

absl::Status CreateTables(Connection& connection, const ReactorEntry& reactor,
                          const Checkpoint& start) {
  LEFTFOLD_RETURN_IF_ERROR(connection.Begin());
  connection.Run(kReactorTables).IgnoreError();
  ConnectionWriteTx(connection)
      .Exec("INSERT INTO leftfold_checkpoint(id, position, chain, reactor) VALUES (1, ?, ?, ?)",
            start.position, AsBlob{AsBytes(start.chain)}, reactor.name);
  const absl::Status status = connection.Commit();
  if (!status.ok()) connection.Rollback();
  return status;
}

absl::Status Prepare(Connection& connection, const ReactorEntry& reactor, const Checkpoint& start) {
  const bool isNew =
      connection.Value("SELECT count(*) FROM sqlite_schema WHERE name = 'leftfold_checkpoint'") ==
      0;
  LEFTFOLD_RETURN_IF_ERROR(connection.status());
  if (isNew) LEFTFOLD_RETURN_IF_ERROR(CreateTables(connection, reactor, start));
  if (!HasSeen(connection)) {
    LEFTFOLD_RETURN_IF_ERROR(connection.Run(
        "ALTER TABLE leftfold_checkpoint ADD COLUMN seen INTEGER NOT NULL DEFAULT 0"));
  }
  return connection.Migrate(reactor.schema.data(), static_cast<int>(reactor.schema.size()));
}

OutboxIndex IndexOf(const Rows& rows) {
  return {.id = rows.Int(0),
          .key = rows.Text(1),
          .kind = static_cast<DeliveryKind>(rows.Int(4)),
          .timer = rows.Text(2),
          .due = rows.IsNull(3) ? absl::InfinitePast() : absl::FromUnixMicros(rows.Int(3)),
          .state = static_cast<RowState>(rows.Int(5))};
}

OutboxRow RowOf(const Rows& rows) {
  OutboxRow row;
  row.id = rows.Int(0);
  row.key = rows.Text(1);
  row.timer = rows.Text(2);
  row.due = rows.IsNull(3) ? absl::InfinitePast() : absl::FromUnixMicros(rows.Int(3));
  row.attempts = static_cast<int>(rows.Int(4));
  row.state = static_cast<RowState>(rows.Int(5));
  row.kind = static_cast<DeliveryKind>(rows.Int(6));
  row.type = rows.Text(7);
  row.payload = std::string(rows.Blob(8));
  row.round = static_cast<int>(rows.Int(9));
  row.error = rows.Text(10);
  row.behind = rows.Int(11) != 0;
  row.event_id = rows.Text(12);
  row.correlation_id = rows.Text(13);
  row.traceparent = rows.Text(14);
  return row;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Connection>> OpenReactorWriter(const std::string& path,
                                                              const ReactorEntry& reactor,
                                                              const Checkpoint& start) {
  LEFTFOLD_RETURN_IF_ERROR(MakeFolder(std::filesystem::path(path).parent_path()));
  auto connection = Connection::Open(path, {.role = Role::kWriter,
                                            .full_sync = true,
                                            .autocheckpoint_pages = 1'000,
                                            .deterministic = true,
                                            .application_id = kReactorApplicationId});
  if (!connection.ok()) return connection;
  LEFTFOLD_RETURN_IF_ERROR(Prepare(**connection, reactor, start));
  return connection;
}

absl::StatusOr<std::unique_ptr<Connection>> OpenReactorInMemory(const ReactorEntry& reactor,
                                                                const Checkpoint& start) {
  auto connection = Connection::OpenMemory();
  if (!connection.ok()) return connection;
  LEFTFOLD_RETURN_IF_ERROR(Prepare(**connection, reactor, start));
  return connection;
}

absl::StatusOr<std::unique_ptr<Connection>> OpenReactorReader(const std::string& path) {
  return Connection::Open(path, {.application_id = kReactorApplicationId});
}

void InsertRow(Connection& connection, const OutboxRow& row) {
  Cursor& insert = connection.Prepare(
      "INSERT INTO leftfold_outbox(id, key, timer, due, attempts, state, kind, type, payload, "
      "round, error, behind, event_id, correlation_id, traceparent) VALUES (?, ?, ?, ?, ?, ?, ?, "
      "?, ?, ?, ?, ?, ?, ?, ?)");
  insert.Bind(1, row.id);
  insert.BindText(2, row.key);
  insert.BindText(3, row.timer);
  row.timer.empty() ? insert.BindNull(4) : insert.Bind(4, absl::ToUnixMicros(row.due));
  insert.Bind(5, std::int64_t{row.attempts});
  insert.Bind(6, static_cast<std::int64_t>(row.state));
  insert.Bind(7, static_cast<std::int64_t>(row.kind));
  insert.BindText(8, row.type);
  insert.BindBlob(9, row.payload);
  insert.Bind(10, std::int64_t{row.round});
  insert.BindText(11, row.error);
  insert.Bind(12, std::int64_t{row.behind});
  insert.BindText(13, row.event_id);
  insert.BindText(14, row.correlation_id);
  insert.BindText(15, row.traceparent);
  insert.Step();
  insert.Reset();
}

std::optional<OutboxRow> ReadRow(Connection& connection, std::int64_t id) {
  ConnectionReadTx tx(connection);
  Rows rows = tx.Query(
      "SELECT id, key, timer, due, attempts, state, kind, type, payload, round, error, behind, "
      "event_id, correlation_id, traceparent FROM leftfold_outbox WHERE id = ?",
      id);
  if (!rows.Next()) return std::nullopt;
  return RowOf(rows);
}

void DeleteRow(Connection& connection, std::int64_t id) {
  ConnectionWriteTx(connection).Exec("DELETE FROM leftfold_outbox WHERE id = ?", id);
}

void UpdateRow(Connection& connection, const OutboxRow& row) {
  ConnectionWriteTx(connection)
      .Exec("UPDATE leftfold_outbox SET attempts = ?, round = ?, state = ?, error = ? WHERE id = ?",
            row.attempts, row.round, static_cast<std::int64_t>(row.state), row.error, row.id);
}

void ReleaseTimer(Connection& connection, std::int64_t id) {
  ConnectionWriteTx(connection).Exec("UPDATE leftfold_outbox SET due = NULL WHERE id = ?", id);
}

void ForEachRow(Connection& connection, absl::FunctionRef<void(const OutboxIndex&)> each) {
  ConnectionReadTx tx(connection);
  for (Rows rows = tx.Query("SELECT id, key, timer, due, kind, state FROM leftfold_outbox "
                            "WHERE behind = 0 ORDER BY id");
       rows.Next();) {
    each(IndexOf(rows));
  }
}

void ForEachBehind(Connection& connection,
                   absl::FunctionRef<void(std::string_view, std::int64_t)> each) {
  ConnectionReadTx tx(connection);
  for (Rows rows =
           tx.Query("SELECT key, count(*) FROM leftfold_outbox WHERE behind = 1 GROUP BY key");
       rows.Next();) {
    each(rows.TextView(0), rows.Int(1));
  }
}

std::vector<OutboxIndex> TakeBehind(Connection& connection, std::string_view key,
                                    std::size_t limit) {
  std::vector<OutboxIndex> taken;
  ConnectionWriteTx tx(connection);
  for (Rows rows = tx.Query("SELECT id, key, timer, due, kind, state FROM leftfold_outbox "
                            "WHERE behind = 1 AND key = ? ORDER BY id LIMIT ?",
                            key, static_cast<std::int64_t>(limit));
       rows.Next();) {
    taken.push_back(IndexOf(rows));
  }
  if (taken.empty()) return taken;
  tx.Exec("UPDATE leftfold_outbox SET behind = 0 WHERE behind = 1 AND key = ? AND id <= ?", key,
          taken.back().id);
  return taken;
}

std::vector<OutboxRow> ListParkedRows(Connection& connection, std::int64_t after,
                                      std::size_t limit) {
  std::vector<OutboxRow> parked;
  ConnectionReadTx tx(connection);
  for (Rows rows = tx.Query(
           "SELECT id, key, timer, due, attempts, state, kind, type, payload, round, error, "
           "behind, event_id, correlation_id, traceparent FROM leftfold_outbox WHERE state > 0 "
           "AND state < 3 AND id > ? ORDER BY id LIMIT ?",
           after, static_cast<std::int64_t>(limit));
       rows.Next();) {
    parked.push_back(RowOf(rows));
  }
  return parked;
}

std::int64_t CountBehind(Connection& connection, std::string_view key) {
  ConnectionReadTx tx(connection);
  Rows rows = tx.Query("SELECT count(*) FROM leftfold_outbox WHERE behind = 1 AND key = ?", key);
  return rows.Next() ? rows.Int(0) : 0;
}

void ForEachNextNumber(Connection& connection,
                       absl::FunctionRef<void(Position, std::int64_t)> each) {
  ConnectionReadTx tx(connection);
  for (Rows rows = tx.Query("SELECT position, next FROM leftfold_numbers"); rows.Next();) {
    each(Position{rows.Int(0)}, rows.Int(1));
  }
}

void WriteNextNumber(Connection& connection, Position position, std::int64_t next) {
  ConnectionWriteTx(connection)
      .Exec(
          "INSERT INTO leftfold_numbers(position, next) VALUES (?1, ?2) ON CONFLICT(position) DO "
          "UPDATE SET next = ?2",
          position, next);
}

void ForgetNextNumber(Connection& connection, Position position) {
  ConnectionWriteTx(connection).Exec("DELETE FROM leftfold_numbers WHERE position = ?", position);
}

Position ReadSeen(Connection& connection) {
  if (!HasSeen(connection)) return kBeforeFirst;
  return Position{connection.Value("SELECT seen FROM leftfold_checkpoint")};
}

void WriteSeen(Connection& connection, Position seen) {
  ConnectionWriteTx(connection).Exec("UPDATE leftfold_checkpoint SET seen = ?", seen);
}

std::optional<std::string> ReadReactorPaused(Connection& connection) {
  ConnectionReadTx tx(connection);
  Rows rows = tx.Query("SELECT paused FROM leftfold_checkpoint");
  if (!rows.Next() || rows.IsNull(0)) return std::nullopt;
  return rows.Text(0);
}

void WriteReactorPaused(Connection& connection, const std::optional<std::string>& why) {
  ConnectionWriteTx tx(connection);
  why ? tx.Exec("UPDATE leftfold_checkpoint SET paused = ?", *why)
      : tx.Exec("UPDATE leftfold_checkpoint SET paused = NULL");
}

}  // namespace leftfold::sql
