#ifndef REACTOR_REACTOR_OUTBOX_H_
#define REACTOR_REACTOR_OUTBOX_H_

#include <absl/container/flat_hash_map.h>
#include <absl/functional/function_ref.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/lanes.h"
#include "sql/connection.h"
#include "sql/reactor_file.h"

namespace leftfold {

// Rows that are taken into memory at once when a key goes on.
inline constexpr std::size_t kTakeBehindMax = 10'000;

// The outbox of one reactor: its rows in the file, and in memory what says which of them is next.
// Changes are parts of the caller's transaction; when that is undone, Load makes both agree again.
// Failures of the file are kept in the connection's status. Not thread-safe.
class ReactorOutbox {
 public:
  explicit ReactorOutbox(sql::Connection& connection) : connection_(connection) {}

  // Takes all but the rows from the file. Returns those that the log is to be told of.
  std::vector<std::int64_t> Load(absl::FunctionRef<bool(std::int64_t id)> being_delivered);

  // DATA_LOSS when there is no such row.
  absl::StatusOr<sql::OutboxRow> Read(std::int64_t id);
  // The id of the next row that an event leads to; written down where the rows would not tell.
  // FAILED_PRECONDITION at kDeliveriesPerEventMax.
  absl::StatusOr<std::int64_t> NewId(Position position, bool write);
  void Add(const sql::OutboxRow& row);
  // Behind what is parked of its key.
  void AddBehind(sql::OutboxRow row);
  // The row is done with, but for telling the log; then Remove.
  void Finish(sql::OutboxRow row);
  // The row is done with.
  void Remove(const sql::OutboxRow& row);
  // Takes back what waits under the name, for the row `cause`. What is being delivered already goes
  // on as a delivery like others: the name is free.
  void CancelTimer(std::string_view timer, std::int64_t cause);
  // Its key waits for an operator; a timer's name is free.
  void Park(const sql::OutboxRow& row);
  // An operator's decision counts from now on, if the row is parked.
  void ParkingIsInLog(sql::OutboxRow row);
  // Timers whose time has come wait for their turn like other rows.
  void TakeDue(absl::Time now);
  // A parked row is tried again.
  void Retry(sql::OutboxRow row);

  ReactorLanes& lanes() { return lanes_; }
  const ReactorLanes& lanes() const { return lanes_; }
  const ReactorTimers& timers() const { return timers_; }

 private:
  // Of every position that has rows.
  struct Numbers {
    std::int64_t rows = 0;
    std::int64_t next = 0;
    bool written = false;
  };
  void Count(std::int64_t id);
  void LetKeyGoOn(const sql::OutboxRow& row);
  void ForgetName(const sql::OutboxRow& row);
  void ReleaseTimer(const sql::OutboxRow& row);
  // Brings rows that stand behind into a lane that has no others.
  void TakeBehind(const std::string& key);

  sql::Connection& connection_;
  ReactorLanes lanes_;
  ReactorTimers timers_;
  absl::flat_hash_map<std::int64_t, Numbers> numbers_;
  absl::flat_hash_map<std::string, std::int64_t> fired_;  // Timers that went off, by name.
};

}  // namespace leftfold
#endif  // REACTOR_REACTOR_OUTBOX_H_
