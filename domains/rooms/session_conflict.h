#ifndef DOMAINS_ROOMS_SESSION_CONFLICT_H_
#define DOMAINS_ROOMS_SESSION_CONFLICT_H_

#include <absl/time/time.h>

#include <optional>
#include <string>
#include <vector>

#include "domains/rooms/cron.h"

namespace leftfold::rooms {

// When sessions begin, how long they take, and when the last may begin.
struct SessionRule {
  Cron cron;
  absl::Duration duration;
  absl::Time stop_after = absl::InfiniteFuture();
  // The first begin after `time`; InfiniteFuture when there is none.
  absl::Time Next(absl::Time time) const;
};

struct NamedRule {
  std::string schedule_id;
  SessionRule rule;
};

struct Conflict {
  std::string schedule_id;  // Whose session is in the way; the schedule's own where it overlaps itself.
  absl::Time at;            // Begin of the session that would overlap it.
};

// The first session of `added` after `from` and before `until` that overlaps another one of its own or of `others`. The work is
// bounded by the number of sessions in the stretch: at most one a minute and schedule.
std::optional<Conflict> FindConflict(const NamedRule& added, const std::vector<NamedRule>& others, absl::Time from,
                                     absl::Time until);

}  // namespace leftfold::rooms
#endif  // DOMAINS_ROOMS_SESSION_CONFLICT_H_
