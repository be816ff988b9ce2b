#ifndef DOMAINS_ROOMS_UPCOMING_SESSIONS_H_
#define DOMAINS_ROOMS_UPCOMING_SESSIONS_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <string_view>

#include "core/view.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "leftfold/rooms/v1/queries.pb.h"

namespace leftfold::rooms {

// The rules of all schedules; what sessions they give is worked out when asked.
struct UpcomingSessions {
  static constexpr std::string_view kName = "upcoming_sessions";
  static constexpr int kVersion = 1;
  static constexpr std::string_view kSchema = R"(
    CREATE TABLE schedule (
      room_id TEXT NOT NULL,
      schedule_id TEXT NOT NULL,
      cron TEXT NOT NULL,
      duration_minutes INTEGER NOT NULL,
      stop_after INTEGER,  -- Unix microseconds.
      deleted INTEGER NOT NULL,
      PRIMARY KEY (room_id, schedule_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX schedule_in_use ON schedule (room_id, schedule_id) WHERE deleted = 0;
  )";
  using Handles = Types<v1::SessionScheduled, v1::SessionRescheduled, v1::SessionCancelled,
                        v1::RoomDeleted, v1::RoomRestored>;
  using Queries = Types<v1::ListUpcomingSessionsRequest>;
  using Watches = Types<>;

  static constexpr int kRangeDaysMax = 366;
  // Rules that one page looks at; more than a room can have.
  static constexpr int kRulesPerPage = 1'024;

  static void On(const v1::SessionScheduled& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::SessionRescheduled& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::SessionCancelled& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RoomDeleted& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RoomRestored& event, const EventMeta& meta, WriteTx& tx);

  static absl::StatusOr<v1::ListUpcomingSessionsResponse> Answer(
      const v1::ListUpcomingSessionsRequest& query, ReadTx& tx);
};

}  // namespace leftfold::rooms
#endif  // DOMAINS_ROOMS_UPCOMING_SESSIONS_H_
