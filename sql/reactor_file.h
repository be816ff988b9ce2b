#ifndef SQL_REACTOR_FILE_H_
#define SQL_REACTOR_FILE_H_

#include <absl/functional/function_ref.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/reactor.h"
#include "core/registry.h"
#include "sql/connection.h"
#include "sql/view_file.h"

namespace leftfold::sql {

// The file of a reactor, <data>/reactors/<name>.db: its own tables, its outbox, its checkpoint. It
// cannot be rebuilt: it knows what has been delivered. synchronous=FULL, so that nothing is
// delivered whose row could be lost. Writes are made inside transactions, and failures are kept in
// the connection's status.

// Never change: it is stored in every reactor's file.
inline constexpr std::int32_t kReactorApplicationId = 0x4C46'5252;  // "LFRR"

// What a row of the outbox waits for. Never change the numbers: they are stored.
enum class RowState : std::uint8_t {
  kWaiting = 0,
  kParking = 1,  // Parked, but the log does not know it yet.
  kParked = 2,
  kDelivered = 3,  // After it was parked, but the log does not know it yet.
};

// Ids order the rows of one key: those of one event stand before those of the next.
constexpr std::int64_t RowId(Position position, std::int64_t n) {
  return position.value * kDeliveriesPerEventMax + n;
}
constexpr Position PositionOfRow(std::int64_t id) { return {id / kDeliveriesPerEventMax}; }
constexpr std::int64_t NumberOfRow(std::int64_t id) { return id % kDeliveriesPerEventMax; }

struct OutboxRow {
  std::int64_t id = 0;
  std::string key = {};
  DeliveryKind kind = DeliveryKind::kCommand;
  std::string type = {};
  std::string payload = {};
  std::string timer = {};                 // "" when it is none.
  absl::Time due = absl::InfinitePast();  // Of a timer, as long as it holds its name.
  int attempts = 0;
  int round = 0;  // How often it was parked and tried again.
  RowState state = RowState::kWaiting;
  std::string error = {};  // Of the last attempt.
  bool behind = false;     // Behind a parked row; not looked at before that goes on.
  std::string event_id = {};
  std::string correlation_id = {};
  std::string traceparent = {};
};

// What the engine keeps in memory of a row that waits.
struct OutboxIndex {
  std::int64_t id = 0;
  std::string key = {};
  DeliveryKind kind = DeliveryKind::kCommand;
  std::string timer = {};
  absl::Time due = {};
  RowState state = RowState::kWaiting;
};

// Opens for writing, creating tables where the file is new, with `start` as its checkpoint then.
// FAILED_PRECONDITION when a newer binary has written it; DATA_LOSS when it is damaged.
absl::StatusOr<std::unique_ptr<Connection>> OpenReactorWriter(const std::string& path,
                                                              const ReactorEntry& reactor,
                                                              const Checkpoint& start);
// The same tables in memory, for tests.
absl::StatusOr<std::unique_ptr<Connection>> OpenReactorInMemory(const ReactorEntry& reactor,
                                                                const Checkpoint& start);
absl::StatusOr<std::unique_ptr<Connection>> OpenReactorReader(const std::string& path);

void InsertRow(Connection& connection, const OutboxRow& row);
// nullopt when there is none.
std::optional<OutboxRow> ReadRow(Connection& connection, std::int64_t id);
void DeleteRow(Connection& connection, std::int64_t id);
// Writes attempts, round, state and error.
void UpdateRow(Connection& connection, const OutboxRow& row);

// The row holds its timer's name no longer: its `due` is InfinitePast from now on.
void ReleaseTimer(Connection& connection, std::int64_t id);

// All rows that are behind no parked one, in the order of their ids.
void ForEachRow(Connection& connection, absl::FunctionRef<void(const OutboxIndex&)> each);
// Number of rows that stand behind parked ones.
void ForEachBehind(Connection& connection,
                   absl::FunctionRef<void(std::string_view key, std::int64_t rows)> each);
// Takes the first `limit` rows of a key that stand behind, which they do no longer.
std::vector<OutboxIndex> TakeBehind(Connection& connection, std::string_view key,
                                    std::size_t limit);
// Parked rows with ids above `after`, in their order, without those behind them.
std::vector<OutboxRow> ListParkedRows(Connection& connection, std::int64_t after,
                                      std::size_t limit);
std::int64_t CountBehind(Connection& connection, std::string_view key);

// The number that the next row of an event gets, where its rows in the file do not tell.
void ForEachNextNumber(Connection& connection,
                       absl::FunctionRef<void(Position position, std::int64_t next)> each);
void WriteNextNumber(Connection& connection, Position position, std::int64_t next);
void ForgetNextNumber(Connection& connection, Position position);

// The highest position that a receipt told the reactor of: what it knows reaches as far, also where
// its checkpoint is before it. kBeforeFirst in a file of before this was kept.
Position ReadSeen(Connection& connection);
void WriteSeen(Connection& connection, Position seen);

// Why an operator paused the reactor; nullopt when it is not paused.
std::optional<std::string> ReadReactorPaused(Connection& connection);
void WriteReactorPaused(Connection& connection, const std::optional<std::string>& why);

}  // namespace leftfold::sql
#endif  // SQL_REACTOR_FILE_H_
