#include "reactor/reactor_outbox.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "core/status.h"

namespace leftfold {

std::vector<std::int64_t> ReactorOutbox::Load(
    absl::FunctionRef<bool(std::int64_t id)> being_delivered) {
  lanes_ = ReactorLanes();
  timers_ = ReactorTimers();
  numbers_.clear();
  fired_.clear();
  std::vector<std::int64_t> untold;
  sql::ForEachRow(connection_, [&](const sql::OutboxIndex& row) {
    Count(row.id);
    if (row.state == sql::RowState::kParking || row.state == sql::RowState::kDelivered)
      untold.push_back(row.id);
    if (row.state == sql::RowState::kDelivered) return;
    const bool running = being_delivered(row.id);
    const bool holds_name = !row.timer.empty() && row.due != absl::InfinitePast();
    if (holds_name && running) {
      fired_[row.timer] = row.id;
    } else if (holds_name && row.state == sql::RowState::kWaiting) {
      return timers_.Add({row.timer, row.id, row.key}, row.due);
    }
    lanes_.Add(row.id, row.key, row.kind == DeliveryKind::kEvent);
    if (row.state != sql::RowState::kWaiting) lanes_.Park(row.id);
    if (running) lanes_.SetRunning(row.id);
  });
  std::vector<std::string> behind;
  sql::ForEachBehind(connection_, [&](std::string_view key, std::int64_t rows) {
    lanes_.AddBehind(key, rows);
    behind.emplace_back(key);
  });
  sql::ForEachNextNumber(connection_, [this](Position position, std::int64_t next) {
    Numbers& numbers = numbers_[position.value];
    numbers.next = std::max(numbers.next, next);
    numbers.written = true;
  });
  for (const std::string& key : behind) {
    if (lanes_.NeedsBehind(key)) TakeBehind(key);
  }
  return untold;
}

absl::StatusOr<sql::OutboxRow> ReactorOutbox::Read(std::int64_t id) {
  auto row = sql::ReadRow(connection_, id);
  LEFTFOLD_RETURN_IF_ERROR(connection_.status());
  if (!row) return absl::DataLossError("a row is not in its file");
  return *std::move(row);
}

absl::StatusOr<std::int64_t> ReactorOutbox::NewId(Position position, bool write) {
  Numbers& numbers = numbers_[position.value];
  if (numbers.next >= kDeliveriesPerEventMax) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "the event at position {} led to {} deliveries: do its results lead to ever more?",
                 position.value, numbers.next);
  }
  const std::int64_t n = numbers.next++;
  if (write) {
    sql::WriteNextNumber(connection_, position, numbers.next);
    numbers.written = true;
  }
  return sql::RowId(position, n);
}

void ReactorOutbox::Count(std::int64_t id) {
  Numbers& numbers = numbers_[sql::PositionOfRow(id).value];
  ++numbers.rows;
  numbers.next = std::max(numbers.next, sql::NumberOfRow(id) + 1);
}

void ReactorOutbox::Add(const sql::OutboxRow& row) {
  sql::InsertRow(connection_, row);
  Count(row.id);
  if (row.timer.empty()) return lanes_.Add(row.id, row.key, row.kind == DeliveryKind::kEvent);
  timers_.Add({row.timer, row.id, row.key}, row.due);
}

void ReactorOutbox::AddBehind(sql::OutboxRow row) {
  row.behind = true;
  sql::InsertRow(connection_, row);
  lanes_.AddBehind(row.key);
}

void ReactorOutbox::Finish(sql::OutboxRow row) {
  row.state = sql::RowState::kDelivered;
  sql::UpdateRow(connection_, row);
  LetKeyGoOn(row);
}

void ReactorOutbox::LetKeyGoOn(const sql::OutboxRow& row) {
  lanes_.Finish(row.id);
  ForgetName(row);
  if (lanes_.NeedsBehind(row.key)) TakeBehind(row.key);
}

void ReactorOutbox::Remove(const sql::OutboxRow& row) {
  sql::DeleteRow(connection_, row.id);
  const Position position = sql::PositionOfRow(row.id);
  const auto numbers = numbers_.find(position.value);
  if (numbers != numbers_.end() && --numbers->second.rows == 0) {
    if (numbers->second.written) sql::ForgetNextNumber(connection_, position);
    numbers_.erase(numbers);
  }
  LetKeyGoOn(row);
}

void ReactorOutbox::TakeBehind(const std::string& key) {
  const auto rows = sql::TakeBehind(connection_, key, kTakeBehindMax);
  for (const sql::OutboxIndex& row : rows) {
    Count(row.id);
    lanes_.Add(row.id, row.key, row.kind == DeliveryKind::kEvent);
  }
  lanes_.TakenFromBehind(key, std::ssize(rows));
}

void ReactorOutbox::CancelTimer(std::string_view timer, std::int64_t cause) {
  const std::int64_t waiting = timers_.Remove(timer);
  if (waiting != 0) return Remove({.id = waiting, .timer = std::string(timer)});
  const auto fired = fired_.find(ToAbsl(timer));
  if (fired == fired_.end()) return;
  const auto row = sql::ReadRow(connection_, fired->second);
  if (!row) return;
  const bool wakes = row->kind == DeliveryKind::kWake && row->id != cause;  // Inside of this step.
  wakes || lanes_.Remove(row->id) ? Remove(*row) : ReleaseTimer(*row);
}

void ReactorOutbox::ReleaseTimer(const sql::OutboxRow& row) {
  if (row.timer.empty()) return;
  sql::ReleaseTimer(connection_, row.id);
  ForgetName(row);
}

void ReactorOutbox::ForgetName(const sql::OutboxRow& row) {
  const auto fired = fired_.find(row.timer);
  if (fired != fired_.end() && fired->second == row.id) fired_.erase(fired);
}

void ReactorOutbox::Park(const sql::OutboxRow& row) {
  ReleaseTimer(row);
  lanes_.Park(row.id);
}

void ReactorOutbox::ParkingIsInLog(sql::OutboxRow row) {
  if (row.state != sql::RowState::kParking) return;
  row.state = sql::RowState::kParked;
  sql::UpdateRow(connection_, row);
}

void ReactorOutbox::TakeDue(absl::Time now) {
  for (ReactorTimers::Timer& timer : timers_.TakeDue(now)) {
    lanes_.Add(timer.id, timer.key, false);
    fired_[std::move(timer.name)] = timer.id;
  }
}

void ReactorOutbox::Retry(sql::OutboxRow row) {
  row.attempts = 0;
  ++row.round;
  row.state = sql::RowState::kWaiting;
  sql::UpdateRow(connection_, row);
  lanes_.Unpark(row.key);
}

}  // namespace leftfold
