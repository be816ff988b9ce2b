#include "domains/rooms/session_conflict.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

namespace leftfold::rooms {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);
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

struct Day {
  absl::CivilDay date;
  absl::Time midnight;
  Day Plus(int days) const { return {date + days, midnight + days * kDay}; }
};

// The minutes of `day` on which sessions of the plan begin.
std::span<const int> BeginsOn(const Plan& plan, const Day& day) {
  const absl::Time end = day.midnight + kDay;
  if (day.midnight > plan.last || end <= plan.after) return {};
  if (!plan.rule->cron.FitsDay(day.date)) return {};
  // How many of the minutes are at or before `time`.
  const auto count = [&](absl::Time time) {
    const auto it = std::partition_point(plan.minutes.begin(), plan.minutes.end(), [&](int minute) {
      return day.midnight + absl::Minutes(minute) <= time;
    });
    return static_cast<std::size_t>(it - plan.minutes.begin());
  };
  const std::size_t first = day.midnight > plan.after ? 0 : count(plan.after);
  const std::size_t last = end <= plan.last ? plan.minutes.size() : count(plan.last);
  return std::span(plan.minutes).subspan(first, last - first);
}

// One order of two plans, `days` (0 or 1) between their days.
struct Pair {
  const Plan* earlier;
  const Plan* later;
  int days;
};

struct Overlap {
  int earlier;  // Minute of its day.
  int later;    // Minute of its day.
};

// The first minute of `later` at which a session of `earlier` is going on. All sessions of a plan
// take equally long, so it is enough to look at the one that began last.
std::optional<Overlap> FirstOverlap(const Pair& pair, std::span<const int> earlier,
                                    std::span<const int> later) {
  const bool itself = pair.earlier == pair.later;
  std::size_t begun = 0;  // How many of `earlier` have begun.
  for (const int minute : later) {
    const int shifted = minute + pair.days * kMinutesOfDay;
    // A session does not overlap itself.
    const int newest = itself ? shifted - 1 : shifted;
    while (begun < earlier.size() && earlier[begun] <= newest) ++begun;
    if (begun > 0 && shifted - earlier[begun - 1] < pair.earlier->duration) {
      return Overlap{earlier[begun - 1], minute};
    }
  }
  return std::nullopt;
}

std::optional<Conflict> ConflictOn(const Pair& pair, const Plan& added, const Day& day) {
  const std::span<const int> earlier = BeginsOn(*pair.earlier, day);
  if (earlier.empty()) return std::nullopt;
  const std::span<const int> later = BeginsOn(*pair.later, day.Plus(pair.days));
  const std::optional<Overlap> overlap = FirstOverlap(pair, earlier, later);
  if (!overlap) return std::nullopt;
  const absl::Time first = day.midnight + absl::Minutes(overlap->earlier);
  const absl::Time second = day.Plus(pair.days).midnight + absl::Minutes(overlap->later);
  if (pair.later == &added) return Conflict{second, pair.earlier->rule->schedule_id, first};
  return Conflict{first, pair.later->rule->schedule_id, second};
}

// The pairs that overlap on days that fit both, if there are such days.
std::vector<Pair> PairsThatMayOverlap(const Plan& added, const std::vector<Plan>& others) {
  std::vector<Pair> pairs;
  const auto consider = [&](const Plan& earlier, const Plan& later) {
    for (const int days : {0, 1}) {
      const Pair pair{&earlier, &later, days};
      if (FirstOverlap(pair, earlier.minutes, later.minutes)) pairs.push_back(pair);
    }
  };
  consider(added, added);
  for (const Plan& other : others) {
    consider(added, other);
    consider(other, added);
  }
  return pairs;
}

}  // namespace

std::optional<Conflict> FindConflict(const SessionRule& added,
                                     const std::vector<SessionRule>& others, absl::Time from,
                                     absl::Time until) {
  const Plan plan = PlanOf(added, from, until);
  std::vector<Plan> plans;
  for (const SessionRule& other : others) {
    Plan candidate = PlanOf(other, from - other.duration, until);
    if (candidate.last > candidate.after) plans.push_back(std::move(candidate));
  }
  const std::vector<Pair> pairs = PairsThatMayOverlap(plan, plans);
  if (pairs.empty() || plan.last <= plan.after) return std::nullopt;
  const absl::TimeZone utc = absl::UTCTimeZone();
  const absl::CivilDay yesterday = absl::ToCivilDay(from, utc) - 1;
  for (Day day{yesterday, absl::FromCivil(yesterday, utc)}; day.midnight <= plan.last;
       day = day.Plus(1)) {
    for (const Pair& pair : pairs) {
      if (auto conflict = ConflictOn(pair, plan, day)) return conflict;
    }
  }
  return std::nullopt;
}

}  // namespace leftfold::rooms
