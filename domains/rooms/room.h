#ifndef DOMAINS_ROOMS_ROOM_H_
#define DOMAINS_ROOMS_ROOM_H_

#include <absl/time/time.h>

#include <cstddef>
#include <string_view>

#include "core/aggregate.h"
#include "core/reject.h"
#include "leftfold/rooms/v1/commands.pb.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "leftfold/rooms/v1/state.pb.h"

namespace leftfold::rooms {

inline constexpr std::size_t kNameBytesMax = 200;
inline constexpr std::size_t kDescriptionBytesMax = 4'000;
inline constexpr int kDurationMinutesMax = 24 * 60;
inline constexpr int kSchedulesMax = 32;
inline constexpr int kInviteesMax = 1'000;
inline constexpr int kInviteesPerCommandMax = 100;
// Of an invitee's id, a provider's name and an external id; the longest e-mail address has as many.
inline constexpr std::size_t kProviderBytesMax = 32;  // That makes a room of its own.
inline constexpr std::size_t kForeignIdBytesMax = 254;

// How long before its begin a session may be started: clocks differ. A session far ahead would
// stand in the way of all before it, for sessions begin in order.
inline constexpr absl::Duration kStartEarlyMax = absl::Hours(1);

inline constexpr absl::Duration kConflictHorizon = absl::Hours(366 * 24);

// "user", "group" and "email".
bool IsInviteeType(std::string_view type);
// 1 to kForeignIdBytesMax bytes without control characters.
bool IsForeignId(std::string_view id);
// Of the type's form: an e-mail address has text on both sides of its only "@", without blanks.
bool IsInviteeId(std::string_view type, std::string_view id);

// A place where sessions are held: by which rules, and who is invited.
struct Room {
  static constexpr std::string_view kCategory = "room";
  using Commands =
      Types<v1::CreateRoomRequest, v1::RenameRoomRequest, v1::ChangeDescriptionRequest,
            v1::DeleteRoomRequest, v1::RestoreRoomRequest, v1::ScheduleSessionRequest,
            v1::RescheduleSessionRequest, v1::CancelSessionRequest, v1::InviteRequest,
            v1::RevokeInvitationRequest, v1::AcceptInvitationRequest, v1::DeclineInvitationRequest,
            v1::LinkExternalRoomRequest, v1::StartSessionRequest, v1::EndSessionRequest>;
  using Creates = Types<v1::CreateRoomRequest>;
  using Events =
      Types<v1::RoomCreated, v1::RoomRenamed, v1::RoomDescriptionChanged, v1::RoomDeleted,
            v1::RoomRestored, v1::SessionScheduled, v1::SessionRescheduled, v1::SessionCancelled,
            v1::EntityInvited, v1::InvitationRevoked, v1::InvitationAccepted,
            v1::InvitationDeclined, v1::ExternalRoomLinked, v1::SessionStarted, v1::SessionEnded>;
  using State = v1::RoomState;
  static constexpr int kStateVersion = 1;  // Bump it when Evolve or the state's meaning changes.
  using Decision = leftfold::Decision<Events>;

  static void Validate(const v1::CreateRoomRequest& command, Violations& violations);
  static void Validate(const v1::RenameRoomRequest& command, Violations& violations);
  static void Validate(const v1::ChangeDescriptionRequest& command, Violations& violations);
  static void Validate(const v1::DeleteRoomRequest& command, Violations& violations);
  static void Validate(const v1::RestoreRoomRequest& command, Violations& violations);
  static void Validate(const v1::ScheduleSessionRequest& command, Violations& violations);
  static void Validate(const v1::RescheduleSessionRequest& command, Violations& violations);
  static void Validate(const v1::CancelSessionRequest& command, Violations& violations);
  static void Validate(const v1::InviteRequest& command, Violations& violations);
  static void Validate(const v1::RevokeInvitationRequest& command, Violations& violations);
  static void Validate(const v1::AcceptInvitationRequest& command, Violations& violations);
  static void Validate(const v1::DeclineInvitationRequest& command, Violations& violations);
  static void Validate(const v1::LinkExternalRoomRequest& command, Violations& violations);
  static void Validate(const v1::StartSessionRequest& command, Violations& violations);
  static void Validate(const v1::EndSessionRequest& command, Violations& violations);

  static Decision Decide(const v1::CreateRoomRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::RenameRoomRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::ChangeDescriptionRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::DeleteRoomRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::RestoreRoomRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::ScheduleSessionRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::RescheduleSessionRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::CancelSessionRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::InviteRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::RevokeInvitationRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::AcceptInvitationRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::DeclineInvitationRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::LinkExternalRoomRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::StartSessionRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::EndSessionRequest& command, const State& state,
                         const CommandContext& context);

  static void Evolve(State& state, const v1::RoomCreated& event);
  static void Evolve(State& state, const v1::RoomRenamed& event);
  static void Evolve(State& state, const v1::RoomDescriptionChanged& event);
  static void Evolve(State& state, const v1::RoomDeleted& event);
  static void Evolve(State& state, const v1::RoomRestored& event);
  static void Evolve(State& state, const v1::SessionScheduled& event);
  static void Evolve(State& state, const v1::SessionRescheduled& event);
  static void Evolve(State& state, const v1::SessionCancelled& event);
  static void Evolve(State& state, const v1::EntityInvited& event);
  static void Evolve(State& state, const v1::InvitationRevoked& event);
  static void Evolve(State& state, const v1::InvitationAccepted& event);
  static void Evolve(State& state, const v1::InvitationDeclined& event);
  static void Evolve(State& state, const v1::ExternalRoomLinked& event);
  static void Evolve(State& state, const v1::SessionStarted& event);
  static void Evolve(State& state, const v1::SessionEnded& event);
};

}  // namespace leftfold::rooms
#endif  // DOMAINS_ROOMS_ROOM_H_
