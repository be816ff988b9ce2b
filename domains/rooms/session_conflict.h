#ifndef DOMAINS_ROOMS_SESSION_CONFLICT_H_
#define DOMAINS_ROOMS_SESSION_CONFLICT_H_

#include <absl/time/time.h>

#include <optional>
#include <string>
#include <vector>

#include "domains/rooms/cron.h"

namespace leftfold::rooms {

// When the sessions of a schedule begin, how long they take, and when the last may begin.
struct SessionRule {
  std::string schedule_id;
  Cron cron;
  absl::Duration duration;  // At most a day.
  absl::Time stop_after = absl::InfiniteFuture();
};

// Two sessions of which the later begins while the earlier is going on.
struct Conflict {
  absl::Time at;                  // Begin of the added schedule's session.
  std::string other_schedule_id;  // The added schedule's own id where it overlaps itself.
  absl::Time other_at;
};

// A conflict between sessions of `added` that begin after `from` and at or before `until`, and one
// another or those of `others`; sessions of `others` that are going on at `from` count. The work is
// one look a day and schedule, and one walk over the minutes of a day for each schedule.
std::optional<Conflict> FindConflict(const SessionRule& added,
                                     const std::vector<SessionRule>& others, absl::Time from,
                                     absl::Time until);

}  // namespace leftfold::rooms
#endif  // DOMAINS_ROOMS_SESSION_CONFLICT_H_
