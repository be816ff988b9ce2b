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

// Streams that a writer remembers: the half that was used last, and what is left of the half before
// it. With names of 40 bytes they take 95 MB.
inline constexpr std::size_t kStreamsKnownMax = 917'504;

struct KnownStream {
  std::int64_t id = 0;                // 0: there is no such stream yet.
  Version version = kVersionNotRead;  // The last one, for who writes it down here.
  static constexpr Version kVersionNotRead{-2};
};

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
  explicit LogRowWriter(sql::Connection& connection, std::size_t streams_max = kStreamsKnownMax)
      : connection_(connection), streams_max_(streams_max) {}

  void Write(const RecordedEvent& event);
  void Write(std::int64_t number, const LoggedCommand& command);
  void WriteCategoryHead(const std::string& category, Position position);
  // Looked up in the file if it is not remembered. Until the next call.
  KnownStream& Stream(const std::string& stream);
  // After a rollback: ids that the transaction made are not there.
  void ForgetIds();

 private:
  std::int64_t StreamId(const std::string& stream);
  std::int64_t CategoryId(const std::string& category);
  std::int64_t TypeId(const std::string& type);

  sql::Connection& connection_;
  const std::size_t streams_max_;
  absl::flat_hash_map<std::string, KnownStream> streams_;
  absl::flat_hash_map<std::string, KnownStream> older_streams_;
  absl::flat_hash_map<std::string, std::int64_t> category_ids_;
  absl::flat_hash_map<std::string, std::int64_t> type_ids_;
};

}  // namespace leftfold
#endif  // EVENT_STORE_SQLITE_LOG_ROWS_H_
