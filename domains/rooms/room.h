#ifndef DOMAINS_ROOMS_ROOM_H_
#define DOMAINS_ROOMS_ROOM_H_

#include <string>

#include "core/aggregate.h"
#include "leftfold/rooms/v1/commands.pb.h"
#include "leftfold/rooms/v1/events.pb.h"

namespace leftfold::rooms {

inline constexpr std::size_t kNameBytesMax = 200;
inline constexpr std::size_t kDescriptionBytesMax = 4'096;
inline constexpr std::size_t kInviteeIdBytesMax = 256;
inline constexpr int kInviteesPerCommandMax = 1'000;
inline constexpr std::size_t kInviteesPerRoomMax = 10'000;
inline constexpr std::size_t kSchedulesPerRoomMax = 50;
inline constexpr int kDurationMinutesMax = 1'440;
// How far ahead sessions are compared.
inline constexpr absl::Duration kConflictHorizon = absl::Hours(24 * 366);

// A room with schedules and invitees.
struct Room {
  static constexpr std::string_view kCategory = "room";
  using Commands =
      Types<v1::CreateRoomRequest, v1::RenameRoomRequest, v1::ChangeDescriptionRequest, v1::DeleteRoomRequest,
            v1::RestoreRoomRequest, v1::ScheduleSessionRequest, v1::RescheduleSessionRequest, v1::CancelSessionRequest,
            v1::InviteRequest, v1::RevokeInvitationRequest, v1::AcceptInvitationRequest, v1::DeclineInvitationRequest,
            v1::StartSessionRequest, v1::EndSessionRequest>;
  using Creates = Types<v1::CreateRoomRequest>;
  using Events = Types<v1::RoomCreated, v1::RoomRenamed, v1::RoomDescriptionChanged, v1::RoomDeleted, v1::RoomRestored,
                       v1::SessionScheduled, v1::SessionRescheduled, v1::SessionCancelled, v1::EntityInvited,
                       v1::InvitationRevoked, v1::InvitationAccepted, v1::InvitationDeclined, v1::ExternalRoomLinked,
                       v1::SessionStarted, v1::SessionEnded>;
  using State = v1::RoomState;
  static constexpr int kStateVersion = 1;

  static void Validate(const v1::CreateRoomRequest&, Violations&);
  static void Validate(const v1::RenameRoomRequest&, Violations&);
  static void Validate(const v1::ChangeDescriptionRequest&, Violations&);
  static void Validate(const v1::DeleteRoomRequest&, Violations&) {}
  static void Validate(const v1::RestoreRoomRequest&, Violations&) {}
  static void Validate(const v1::ScheduleSessionRequest&, Violations&);
  static void Validate(const v1::RescheduleSessionRequest&, Violations&);
  static void Validate(const v1::CancelSessionRequest&, Violations&);
  static void Validate(const v1::InviteRequest&, Violations&);
  static void Validate(const v1::RevokeInvitationRequest&, Violations&);
  static void Validate(const v1::AcceptInvitationRequest&, Violations&);
  static void Validate(const v1::DeclineInvitationRequest&, Violations&);
  static void Validate(const v1::StartSessionRequest&, Violations&);
  static void Validate(const v1::EndSessionRequest&, Violations&);

  static Decision<Events> Decide(const v1::CreateRoomRequest&, const State&, const CommandContext&);
  static Decision<Events> Decide(const v1::RenameRoomRequest&, const State&, const CommandContext&);
  static Decision<Events> Decide(const v1::ChangeDescriptionRequest&, const State&, const CommandContext&);
  static Decision<Events> Decide(const v1::DeleteRoomRequest&, const State&, const CommandContext&);
  static Decision<Events> Decide(const v1::RestoreRoomRequest&, const State&, const CommandContext&);
  static Decision<Events> Decide(const v1::ScheduleSessionRequest&, const State&, const CommandContext&);
  static Decision<Events> Decide(const v1::RescheduleSessionRequest&, const State&, const CommandContext&);
  static Decision<Events> Decide(const v1::CancelSessionRequest&, const State&, const CommandContext&);
  static Decision<Events> Decide(const v1::InviteRequest&, const State&, const CommandContext&);
  static Decision<Events> Decide(const v1::RevokeInvitationRequest&, const State&, const CommandContext&);
  static Decision<Events> Decide(const v1::AcceptInvitationRequest&, const State&, const CommandContext&);
  static Decision<Events> Decide(const v1::DeclineInvitationRequest&, const State&, const CommandContext&);
  static Decision<Events> Decide(const v1::StartSessionRequest&, const State&, const CommandContext&);
  static Decision<Events> Decide(const v1::EndSessionRequest&, const State&, const CommandContext&);

  static void Evolve(State&, const v1::RoomCreated&);
  static void Evolve(State&, const v1::RoomRenamed&);
  static void Evolve(State&, const v1::RoomDescriptionChanged&);
  static void Evolve(State&, const v1::RoomDeleted&);
  static void Evolve(State&, const v1::RoomRestored&);
  static void Evolve(State&, const v1::SessionScheduled&);
  static void Evolve(State&, const v1::SessionRescheduled&);
  static void Evolve(State&, const v1::SessionCancelled&);
  static void Evolve(State&, const v1::EntityInvited&);
  static void Evolve(State&, const v1::InvitationRevoked&);
  static void Evolve(State&, const v1::InvitationAccepted&);
  static void Evolve(State&, const v1::InvitationDeclined&);
  static void Evolve(State&, const v1::ExternalRoomLinked&);
  static void Evolve(State&, const v1::SessionStarted&);
  static void Evolve(State&, const v1::SessionEnded&);
};

bool IsInviteeType(std::string_view type);
// The key of an invitee in RoomState.invitees: "user:ana".
std::string InviteeKey(std::string_view type, std::string_view id);

}  // namespace leftfold::rooms
#endif  // DOMAINS_ROOMS_ROOM_H_
