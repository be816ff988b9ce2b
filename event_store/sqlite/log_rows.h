#ifndef EVENT_STORE_SQLITE_LOG_ROWS_H_
#define EVENT_STORE_SQLITE_LOG_ROWS_H_

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "event_store/log.h"
#include "sql/connection.h"

// Rows of events.db, as event_store/README.md describes them.
namespace leftfold {

// Streams whose ids a writer remembers.
inline constexpr std::size_t kStreamIdsMax = 262'144;

// The rows of `sql`, a literal, with these texts and integers bound.
template <class... Args>
Rows Ask(sql::Connection& connection, std::string_view sql, const Args&... args) {
  Cursor& cursor = connection.Prepare(sql);
  int index = 0;
  const auto bind = [&](const auto& value) {
    if constexpr (std::is_convertible_v<decltype(value), std::string_view>) {
      cursor.BindText(++index, value);
    } else {
      cursor.Bind(++index, std::int64_t{value});
    }
  };
  (bind(args), ...);
  return Rows(cursor);
}

// Writes rows inside the connection's transaction, and makes ids of names where they are new.
// Failures are kept in the connection. Not thread-safe.
class LogRowWriter {
 public:
  // The connection must outlive it.
  explicit LogRowWriter(sql::Connection& connection) : connection_(connection) {}

  void Write(const RecordedEvent& event);
  void Write(std::int64_t number, const LoggedCommand& command);
  void WriteCategoryHead(const std::string& category, Position position);
  std::int64_t StreamId(const std::string& stream);
  // After a rollback: ids that the transaction made are not there.
  void ForgetIds();

 private:
  std::int64_t CategoryId(const std::string& category);
  std::int64_t TypeId(const std::string& type);

  sql::Connection& connection_;
  absl::flat_hash_map<std::string, std::int64_t> stream_ids_;
  absl::flat_hash_map<std::string, std::int64_t> category_ids_;
  absl::flat_hash_map<std::string, std::int64_t> type_ids_;
};

}  // namespace leftfold
#endif  // EVENT_STORE_SQLITE_LOG_ROWS_H_
