#include "event_store/sqlite/log_rows.h"

#include <utility>

#include "core/ids.h"

namespace leftfold {

void LogRowWriter::Write(const RecordedEvent& event) {
  const std::int64_t stream_id = StreamId(event.stream);
  const std::int64_t type_id = TypeId(event.type);
  Cursor& insert = connection_.Prepare(
      "INSERT INTO events(position, stream_id, version, type_id, encoding, event_id, payload, "
      "metadata, tags, recorded_at, category_previous, leaf, chain) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  insert.Bind(1, event.position.value);
  insert.Bind(2, stream_id);
  insert.Bind(3, event.version.value);
  insert.Bind(4, type_id);
  insert.Bind(5, static_cast<std::int64_t>(event.encoding));
  insert.BindBlob(6, {reinterpret_cast<const char*>(event.event_id.data()), event.event_id.size()});
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

void LogRowWriter::Write(std::int64_t number, const LoggedCommand& command) {
  const CommandRecord& record = command.record;
  Cursor& insert = connection_.Prepare(
      "INSERT INTO commands(number, command_id, request_hash, aggregate_id, created_id, version, "
      "position) VALUES (?, ?, ?, ?, ?, ?, ?)");
  insert.Bind(1, number);
  insert.BindText(2, record.command_id);
  insert.BindBlob(3, AsBytes(record.request_hash));
  insert.BindText(4, record.aggregate_id);
  insert.BindText(5, record.created_id);
  insert.Bind(6, command.version.value);
  insert.Bind(7, command.position.value);
  insert.Step();
  insert.Reset();
}

void LogRowWriter::WriteCategoryHead(const std::string& category, Position position) {
  Rows rows = Ask(connection_, "UPDATE categories SET last_position = ? WHERE id = ?",
                  position.value, CategoryId(category));
  rows.Next();
}

void LogRowWriter::ForgetIds() {
  streams_.clear();
  older_streams_.clear();
  category_ids_.clear();
  type_ids_.clear();
}

KnownStream& LogRowWriter::Stream(const std::string& stream) {
  if (const auto it = streams_.find(stream); it != streams_.end()) return it->second;
  if (streams_.size() >= streams_max_ / 2)
    older_streams_ = std::exchange(streams_, decltype(streams_)());
  KnownStream& known = streams_[stream];
  if (const auto older = older_streams_.find(stream); older != older_streams_.end()) {
    known = older->second;
    older_streams_.erase(older);
    return known;
  }
  Rows found = Ask(connection_, "SELECT id FROM streams WHERE name = ?", stream);
  if (found.Next()) known.id = found.Int(0);
  return known;
}

std::int64_t LogRowWriter::StreamId(const std::string& stream) {
  KnownStream& known = Stream(stream);
  if (known.id != 0) return known.id;
  const std::int64_t category = CategoryId(std::string(CategoryOf(stream)));
  Rows made = Ask(connection_, "INSERT INTO streams(category_id, name) VALUES (?, ?) RETURNING id",
                  category, stream);
  if (made.Next()) known.id = made.Int(0);
  return known.id;
}

std::int64_t LogRowWriter::CategoryId(const std::string& category) {
  auto [it, added] = category_ids_.try_emplace(category);
  if (!added) return it->second;
  {
    Rows found = Ask(connection_, "SELECT id FROM categories WHERE name = ?", category);
    if (found.Next()) return it->second = found.Int(0);
  }
  Rows made =
      Ask(connection_, "INSERT INTO categories(name, last_position) VALUES (?, 0) RETURNING id",
          category);
  if (made.Next()) it->second = made.Int(0);
  return it->second;
}

std::int64_t LogRowWriter::TypeId(const std::string& type) {
  auto [it, added] = type_ids_.try_emplace(type);
  if (!added) return it->second;
  {
    Rows found = Ask(connection_, "SELECT id FROM types WHERE name = ?", type);
    if (found.Next()) return it->second = found.Int(0);
  }
  Rows made = Ask(connection_, "INSERT INTO types(name) VALUES (?) RETURNING id", type);
  if (made.Next()) it->second = made.Int(0);
  return it->second;
}

}  // namespace leftfold
