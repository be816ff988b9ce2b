#include "sql/parked.h"

namespace leftfold::sql {
namespace {

// The tables are made in view_file.cc. Columns of every query here, in this order.
ParkedEvent EventOf(const Rows& rows) {
  ParkedEvent event;
  event.position = Position{rows.Int(0)};
  event.stream = rows.Text(1);
  event.event_id = rows.Text(2);
  event.type = rows.Text(3);
  event.reason = rows.Text(4);
  if (!rows.IsNull(5)) {
    event.skip = Skip{rows.Text(5), rows.Text(6), absl::FromUnixMicros(rows.Int(7))};
  }
  return event;
}

std::vector<ParkedEvent> AllOf(Rows rows) {
  std::vector<ParkedEvent> events;
  while (rows.Next()) events.push_back(EventOf(rows));
  return events;
}

void BindEvent(Cursor& cursor, const ParkedEvent& event) {
  cursor.Bind(1, event.position.value);
  cursor.BindText(2, event.stream);
  cursor.BindText(3, event.event_id);
  cursor.BindText(4, event.type);
  cursor.BindText(5, event.reason);
}

void Run(Cursor& cursor) {
  cursor.Step();
  cursor.Reset();
}

}  // namespace

std::map<std::string, ParkedStream, std::less<>> ReadParkedStreams(Connection& connection) {
  std::map<std::string, ParkedStream, std::less<>> streams;
  for (Rows rows(connection.Prepare(
           "SELECT stream, min(position), count(*) FROM leftfold_parked GROUP BY stream"));
       rows.Next();) {
    streams[rows.Text(0)] = {Position{rows.Int(1)}, rows.Int(2)};
  }
  return streams;
}

std::vector<ParkedEvent> ReadParked(Connection& connection, std::string_view stream,
                                    std::size_t limit) {
  Cursor& query = connection.Prepare(
      "SELECT position, stream, event_id, type, reason, NULL FROM leftfold_parked WHERE stream = ? "
      "ORDER BY position LIMIT ?");
  query.BindText(1, stream);
  query.Bind(2, static_cast<std::int64_t>(limit));
  return AllOf(Rows(query));
}

absl::StatusOr<std::vector<ParkedEvent>> ListParked(Connection& connection, Position after,
                                                    std::size_t limit) {
  Cursor& query = connection.Prepare(
      "SELECT position, stream, event_id, type, reason, NULL, NULL, NULL FROM leftfold_parked "
      "WHERE position > ?1 UNION ALL "
      "SELECT position, stream, event_id, type, reason, decided_by, why, at FROM leftfold_skipped "
      "WHERE position > ?1 ORDER BY 1 LIMIT ?2");
  query.Bind(1, after.value);
  query.Bind(2, static_cast<std::int64_t>(limit));
  std::vector<ParkedEvent> events = AllOf(Rows(query));
  if (!connection.status().ok()) return connection.status();
  return events;
}

std::vector<ParkedEvent> ReadSkipped(Connection& connection) {
  return AllOf(Rows(connection.Prepare(
      "SELECT position, stream, event_id, type, reason, decided_by, why, at FROM leftfold_skipped "
      "ORDER BY position")));
}

void WriteParked(Connection& connection, const ParkedEvent& event) {
  Cursor& insert = connection.Prepare(
      "INSERT INTO leftfold_parked(position, stream, event_id, type, reason) "
      "VALUES (?, ?, ?, ?, ?)");
  BindEvent(insert, event);
  Run(insert);
}

void WriteReason(Connection& connection, Position position, std::string_view reason) {
  Cursor& update = connection.Prepare("UPDATE leftfold_parked SET reason = ?2 WHERE position = ?1");
  update.Bind(1, position.value);
  update.BindText(2, reason);
  Run(update);
}

void RemoveParked(Connection& connection, Position position) {
  Cursor& remove = connection.Prepare("DELETE FROM leftfold_parked WHERE position = ?");
  remove.Bind(1, position.value);
  Run(remove);
}

void WriteSkipped(Connection& connection, const ParkedEvent& event) {
  Cursor& insert = connection.Prepare(
      "INSERT INTO leftfold_skipped(position, stream, event_id, type, reason, decided_by, why, at) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
  BindEvent(insert, event);
  insert.BindText(6, event.skip->by);
  insert.BindText(7, event.skip->why);
  insert.Bind(8, absl::ToUnixMicros(event.skip->at));
  Run(insert);
}

}  // namespace leftfold::sql
