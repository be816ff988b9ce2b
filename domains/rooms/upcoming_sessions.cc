#include "domains/rooms/upcoming_sessions.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_split.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/ids.h"
#include "core/page.h"
#include "core/reject.h"
#include "core/timestamp.h"
#include "domains/rooms/cron.h"
#include "domains/rooms/room.h"

namespace leftfold::rooms {
namespace {

static_assert(UpcomingSessions::kRulesPerPage > 2 * kSchedulesMax);

constexpr absl::Duration kInstant = absl::Nanoseconds(1);
// After `to` this is no session any more: keys have whole seconds, `to` need not.
constexpr absl::Duration kAfterTheLast = absl::Seconds(1);

template <class Event>
void StoreRule(const Event& event, const EventMeta& meta, WriteTx& tx) {
  constexpr std::string_view kSql =
      "INSERT OR REPLACE INTO schedule (room_id, schedule_id, cron, duration_minutes, stop_after, "
      "deleted) VALUES (?, ?, ?, ?, ?, 0)";
  if (event.has_stop_after()) {
    tx.Exec(kSql, meta.aggregate_id(), event.schedule_id(), event.cron(), event.duration_minutes(),
            absl::ToUnixMicros(FromProto(event.stop_after())));
  } else {
    tx.Exec(kSql, meta.aggregate_id(), event.schedule_id(), event.cron(), event.duration_minutes(),
            Null());
  }
}

struct WalkedRule {
  std::string room_id;
  std::string schedule_id;
  Cron cron;
  absl::Duration duration;
  absl::Time last;  // No session begins after this.
  absl::Time next;  // Of the walk.
};

// The session after which a page begins, in the order of (room, begin, schedule).
struct Place {
  std::string room_id;
  absl::Time begin = absl::InfinitePast();
  std::string schedule_id;
};

std::string ToKey(const Place& place) {
  return fmt::format("{}\n{}\n{}", place.room_id, absl::ToUnixSeconds(place.begin),
                     place.schedule_id);
}

// INVALID_PAGE_TOKEN where `key` is none that ToKey makes of a session of the query.
absl::StatusOr<Place> PlaceOf(const std::string& key,
                              const v1::ListUpcomingSessionsRequest& query) {
  if (key.empty()) return Place();
  const std::vector<std::string> parts = absl::StrSplit(key, '\n');
  std::int64_t seconds = 0;
  if (parts.size() != 3 || !IsAggregateId(parts[0]) || !absl::SimpleAtoi(parts[1], &seconds) ||
      !(parts[2].empty() || IsAggregateId(parts[2]))) {
    return InvalidPageToken();
  }
  const Place place{parts[0], absl::FromUnixSeconds(seconds), parts[2]};
  const bool of_query = FromProto(query.from()) <= place.begin &&
                        place.begin <= FromProto(query.to()) + kAfterTheLast &&
                        (query.room_id().empty() || query.room_id() == place.room_id);
  if (!of_query) return InvalidPageToken();
  return place;
}

WalkedRule RuleOf(const Rows& rows, absl::Time end) {
  WalkedRule rule{
      rows.Text(0), rows.Text(1), Cron(), absl::Minutes(rows.Int(3)), end - kInstant, {}};
  if (const auto cron = Cron::Parse(rows.TextView(2))) rule.cron = *cron;
  if (!rows.IsNull(4)) rule.last = std::min(rule.last, absl::FromUnixMicros(rows.Int(4)));
  return rule;
}

// At most kRulesPerPage rules in the order of rooms, from the first of `place`'s room on, and true
// when these are all.
std::pair<std::vector<WalkedRule>, bool> LoadRules(const v1::ListUpcomingSessionsRequest& query,
                                                   const Place& place, ReadTx& tx) {
  constexpr std::string_view kOfAll =
      "SELECT room_id, schedule_id, cron, duration_minutes, stop_after "
      "FROM schedule INDEXED BY schedule_in_use WHERE deleted = 0 AND room_id >= ? "
      "ORDER BY room_id, schedule_id LIMIT ?";
  constexpr std::string_view kOfRoom =
      "SELECT room_id, schedule_id, cron, duration_minutes, stop_after "
      "FROM schedule INDEXED BY schedule_in_use WHERE deleted = 0 AND room_id = ? "
      "ORDER BY schedule_id LIMIT ?";
  const absl::Time end = FromProto(query.to());
  std::vector<WalkedRule> rules;
  Rows rows = query.room_id().empty()
                  ? tx.Query(kOfAll, place.room_id, UpcomingSessions::kRulesPerPage)
                  : tx.Query(kOfRoom, query.room_id(), UpcomingSessions::kRulesPerPage);
  while (rows.Next()) rules.push_back(RuleOf(rows, end));
  if (rules.size() < UpcomingSessions::kRulesPerPage) return {std::move(rules), true};
  // The last room may be there in part. No room has so many that it is the only one.
  const std::string last = rules.back().room_id;
  if (rules.front().room_id == last) return {std::move(rules), true};
  while (!rules.empty() && rules.back().room_id == last) rules.pop_back();
  return {std::move(rules), false};
}

// Adds the sessions of one room's rules in the order of their begin; false when the page is full
// before the last.
bool AddSessions(std::vector<WalkedRule>::iterator first, std::vector<WalkedRule>::iterator last,
                 absl::Time from, const Place& place, int size,
                 v1::ListUpcomingSessionsResponse& response) {
  const bool goes_on = first->room_id == place.room_id;
  const absl::Time begin = goes_on ? std::max(from, place.begin) : from;
  for (auto rule = first; rule != last; ++rule) {
    rule->next = rule->cron.Next(begin - kInstant, rule->last);
    const bool was_sent = goes_on && std::tie(rule->next, rule->schedule_id) <=
                                         std::tie(place.begin, place.schedule_id);
    if (was_sent) rule->next = rule->cron.Next(rule->next, rule->last);
  }
  while (true) {
    const auto next = std::min_element(first, last, [](const WalkedRule& a, const WalkedRule& b) {
      return std::tie(a.next, a.schedule_id) < std::tie(b.next, b.schedule_id);
    });
    if (next->next == absl::InfiniteFuture()) return true;
    if (response.sessions_size() == size) return false;
    v1::Session& session = *response.add_sessions();
    session.set_room_id(next->room_id);
    session.set_schedule_id(next->schedule_id);
    *session.mutable_starts_at() = ToProto(next->next);
    *session.mutable_ends_at() = ToProto(next->next + next->duration);
    next->next = next->cron.Next(next->next, next->last);
  }
}

absl::Status CheckRange(const v1::ListUpcomingSessionsRequest& query) {
  constexpr absl::Duration kRangeMax = absl::Hours(24 * UpcomingSessions::kRangeDaysMax);
  Violations violations;
  for (const auto& [field, set, time] : {std::tuple("from", query.has_from(), query.from()),
                                         std::tuple("to", query.has_to(), query.to())}) {
    if (set && IsPlausible(time)) continue;
    violations.Add(v1::ERROR_REASON_INVALID_TIME, field, "must be in the years 1970 to 9999");
  }
  if (!violations.empty()) return violations.ToStatus();
  const absl::Duration range = FromProto(query.to()) - FromProto(query.from());
  if (range <= absl::ZeroDuration() || range > kRangeMax) {
    const std::string maximum = fmt::format("{} days", UpcomingSessions::kRangeDaysMax);
    violations.Add(v1::ERROR_REASON_INVALID_RANGE, "to",
                   fmt::format("must be after from, by at most {}", maximum),
                   {{"maximum", maximum}});
  }
  return violations.ToStatus();
}

}  // namespace

void UpcomingSessions::On(const v1::SessionScheduled& event, const EventMeta& meta, WriteTx& tx) {
  StoreRule(event, meta, tx);
}

void UpcomingSessions::On(const v1::SessionRescheduled& event, const EventMeta& meta, WriteTx& tx) {
  StoreRule(event, meta, tx);
}

void UpcomingSessions::On(const v1::SessionCancelled& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("DELETE FROM schedule WHERE room_id = ? AND schedule_id = ?", meta.aggregate_id(),
          event.schedule_id());
}

void UpcomingSessions::On(const v1::RoomDeleted&, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE schedule SET deleted = 1 WHERE room_id = ?", meta.aggregate_id());
}

void UpcomingSessions::On(const v1::RoomRestored&, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE schedule SET deleted = 0 WHERE room_id = ?", meta.aggregate_id());
}

absl::StatusOr<v1::ListUpcomingSessionsResponse> UpcomingSessions::Answer(
    const v1::ListUpcomingSessionsRequest& query, ReadTx& tx) {
  LEFTFOLD_RETURN_IF_ERROR(CheckRange(query));
  const absl::StatusOr<Page> page = Page::Of(query);
  if (!page.ok()) return page.status();
  const absl::StatusOr<Place> place = PlaceOf(page->after(), query);
  if (!place.ok()) return place.status();
  auto [rules, all] = LoadRules(query, *place, tx);
  v1::ListUpcomingSessionsResponse response;
  for (auto first = rules.begin(); first != rules.end();) {
    const auto last = std::find_if(
        first, rules.end(), [&](const WalkedRule& rule) { return rule.room_id != first->room_id; });
    if (!AddSessions(first, last, FromProto(query.from()), *place, page->size(), response)) {
      const v1::Session& sent = *response.sessions().rbegin();
      response.set_next_page_token(page->TokenAfter(
          ToKey({sent.room_id(), FromProto(sent.starts_at()), sent.schedule_id()})));
      return response;
    }
    first = last;
  }
  if (!all) {
    // Nothing is left of these rooms: go on after the last of them.
    response.set_next_page_token(
        page->TokenAfter(ToKey({rules.back().room_id, FromProto(query.to()) + kAfterTheLast, ""})));
  }
  return response;
}

}  // namespace leftfold::rooms
