#include "domains/rooms/room.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "core/reject.h"
#include "domains/rooms/test_events.h"
#include "testing/given.h"

namespace leftfold::rooms {
namespace {

using testing::Given;
using testing::Past;

// Now is 2026-01-01T00:00Z, a Thursday; the id is "id-1".

template <class Command>
Command Named(const std::string& name) {
  Command command;
  command.set_name(name);
  return command;
}

v1::ChangeDescriptionRequest Describe(const std::string& description) {
  v1::ChangeDescriptionRequest command;
  command.set_description(description);
  return command;
}

template <class Command = v1::ScheduleSessionRequest>
Command Schedule(const std::string& id, const std::string& cron, int minutes = 60) {
  Command command;
  command.set_schedule_id(id);
  command.set_cron(cron);
  command.set_duration_minutes(minutes);
  return command;
}

v1::CancelSessionRequest Cancel(const std::string& id) {
  v1::CancelSessionRequest command;
  command.set_schedule_id(id);
  return command;
}

v1::LinkExternalRoomRequest Link(const std::string& provider, const std::string& id) {
  v1::LinkExternalRoomRequest command;
  command.set_provider(provider);
  command.set_external_id(id);
  return command;
}

v1::InviteRequest Invite(const std::string& text) { return Parse<v1::InviteRequest>(text); }

Past<Room> Deleted() { return Given<Room>(Created(), v1::RoomDeleted()); }

TEST(Room, IsCreatedOnce) {
  v1::CreateRoomRequest command = Named<v1::CreateRoomRequest>("Oak");
  command.set_description("By the river");
  Given<Room>().When(command).Then(Created());
  const auto status = Given<Room>(Created()).When(command).ThenRejected("ROOM_EXISTS");
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(status.metadata("room_id"), "id-1");
  Deleted().When(command).ThenRejected("ROOM_EXISTS");
}

template <class Command>
void ExpectNameRules() {
  Given<Room>().When(Named<Command>("")).ThenInvalid("NAME_EMPTY");
  Given<Room>().When(Named<Command>("   ")).ThenInvalid("NAME_EMPTY");
  Given<Room>().When(Named<Command>("a\nb")).ThenInvalid("INVALID_TEXT");
  Given<Room>().When(Named<Command>(std::string("a\0b", 3))).ThenInvalid("INVALID_TEXT");
  Given<Room>().When(Named<Command>("a\x7F")).ThenInvalid("INVALID_TEXT");
  for (const char* blank : {"\u00A0", "\u3000", "\uFEFF", " \u200B\u2060", "\u00AD"}) {
    Given<Room>().When(Named<Command>(blank)).ThenInvalid("NAME_EMPTY");
  }
  for (const char* control : {"a\xC2\x85", "\u202Eb", "a\u2028", "\u2066\u2069 c"}) {
    Given<Room>().When(Named<Command>(control)).ThenInvalid("INVALID_TEXT");
  }
  for (const char* name : {"Große Eiche", "会议室　一", "\u200Fאלון", "🌳"}) {
    Violations violations;
    Room::Validate(Named<Command>(name), violations);
    EXPECT_TRUE(violations.empty()) << name;
  }
  const auto status = Given<Room>()
                          .When(Named<Command>(std::string(kNameBytesMax + 1, 'x')))
                          .ThenInvalid("NAME_TOO_LONG");
  EXPECT_EQ(status.metadata("maximum"), "200");
  EXPECT_EQ(status.metadata("actual"), "201");
}

TEST(Room, NamesAreChecked) {
  ExpectNameRules<v1::CreateRoomRequest>();
  ExpectNameRules<v1::RenameRoomRequest>();
  Given<Room>(Created())
      .When(Named<v1::RenameRoomRequest>(std::string(kNameBytesMax, 'x')))
      .Then(Renamed(std::string(kNameBytesMax, 'x')));
}

TEST(Room, DescriptionsAreChecked) {
  const std::string long_text(kDescriptionBytesMax + 1, 'x');
  v1::CreateRoomRequest create = Named<v1::CreateRoomRequest>("Oak");
  create.set_description(long_text);
  Given<Room>().When(create).ThenInvalid("DESCRIPTION_TOO_LONG");
  Given<Room>().When(Describe(long_text)).ThenInvalid("DESCRIPTION_TOO_LONG");
  Given<Room>().When(Describe("a\x01")).ThenInvalid("INVALID_TEXT");
  v1::RoomDescriptionChanged changed;
  changed.set_description("Two\nlines\tand\r\na tab");
  Given<Room>(Created()).When(Describe(changed.description())).Then(changed);
}

// A room that is not there, and one that is deleted.
template <class Command>
void ExpectNeedsRoomInUse(const Command& command) {
  SCOPED_TRACE(Command::descriptor()->name());
  const auto missing = Given<Room>().When(command).ThenRejected("ROOM_NOT_FOUND");
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(missing.metadata("room_id"), "id-1");
  const auto deleted = Deleted().When(command).ThenRejected("ROOM_DELETED");
  EXPECT_EQ(deleted.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(deleted.metadata("room_id"), "id-1");
}

TEST(Room, CommandsNeedARoomInUse) {
  ExpectNeedsRoomInUse(Named<v1::RenameRoomRequest>("Elm"));
  ExpectNeedsRoomInUse(Describe(""));
  ExpectNeedsRoomInUse(Schedule("s", "0 9 * * *"));
  ExpectNeedsRoomInUse(Schedule<v1::RescheduleSessionRequest>("s", "0 9 * * *"));
  ExpectNeedsRoomInUse(Cancel("s"));
  ExpectNeedsRoomInUse(Invite("invitees { type: 'user' id: 'ada' }"));
  ExpectNeedsRoomInUse(Of<v1::RevokeInvitationRequest>("user", "ada"));
  ExpectNeedsRoomInUse(Of<v1::AcceptInvitationRequest>("user", "ada"));
  ExpectNeedsRoomInUse(Of<v1::DeclineInvitationRequest>("user", "ada"));
  ExpectNeedsRoomInUse(Link("acme", "7"));
  ExpectNeedsRoomInUse(Session<v1::StartSessionRequest>("s", "2026-01-01T09:00Z"));
}

TEST(Room, TheSameNameOrDescriptionChangesNothing) {
  Given<Room>(Created()).When(Named<v1::RenameRoomRequest>("Oak")).ThenNothing();
  Given<Room>(Created()).When(Named<v1::RenameRoomRequest>("Elm")).Then(Renamed("Elm"));
  Given<Room>(Created()).When(Describe("By the river")).ThenNothing();
  Given<Room>(Created()).When(Describe("")).Then(v1::RoomDescriptionChanged());
}

TEST(Room, IsDeletedAndRestored) {
  Given<Room>().When(v1::DeleteRoomRequest()).ThenRejected("ROOM_NOT_FOUND");
  Given<Room>(Created()).When(v1::DeleteRoomRequest()).Then(v1::RoomDeleted());
  Deleted().When(v1::DeleteRoomRequest()).ThenNothing();
  Given<Room>().When(v1::RestoreRoomRequest()).ThenRejected("ROOM_NOT_FOUND");
  Deleted().When(v1::RestoreRoomRequest()).Then(v1::RoomRestored());
  const auto status =
      Given<Room>(Created()).When(v1::RestoreRoomRequest()).ThenRejected("ROOM_NOT_DELETED");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  Given<Room>(Created(), v1::RoomDeleted(), v1::RoomRestored())
      .When(Named<v1::RenameRoomRequest>("Oak"))
      .ThenNothing();
}

TEST(Room, ASessionIsScheduledUnderTheGivenIdOrANewOne) {
  const auto given = Given<Room>(Created()).When(Schedule("s", "0 9 * * *"));
  given.Then(Scheduled("s", "0 9 * * *"));
  EXPECT_EQ(given.decided().created_id, "s");
  const auto made = Given<Room>(Created()).When(Schedule("", "0 9 * * *"));
  EXPECT_EQ(made.decided().created_id.size(), 36u);
  made.Then(Scheduled(made.decided().created_id, "0 9 * * *"));
}

template <class Command>
void ExpectRuleRules(bool zero_keeps) {
  const Past<Room> past = Given<Room>(Created(), Scheduled("s", "0 8 * * *"));
  const auto cron = past.When(Schedule<Command>("t", "0 9 * *")).ThenInvalid("INVALID_CRON");
  EXPECT_EQ(cron.metadata("cron"), "0 9 * *");
  past.When(Schedule<Command>("t", "0 0 30 2 *")).ThenInvalid("INVALID_CRON");
  past.When(Schedule<Command>("t", "0 9 * * *", -1)).ThenInvalid("INVALID_DURATION");
  const auto duration =
      past.When(Schedule<Command>("t", "0 9 * * *", 1'441)).ThenInvalid("INVALID_DURATION");
  EXPECT_EQ(duration.metadata("duration_minutes"), "1441");
  EXPECT_EQ(duration.metadata("maximum"), "1440");
  if (!zero_keeps) {
    past.When(Schedule<Command>("t", "0 9 * * *", 0)).ThenInvalid("INVALID_DURATION");
  }
  const auto id =
      past.When(Schedule<Command>("a b", "0 9 * * *")).ThenInvalid("INVALID_SCHEDULE_ID");
  EXPECT_EQ(id.metadata("maximum"), "128");
  Command command = Schedule<Command>("t", "0 9 * * *");
  command.mutable_stop_after()->set_seconds(-1);
  past.When(command).ThenInvalid("INVALID_TIME");
  command.mutable_stop_after()->set_seconds(253'402'300'800);
  past.When(command).ThenInvalid("INVALID_TIME");
}

TEST(Room, RulesAreChecked) {
  ExpectRuleRules<v1::ScheduleSessionRequest>(false);
  ExpectRuleRules<v1::RescheduleSessionRequest>(true);
}

TEST(Room, AScheduleIdIsUsedOnce) {
  const auto status = Given<Room>(Created(), Scheduled("s", "0 8 * * *"))
                          .When(Schedule("s", "0 9 * * *"))
                          .ThenRejected("SCHEDULE_EXISTS");
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(status.metadata("schedule_id"), "s");
}

TEST(Room, StopAfterMayNotBePast) {
  v1::ScheduleSessionRequest command = Schedule("s", "0 9 * * *");
  *command.mutable_stop_after() = ToProto(testing::kTestNow);
  const auto status = Given<Room>(Created()).When(command).ThenRejected("STOP_AFTER_IN_PAST");
  EXPECT_EQ(status.metadata("stop_after"), "2026-01-01T00:00:00+00:00");
  EXPECT_EQ(status.metadata("now"), "2026-01-01T00:00:00+00:00");
  v1::RescheduleSessionRequest again = Schedule<v1::RescheduleSessionRequest>("s", "0 9 * * *");
  *again.mutable_stop_after() = command.stop_after();
  Given<Room>(Created(), Scheduled("s", "0 9 * * *"))
      .When(again)
      .ThenRejected("STOP_AFTER_IN_PAST");
  *command.mutable_stop_after() = ToProto(testing::kTestNow + absl::Seconds(1));
  v1::SessionScheduled scheduled = Scheduled("s", "0 9 * * *");
  *scheduled.mutable_stop_after() = command.stop_after();
  Given<Room>(Created()).When(command).Then(scheduled);
}

TEST(Room, ARoomHasSoManySchedules) {
  Past<Room> past = Given<Room>(Created());
  for (int i = 0; i < kSchedulesMax; ++i) {
    past.Add(Scheduled("s" + std::to_string(i), std::to_string(i) + " 9 * * *", 1));
  }
  const auto status = past.When(Schedule("t", "0 8 * * *")).ThenRejected("TOO_MANY_SCHEDULES");
  EXPECT_EQ(status.metadata("maximum"), "32");
}

TEST(Room, SessionsMayNotOverlap) {
  const Past<Room> past = Given<Room>(Created(), Scheduled("s", "0 9 * * *", 60));
  const auto status = past.When(Schedule("t", "30 9 * * *")).ThenRejected("SCHEDULE_CONFLICT");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.metadata("schedule_id"), "t");
  EXPECT_EQ(status.metadata("occurrence_at"), "2026-01-01T09:30:00+00:00");
  EXPECT_EQ(status.metadata("other_schedule_id"), "s");
  EXPECT_EQ(status.metadata("other_occurrence_at"), "2026-01-01T09:00:00+00:00");
  past.When(Schedule("t", "0 10 * * *")).Then(Scheduled("t", "0 10 * * *"));
  past.When(Schedule("t", "0 8 * * *")).Then(Scheduled("t", "0 8 * * *"));
  past.When(Schedule("t", "*/10 11 * * *", 11)).ThenRejected("SCHEDULE_CONFLICT");
}

TEST(Room, ASessionIsRescheduled) {
  const Past<Room> past =
      Given<Room>(Created(), Scheduled("s", "0 9 * * *", 60), Scheduled("t", "0 12 * * *", 60));
  using Command = v1::RescheduleSessionRequest;
  past.When(Schedule<Command>("s", "0 9 * * *", 60)).ThenNothing();
  past.When(Schedule<Command>("s", "0 9 * * *", 0)).ThenNothing();
  past.When(Schedule<Command>("s", "30 9 * * *", 0))
      .Then(Parse<v1::SessionRescheduled>(
          "schedule_id: 's' cron: '30 9 * * *' duration_minutes: 60"));
  past.When(Schedule<Command>("s", "30 12 * * *", 0)).ThenRejected("SCHEDULE_CONFLICT");
  const auto status =
      past.When(Schedule<Command>("u", "0 9 * * *")).ThenRejected("SCHEDULE_NOT_FOUND");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.metadata("room_id"), "id-1");
  EXPECT_EQ(status.metadata("schedule_id"), "u");
}

TEST(Room, ASessionIsCancelled) {
  const Past<Room> past = Given<Room>(Created(), Scheduled("s", "0 9 * * *"));
  v1::SessionCancelled cancelled;
  cancelled.set_schedule_id("s");
  past.When(Cancel("s")).Then(cancelled);
  past.When(Cancel("t")).ThenRejected("SCHEDULE_NOT_FOUND");
  past.When(Cancel("")).ThenInvalid("INVALID_SCHEDULE_ID");
  Given<Room>(Created(), Scheduled("s", "0 9 * * *"), cancelled)
      .When(Cancel("s"))
      .ThenRejected("SCHEDULE_NOT_FOUND");
}

TEST(Room, ASessionThatRunsEndsWithItsSchedule) {
  const std::string at = "2026-01-01T09:00Z";
  const auto scheduled = Scheduled("s", "0 9 * * *");
  v1::SessionCancelled cancelled;
  cancelled.set_schedule_id("s");
  Given<Room>(Created(), scheduled, Session<v1::SessionStarted>("s", at))
      .When(Cancel("s"))
      .Then(Session<v1::SessionEnded>("s", at), cancelled);
}

TEST(Room, ASessionThatRunsEndsThoughItsRoomIsDeleted) {
  const std::string at = "2026-01-01T09:00Z";
  const v1::EndSessionRequest end = Session<v1::EndSessionRequest>("s", at);
  const v1::SessionEnded ended = Session<v1::SessionEnded>("s", at);
  Past<Room> past =
      Given<Room>(Created(), Scheduled("s", "0 9 * * *"), Session<v1::SessionStarted>("s", at));
  past.Add(v1::RoomDeleted());
  past.When(end).Then(ended);
  past.Add(v1::RoomRestored());
  EXPECT_TRUE(past.state().schedules(0).running());
  past.When(end).Then(ended);
  Given<Room>().When(end).ThenRejected("ROOM_NOT_FOUND");
}

TEST(Room, OnlyNewInviteesAreInvited) {
  const Past<Room> past = Given<Room>(Created(), Invited("user", "ada"));
  past.When(Invite("invitees { type: 'user' id: 'ada' }")).ThenNothing();
  past.When(Invite("invitees { type: 'user' id: 'ada' } invitees { type: 'group' id: 'ada' } "
                   "invitees { type: 'group' id: 'ada' }"))
      .Then(Invited("group", "ada"));
}

TEST(Room, InviteesAreChecked) {
  const Past<Room> past = Given<Room>(Created());
  past.When(v1::InviteRequest()).ThenInvalid("NO_INVITEES");
  const auto type =
      past.When(Invite("invitees { type: 'cat' id: 'x' }")).ThenInvalid("INVALID_INVITEE_TYPE");
  EXPECT_EQ(type.metadata("type"), "cat");
  const auto id = past.When(Invite("invitees { type: 'user' }")).ThenInvalid("INVALID_INVITEE_ID");
  EXPECT_EQ(id.metadata("maximum"), "254");
  past.When(Invite("invitees { type: 'user' id: 'a\\n' }")).ThenInvalid("INVALID_INVITEE_ID");
  for (const char* address : {"ada", "@b", "a@", "a@b@c", "a b@c"}) {
    past.When(Of<v1::AcceptInvitationRequest>("email", address)).ThenInvalid("INVALID_INVITEE_ID");
  }
  past.When(Of<v1::RevokeInvitationRequest>("", "x")).ThenInvalid("INVALID_INVITEE_TYPE");
  past.When(Of<v1::DeclineInvitationRequest>("User", "x")).ThenInvalid("INVALID_INVITEE_TYPE");
  v1::InviteRequest many;
  for (int i = 0; i <= kInviteesPerCommandMax; ++i) {
    *many.add_invitees() = Of<v1::Invitee>("user", "u" + std::to_string(i));
  }
  const auto status = past.When(many).ThenInvalid("TOO_MANY_INVITEES");
  EXPECT_EQ(status.metadata("maximum"), "100");
  EXPECT_EQ(status.metadata("actual"), "101");
}

TEST(Room, ARoomIsFullAtSomeTime) {
  Past<Room> past = Given<Room>(Created());
  for (int i = 0; i < kInviteesMax; ++i) past.Add(Invited("user", "u" + std::to_string(i)));
  past.When(Invite("invitees { type: 'user' id: 'u7' }")).ThenNothing();
  const auto status =
      past.When(Invite("invitees { type: 'user' id: 'ada' }")).ThenRejected("ROOM_FULL");
  EXPECT_EQ(status.metadata("maximum"), "1000");
  EXPECT_EQ(status.metadata("actual"), "1001");
}

TEST(Room, AnInvitationIsAnsweredOnce) {
  const auto accepted = Of<v1::InvitationAccepted>("user", "ada");
  const auto declined = Of<v1::InvitationDeclined>("user", "ada");
  const auto accept = Of<v1::AcceptInvitationRequest>("user", "ada");
  const auto decline = Of<v1::DeclineInvitationRequest>("user", "ada");
  const Past<Room> invited = Given<Room>(Created(), Invited("user", "ada"));
  invited.When(accept).Then(accepted);
  invited.When(decline).Then(declined);
  const Past<Room> said_yes = Given<Room>(Created(), Invited("user", "ada"), accepted);
  said_yes.When(accept).ThenNothing();
  const auto yes = said_yes.When(decline).ThenRejected("ALREADY_DECIDED");
  EXPECT_EQ(yes.metadata("state"), "accepted");
  const Past<Room> said_no = Given<Room>(Created(), Invited("user", "ada"), declined);
  said_no.When(decline).ThenNothing();
  const auto no = said_no.When(accept).ThenRejected("ALREADY_DECIDED");
  EXPECT_EQ(no.metadata("state"), "declined");
  EXPECT_EQ(no.metadata("type"), "user");
  EXPECT_EQ(no.metadata("id"), "ada");
}

TEST(Room, WhoIsNotInvitedCannotAnswer) {
  const Past<Room> past = Given<Room>(Created(), Invited("user", "ada"));
  const auto status =
      past.When(Of<v1::AcceptInvitationRequest>("group", "ada")).ThenRejected("NOT_INVITED");
  EXPECT_EQ(status.metadata("type"), "group");
  past.When(Of<v1::DeclineInvitationRequest>("user", "eve")).ThenRejected("NOT_INVITED");
  past.When(Of<v1::RevokeInvitationRequest>("user", "eve")).ThenRejected("NOT_INVITED");
}

TEST(Room, ARevokedInvitationCanBeMadeAgain) {
  const auto revoked = Of<v1::InvitationRevoked>("user", "ada");
  const auto revoke = Of<v1::RevokeInvitationRequest>("user", "ada");
  const auto accepted = Of<v1::InvitationAccepted>("user", "ada");
  Given<Room>(Created(), Invited("user", "ada"), accepted).When(revoke).Then(revoked);
  const Past<Room> past = Given<Room>(Created(), Invited("user", "ada"), accepted, revoked);
  past.When(revoke).ThenRejected("NOT_INVITED");
  past.When(Invite("invitees { type: 'user' id: 'ada' }")).Then(Invited("user", "ada"));
}

TEST(Room, IsLinkedOnce) {
  v1::ExternalRoomLinked linked;
  linked.set_provider("acme");
  linked.set_external_id("7");
  Given<Room>(Created()).When(Link("acme", "7")).Then(linked);
  const Past<Room> past = Given<Room>(Created(), linked);
  past.When(Link("acme", "7")).ThenNothing();
  past.When(Link("other", "7")).ThenRejected("ALREADY_LINKED");
  const auto status = past.When(Link("acme", "8")).ThenRejected("ALREADY_LINKED");
  EXPECT_EQ(status.metadata("provider"), "acme");
  EXPECT_EQ(status.metadata("external_id"), "7");
  past.When(Link("", "7")).ThenInvalid("INVALID_EXTERNAL_ROOM");
  const auto too_long = past.When(Link("acme", std::string(kForeignIdBytesMax + 1, 'x')))
                            .ThenInvalid("INVALID_EXTERNAL_ROOM");
  EXPECT_EQ(too_long.metadata("maximum"), "254");
}

v1::SessionRescheduled Rescheduled(const std::string& id, const std::string& cron) {
  v1::SessionRescheduled event;
  event.set_schedule_id(id);
  event.set_cron(cron);
  event.set_duration_minutes(30);
  return event;
}

TEST(Room, SessionsStartAndEndInOrder) {
  using Start = v1::StartSessionRequest;
  using End = v1::EndSessionRequest;
  const std::string first = "2026-01-01T09:00Z";
  const std::string second = "2026-01-02T09:00Z";
  const std::string third = "2026-01-03T09:00Z";
  const auto scheduled = Scheduled("s", "0 9 * * *");
  const absl::Time now = Time("2026-01-04T00:00Z");
  const Past<Room> before = Given<Room>(Created(), scheduled).At(now);
  before.When(Session<Start>("s", first)).Then(Session<v1::SessionStarted>("s", first));
  const auto early = before.When(Session<End>("s", first)).ThenRejected("NOT_STARTED");
  EXPECT_EQ(early.metadata("occurrence_at"), "2026-01-01T09:00:00+00:00");
  const auto started = Session<v1::SessionStarted>("s", first);
  const Past<Room> running = Given<Room>(Created(), scheduled, started).At(now);
  running.When(Session<Start>("s", first)).ThenNothing();
  running.When(Session<End>("s", first)).Then(Session<v1::SessionEnded>("s", first));
  running.When(Session<End>("s", second)).ThenRejected("NOT_STARTED");
  running.When(Session<Start>("s", second)).Then(Session<v1::SessionStarted>("s", second));
  const Past<Room> over =
      Given<Room>(Created(), scheduled, started, Session<v1::SessionEnded>("s", first)).At(now);
  over.When(Session<End>("s", first)).ThenNothing();
  over.When(Session<Start>("s", first)).ThenNothing();
  // Only the one that began last is known.
  const Past<Room> later =
      Given<Room>(Created(), scheduled, Session<v1::SessionStarted>("s", second)).At(now);
  later.When(Session<Start>("s", first)).ThenRejected("SESSION_NOT_FOUND");
  later.When(Session<Start>("s", "2026-01-02T08:59Z")).ThenRejected("SESSION_NOT_FOUND");
  later.When(Session<End>("s", first)).ThenRejected("NOT_STARTED");
  later.When(Session<End>("s", "2026-01-01T10:11Z")).ThenRejected("NOT_STARTED");
  later.When(Session<Start>("s", third)).Then(Session<v1::SessionStarted>("s", third));
  // Also when it is none of the rule any more.
  const Past<Room> moved =
      Given<Room>(Created(), scheduled, started, Rescheduled("s", "0 10 * * *")).At(now);
  moved.When(Session<Start>("s", first)).ThenNothing();
  moved.When(Session<End>("s", first)).Then(Session<v1::SessionEnded>("s", first));
}

TEST(Room, ASessionStartsAnHourEarlyAtTheMost) {
  using Start = v1::StartSessionRequest;
  const std::string at = "2026-01-01T09:00Z";
  const auto past = [&](absl::Duration before) {
    return Given<Room>(Created(), Scheduled("s", "0 9 * * *")).At(Time(at) - before);
  };
  past(kStartEarlyMax).When(Session<Start>("s", at)).Then(Session<v1::SessionStarted>("s", at));
  const auto status = past(kStartEarlyMax + absl::Seconds(1))
                          .When(Session<Start>("s", at))
                          .ThenRejected("SESSION_TOO_EARLY");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.metadata("now"), "2026-01-01T07:59:59+00:00");
  EXPECT_EQ(status.metadata("maximum"), "1h");
  past(kStartEarlyMax)
      .When(Session<Start>("s", "9999-12-31T09:00Z"))
      .ThenRejected("SESSION_TOO_EARLY");
}

TEST(Room, OnlySessionsOfTheRuleStart) {
  using Start = v1::StartSessionRequest;
  auto scheduled = Scheduled("s", "0 9 * * *");
  *scheduled.mutable_stop_after() = ToProto(Time("2026-01-02T08:00Z"));
  const Past<Room> past = Given<Room>(Created(), scheduled);
  const auto status =
      past.When(Session<Start>("s", "2026-01-01T09:01Z")).ThenRejected("SESSION_NOT_FOUND");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  past.When(Session<Start>("s", "2026-01-02T09:00Z")).ThenRejected("SESSION_NOT_FOUND");
  past.When(Session<Start>("t", "2026-01-01T09:00Z")).ThenRejected("SCHEDULE_NOT_FOUND");
  past.When(Session<v1::EndSessionRequest>("t", "2026-01-01T09:00Z"))
      .ThenRejected("SCHEDULE_NOT_FOUND");
}

template <class Command>
void ExpectOccurrenceRules() {
  Command command;
  command.set_schedule_id("s");
  Given<Room>().When(command).ThenInvalid("INVALID_TIME");
  command.mutable_occurrence_at()->set_seconds(61);
  Given<Room>().When(command).ThenInvalid("INVALID_TIME");
  command.mutable_occurrence_at()->set_seconds(60);
  command.mutable_occurrence_at()->set_nanos(1);
  Given<Room>().When(command).ThenInvalid("INVALID_TIME");
  command = Session<Command>("", "2026-01-01T09:00Z");
  Given<Room>().When(command).ThenInvalid("INVALID_SCHEDULE_ID");
}

TEST(Room, OccurrencesAreChecked) {
  ExpectOccurrenceRules<v1::StartSessionRequest>();
  ExpectOccurrenceRules<v1::EndSessionRequest>();
}

TEST(Room, EveryReasonHasItsCode) {
  const std::map<absl::StatusCode, std::set<std::string>> expected = {
      {absl::StatusCode::kAlreadyExists, {"ROOM_EXISTS", "SCHEDULE_EXISTS"}},
      {absl::StatusCode::kNotFound,
       {"ROOM_NOT_FOUND", "SCHEDULE_NOT_FOUND", "SESSION_NOT_FOUND", "VERSION_NOT_FOUND"}},
      {absl::StatusCode::kInvalidArgument,
       {"NAME_EMPTY", "NAME_TOO_LONG", "DESCRIPTION_TOO_LONG", "INVALID_TEXT", "INVALID_CRON",
        "INVALID_DURATION", "INVALID_SCHEDULE_ID", "NO_INVITEES", "TOO_MANY_INVITEES",
        "INVALID_INVITEE_TYPE", "INVALID_INVITEE_ID", "INVALID_TIME", "INVALID_RANGE",
        "INVALID_EXTERNAL_ROOM", "TEXT_EMPTY", "TEXT_TOO_LONG"}},
      {absl::StatusCode::kFailedPrecondition,
       {"ROOM_DELETED", "ROOM_NOT_DELETED", "STOP_AFTER_IN_PAST", "SCHEDULE_CONFLICT",
        "TOO_MANY_SCHEDULES", "ROOM_FULL", "NOT_INVITED", "ALREADY_DECIDED", "NOT_STARTED",
        "ALREADY_LINKED", "SESSION_TOO_EARLY"}},
  };
  std::map<absl::StatusCode, std::set<std::string>> codes;
  const auto& reasons = *v1::ErrorReason_descriptor();
  for (int i = 0; i < reasons.value_count(); ++i) {
    if (reasons.value(i)->number() == v1::ERROR_REASON_UNSPECIFIED) continue;
    const absl::Status status = RejectWith(*reasons.value(i), "", {});
    codes[status.code()].insert(ReasonOf(status));
  }
  EXPECT_EQ(codes, expected);
}

TEST(Room, EveryEventFitsEveryState) {
  Room::State state;
  Room::Events::ForEach([&]<class Event>() { Room::Evolve(state, Event()); });
  EXPECT_TRUE(state.exists());
}

}  // namespace
}  // namespace leftfold::rooms
