#ifndef DOMAINS_ROOMS_ROOM_FOLD_H_
#define DOMAINS_ROOMS_ROOM_FOLD_H_

#include <algorithm>
#include <string_view>

#include "leftfold/rooms/v1/events.pb.h"
#include "leftfold/rooms/v1/state.pb.h"

// What each event changes in a room, for the messages that have a room's fields by the same names:
// the aggregate's v1::RoomState and the v1::Room that is read. Every event fits every room.
namespace leftfold::rooms::fold {

template <class RoomLike>
auto FindSchedule(RoomLike& room, std::string_view schedule_id) {
  auto& all = *room.mutable_schedules();
  return std::find_if(all.begin(), all.end(), [&](const v1::Schedule& schedule) {
    return schedule.schedule_id() == schedule_id;
  });
}

template <class RoomLike>
auto FindInvitation(RoomLike& room, std::string_view type, std::string_view id) {
  auto& all = *room.mutable_invitees();
  return std::find_if(all.begin(), all.end(), [&](const v1::Invitation& invitation) {
    return invitation.id() == id && invitation.type() == type;
  });
}

template <class RoomLike>
v1::Schedule& ScheduleOf(RoomLike& room, const std::string& schedule_id) {
  const auto it = FindSchedule(room, schedule_id);
  if (it != room.mutable_schedules()->end()) return *it;
  v1::Schedule& added = *room.add_schedules();
  added.set_schedule_id(schedule_id);
  return added;
}

template <class RoomLike, class Event>
void SetRule(RoomLike& room, const Event& event) {
  v1::Schedule& schedule = ScheduleOf(room, event.schedule_id());
  schedule.set_cron(event.cron());
  schedule.set_duration_minutes(event.duration_minutes());
  schedule.clear_stop_after();
  if (event.has_stop_after()) *schedule.mutable_stop_after() = event.stop_after();
}

template <class RoomLike>
void SetInvitation(RoomLike& room, const std::string& type, const std::string& id,
                   v1::InvitationState state) {
  const auto it = FindInvitation(room, type, id);
  if (it != room.mutable_invitees()->end()) {
    it->set_state(state);
    return;
  }
  v1::Invitation& added = *room.add_invitees();
  added.set_type(type);
  added.set_id(id);
  added.set_state(state);
}

template <class RoomLike>
void Apply(RoomLike& room, const v1::RoomCreated& event) {
  room.set_name(event.name());
  room.set_description(event.description());
}
template <class RoomLike>
void Apply(RoomLike& room, const v1::RoomRenamed& event) {
  room.set_name(event.name());
}
template <class RoomLike>
void Apply(RoomLike& room, const v1::RoomDescriptionChanged& event) {
  room.set_description(event.description());
}
template <class RoomLike>
void Apply(RoomLike& room, const v1::RoomDeleted&) {
  room.set_deleted(true);
}
template <class RoomLike>
void Apply(RoomLike& room, const v1::RoomRestored&) {
  room.set_deleted(false);
}
template <class RoomLike>
void Apply(RoomLike& room, const v1::SessionScheduled& event) {
  SetRule(room, event);
}
template <class RoomLike>
void Apply(RoomLike& room, const v1::SessionRescheduled& event) {
  SetRule(room, event);
}
template <class RoomLike>
void Apply(RoomLike& room, const v1::SessionCancelled& event) {
  const auto it = FindSchedule(room, event.schedule_id());
  if (it != room.mutable_schedules()->end()) room.mutable_schedules()->erase(it);
}
template <class RoomLike>
void Apply(RoomLike& room, const v1::EntityInvited& event) {
  for (const v1::Invitee& invitee : event.invitees()) {
    SetInvitation(room, invitee.type(), invitee.id(), v1::INVITATION_STATE_INVITED);
  }
}
template <class RoomLike>
void Apply(RoomLike& room, const v1::InvitationRevoked& event) {
  const auto it = FindInvitation(room, event.type(), event.id());
  if (it != room.mutable_invitees()->end()) room.mutable_invitees()->erase(it);
}
template <class RoomLike>
void Apply(RoomLike& room, const v1::InvitationAccepted& event) {
  SetInvitation(room, event.type(), event.id(), v1::INVITATION_STATE_ACCEPTED);
}
template <class RoomLike>
void Apply(RoomLike& room, const v1::InvitationDeclined& event) {
  SetInvitation(room, event.type(), event.id(), v1::INVITATION_STATE_DECLINED);
}
template <class RoomLike>
void Apply(RoomLike& room, const v1::ExternalRoomLinked& event) {
  room.set_external_provider(event.provider());
  room.set_external_room_id(event.external_id());
}
template <class RoomLike>
void Apply(RoomLike& room, const v1::SessionStarted& event) {
  const auto it = FindSchedule(room, event.schedule_id());
  if (it == room.mutable_schedules()->end()) return;
  *it->mutable_last_started_at() = event.occurrence_at();
  it->set_running(true);
}
template <class RoomLike>
void Apply(RoomLike& room, const v1::SessionEnded& event) {
  const auto it = FindSchedule(room, event.schedule_id());
  if (it != room.mutable_schedules()->end()) it->set_running(false);
}

}  // namespace leftfold::rooms::fold
#endif  // DOMAINS_ROOMS_ROOM_FOLD_H_
