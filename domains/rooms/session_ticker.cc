#include "domains/rooms/session_ticker.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/timestamp.h"
#include "domains/rooms/cron.h"

namespace leftfold::rooms {
namespace {

// For the next session of a schedule. The end of the session that runs has a timer of its own,
// which is never taken back: an end that comes too late is refused.
std::string TimerOf(std::string_view room_id, std::string_view schedule_id) {
  return fmt::format("{}/{}", room_id, schedule_id);
}

struct TickerRule {
  Cron cron;
  absl::Duration duration;
  absl::Time until;
};

std::optional<TickerRule> ReadRule(std::string_view room_id, std::string_view schedule_id,
                                   OwnTables& tables) {
  Rows rows = tables.Query(
      "SELECT cron, duration_minutes, stop_after FROM rule WHERE room_id = ? AND schedule_id = ?",
      room_id, schedule_id);
  if (!rows.Next()) return std::nullopt;
  const auto cron = Cron::Parse(rows.Text(0));
  if (!cron) return std::nullopt;
  return TickerRule{*cron, absl::Minutes(rows.Int(1)),
                    rows.IsNull(2) ? absl::InfiniteFuture() : absl::FromUnixMicros(rows.Int(2))};
}

void WakeForNext(const TickerRule& rule, const std::string& timer, absl::Time after,
                 Outbox& outbox) {
  const absl::Time next = rule.cron.Next(after, rule.until);
  if (next < absl::InfiniteFuture()) outbox.WakeAt(next, timer);
}

template <class Event>
absl::Status SetRule(const Event& event, const EventMeta& meta, OwnTables& tables, Outbox& outbox) {
  tables.Exec(
      "INSERT INTO rule(room_id, schedule_id, cron, duration_minutes, stop_after) VALUES (?1, ?2, "
      "?3, ?4, NULL) ON CONFLICT DO UPDATE SET cron = ?3, duration_minutes = ?4, stop_after = NULL",
      meta.aggregate_id(), event.schedule_id(), event.cron(), event.duration_minutes());
  if (event.has_stop_after()) {
    tables.Exec("UPDATE rule SET stop_after = ? WHERE room_id = ? AND schedule_id = ?",
                absl::ToUnixMicros(FromProto(event.stop_after())), meta.aggregate_id(),
                event.schedule_id());
  }
  const std::string timer = TimerOf(meta.aggregate_id(), event.schedule_id());
  outbox.Cancel(timer);
  const auto rule = ReadRule(meta.aggregate_id(), event.schedule_id(), tables);
  if (rule) WakeForNext(*rule, timer, meta.recorded_at(), outbox);
  return absl::OkStatus();
}

std::vector<std::string> SchedulesOf(std::string_view room_id, OwnTables& tables) {
  std::vector<std::string> schedules;
  for (Rows rows = tables.Query("SELECT schedule_id FROM rule WHERE room_id = ?", room_id);
       rows.Next();) {
    schedules.push_back(rows.Text(0));
  }
  return schedules;
}

template <class Command>
Command OfSession(std::string_view room_id, std::string_view schedule_id, absl::Time begin) {
  Command command;
  command.set_room_id(std::string(room_id));
  command.set_schedule_id(std::string(schedule_id));
  *command.mutable_occurrence_at() = ToProto(begin);
  return command;
}

}  // namespace

absl::Status SessionTicker::React(const v1::SessionScheduled& event, const EventMeta& meta,
                                  OwnTables& tables, Outbox& outbox) {
  return SetRule(event, meta, tables, outbox);
}

absl::Status SessionTicker::React(const v1::SessionRescheduled& event, const EventMeta& meta,
                                  OwnTables& tables, Outbox& outbox) {
  return SetRule(event, meta, tables, outbox);
}

absl::Status SessionTicker::React(const v1::SessionCancelled& event, const EventMeta& meta,
                                  OwnTables& tables, Outbox& outbox) {
  tables.Exec("DELETE FROM rule WHERE room_id = ? AND schedule_id = ?", meta.aggregate_id(),
              event.schedule_id());
  outbox.Cancel(TimerOf(meta.aggregate_id(), event.schedule_id()));
  return absl::OkStatus();
}

absl::Status SessionTicker::React(const v1::RoomDeleted&, const EventMeta& meta, OwnTables& tables,
                                  Outbox& outbox) {
  for (const std::string& schedule_id : SchedulesOf(meta.aggregate_id(), tables)) {
    outbox.Cancel(TimerOf(meta.aggregate_id(), schedule_id));
  }
  return absl::OkStatus();
}

absl::Status SessionTicker::React(const v1::RoomRestored&, const EventMeta& meta, OwnTables& tables,
                                  Outbox& outbox) {
  for (const std::string& schedule_id : SchedulesOf(meta.aggregate_id(), tables)) {
    const auto rule = ReadRule(meta.aggregate_id(), schedule_id, tables);
    if (!rule) continue;
    // Also the session that runs at this moment.
    WakeForNext(*rule, TimerOf(meta.aggregate_id(), schedule_id),
                meta.recorded_at() - rule->duration, outbox);
  }
  return absl::OkStatus();
}

absl::Status SessionTicker::React(const v1::SessionStarted& event, const EventMeta& meta,
                                  OwnTables& tables, Outbox& outbox) {
  const auto rule = ReadRule(meta.aggregate_id(), event.schedule_id(), tables);
  if (!rule) return absl::OkStatus();
  const std::string timer = TimerOf(meta.aggregate_id(), event.schedule_id());
  const absl::Time begin = FromProto(event.occurrence_at());
  outbox.SendAt(begin + rule->duration, timer + "/end",
                OfSession<v1::EndSessionRequest>(meta.aggregate_id(), event.schedule_id(), begin));
  // In the place of the timer that the start before it led to.
  WakeForNext(*rule, timer, begin, outbox);
  return absl::OkStatus();
}

absl::Status SessionTicker::OnWake(std::string_view timer, absl::Time now, OwnTables& tables,
                                   Outbox& outbox) {
  const std::size_t slash = timer.find('/');
  const std::string_view room_id = timer.substr(0, slash);
  const std::string_view schedule_id = timer.substr(slash + 1);
  const auto rule = ReadRule(room_id, schedule_id, tables);
  if (!rule) return absl::OkStatus();
  // The session that runs now: it began less than its duration ago.
  const absl::Time begin = rule->cron.Next(now - rule->duration, rule->until);
  if (begin <= now) outbox.Send(OfSession<v1::StartSessionRequest>(room_id, schedule_id, begin));
  WakeForNext(*rule, std::string(timer), now, outbox);
  return absl::OkStatus();
}

}  // namespace leftfold::rooms
