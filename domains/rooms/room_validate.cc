#include <absl/strings/ascii.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "core/ids.h"
#include "core/text.h"
#include "core/timestamp.h"
#include "domains/rooms/cron.h"
#include "domains/rooms/room.h"

namespace leftfold::rooms {
namespace {

bool CheckLength(const std::string& text, std::string_view field, std::size_t maximum,
                 v1::ErrorReason reason, Violations& violations) {
  if (text.size() <= maximum) return true;
  violations.Add(reason, field, fmt::format("must have at most {} bytes", maximum),
                 {{"maximum", fmt::to_string(maximum)}, {"actual", fmt::to_string(text.size())}});
  return false;
}

void CheckName(const std::string& name, Violations& violations) {
  if (IsBlank(name)) {
    violations.Add(v1::ERROR_REASON_NAME_EMPTY, "name", "must not be empty or blank");
  }
  CheckLength(name, "name", kNameBytesMax, v1::ERROR_REASON_NAME_TOO_LONG, violations);
  if (HasControlCharacter(name)) {
    violations.Add(v1::ERROR_REASON_INVALID_TEXT, "name", "must not have control characters");
  }
}

void CheckDescription(const std::string& description, Violations& violations) {
  CheckLength(description, "description", kDescriptionBytesMax,
              v1::ERROR_REASON_DESCRIPTION_TOO_LONG, violations);
  if (HasControlCharacter(description, "\t\n\r")) {
    violations.Add(v1::ERROR_REASON_INVALID_TEXT, "description",
                   "must not have control characters other than tab, line feed, carriage return");
  }
}

void CheckScheduleId(const std::string& id, Violations& violations) {
  if (IsAggregateId(id)) return;
  violations.Add(
      v1::ERROR_REASON_INVALID_SCHEDULE_ID, "schedule_id",
      fmt::format("must be 1 to {} characters of A-Z a-z 0-9 . _ ~ -", kAggregateIdBytesMax),
      {{"maximum", fmt::to_string(kAggregateIdBytesMax)}});
}

template <class Command>
void CheckRule(const Command& command, int shortest, Violations& violations) {
  if (!Cron::Parse(command.cron())) {
    violations.Add(v1::ERROR_REASON_INVALID_CRON, "cron",
                   "must be minute, hour, day of month, month and day of week, and come true",
                   {{"cron", command.cron()}});
  }
  const int minutes = command.duration_minutes();
  if (minutes < shortest || minutes > kDurationMinutesMax) {
    violations.Add(v1::ERROR_REASON_INVALID_DURATION, "duration_minutes",
                   fmt::format("must be 1 to {}", kDurationMinutesMax),
                   {{"duration_minutes", fmt::to_string(minutes)},
                    {"maximum", fmt::to_string(kDurationMinutesMax)}});
  }
  if (command.has_stop_after() && !IsPlausible(command.stop_after())) {
    violations.Add(v1::ERROR_REASON_INVALID_TIME, "stop_after",
                   "must be in the years 1970 to 9999");
  }
}

void CheckInvitee(const std::string& type, const std::string& id, const std::string& prefix,
                  Violations& violations) {
  if (!IsInviteeType(type)) {
    violations.Add(v1::ERROR_REASON_INVALID_INVITEE_TYPE, prefix + "type",
                   "must be user, group or email", {{"type", type}});
  }
  if (!IsInviteeId(type, id)) {
    violations.Add(v1::ERROR_REASON_INVALID_INVITEE_ID, prefix + "id",
                   fmt::format("must have 1 to {} bytes without control characters, and be an "
                               "address where the type is email",
                               kForeignIdBytesMax),
                   {{"maximum", fmt::to_string(kForeignIdBytesMax)}});
  }
}

template <class Command>
void CheckOccurrence(const Command& command, Violations& violations) {
  CheckScheduleId(command.schedule_id(), violations);
  const auto& at = command.occurrence_at();
  if (!command.has_occurrence_at() || !IsPlausible(at) || at.nanos() != 0 ||
      at.seconds() % 60 != 0) {
    violations.Add(v1::ERROR_REASON_INVALID_TIME, "occurrence_at",
                   "must be a whole minute in the years 1970 to 9999");
  }
}

void CheckForeignId(const std::string& id, std::string_view field, Violations& violations) {
  if (IsForeignId(id)) return;
  violations.Add(
      v1::ERROR_REASON_INVALID_EXTERNAL_ROOM, field,
      fmt::format("must have 1 to {} bytes without control characters", kForeignIdBytesMax),
      {{"maximum", fmt::to_string(kForeignIdBytesMax)}});
}

}  // namespace

bool IsInviteeType(std::string_view type) {
  return type == "user" || type == "group" || type == "email";
}

bool IsForeignId(std::string_view id) {
  return !id.empty() && id.size() <= kForeignIdBytesMax && !HasControlCharacter(id);
}

bool IsInviteeId(std::string_view type, std::string_view id) {
  if (!IsForeignId(id)) return false;
  return type != "email" || IsEmailAddress(id);
}

void Room::Validate(const v1::CreateRoomRequest& command, Violations& violations) {
  CheckName(command.name(), violations);
  CheckDescription(command.description(), violations);
  const std::string& provider = command.external_provider();
  const bool named = std::all_of(provider.begin(), provider.end(), [](unsigned char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_';
  });
  if (named && provider.size() <= kProviderBytesMax) return;
  violations.Add(
      v1::ERROR_REASON_INVALID_EXTERNAL_ROOM, "external_provider",
      fmt::format("must be empty or 1 to {} characters of a-z 0-9 _", kProviderBytesMax));
}

void Room::Validate(const v1::RenameRoomRequest& command, Violations& violations) {
  CheckName(command.name(), violations);
}

void Room::Validate(const v1::ChangeDescriptionRequest& command, Violations& violations) {
  CheckDescription(command.description(), violations);
}

void Room::Validate(const v1::DeleteRoomRequest&, Violations&) {}

void Room::Validate(const v1::RestoreRoomRequest&, Violations&) {}

void Room::Validate(const v1::ScheduleSessionRequest& command, Violations& violations) {
  if (!command.schedule_id().empty()) CheckScheduleId(command.schedule_id(), violations);
  CheckRule(command, 1, violations);
}

void Room::Validate(const v1::RescheduleSessionRequest& command, Violations& violations) {
  CheckScheduleId(command.schedule_id(), violations);
  CheckRule(command, 0, violations);
}

void Room::Validate(const v1::CancelSessionRequest& command, Violations& violations) {
  CheckScheduleId(command.schedule_id(), violations);
}

void Room::Validate(const v1::InviteRequest& command, Violations& violations) {
  if (command.invitees().empty()) {
    violations.Add(v1::ERROR_REASON_NO_INVITEES, "invitees", "must name at least one");
  }
  if (command.invitees_size() > kInviteesPerCommandMax) {
    violations.Add(v1::ERROR_REASON_TOO_MANY_INVITEES, "invitees",
                   fmt::format("must name at most {}", kInviteesPerCommandMax),
                   {{"maximum", fmt::to_string(kInviteesPerCommandMax)},
                    {"actual", fmt::to_string(command.invitees_size())}});
    return;
  }
  for (int i = 0; i < command.invitees_size(); ++i) {
    const v1::Invitee& invitee = command.invitees(i);
    CheckInvitee(invitee.type(), invitee.id(), fmt::format("invitees[{}].", i), violations);
  }
}

void Room::Validate(const v1::RevokeInvitationRequest& command, Violations& violations) {
  CheckInvitee(command.type(), command.id(), "", violations);
}

void Room::Validate(const v1::AcceptInvitationRequest& command, Violations& violations) {
  CheckInvitee(command.type(), command.id(), "", violations);
}

void Room::Validate(const v1::DeclineInvitationRequest& command, Violations& violations) {
  CheckInvitee(command.type(), command.id(), "", violations);
}

void Room::Validate(const v1::LinkExternalRoomRequest& command, Violations& violations) {
  CheckForeignId(command.provider(), "provider", violations);
  CheckForeignId(command.external_id(), "external_id", violations);
}

void Room::Validate(const v1::StartSessionRequest& command, Violations& violations) {
  CheckOccurrence(command, violations);
}

void Room::Validate(const v1::EndSessionRequest& command, Violations& violations) {
  CheckOccurrence(command, violations);
}

}  // namespace leftfold::rooms
