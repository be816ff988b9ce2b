#ifndef DOMAINS_ROOMS_SESSION_TICKER_H_
#define DOMAINS_ROOMS_SESSION_TICKER_H_

#include <string_view>

#include "core/reactor.h"
#include "leftfold/rooms/v1/commands.pb.h"
#include "leftfold/rooms/v1/events.pb.h"

namespace leftfold::rooms {

// Starts and ends the sessions of schedules: one timer a schedule for its next session, one for the
// end of the session that runs. After a downtime, and after its room was restored, the session that
// runs now is started, those that are over are not. A deleted room's sessions still end, and no
// more of them start. The timers of a session hang on the start of the one before: what one event
// leads to is limited, and a schedule may be without end.
struct SessionTicker {
  static constexpr std::string_view kName = "session_ticker";
  static constexpr std::string_view kSchema[] = {R"sql(
    CREATE TABLE rule(
      room_id TEXT NOT NULL,
      schedule_id TEXT NOT NULL,
      cron TEXT NOT NULL,
      duration_minutes INTEGER NOT NULL,
      stop_after INTEGER,  -- Microseconds; NULL: without end.
      PRIMARY KEY (room_id, schedule_id)
    ) STRICT, WITHOUT ROWID;
  )sql"};
  using Reacting = Types<v1::SessionScheduled, v1::SessionRescheduled, v1::SessionCancelled,
                         v1::RoomDeleted, v1::RoomRestored, v1::SessionStarted>;

  static absl::Status React(const v1::SessionScheduled& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const v1::SessionRescheduled& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const v1::SessionCancelled& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const v1::RoomDeleted& event, const EventMeta& meta, OwnTables& tables,
                            Outbox& outbox);
  static absl::Status React(const v1::RoomRestored& event, const EventMeta& meta, OwnTables& tables,
                            Outbox& outbox);
  static absl::Status React(const v1::SessionStarted& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status OnWake(std::string_view timer, absl::Time now, OwnTables& tables,
                             Outbox& outbox);
};

}  // namespace leftfold::rooms
#endif  // DOMAINS_ROOMS_SESSION_TICKER_H_
