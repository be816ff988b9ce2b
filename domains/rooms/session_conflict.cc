#include "domains/rooms/session_conflict.h"

#include <algorithm>

namespace leftfold::rooms {
namespace {

// Walks two rules side by side: at every step the one whose session begins first goes on.
std::optional<absl::Time> FirstOverlap(const SessionRule& added, const SessionRule& other, absl::Time from, absl::Time until) {
  absl::Time a = added.Next(from);
  // A session that began before may still be going on.
  absl::Time b = other.Next(from - other.duration);
  while (a < until && b < until) {
    if (a < b + other.duration && b < a + added.duration) return a;
    if (a < b) {
      a = added.Next(std::max(a, b - added.duration));
    } else {
      b = other.Next(std::max(b, a - other.duration));
    }
  }
  return std::nullopt;
}

std::optional<absl::Time> FirstSelfOverlap(const SessionRule& rule, absl::Time from, absl::Time until) {
  absl::Time begin = rule.Next(from);
  while (begin < until) {
    const absl::Time next = rule.Next(begin);
    if (next < begin + rule.duration) return next;
    begin = next;
  }
  return std::nullopt;
}

}  // namespace

absl::Time SessionRule::Next(absl::Time time) const {
  const absl::Time next = cron.Next(time);
  return next <= stop_after ? next : absl::InfiniteFuture();
}

std::optional<Conflict> FindConflict(const NamedRule& added, const std::vector<NamedRule>& others, absl::Time from,
                                     absl::Time until) {
  if (const auto at = FirstSelfOverlap(added.rule, from, until)) return Conflict{added.schedule_id, *at};
  std::optional<Conflict> first;
  for (const NamedRule& other : others) {
    const auto at = FirstOverlap(added.rule, other.rule, from, first ? first->at : until);
    if (at) first = Conflict{other.schedule_id, *at};
  }
  return first;
}

}  // namespace leftfold::rooms
