#include "domains/rooms/session_conflict.h"

#include <algorithm>

namespace leftfold::rooms {
namespace {

constexpr int kMinutesOfDay = 24 * 60;

// A rule with the minutes of the day on which its sessions begin, on the days that fit.
struct Plan {
  const SessionRule* rule;
  std::vector<int> minutes;  // Ascending.
  int duration;              // Minutes.
  absl::Time after;          // Sessions begin after this …
  absl::Time last;           // … and not after this.
};

Plan PlanOf(const SessionRule& rule, absl::Time after, absl::Time until) {
  return {&rule, rule.cron.MinutesOfDay(), static_cast<int>(rule.duration / absl::Minutes(1)),
          after, std::min(rule.stop_after, until)};
}

absl::Time At(const absl::CivilDay& day, int minute) {
  return absl::FromCivil(day, absl::UTCTimeZone()) + absl::Minutes(minute);
}

// Minutes of the day `days` after the earlier one on which a session of `later` begins while one of
// `earlier` is going on. `accept(minute of earlier, minute of later)` ends the walk by true.
template <class Accept>
bool AnyOverlap(const Plan& earlier, const Plan& later, int days, const Accept& accept) {
  const bool itself = earlier.rule == later.rule;
  std::size_t next = 0;
  for (const int minute : later.minutes) {
    const int shifted = minute + days * kMinutesOfDay;
    while (next < earlier.minutes.size() &&
           (itself ? earlier.minutes[next] < shifted : earlier.minutes[next] <= shifted)) {
      ++next;
    }
    if (next == 0) continue;
    const int begun = earlier.minutes[next - 1];
    if (shifted - begun < earlier.duration && accept(begun, minute)) return true;
  }
  return false;
}

// One order of two plans, `days` (0 or 1) between their days.
struct Pair {
  const Plan* earlier;
  const Plan* later;
  int days;
};

std::optional<Conflict> ConflictOn(const Pair& pair, const Plan& added, const absl::CivilDay& day) {
  if (!pair.earlier->rule->cron.FitsDay(day)) return std::nullopt;
  if (!pair.later->rule->cron.FitsDay(day + pair.days)) return std::nullopt;
  std::optional<Conflict> found;
  AnyOverlap(*pair.earlier, *pair.later, pair.days, [&](int begun, int minute) {
    const absl::Time first = At(day, begun);
    const absl::Time second = At(day + pair.days, minute);
    if (first <= pair.earlier->after || first > pair.earlier->last) return false;
    if (second <= pair.later->after || second > pair.later->last) return false;
    const bool added_is_later = pair.later == &added;
    const Plan& other = added_is_later ? *pair.earlier : *pair.later;
    found = Conflict{added_is_later ? second : first, other.rule->schedule_id,
                     added_is_later ? first : second};
    return true;
  });
  return found;
}

}  // namespace

std::optional<Conflict> FindConflict(const SessionRule& added,
                                     const std::vector<SessionRule>& others, absl::Time from,
                                     absl::Time until) {
  const Plan plan = PlanOf(added, from, until);
  std::vector<Plan> plans;
  for (const SessionRule& other : others) {
    plans.push_back(PlanOf(other, from - other.duration, until));
  }
  std::vector<Pair> pairs;
  const auto consider = [&](const Plan& earlier, const Plan& later) {
    for (const int days : {0, 1}) {
      if (AnyOverlap(earlier, later, days, [](int, int) { return true; })) {
        pairs.push_back({&earlier, &later, days});
      }
    }
  };
  consider(plan, plan);
  for (const Plan& other : plans) {
    consider(plan, other);
    consider(other, plan);
  }
  if (pairs.empty()) return std::nullopt;
  const absl::CivilDay end = absl::ToCivilDay(plan.last, absl::UTCTimeZone());
  for (absl::CivilDay day = absl::ToCivilDay(from, absl::UTCTimeZone()) - 1; day <= end; ++day) {
    for (const Pair& pair : pairs) {
      if (auto conflict = ConflictOn(pair, plan, day)) return conflict;
    }
  }
  return std::nullopt;
}

}  // namespace leftfold::rooms
