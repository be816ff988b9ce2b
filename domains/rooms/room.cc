#include "domains/rooms/room.h"

#include <absl/time/time.h>

#include <algorithm>

#include "core/timestamp.h"
#include "domains/rooms/cron.h"
#include "domains/rooms/session_conflict.h"

namespace leftfold::rooms {
namespace {

bool HasControlCharacter(std::string_view text, std::string_view allowed) {
  return std::any_of(text.begin(), text.end(), [&](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 || byte == 0x7F) && allowed.find(c) == std::string_view::npos;
  });
}

void ValidateName(const std::string& name, Violations& violations) {
  if (name.empty()) violations.Add(v1::ERROR_REASON_NAME_EMPTY, "name", "must not be empty");
  if (name.size() > kNameBytesMax) {
    violations.Add(v1::ERROR_REASON_NAME_TOO_LONG, "name", fmt::format("must have at most {} bytes", kNameBytesMax),
                   {{"maximum", fmt::to_string(kNameBytesMax)}, {"actual", fmt::to_string(name.size())}});
  }
  if (HasControlCharacter(name, "")) {
    violations.Add(v1::ERROR_REASON_INVALID_TEXT, "name", "must not have control characters");
  }
}

void ValidateDescription(const std::string& description, Violations& violations) {
  if (description.size() > kDescriptionBytesMax) {
    violations.Add(v1::ERROR_REASON_DESCRIPTION_TOO_LONG, "description",
                   fmt::format("must have at most {} bytes", kDescriptionBytesMax),
                   {{"maximum", fmt::to_string(kDescriptionBytesMax)}, {"actual", fmt::to_string(description.size())}});
  }
  if (HasControlCharacter(description, "\t\n\r")) {
    violations.Add(v1::ERROR_REASON_INVALID_TEXT, "description", "must not have control characters but line feed and tab");
  }
}

void ValidateScheduleId(const std::string& id, Violations& violations) {
  if (IsAggregateId(id)) return;
  violations.Add(v1::ERROR_REASON_INVALID_SCHEDULE_ID, "schedule_id", "must be 1 to 128 characters of A-Z a-z 0-9 . _ ~ -");
}

template <class Command>
void ValidateRule(const Command& command, int shortest, Violations& violations) {
  if (!Cron::Parse(command.cron())) {
    violations.Add(v1::ERROR_REASON_INVALID_CRON, "cron",
                   "must be five fields (minute hour day-of-month month day-of-week) that come true at some time",
                   {{"cron", command.cron()}});
  }
  if (command.duration_minutes() < shortest || command.duration_minutes() > kDurationMinutesMax) {
    violations.Add(v1::ERROR_REASON_INVALID_DURATION, "duration_minutes",
                   fmt::format("must be from 1 to {}", kDurationMinutesMax));
  }
  if (command.has_stop_after() && !IsPlausible(command.stop_after())) {
    violations.Add(v1::ERROR_REASON_INVALID_TIME, "stop_after", "must be in the years 1970 to 9999");
  }
}

void ValidateInvitee(const std::string& type, const std::string& id, const std::string& prefix, Violations& violations) {
  if (!IsInviteeType(type)) {
    violations.Add(v1::ERROR_REASON_INVALID_INVITEE_TYPE, prefix + "type", "must be user, group or email", {{"type", type}});
  }
  if (id.empty() || id.size() > kInviteeIdBytesMax || HasControlCharacter(id, "")) {
    violations.Add(v1::ERROR_REASON_INVALID_INVITEE_ID, prefix + "id",
                   fmt::format("must have 1 to {} bytes without control characters", kInviteeIdBytesMax));
  }
}

template <class Command>
void ValidateOccurrence(const Command& command, Violations& violations) {
  ValidateScheduleId(command.schedule_id(), violations);
  if (!command.has_occurrence_at() || !IsPlausible(command.occurrence_at())) {
    violations.Add(v1::ERROR_REASON_INVALID_TIME, "occurrence_at", "must be set, in the years 1970 to 9999");
  }
}

absl::Status NotFound(const CommandContext& context) {
  return Reject(v1::ERROR_REASON_ROOM_NOT_FOUND, fmt::format("there is no room {}; create it first", context.aggregate_id),
                {{"room_id", context.aggregate_id}});
}

// OK when the room is there and not deleted.
absl::Status Usable(const v1::RoomState& state, const CommandContext& context) {
  if (!state.exists()) return NotFound(context);
  if (!state.deleted()) return absl::OkStatus();
  return Reject(v1::ERROR_REASON_ROOM_DELETED, fmt::format("room {} is deleted; restore it first", context.aggregate_id),
                {{"room_id", context.aggregate_id}});
}

absl::Status ScheduleNotFound(const std::string& schedule_id, const CommandContext& context) {
  return Reject(v1::ERROR_REASON_SCHEDULE_NOT_FOUND,
                fmt::format("room {} has no schedule {}", context.aggregate_id, schedule_id),
                {{"room_id", context.aggregate_id}, {"schedule_id", schedule_id}});
}

absl::Time StopAfter(const v1::RoomState::Schedule& schedule) {
  return schedule.has_stop_after() ? FromProto(schedule.stop_after()) : absl::InfiniteFuture();
}

SessionRule RuleOf(const v1::RoomState::Schedule& schedule) {
  return {*Cron::Parse(schedule.cron()), absl::Minutes(schedule.duration_minutes()), StopAfter(schedule)};
}

// OK when a schedule can get this rule beside the others of the room.
absl::Status CheckRule(const std::string& schedule_id, const v1::RoomState::Schedule& schedule, const v1::RoomState& state,
                       const CommandContext& context) {
  if (StopAfter(schedule) <= context.now) {
    return Reject(v1::ERROR_REASON_STOP_AFTER_IN_PAST, "stop_after is in the past: no session would take place",
                  {{"stop_after", absl::FormatTime(StopAfter(schedule), absl::UTCTimeZone())}});
  }
  std::vector<NamedRule> others;
  for (const auto& [id, other] : state.schedules()) {
    if (id != schedule_id && StopAfter(other) > context.now) others.push_back({id, RuleOf(other)});
  }
  const auto conflict = FindConflict({schedule_id, RuleOf(schedule)}, others, context.now, context.now + kConflictHorizon);
  if (!conflict) return absl::OkStatus();
  const std::string at = absl::FormatTime(absl::RFC3339_sec, conflict->at, absl::UTCTimeZone());
  return Reject(v1::ERROR_REASON_SCHEDULE_CONFLICT,
                fmt::format("a session at {} would overlap one of schedule {}; take another time or a shorter duration", at,
                            conflict->schedule_id),
                {{"schedule_id", conflict->schedule_id}, {"at", at}});
}

template <class Command>
absl::StatusOr<v1::RoomState::Answer> AnswerOf(const Command& command, const v1::RoomState& state,
                                               const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(Usable(state, context));
  const auto it = state.invitees().find(InviteeKey(command.type(), command.id()));
  if (it != state.invitees().end()) return it->second;
  return Reject(v1::ERROR_REASON_NOT_INVITED,
                fmt::format("{} {} is not invited to room {}", command.type(), command.id(), context.aggregate_id),
                {{"room_id", context.aggregate_id}, {"type", command.type()}, {"id", command.id()}});
}

template <class Command>
absl::Status AlreadyDecided(const Command& command, std::string_view answer) {
  return Reject(v1::ERROR_REASON_ALREADY_DECIDED, fmt::format("{} {} has {} already", command.type(), command.id(), answer),
                {{"type", command.type()}, {"id", command.id()}, {"answer", std::string(answer)}});
}

template <class Event, class Command>
Event ForInvitee(const Command& command) {
  Event event;
  event.set_type(command.type());
  event.set_id(command.id());
  return event;
}

template <class Event, class Rule>
Event WithRule(const std::string& schedule_id, const Rule& rule) {
  Event event;
  event.set_schedule_id(schedule_id);
  event.set_cron(rule.cron());
  event.set_duration_minutes(rule.duration_minutes());
  if (rule.has_stop_after()) *event.mutable_stop_after() = rule.stop_after();
  return event;
}

template <class Rule>
v1::RoomState::Schedule ScheduleFrom(const Rule& rule) {
  v1::RoomState::Schedule schedule;
  schedule.set_cron(rule.cron());
  schedule.set_duration_minutes(rule.duration_minutes());
  if (rule.has_stop_after()) *schedule.mutable_stop_after() = rule.stop_after();
  return schedule;
}

bool SameRule(const v1::RoomState::Schedule& a, const v1::RoomState::Schedule& b) {
  return a.cron() == b.cron() && a.duration_minutes() == b.duration_minutes() && StopAfter(a) == StopAfter(b);
}

template <class Event, class Command>
Event AtOccurrence(const Command& command) {
  Event event;
  event.set_schedule_id(command.schedule_id());
  *event.mutable_occurrence_at() = command.occurrence_at();
  return event;
}

}  // namespace

bool IsInviteeType(std::string_view type) { return type == "user" || type == "group" || type == "email"; }

std::string InviteeKey(std::string_view type, std::string_view id) { return fmt::format("{}:{}", type, id); }

void Room::Validate(const v1::CreateRoomRequest& command, Violations& violations) {
  ValidateName(command.name(), violations);
  ValidateDescription(command.description(), violations);
}
void Room::Validate(const v1::RenameRoomRequest& command, Violations& violations) { ValidateName(command.name(), violations); }
void Room::Validate(const v1::ChangeDescriptionRequest& command, Violations& violations) {
  ValidateDescription(command.description(), violations);
}
void Room::Validate(const v1::ScheduleSessionRequest& command, Violations& violations) {
  if (!command.schedule_id().empty()) ValidateScheduleId(command.schedule_id(), violations);
  ValidateRule(command, 1, violations);
}
void Room::Validate(const v1::RescheduleSessionRequest& command, Violations& violations) {
  ValidateScheduleId(command.schedule_id(), violations);
  ValidateRule(command, 0, violations);
}
void Room::Validate(const v1::CancelSessionRequest& command, Violations& violations) {
  ValidateScheduleId(command.schedule_id(), violations);
}
void Room::Validate(const v1::InviteRequest& command, Violations& violations) {
  if (command.invitees().empty()) violations.Add(v1::ERROR_REASON_NO_INVITEES, "invitees", "must name at least one");
  if (command.invitees_size() > kInviteesPerCommandMax) {
    violations.Add("invitees", fmt::format("must name at most {}", kInviteesPerCommandMax));
    return;
  }
  for (int i = 0; i < command.invitees_size(); ++i) {
    ValidateInvitee(command.invitees(i).type(), command.invitees(i).id(), fmt::format("invitees[{}].", i), violations);
  }
}
void Room::Validate(const v1::RevokeInvitationRequest& command, Violations& violations) {
  ValidateInvitee(command.type(), command.id(), "", violations);
}
void Room::Validate(const v1::AcceptInvitationRequest& command, Violations& violations) {
  ValidateInvitee(command.type(), command.id(), "", violations);
}
void Room::Validate(const v1::DeclineInvitationRequest& command, Violations& violations) {
  ValidateInvitee(command.type(), command.id(), "", violations);
}
void Room::Validate(const v1::StartSessionRequest& command, Violations& violations) {
  ValidateOccurrence(command, violations);
}
void Room::Validate(const v1::EndSessionRequest& command, Violations& violations) { ValidateOccurrence(command, violations); }

Decision<Room::Events> Room::Decide(const v1::CreateRoomRequest& command, const State& state, const CommandContext& context) {
  if (state.exists()) {
    return Reject(v1::ERROR_REASON_ROOM_EXISTS, fmt::format("there is a room {} already; choose another id", context.aggregate_id),
                  {{"room_id", context.aggregate_id}});
  }
  v1::RoomCreated created;
  created.set_name(command.name());
  created.set_description(command.description());
  return Accept(std::move(created));
}

Decision<Room::Events> Room::Decide(const v1::RenameRoomRequest& command, const State& state, const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(Usable(state, context));
  if (command.name() == state.name()) return Accept();
  v1::RoomRenamed renamed;
  renamed.set_name(command.name());
  return Accept(std::move(renamed));
}

Decision<Room::Events> Room::Decide(const v1::ChangeDescriptionRequest& command, const State& state,
                                    const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(Usable(state, context));
  if (command.description() == state.description()) return Accept();
  v1::RoomDescriptionChanged changed;
  changed.set_description(command.description());
  return Accept(std::move(changed));
}

Decision<Room::Events> Room::Decide(const v1::DeleteRoomRequest&, const State& state, const CommandContext& context) {
  if (!state.exists()) return NotFound(context);
  if (state.deleted()) return Accept();
  return Accept(v1::RoomDeleted());
}

Decision<Room::Events> Room::Decide(const v1::RestoreRoomRequest&, const State& state, const CommandContext& context) {
  if (!state.exists()) return NotFound(context);
  if (!state.deleted()) {
    return Reject(v1::ERROR_REASON_ROOM_NOT_DELETED, fmt::format("room {} is not deleted", context.aggregate_id),
                  {{"room_id", context.aggregate_id}});
  }
  return Accept(v1::RoomRestored());
}

Decision<Room::Events> Room::Decide(const v1::ScheduleSessionRequest& command, const State& state,
                                    const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(Usable(state, context));
  const std::string schedule_id = command.schedule_id().empty() ? context.NewId(0) : command.schedule_id();
  if (state.schedules().contains(schedule_id)) {
    return Reject(v1::ERROR_REASON_SCHEDULE_EXISTS,
                  fmt::format("room {} has a schedule {} already; reschedule it", context.aggregate_id, schedule_id),
                  {{"room_id", context.aggregate_id}, {"schedule_id", schedule_id}});
  }
  if (state.schedules().size() >= kSchedulesPerRoomMax) {
    return Reject(v1::ERROR_REASON_TOO_MANY_SCHEDULES,
                  fmt::format("room {} has {} schedules already; cancel one first", context.aggregate_id, kSchedulesPerRoomMax),
                  {{"room_id", context.aggregate_id}, {"maximum", fmt::to_string(kSchedulesPerRoomMax)}});
  }
  LEFTFOLD_RETURN_IF_ERROR(CheckRule(schedule_id, ScheduleFrom(command), state, context));
  return Accept(WithRule<v1::SessionScheduled>(schedule_id, command)).Created(schedule_id);
}

Decision<Room::Events> Room::Decide(const v1::RescheduleSessionRequest& command, const State& state,
                                    const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(Usable(state, context));
  const auto it = state.schedules().find(command.schedule_id());
  if (it == state.schedules().end()) return ScheduleNotFound(command.schedule_id(), context);
  v1::RoomState::Schedule schedule = ScheduleFrom(command);
  if (schedule.duration_minutes() == 0) schedule.set_duration_minutes(it->second.duration_minutes());
  if (SameRule(schedule, it->second)) return Accept();
  LEFTFOLD_RETURN_IF_ERROR(CheckRule(command.schedule_id(), schedule, state, context));
  return Accept(WithRule<v1::SessionRescheduled>(command.schedule_id(), schedule));
}

Decision<Room::Events> Room::Decide(const v1::CancelSessionRequest& command, const State& state,
                                    const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(Usable(state, context));
  if (!state.schedules().contains(command.schedule_id())) return ScheduleNotFound(command.schedule_id(), context);
  v1::SessionCancelled cancelled;
  cancelled.set_schedule_id(command.schedule_id());
  return Accept(std::move(cancelled));
}

Decision<Room::Events> Room::Decide(const v1::InviteRequest& command, const State& state, const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(Usable(state, context));
  v1::EntityInvited invited;
  State after;  // Only its invitees: who stands twice in the command is invited once.
  for (const v1::Invitee& invitee : command.invitees()) {
    const std::string key = InviteeKey(invitee.type(), invitee.id());
    if (state.invitees().contains(key) || after.invitees().contains(key)) continue;
    (*after.mutable_invitees())[key] = v1::RoomState::ANSWER_INVITED;
    *invited.add_invitees() = invitee;
  }
  if (invited.invitees().empty()) return Accept();
  if (state.invitees().size() + after.invitees().size() > kInviteesPerRoomMax) {
    return Reject(v1::ERROR_REASON_TOO_MANY_INVITEES,
                  fmt::format("room {} would have more than {} invitees", context.aggregate_id, kInviteesPerRoomMax),
                  {{"room_id", context.aggregate_id}, {"maximum", fmt::to_string(kInviteesPerRoomMax)}});
  }
  return Accept(std::move(invited));
}

Decision<Room::Events> Room::Decide(const v1::RevokeInvitationRequest& command, const State& state,
                                    const CommandContext& context) {
  const auto answer = AnswerOf(command, state, context);
  if (!answer.ok()) return answer.status();
  return Accept(ForInvitee<v1::InvitationRevoked>(command));
}

Decision<Room::Events> Room::Decide(const v1::AcceptInvitationRequest& command, const State& state,
                                    const CommandContext& context) {
  const auto answer = AnswerOf(command, state, context);
  if (!answer.ok()) return answer.status();
  if (*answer == v1::RoomState::ANSWER_ACCEPTED) return Accept();
  if (*answer == v1::RoomState::ANSWER_DECLINED) return AlreadyDecided(command, "declined");
  return Accept(ForInvitee<v1::InvitationAccepted>(command));
}

Decision<Room::Events> Room::Decide(const v1::DeclineInvitationRequest& command, const State& state,
                                    const CommandContext& context) {
  const auto answer = AnswerOf(command, state, context);
  if (!answer.ok()) return answer.status();
  if (*answer == v1::RoomState::ANSWER_DECLINED) return Accept();
  if (*answer == v1::RoomState::ANSWER_ACCEPTED) return AlreadyDecided(command, "accepted");
  return Accept(ForInvitee<v1::InvitationDeclined>(command));
}

Decision<Room::Events> Room::Decide(const v1::StartSessionRequest& command, const State& state,
                                    const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(Usable(state, context));
  const auto it = state.schedules().find(command.schedule_id());
  if (it == state.schedules().end()) return ScheduleNotFound(command.schedule_id(), context);
  const bool running = it->second.has_running() && FromProto(it->second.running()) == FromProto(command.occurrence_at());
  if (running) return Accept();
  return Accept(AtOccurrence<v1::SessionStarted>(command));
}

Decision<Room::Events> Room::Decide(const v1::EndSessionRequest& command, const State& state, const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(Usable(state, context));
  const auto it = state.schedules().find(command.schedule_id());
  if (it == state.schedules().end()) return ScheduleNotFound(command.schedule_id(), context);
  const bool running = it->second.has_running() && FromProto(it->second.running()) == FromProto(command.occurrence_at());
  if (!running) {
    return Reject(v1::ERROR_REASON_NOT_STARTED,
                  fmt::format("the session of schedule {} at this time is not going on", command.schedule_id()),
                  {{"room_id", context.aggregate_id}, {"schedule_id", command.schedule_id()}});
  }
  return Accept(AtOccurrence<v1::SessionEnded>(command));
}

void Room::Evolve(State& state, const v1::RoomCreated& event) {
  state.set_exists(true);
  state.set_name(event.name());
  state.set_description(event.description());
}
void Room::Evolve(State& state, const v1::RoomRenamed& event) { state.set_name(event.name()); }
void Room::Evolve(State& state, const v1::RoomDescriptionChanged& event) { state.set_description(event.description()); }
void Room::Evolve(State& state, const v1::RoomDeleted&) { state.set_deleted(true); }
void Room::Evolve(State& state, const v1::RoomRestored&) { state.set_deleted(false); }
void Room::Evolve(State& state, const v1::SessionScheduled& event) {
  (*state.mutable_schedules())[event.schedule_id()] = ScheduleFrom(event);
}
void Room::Evolve(State& state, const v1::SessionRescheduled& event) {
  v1::RoomState::Schedule schedule = ScheduleFrom(event);
  v1::RoomState::Schedule& kept = (*state.mutable_schedules())[event.schedule_id()];
  if (kept.has_running()) *schedule.mutable_running() = kept.running();
  kept = std::move(schedule);
}
void Room::Evolve(State& state, const v1::SessionCancelled& event) { state.mutable_schedules()->erase(event.schedule_id()); }
void Room::Evolve(State& state, const v1::EntityInvited& event) {
  for (const v1::Invitee& invitee : event.invitees()) {
    (*state.mutable_invitees())[InviteeKey(invitee.type(), invitee.id())] = v1::RoomState::ANSWER_INVITED;
  }
}
void Room::Evolve(State& state, const v1::InvitationRevoked& event) {
  state.mutable_invitees()->erase(InviteeKey(event.type(), event.id()));
}
void Room::Evolve(State& state, const v1::InvitationAccepted& event) {
  (*state.mutable_invitees())[InviteeKey(event.type(), event.id())] = v1::RoomState::ANSWER_ACCEPTED;
}
void Room::Evolve(State& state, const v1::InvitationDeclined& event) {
  (*state.mutable_invitees())[InviteeKey(event.type(), event.id())] = v1::RoomState::ANSWER_DECLINED;
}
void Room::Evolve(State& state, const v1::ExternalRoomLinked& event) { state.set_external_room_id(event.external_id()); }
void Room::Evolve(State& state, const v1::SessionStarted& event) {
  *(*state.mutable_schedules())[event.schedule_id()].mutable_running() = event.occurrence_at();
}
void Room::Evolve(State& state, const v1::SessionEnded& event) {
  (*state.mutable_schedules())[event.schedule_id()].clear_running();
}

}  // namespace leftfold::rooms
