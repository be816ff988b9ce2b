#include "domains/rooms/room.h"

#include <absl/container/flat_hash_set.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/timestamp.h"
#include "domains/rooms/cron.h"
#include "domains/rooms/room_fold.h"
#include "domains/rooms/session_conflict.h"

namespace leftfold::rooms {
namespace {

std::string ToText(absl::Time time) {
  return absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone());
}

absl::Status RoomNotFound(const CommandContext& context) {
  return Reject(v1::ERROR_REASON_ROOM_NOT_FOUND,
                fmt::format("there is no room {}; create it first", context.aggregate_id),
                {{"room_id", context.aggregate_id}});
}

// OK when the room is there and not deleted.
absl::Status CheckUsable(const v1::RoomState& state, const CommandContext& context) {
  if (!state.exists()) return RoomNotFound(context);
  if (!state.deleted()) return absl::OkStatus();
  return Reject(v1::ERROR_REASON_ROOM_DELETED,
                fmt::format("room {} is deleted; restore it first", context.aggregate_id),
                {{"room_id", context.aggregate_id}});
}

absl::Status ScheduleNotFound(const std::string& schedule_id, const CommandContext& context) {
  return Reject(v1::ERROR_REASON_SCHEDULE_NOT_FOUND,
                fmt::format("room {} has no schedule {}", context.aggregate_id, schedule_id),
                {{"room_id", context.aggregate_id}, {"schedule_id", schedule_id}});
}

const v1::Schedule* FindSchedule(const v1::RoomState& state, const std::string& schedule_id) {
  for (const v1::Schedule& schedule : state.schedules()) {
    if (schedule.schedule_id() == schedule_id) return &schedule;
  }
  return nullptr;
}

absl::Time StopAfter(const v1::Schedule& schedule) {
  return schedule.has_stop_after() ? FromProto(schedule.stop_after()) : absl::InfiniteFuture();
}

template <class Command>
v1::Schedule ScheduleFrom(const std::string& schedule_id, const Command& command) {
  v1::Schedule schedule;
  schedule.set_schedule_id(schedule_id);
  schedule.set_cron(command.cron());
  schedule.set_duration_minutes(command.duration_minutes());
  if (command.has_stop_after()) *schedule.mutable_stop_after() = command.stop_after();
  return schedule;
}

// The schedule's rule is valid: it came through Validate.
SessionRule RuleOf(const v1::Schedule& schedule) {
  return {schedule.schedule_id(), Cron::Parse(schedule.cron()).value_or(Cron()),
          absl::Minutes(schedule.duration_minutes()), StopAfter(schedule)};
}

absl::Status CheckNotOver(const v1::Schedule& schedule, const CommandContext& context) {
  if (StopAfter(schedule) > context.now) return absl::OkStatus();
  const std::string stop_after = ToText(StopAfter(schedule));
  return Reject(v1::ERROR_REASON_STOP_AFTER_IN_PAST,
                fmt::format("stop_after {} is in the past; no session would begin", stop_after),
                {{"stop_after", stop_after}, {"now", ToText(context.now)}});
}

// OK when no session of `schedule` would overlap another of the room within the horizon.
absl::Status CheckNoConflict(const v1::Schedule& schedule, const v1::RoomState& state,
                             const CommandContext& context) {
  std::vector<SessionRule> others;
  for (const v1::Schedule& other : state.schedules()) {
    if (other.schedule_id() != schedule.schedule_id()) others.push_back(RuleOf(other));
  }
  const auto conflict =
      FindConflict(RuleOf(schedule), others, context.now, context.now + kConflictHorizon);
  if (!conflict) return absl::OkStatus();
  const std::string at = ToText(conflict->at);
  const std::string other_at = ToText(conflict->other_at);
  return Reject(v1::ERROR_REASON_SCHEDULE_CONFLICT,
                fmt::format("the session at {} would overlap that of schedule {} at {}; take "
                            "another time or a shorter duration",
                            at, conflict->other_schedule_id, other_at),
                {{"schedule_id", schedule.schedule_id()},
                 {"occurrence_at", at},
                 {"other_schedule_id", conflict->other_schedule_id},
                 {"other_occurrence_at", other_at}});
}

template <class Event>
Event WithRule(const v1::Schedule& schedule) {
  Event event;
  event.set_schedule_id(schedule.schedule_id());
  event.set_cron(schedule.cron());
  event.set_duration_minutes(schedule.duration_minutes());
  if (schedule.has_stop_after()) *event.mutable_stop_after() = schedule.stop_after();
  return event;
}

// The invitation that the command is about.
template <class Command>
absl::StatusOr<v1::InvitationState> InvitationOf(const Command& command, const v1::RoomState& state,
                                                 const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckUsable(state, context));
  for (const v1::Invitation& invitation : state.invitees()) {
    if (invitation.id() == command.id() && invitation.type() == command.type()) {
      return invitation.state();
    }
  }
  return Reject(
      v1::ERROR_REASON_NOT_INVITED,
      fmt::format("{} {} is not invited to room {}", command.type(), command.id(),
                  context.aggregate_id),
      {{"room_id", context.aggregate_id}, {"type", command.type()}, {"id", command.id()}});
}

template <class Command>
absl::Status AlreadyDecided(const Command& command, const CommandContext& context,
                            std::string_view state) {
  return Reject(v1::ERROR_REASON_ALREADY_DECIDED,
                fmt::format("{} {} has {} the invitation to room {}; revoke it and invite again",
                            command.type(), command.id(), state, context.aggregate_id),
                {{"room_id", context.aggregate_id},
                 {"type", command.type()},
                 {"id", command.id()},
                 {"state", std::string(state)}});
}

template <class Event, class Command>
Event OfInvitee(const Command& command) {
  Event event;
  event.set_type(command.type());
  event.set_id(command.id());
  return event;
}

template <class Event, class Command>
Event OfSession(const Command& command) {
  Event event;
  event.set_schedule_id(command.schedule_id());
  *event.mutable_occurrence_at() = command.occurrence_at();
  return event;
}

template <class Command>
Metadata SessionMetadata(const Command& command, const CommandContext& context) {
  return {{"room_id", context.aggregate_id},
          {"schedule_id", command.schedule_id()},
          {"occurrence_at", ToText(FromProto(command.occurrence_at()))}};
}

absl::Time LastStarted(const v1::Schedule& schedule) {
  return schedule.has_last_started_at() ? FromProto(schedule.last_started_at())
                                        : absl::InfinitePast();
}

bool HasSessionAt(const v1::Schedule& schedule, absl::Time at) {
  return at <= StopAfter(schedule) && RuleOf(schedule).cron.Next(at - absl::Minutes(1)) == at;
}

}  // namespace

Room::Decision Room::Decide(const v1::CreateRoomRequest& command, const State& state,
                            const CommandContext& context) {
  if (state.exists()) {
    return Reject(v1::ERROR_REASON_ROOM_EXISTS,
                  fmt::format("there is a room {} already; take another id", context.aggregate_id),
                  {{"room_id", context.aggregate_id}});
  }
  v1::RoomCreated created;
  created.set_name(command.name());
  created.set_description(command.description());
  created.set_external_provider(command.external_provider());
  return Accept(std::move(created));
}

Room::Decision Room::Decide(const v1::RenameRoomRequest& command, const State& state,
                            const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckUsable(state, context));
  if (command.name() == state.name()) return Accept();
  v1::RoomRenamed renamed;
  renamed.set_name(command.name());
  return Accept(std::move(renamed));
}

Room::Decision Room::Decide(const v1::ChangeDescriptionRequest& command, const State& state,
                            const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckUsable(state, context));
  if (command.description() == state.description()) return Accept();
  v1::RoomDescriptionChanged changed;
  changed.set_description(command.description());
  return Accept(std::move(changed));
}

Room::Decision Room::Decide(const v1::DeleteRoomRequest&, const State& state,
                            const CommandContext& context) {
  if (!state.exists()) return RoomNotFound(context);
  if (state.deleted()) return Accept();
  return Accept(v1::RoomDeleted());
}

Room::Decision Room::Decide(const v1::RestoreRoomRequest&, const State& state,
                            const CommandContext& context) {
  if (!state.exists()) return RoomNotFound(context);
  if (state.deleted()) return Accept(v1::RoomRestored());
  return Reject(v1::ERROR_REASON_ROOM_NOT_DELETED,
                fmt::format("room {} is not deleted", context.aggregate_id),
                {{"room_id", context.aggregate_id}});
}

Room::Decision Room::Decide(const v1::ScheduleSessionRequest& command, const State& state,
                            const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckUsable(state, context));
  const v1::Schedule schedule = ScheduleFrom(
      command.schedule_id().empty() ? context.NewId(0) : command.schedule_id(), command);
  if (FindSchedule(state, schedule.schedule_id()) != nullptr) {
    return Reject(v1::ERROR_REASON_SCHEDULE_EXISTS,
                  fmt::format("room {} has a schedule {} already; reschedule it",
                              context.aggregate_id, schedule.schedule_id()),
                  {{"room_id", context.aggregate_id}, {"schedule_id", schedule.schedule_id()}});
  }
  if (state.schedules_size() >= kSchedulesMax) {
    return Reject(v1::ERROR_REASON_TOO_MANY_SCHEDULES,
                  fmt::format("room {} has {} schedules; cancel one first", context.aggregate_id,
                              kSchedulesMax),
                  {{"room_id", context.aggregate_id}, {"maximum", fmt::to_string(kSchedulesMax)}});
  }
  LEFTFOLD_RETURN_IF_ERROR(CheckNotOver(schedule, context));
  LEFTFOLD_RETURN_IF_ERROR(CheckNoConflict(schedule, state, context));
  return Accept(WithRule<v1::SessionScheduled>(schedule)).Created(schedule.schedule_id());
}

Room::Decision Room::Decide(const v1::RescheduleSessionRequest& command, const State& state,
                            const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckUsable(state, context));
  const v1::Schedule* before = FindSchedule(state, command.schedule_id());
  if (before == nullptr) return ScheduleNotFound(command.schedule_id(), context);
  v1::Schedule schedule = ScheduleFrom(command.schedule_id(), command);
  if (schedule.duration_minutes() == 0) schedule.set_duration_minutes(before->duration_minutes());
  const bool same = schedule.cron() == before->cron() &&
                    schedule.duration_minutes() == before->duration_minutes() &&
                    StopAfter(schedule) == StopAfter(*before);
  if (same) return Accept();
  LEFTFOLD_RETURN_IF_ERROR(CheckNotOver(schedule, context));
  LEFTFOLD_RETURN_IF_ERROR(CheckNoConflict(schedule, state, context));
  return Accept(WithRule<v1::SessionRescheduled>(schedule));
}

Room::Decision Room::Decide(const v1::CancelSessionRequest& command, const State& state,
                            const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckUsable(state, context));
  const v1::Schedule* schedule = FindSchedule(state, command.schedule_id());
  if (schedule == nullptr) return ScheduleNotFound(command.schedule_id(), context);
  v1::SessionCancelled cancelled;
  cancelled.set_schedule_id(command.schedule_id());
  if (!schedule->running()) return Accept(std::move(cancelled));
  v1::SessionEnded ended;
  ended.set_schedule_id(command.schedule_id());
  *ended.mutable_occurrence_at() = schedule->last_started_at();
  return Accept(std::move(ended), std::move(cancelled));
}

Room::Decision Room::Decide(const v1::InviteRequest& command, const State& state,
                            const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckUsable(state, context));
  absl::flat_hash_set<std::pair<std::string, std::string>> invited;
  for (const v1::Invitation& invitation : state.invitees()) {
    invited.emplace(invitation.type(), invitation.id());
  }
  v1::EntityInvited event;
  for (const v1::Invitee& invitee : command.invitees()) {
    if (invited.emplace(invitee.type(), invitee.id()).second) *event.add_invitees() = invitee;
  }
  if (event.invitees().empty()) return Accept();
  if (invited.size() > kInviteesMax) {
    return Reject(v1::ERROR_REASON_ROOM_FULL,
                  fmt::format("room {} would have {} invitees, {} are allowed",
                              context.aggregate_id, invited.size(), kInviteesMax),
                  {{"room_id", context.aggregate_id},
                   {"maximum", fmt::to_string(kInviteesMax)},
                   {"actual", fmt::to_string(invited.size())}});
  }
  return Accept(std::move(event));
}

Room::Decision Room::Decide(const v1::RevokeInvitationRequest& command, const State& state,
                            const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(InvitationOf(command, state, context).status());
  return Accept(OfInvitee<v1::InvitationRevoked>(command));
}

Room::Decision Room::Decide(const v1::AcceptInvitationRequest& command, const State& state,
                            const CommandContext& context) {
  const auto invitation = InvitationOf(command, state, context);
  if (!invitation.ok()) return invitation.status();
  if (*invitation == v1::INVITATION_STATE_ACCEPTED) return Accept();
  if (*invitation == v1::INVITATION_STATE_DECLINED) {
    return AlreadyDecided(command, context, "declined");
  }
  return Accept(OfInvitee<v1::InvitationAccepted>(command));
}

Room::Decision Room::Decide(const v1::DeclineInvitationRequest& command, const State& state,
                            const CommandContext& context) {
  const auto invitation = InvitationOf(command, state, context);
  if (!invitation.ok()) return invitation.status();
  if (*invitation == v1::INVITATION_STATE_DECLINED) return Accept();
  if (*invitation == v1::INVITATION_STATE_ACCEPTED) {
    return AlreadyDecided(command, context, "accepted");
  }
  return Accept(OfInvitee<v1::InvitationDeclined>(command));
}

Room::Decision Room::Decide(const v1::LinkExternalRoomRequest& command, const State& state,
                            const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckUsable(state, context));
  if (state.external_room_id().empty()) {
    v1::ExternalRoomLinked linked;
    linked.set_provider(command.provider());
    linked.set_external_id(command.external_id());
    return Accept(std::move(linked));
  }
  if (state.external_provider() == command.provider() &&
      state.external_room_id() == command.external_id()) {
    return Accept();
  }
  return Reject(v1::ERROR_REASON_ALREADY_LINKED,
                fmt::format("room {} is tied to {} of {} already", context.aggregate_id,
                            state.external_room_id(), state.external_provider()),
                {{"room_id", context.aggregate_id},
                 {"provider", state.external_provider()},
                 {"external_id", state.external_room_id()}});
}

Room::Decision Room::Decide(const v1::StartSessionRequest& command, const State& state,
                            const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckUsable(state, context));
  const v1::Schedule* schedule = FindSchedule(state, command.schedule_id());
  if (schedule == nullptr) return ScheduleNotFound(command.schedule_id(), context);
  const absl::Time at = FromProto(command.occurrence_at());
  if (at == LastStarted(*schedule)) return Accept();
  if (at < LastStarted(*schedule) || !HasSessionAt(*schedule, at)) {
    return Reject(v1::ERROR_REASON_SESSION_NOT_FOUND,
                  fmt::format("schedule {} has no session at {} that can begin: take a time of its "
                              "rule, after the session that began last",
                              command.schedule_id(), ToText(at)),
                  SessionMetadata(command, context));
  }
  if (at > context.now + kStartEarlyMax) {
    Metadata metadata = SessionMetadata(command, context);
    metadata.emplace_back("now", ToText(context.now));
    metadata.emplace_back("maximum", absl::FormatDuration(kStartEarlyMax));
    return Reject(v1::ERROR_REASON_SESSION_TOO_EARLY,
                  fmt::format("the session of schedule {} at {} begins more than {} after now, {}",
                              command.schedule_id(), ToText(at),
                              absl::FormatDuration(kStartEarlyMax), ToText(context.now)),
                  metadata);
  }
  return Accept(OfSession<v1::SessionStarted>(command));
}

Room::Decision Room::Decide(const v1::EndSessionRequest& command, const State& state,
                            const CommandContext& context) {
  // Also of a deleted room: the session began, so it ends.
  if (!state.exists()) return RoomNotFound(context);
  const v1::Schedule* schedule = FindSchedule(state, command.schedule_id());
  if (schedule == nullptr) return ScheduleNotFound(command.schedule_id(), context);
  const absl::Time at = FromProto(command.occurrence_at());
  if (at != LastStarted(*schedule)) {
    return Reject(v1::ERROR_REASON_NOT_STARTED,
                  fmt::format("the session of schedule {} at {} is not the one that began last",
                              command.schedule_id(), ToText(at)),
                  SessionMetadata(command, context));
  }
  if (!schedule->running()) return Accept();
  return Accept(OfSession<v1::SessionEnded>(command));
}

void Room::Evolve(State& state, const v1::RoomCreated& event) {
  state.set_exists(true);
  fold::Apply(state, event);
}

void Room::Evolve(State& state, const v1::RoomRenamed& event) { fold::Apply(state, event); }

void Room::Evolve(State& state, const v1::RoomDescriptionChanged& event) {
  fold::Apply(state, event);
}

void Room::Evolve(State& state, const v1::RoomDeleted& event) { fold::Apply(state, event); }

void Room::Evolve(State& state, const v1::RoomRestored& event) { fold::Apply(state, event); }

void Room::Evolve(State& state, const v1::SessionScheduled& event) { fold::Apply(state, event); }

void Room::Evolve(State& state, const v1::SessionRescheduled& event) { fold::Apply(state, event); }

void Room::Evolve(State& state, const v1::SessionCancelled& event) { fold::Apply(state, event); }

void Room::Evolve(State& state, const v1::EntityInvited& event) { fold::Apply(state, event); }

void Room::Evolve(State& state, const v1::InvitationRevoked& event) { fold::Apply(state, event); }

void Room::Evolve(State& state, const v1::InvitationAccepted& event) { fold::Apply(state, event); }

void Room::Evolve(State& state, const v1::InvitationDeclined& event) { fold::Apply(state, event); }

void Room::Evolve(State& state, const v1::ExternalRoomLinked& event) { fold::Apply(state, event); }

void Room::Evolve(State& state, const v1::SessionStarted& event) { fold::Apply(state, event); }

void Room::Evolve(State& state, const v1::SessionEnded& event) { fold::Apply(state, event); }

}  // namespace leftfold::rooms
