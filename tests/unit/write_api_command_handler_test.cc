// One command at a time: form, receipts, expected versions; then many at once: tentative state,
// conflicts, command ids, claims, full queues, damaged events.
#include <gmock/gmock.h>

#include "google/rpc/error_details.pb.h"
#include "leftfold/core/v1/claims.pb.h"
#include "testing/sanitized.h"
#include "tests/unit/write_api_fixture.h"
#include "write_api/lanes.h"

namespace leftfold::writing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class WriteApiCommandHandler : public WriteApi {};
class WriteApiOnDisk : public WriteApi {
 protected:
  WriteApiOnDisk() : WriteApi(testing::SqliteStore()) {}
  // Closes and opens the file.
  void Restart() {
    Stop();
    base().Reopen();
    Start();
  }
};

// The fields that a status complains of.
std::vector<std::string> FieldsOf(const absl::Status& status) {
  google::rpc::BadRequest bad;
  if (const auto detail = status.GetPayload(ToAbsl(kBadRequestUrl))) {
    bad.ParseFromString(std::string(*detail));
  }
  std::vector<std::string> fields;
  for (const auto& violation : bad.field_violations()) fields.push_back(violation.field());
  return fields;
}

// Receipts and form.

TEST_F(WriteApiCommandHandler, AReceiptNamesAggregateVersionAndPosition) {
  const SentPtr created = Do(Create("oak", "Oak"));
  ASSERT_TRUE(created->answer.ok()) << created->status();
  EXPECT_EQ(created->answer->aggregate_id(), "oak");
  EXPECT_EQ(created->answer->version(), 0);
  EXPECT_EQ(created->answer->position(), "2") << "its event, then its claim";
  EXPECT_EQ(created->answer->created_id(), "");
  EXPECT_FALSE(created->answer->duplicate());
  EXPECT_EQ(Told(Do(Rename("oak", "Ash"))), "oak v1 p3");
}

TEST_F(WriteApiCommandHandler, AReceiptHasTheIdOfThePartThatTheCommandCreated) {
  Do(Create("oak", "Oak"));
  const SentPtr renamed = Do(WithId("c-1", Rename("oak", "Ash")));
  ASSERT_TRUE(renamed->answer.ok()) << renamed->status();
  EXPECT_EQ(renamed->answer->created_id(), ToString(DerivedUuid("c-1", 0)));
  EXPECT_TRUE(ParseUuid(Do(Rename("oak", "Elm"))->answer->created_id()));
}

TEST_F(WriteApiCommandHandler, ACreatingCommandWithoutIdGetsOneThatARetryGetsToo) {
  const SentPtr first = Do(WithId("c-1", Create("", "Oak")));
  ASSERT_TRUE(first->answer.ok()) << first->status();
  const std::string id = first->answer->aggregate_id();
  EXPECT_EQ(id, ToString(DerivedUuid("c-1", -1)));
  EXPECT_EQ(Told(Do(WithId("c-1", Create("", "Oak")))), id + " v0 p2 again");
  const SentPtr other = Do(Create("", "Ash"));
  ASSERT_TRUE(other->answer.ok()) << other->status();
  EXPECT_TRUE(ParseUuid(other->answer->aggregate_id()));
  EXPECT_NE(other->answer->aggregate_id(), id);
}

TEST_F(WriteApiCommandHandler, AnEmptyIdIsRefusedWhereTheCommandDoesNotCreate) {
  const SentPtr renamed = Send(Rename("", "Oak"));
  EXPECT_EQ(Told(renamed), "INVALID_FIELDS");
  EXPECT_TRUE(absl::IsInvalidArgument(renamed->status()));
  EXPECT_THAT(FieldsOf(renamed->status()), ElementsAre("room_id"));
}

TEST_F(WriteApiCommandHandler, AllViolationsAreReportedAtOnce) {
  const SentPtr sent = Send(At(-2, WithId("a b", TakeValue("no/id", ""))));
  EXPECT_EQ(Told(sent), "INVALID_FIELDS");
  EXPECT_THAT(FieldsOf(sent->status()),
              ElementsAre("room_id", "command_id", "expected_version", "id"));
  EXPECT_EQ(MetadataOf(sent->status(), "fields"), "room_id, command_id, expected_version, id");
  EXPECT_EQ(Told(Send(TakeValue("b1", ""))), "INVALID_INVITEE_ID") << "the first reason";
  EXPECT_THAT(base().All(), ElementsAre());
}

TEST_F(WriteApiCommandHandler, AnExpectedVersionBelowMinusOneIsRefused) {
  const SentPtr sent = Send(At(-2, Create("oak", "Oak")));
  EXPECT_EQ(Told(sent), "INVALID_FIELDS");
  EXPECT_THAT(FieldsOf(sent->status()), ElementsAre("expected_version"));
}

TEST_F(WriteApiCommandHandler, ACommandIdHasAtMost128PrintableCharacters) {
  EXPECT_EQ(Told(Do(WithId(std::string(128, 'c'), Create("oak", "Oak")))), "oak v0 p2");
  for (const std::string& id : {std::string(129, 'c'), std::string("a\nb"), std::string("é")}) {
    EXPECT_THAT(FieldsOf(Send(WithId(id, Create("ash", "Ash")))->status()),
                ElementsAre("command_id"));
  }
}

TEST_F(WriteApiCommandHandler, EventsCarryWhoSentTheCommandAndItsId) {
  Caller caller;
  caller.actor = "ann";
  caller.correlation_id = "corr";
  caller.headers = {{"tenant", "t1"}};
  Do(WithId("c-1", Create("oak", "Oak")), caller);
  const core::v1::EventMetadata metadata = EventMeta{base().All().front()}.metadata();
  EXPECT_EQ(metadata.actor(), "ann");
  EXPECT_EQ(metadata.correlation_id(), "corr");
  EXPECT_EQ(metadata.command_id(), "c-1");
  EXPECT_EQ(metadata.headers().at("tenant"), "t1");
}

TEST_F(WriteApiCommandHandler, ASystemCommandNeedsTheToken) {
  rooms::v1::LinkExternalRoomRequest link;
  link.set_room_id("b1");
  const SentPtr refused = Send(link);
  EXPECT_EQ(Told(refused), "TOKEN_REQUIRED");
  EXPECT_TRUE(absl::IsPermissionDenied(refused->status()));
  Caller trusted;
  trusted.trusted = true;
  EXPECT_EQ(Told(Do(link, trusted)), "b1 v0 p1");
}

// Expected versions.

TEST_F(WriteApiCommandHandler, AMatchingExpectedVersionIsAccepted) {
  EXPECT_EQ(Told(Do(At(-1, Create("oak", "Oak")))), "oak v0 p2");
  EXPECT_EQ(Told(Do(At(0, Rename("oak", "Ash")))), "oak v1 p3");
}

TEST_F(WriteApiCommandHandler, AStaleExpectedVersionIsAVersionConflict) {
  Do(Create("oak", "Oak"));
  Do(Rename("oak", "Ash"));
  const SentPtr sent = Do(At(0, Rename("oak", "Elm")));
  EXPECT_EQ(Told(sent), "VERSION_CONFLICT");
  EXPECT_TRUE(absl::IsAborted(sent->status()));
  EXPECT_EQ(MetadataOf(sent->status(), "stream"), "counter-oak");
  EXPECT_EQ(MetadataOf(sent->status(), "expected"), "0");
  EXPECT_EQ(MetadataOf(sent->status(), "actual"), "1");
  EXPECT_EQ(base().All().size(), 3u);
}

TEST_F(WriteApiCommandHandler, ARejectionStoresNothing) {
  EXPECT_EQ(Told(Do(WithId("c-1", Rename("oak", "Ash")))), "ROOM_NOT_FOUND");
  EXPECT_THAT(base().All(), ElementsAre());
  EXPECT_EQ(store().appends, 0);
}

// Commands on state that is not durable yet.

TEST_F(WriteApiCommandHandler, ASecondCommandIsDecidedOnTheTentativeStateAndCommitsInTheSameGroup) {
  store().Hold();
  const SentPtr created = Do(Create("oak", "Oak"));
  const SentPtr renamed = Do(At(0, Rename("oak", "Ash")));
  EXPECT_EQ(store().held(), 2u) << "the second waits for the first";
  EXPECT_EQ(Told(created) + Told(renamed), "--") << "answered before the commit";
  store().Release();
  EXPECT_EQ(Told(created) + Told(renamed), "--") << "answered before the commit";
  base().scheduler().RunOne();
  EXPECT_EQ(Told(created), "oak v0 p2") << "one step of the writer commits both";
  EXPECT_EQ(Told(renamed), "oak v1 p3");
  EXPECT_THAT(Log(), ElementsAre("counter-oak@0 RoomCreated", "counter-oak@1 RoomRenamed"));
}

TEST_F(WriteApiCommandHandler, ARejectionOnTentativeStateIsToldOnlyAfterTheCommit) {
  store().Hold();
  const SentPtr created = Do(Create("oak", "Oak"));
  const SentPtr again = Do(Create("oak", "Oak"));
  const SentPtr stale = Do(At(-1, Rename("oak", "Ash")));
  EXPECT_EQ(Told(again) + Told(stale), "--");
  store().Release();
  Run();
  EXPECT_EQ(Told(created), "oak v0 p2");
  EXPECT_EQ(Told(again), "ROOM_EXISTS");
  EXPECT_EQ(Told(stale), "VERSION_CONFLICT");
  EXPECT_EQ(MetadataOf(stale->status(), "actual"), "0");
}

TEST_F(WriteApiCommandHandler, ARejectionWaitsForTheLastCommitItDependsOnNotOnlyTheFirst) {
  store().Hold();
  const SentPtr created = Do(Create("oak", "Oak"));
  Do(Rename("oak", "Ash"));
  const SentPtr again = Do(Create("oak", "Oak"));
  store().Pass(1);
  Run();
  EXPECT_EQ(Told(created), "oak v0 p2");
  EXPECT_EQ(Told(again), "-");
  store().Release();
  Run();
  EXPECT_EQ(Told(again), "ROOM_EXISTS");
}

TEST_F(WriteApiCommandHandler, ACommandThatChangesNothingIsToldOnlyAfterTheCommitItStandsOn) {
  Do(Create("oak", "Oak"));
  store().Hold();
  const SentPtr renamed = Do(Rename("oak", "Ash"));
  const SentPtr same = Do(Rename("oak", "Ash"));
  EXPECT_EQ(Told(same), "-");
  store().Release();
  Run();
  EXPECT_EQ(Told(renamed), "oak v1 p3");
  EXPECT_EQ(Told(same), "oak v1 p3") << "a reader of this position must see the name";
}

TEST_F(WriteApiCommandHandler, AFailedCommitDropsTheTentativeStateAndWhatStoodOnItIsDecidedAgain) {
  store().Hold();
  const SentPtr created = Do(Create("oak", "Oak"));
  const SentPtr again = Do(Create("oak", "Ash"));      // Refused: it is there.
  const SentPtr renamed = Do(Rename("oak", "Birch"));  // Accepted: it is there.
  store().Fail(Reject(core::v1::ERROR_REASON_DISK_FULL, "full"));
  store().Release();
  Run();
  EXPECT_EQ(Told(created), "DISK_FULL");
  EXPECT_EQ(Told(again), "oak v0 p2");
  EXPECT_EQ(Told(renamed), "oak v1 p3");
  EXPECT_THAT(Log(), ElementsAre("counter-oak@0 RoomCreated", "counter-oak@1 RoomRenamed"));
}

TEST_F(WriteApiCommandHandler, AnAcceptanceThatStoodOnAFailedCommitMayBecomeARejection) {
  store().Hold();
  const SentPtr created = Do(Create("oak", "Oak"));
  const SentPtr renamed = Do(Rename("oak", "Ash"));
  const SentPtr same = Do(Rename("oak", "Ash"));
  store().Fail(Reject(core::v1::ERROR_REASON_DISK_FULL, "full"));
  store().Release();
  Run();
  EXPECT_EQ(Told(created), "DISK_FULL");
  EXPECT_EQ(Told(renamed), "ROOM_NOT_FOUND");
  EXPECT_EQ(Told(same), "ROOM_NOT_FOUND");
  EXPECT_THAT(base().All(), ElementsAre());
}

TEST_F(WriteApiCommandHandler, AfterAFailedCommitCommandsAreDecidedInTheOrderOfTheirCalls) {
  Do(Create("oak", "Oak"));
  store().Hold();
  const SentPtr first = Do(Rename("oak", "Ash"));
  const SentPtr second = Do(Rename("oak", "Birch"));
  store().Fail(Reject(core::v1::ERROR_REASON_DISK_FULL, "full"));
  Run();
  const SentPtr third = Do(Rename("oak", "Cedar"));
  EXPECT_EQ(store().held(), 1u) << "the second of the dropped state is still on its way";
  store().Release();
  Run();
  EXPECT_EQ(Told(first), "DISK_FULL");
  EXPECT_EQ(Told(second), "oak v1 p3");
  EXPECT_EQ(Told(third), "oak v2 p4");
}

// Another writer of the log.

TEST_F(WriteApiCommandHandler, AConflictWithAnotherWriterLoadsAndDecidesAgain) {
  Do(Create("oak", "Oak"));
  AppendDirectly(testing::RenameOf("oak", "Theirs"));
  Run();
  const int reads = store().reads;
  EXPECT_EQ(Told(Do(Rename("oak", "Ours"))), "oak v2 p4");
  EXPECT_GT(store().reads, reads);
  EXPECT_EQ(store().appends, 3) << "one that creates, one in vain, one again";
}

TEST_F(WriteApiCommandHandler, TheDecisionAfterAConflictIsMadeOnWhatTheOtherWriterStored) {
  Do(Create("oak", "Oak"));
  AppendDirectly(testing::RenameOf("oak", "Ash"));
  Run();
  EXPECT_EQ(Told(Do(Rename("oak", "Ash"))), "oak v1 p3") << "it has this name already";
  EXPECT_EQ(base().All().size(), 3u);
}

TEST_F(WriteApiCommandHandler, WhatStoresNothingIsDecidedOnWhatAnotherWriterStored) {
  Do(Create("oak", "Oak"));
  AppendDirectly(testing::RenameOf("oak", "Theirs"));
  Run();
  EXPECT_EQ(Told(Do(Rename("oak", "Oak"))), "oak v2 p4") << "it has no longer this name";
}

TEST_F(WriteApiCommandHandler, AnExpectedVersionThatAnotherWriterMadeIsAccepted) {
  Do(Create("oak", "Oak"));
  AppendDirectly(testing::RenameOf("oak", "Theirs"));
  Run();
  const SentPtr renamed = Send(At(1, Rename("oak", "Ash")));
  const SentPtr again = Send(At(2, Rename("oak", "Elm")));
  Run();
  EXPECT_EQ(Told(renamed), "oak v2 p4");
  EXPECT_EQ(Told(again), "oak v3 p5") << "in the order of their calls";
}

TEST_F(WriteApiCommandHandler, AVersionConflictNamesTheVersionInTheLog) {
  Do(Create("oak", "Oak"));
  AppendDirectly(testing::RenameOf("oak", "Theirs"));
  AppendDirectly(testing::RenameOf("oak", "Theirs too"));
  Run();
  const SentPtr stale = Do(At(1, Rename("oak", "Ash")));
  EXPECT_EQ(Told(stale), "VERSION_CONFLICT");
  EXPECT_EQ(MetadataOf(stale->status(), "actual"), "2");
  const int reads = store().reads;
  EXPECT_EQ(Told(Do(At(1, Rename("oak", "Ash")))), "VERSION_CONFLICT");
  EXPECT_EQ(store().reads, reads) << "loaded again, though it is what the log has";
}

TEST_F(WriteApiCommandHandler, AStoreThatCannotTellTheVersionIsNoVersionConflict) {
  Do(Create("oak", "Oak"));
  store().read_failure = Reject(core::v1::ERROR_REASON_DATA_LOSS, "damaged");
  EXPECT_EQ(Told(Do(At(1, Rename("oak", "Ash")))), "DATA_LOSS");
  store().read_failure = absl::OkStatus();
  EXPECT_EQ(Told(Do(At(0, Rename("oak", "Ash")))), "oak v1 p3");
}

TEST_F(WriteApiCommandHandler, ACommandThatLosesEveryTimeIsAborted) {
  Do(Create("oak", "Oak"));
  const int appends = store().appends;
  store().before_append = [this] { AppendDirectly(testing::RenameOf("oak", "Theirs")); };
  const SentPtr lost = Do(Rename("oak", "Ours"));
  EXPECT_EQ(Told(lost), "VERSION_CONFLICT");
  EXPECT_TRUE(absl::IsAborted(lost->status()));
  EXPECT_EQ(store().appends - appends, kDecideAttemptsMax);
  store().before_append = nullptr;
  EXPECT_EQ(Told(Do(Rename("oak", "Ours"))),
            fmt::format("oak v{0} p{1}", kDecideAttemptsMax + 1, kDecideAttemptsMax + 3));
}

TEST_F(WriteApiCommandHandler, ACommandThatWinsAtTheLastAttemptIsAccepted) {
  Do(Create("oak", "Oak"));
  int conflicts = kDecideAttemptsMax - 1;
  store().before_append = [&] {
    if (conflicts-- > 0) AppendDirectly(testing::RenameOf("oak", "Theirs"));
  };
  EXPECT_EQ(Told(Do(Rename("oak", "Ours"))),
            fmt::format("oak v{} p{}", kDecideAttemptsMax, kDecideAttemptsMax + 2));
}

TEST_F(WriteApiCommandHandler, WhatStoodOnACommandThatLostIsDecidedAgainToo) {
  Do(Create("oak", "Oak"));
  store().Hold();
  const SentPtr renamed = Do(Rename("oak", "Ash"));
  const SentPtr same = Do(Rename("oak", "Ash"));
  const SentPtr created = Do(Create("oak", "Oak"));
  AppendRequest deletion = testing::RenameOf("oak", "");
  deletion.streams.front().events.front().type = rooms::v1::RoomDeleted::descriptor()->full_name();
  AppendDirectly(std::move(deletion));
  store().Release();
  Run();
  EXPECT_EQ(Told(renamed), "ROOM_NOT_FOUND");
  EXPECT_EQ(Told(same), "ROOM_NOT_FOUND");
  EXPECT_EQ(Told(created), "oak v2 p4") << "its own name is still claimed by itself";
}

TEST_F(WriteApiCommandHandler,
       WhatStoodOnACommandThatLostIsNotCommittedWhereTheVersionHappensToFit) {
  Do(Create("oak", "Oak"));
  store().Hold();
  const SentPtr deleted = Do(Delete("oak"));
  const SentPtr created = Do(Create("oak", "Ash"));  // Right only after the deletion.
  AppendDirectly(testing::RenameOf("oak", "Theirs"));
  store().Release();
  Run();
  EXPECT_THAT(Log(), ElementsAre("counter-oak@0 RoomCreated", "counter-oak@1 RoomRenamed",
                                 "counter-oak@2 RoomDeleted", "counter-oak@3 RoomCreated"));
  EXPECT_EQ(Told(deleted), "oak v2 p5");
  EXPECT_EQ(Told(created), "oak v3 p7");
}

// Command ids.

TEST_F(WriteApiCommandHandler, ARetryGetsTheStoredReceipt) {
  EXPECT_EQ(Told(Do(WithId("c-1", Create("oak", "Oak")))), "oak v0 p2");
  const SentPtr renamed = Do(WithId("c-2", Rename("oak", "Ash")));
  Do(Rename("oak", "Birch"));
  EXPECT_EQ(Told(Do(WithId("c-1", Create("oak", "Oak")))), "oak v0 p2 again");
  const SentPtr again = Do(WithId("c-2", Rename("oak", "Ash")));
  EXPECT_EQ(Told(again), "oak v1 p3 again");
  EXPECT_EQ(again->answer->created_id(), renamed->answer->created_id());
  EXPECT_EQ(base().All().size(), 4u);
}

TEST_F(WriteApiCommandHandler, ARetryAfterARestartGetsTheStoredReceipt) {
  Do(WithId("c-1", Create("oak", "Oak")));
  Start();
  EXPECT_EQ(Told(Do(WithId("c-1", Create("oak", "Oak")))), "oak v0 p2 again");
  EXPECT_EQ(store().appends, 0);
}

TEST_F(WriteApiOnDisk, ARetryAfterARestartGetsTheStoredReceipt) {
  const SentPtr created = Do(WithId("c-1", Create("", "Oak")));
  Do(WithId("c-2", Rename(created->answer->aggregate_id(), "Ash")));
  Restart();
  const SentPtr again = Do(WithId("c-1", Create("", "Oak")));
  EXPECT_EQ(Told(again), Told(created) + " again");
  EXPECT_EQ(Told(Do(At(1, Rename(created->answer->aggregate_id(), "Elm")))),
            created->answer->aggregate_id() + " v2 p4");
}

TEST_F(WriteApiCommandHandler, AnIdWithOtherContentIsRefused) {
  Do(Create("oak", "Oak"));
  Do(WithId("c-1", Rename("oak", "Ash")));
  const SentPtr other_name = Do(WithId("c-1", Rename("oak", "Birch")));
  EXPECT_EQ(Told(other_name), "COMMAND_ID_REUSED");
  EXPECT_TRUE(absl::IsAlreadyExists(other_name->status()));
  EXPECT_EQ(MetadataOf(other_name->status(), "command_id"), "c-1");
  EXPECT_EQ(Told(Do(WithId("c-1", Delete("oak")))), "COMMAND_ID_REUSED") << "another RPC";
  EXPECT_EQ(Told(Do(WithId("c-1", At(0, Rename("oak", "Ash"))))), "COMMAND_ID_REUSED");
  EXPECT_EQ(Told(Do(WithId("c-1", Rename("elm", "Ash")))), "COMMAND_ID_REUSED");
  EXPECT_EQ(base().All().size(), 3u);
}

TEST_F(WriteApiCommandHandler, RpcsWhoseBytesAreTheSameAreOtherContent) {
  // Both requests have nothing but an id and a text in the fields 1 and 2.
  Do(WithId("c-1", Create("oak", "Oak")));
  EXPECT_EQ(Told(Do(WithId("c-1", Rename("oak", "Oak")))), "COMMAND_ID_REUSED");
}

TEST_F(WriteApiCommandHandler, ADuplicateOfACommandInFlightJoinsIt) {
  store().Hold();
  const SentPtr first = Do(WithId("c-1", Create("oak", "Oak")));
  const SentPtr second = Do(WithId("c-1", Create("oak", "Oak")));
  const SentPtr other = Do(WithId("c-1", Create("oak", "Ash")));
  EXPECT_EQ(Told(first) + Told(second), "--");
  EXPECT_EQ(Told(other), "COMMAND_ID_REUSED") << "there is nothing to wait for";
  EXPECT_EQ(store().appends, 1);
  store().Release();
  Run();
  EXPECT_EQ(Told(first), "oak v0 p2");
  EXPECT_EQ(Told(second), "oak v0 p2 again");
  EXPECT_EQ(store().appends, 1);
}

TEST_F(WriteApiCommandHandler, ADuplicateThatJoinedHearsTheRejectionToo) {
  const SentPtr first = Send(WithId("c-1", Rename("oak", "Oak")));
  const SentPtr second = Send(WithId("c-1", Rename("oak", "Oak")));
  Run();
  EXPECT_EQ(Told(first), "ROOM_NOT_FOUND");
  EXPECT_EQ(Told(second), "ROOM_NOT_FOUND");
}

TEST_F(WriteApiCommandHandler, ARejectedCommandIsDecidedAgainOnRetry) {
  EXPECT_EQ(Told(Do(WithId("c-1", Rename("oak", "Ash")))), "ROOM_NOT_FOUND");
  Do(Create("oak", "Oak"));
  EXPECT_EQ(Told(Do(WithId("c-1", Rename("oak", "Ash")))), "oak v1 p3");
}

TEST_F(WriteApiCommandHandler, AnIdIsFreeForOtherContentAfterARejection) {
  EXPECT_EQ(Told(Do(WithId("c-1", Rename("oak", "Ash")))), "ROOM_NOT_FOUND");
  EXPECT_EQ(Told(Do(WithId("c-1", Create("oak", "Oak")))), "oak v0 p2");
}

TEST_F(WriteApiCommandHandler, IdsOfReactorsAreRefusedUnlessTheCallerIsTrusted) {
  const SentPtr refused = Send(WithId("lf:r:1", Create("oak", "Oak")));
  EXPECT_EQ(Told(refused), "COMMAND_ID_RESERVED");
  EXPECT_TRUE(absl::IsInvalidArgument(refused->status()));
  EXPECT_THAT(FieldsOf(refused->status()), ElementsAre("command_id"));
  Caller trusted;
  trusted.trusted = true;
  EXPECT_EQ(Told(Do(WithId("lf:r:1", Create("oak", "Oak")), trusted)), "oak v0 p2");
}

TEST_F(WriteApiCommandHandler, AnEngineThatDerivesIdsMaySendThemButNoSystemCommands) {
  Caller engine;
  engine.derives_ids = true;
  EXPECT_EQ(Told(Do(WithId("lf:r:1", Create("b1", "Oak")), engine)), "b1 v0 p2");
  rooms::v1::LinkExternalRoomRequest link;
  link.set_room_id("b1");
  link.set_command_id("lf:r:2");
  EXPECT_EQ(Told(Send(link, engine)), "TOKEN_REQUIRED");
}

TEST_F(WriteApiCommandHandler, ACommandThatChangesNothingStoresItsIdAndNoEvent) {
  Do(Create("oak", "Oak"));
  EXPECT_EQ(Told(Do(WithId("c-1", Rename("oak", "Oak")))), "oak v0 p2");
  EXPECT_EQ(base().All().size(), 2u);
  Do(Rename("oak", "Ash"));
  EXPECT_EQ(Told(Do(WithId("c-1", Rename("oak", "Oak")))), "oak v0 p2 again");
  EXPECT_EQ(base().All().size(), 3u) << "the retry renamed it";
}

TEST_F(WriteApiCommandHandler, ACommandThatChangesNothingAndHasNoIdIsNotAppended) {
  Do(Create("oak", "Oak"));
  const int appends = store().appends;
  EXPECT_EQ(Told(Do(Rename("oak", "Oak"))), "oak v0 p2");
  EXPECT_EQ(store().appends, appends);
}

TEST_F(WriteApiCommandHandler, AnIdThatAnotherWriterStoredMeanwhileIsADuplicate) {
  Do(Create("oak", "Oak"));
  store().Hold();
  const SentPtr first = Do(WithId("c-1", Rename("oak", "Ash")));
  const SentPtr follower = Do(Rename("oak", "Birch"));
  {
    // A second handler on the same log.
    CommandHandler other(registry(), base().store(), base().clock(), base().scheduler().Pool());
    SentPtr theirs = SendTo(other, WithId("c-1", Rename("oak", "Ash")));
    Run();
    EXPECT_EQ(Told(theirs), "oak v1 p3");
  }
  store().Release();
  Run();
  EXPECT_EQ(Told(first), "oak v1 p3 again");
  EXPECT_EQ(Told(follower), "oak v2 p4");
}

// Claims.

TEST_F(WriteApiCommandHandler, ATakenClaimIsRefusedWithItsOwnReason) {
  EXPECT_EQ(Told(Do(TakeValue("b1", "7"))), "b1 v0 p2");
  const SentPtr refused = Do(TakeValue("b2", "7"));
  EXPECT_EQ(Told(refused), "ALREADY_DECIDED");
  EXPECT_TRUE(absl::IsFailedPrecondition(refused->status()));
  EXPECT_EQ(refused->status().message(), "another badge has it");
  EXPECT_EQ(Told(Do(TakeValue("b2", "8"))), "b2 v0 p4") << "its state is as before";
}

TEST_F(WriteApiCommandHandler, ATakenClaimIsRefusedAfterARestart) {
  Do(TakeValue("b1", "7"));
  Start();
  EXPECT_EQ(Told(Do(TakeValue("b2", "7"))), "ALREADY_DECIDED");
}

TEST_F(WriteApiCommandHandler, AReleasedClaimIsFreeForOthers) {
  Do(TakeValue("b1", "7"));
  EXPECT_EQ(Told(Do(ReleaseValue("b1", "7"))), "b1 v1 p4");
  EXPECT_EQ(Told(Do(TakeValue("b2", "7"))), "b2 v0 p6");
  EXPECT_EQ(Told(Do(TakeValue("b1", "7"))), "ALREADY_DECIDED");
}

TEST_F(WriteApiCommandHandler, AValueTakenReleasedAndTakenInOneFlightEndsTaken) {
  store().Hold();
  const SentPtr taken = Do(TakeValue("b1", "7"));
  const SentPtr released = Do(ReleaseValue("b1", "7"));
  const SentPtr again = Do(TakeValue("b1", "7"));
  store().Release();
  Run();
  EXPECT_EQ(Told(taken), "b1 v0 p2");
  EXPECT_EQ(Told(released), "b1 v1 p4");
  EXPECT_EQ(Told(again), "b1 v2 p6");
  EXPECT_EQ(Told(Do(TakeValue("b2", "7"))), "ALREADY_DECIDED");
}

TEST_F(WriteApiCommandHandler, OfTwoThatRaceForAClaimOneWins) {
  store().Hold();
  const SentPtr first = Do(TakeValue("b1", "7"));
  const SentPtr second = Do(TakeValue("b2", "7"));
  EXPECT_EQ(store().held(), 2u) << "both saw it free";
  store().Release();
  Run();
  EXPECT_EQ(Told(first), "b1 v0 p2");
  EXPECT_EQ(Told(second), "ALREADY_DECIDED");
  EXPECT_THAT(Log(), ElementsAre("badge-b1@0 InvitationAccepted"));
}

TEST_F(WriteApiCommandHandler, ACommandThatNamesAClaimGoesToWhoeverHoldsIt) {
  Do(TakeValue("b1", "7"));
  EXPECT_EQ(Told(Do(TakeValue("", "7"))), "b1 v0 p2");
  Start();
  EXPECT_EQ(Told(Do(WithId("c-1", TakeValue("", "7")))), "b1 v0 p2");
  EXPECT_EQ(Told(Do(WithId("c-1", TakeValue("", "7")))), "b1 v0 p2 again");
  EXPECT_THAT(Log(), ElementsAre("badge-b1@0 InvitationAccepted"));
}

TEST_F(WriteApiCommandHandler, ACommandThatNamesAFreeClaimGoesToOneNewAggregateForAll) {
  store().Hold();
  const SentPtr first = Do(TakeValue("", "7"));
  const SentPtr second = Do(TakeValue("", "7"));
  const SentPtr other = Do(TakeValue("", "8"));
  store().Release();
  Run();
  const std::string id = first->answer->aggregate_id();
  EXPECT_EQ(id.size(), 36u);
  EXPECT_EQ(Told(first), id + " v0 p2");
  EXPECT_EQ(second->answer->aggregate_id(), id);
  EXPECT_EQ(second->answer->version(), 0) << "it has the value already";
  EXPECT_NE(other->answer->aggregate_id(), id);
  EXPECT_EQ(Told(Do(TakeValue("b2", "7"))), "ALREADY_DECIDED");
  Do(ReleaseValue(id, "7"));
  Do(TakeValue("b2", "7"));
  EXPECT_EQ(Do(TakeValue("", "7"))->answer->aggregate_id(), "b2");
}

TEST_F(WriteApiCommandHandler, TheOwnerMayClaimAgain) {
  Do(TakeValue("b1", "7"));
  EXPECT_EQ(Told(Do(WithId("c-1", TakeValue("b1", "7")))), "b1 v0 p2");
  EXPECT_EQ(Told(Do(TakeValue("b1", "7"))), "b1 v0 p2") << "without a command id";
  EXPECT_EQ(base().All().size(), 2u);
  EXPECT_EQ(Told(Do(TakeValue("b2", "7"))), "ALREADY_DECIDED");
}

TEST_F(WriteApiCommandHandler, ClaimsOnOneValueInOneDecisionAreJudgedInTheirOrder) {
  Do(TakeValue("b1", "7"));
  const std::size_t events = base().All().size();
  EXPECT_EQ(Told(Do(Claims("b1", "-7 +7 +8"))), "b1 v0 p5");
  EXPECT_EQ(base().All().size(), events + 3) << "released, taken, and another value taken";
  EXPECT_EQ(Told(Do(TakeValue("b2", "7"))), "ALREADY_DECIDED");
  EXPECT_EQ(Told(Do(Claims("b2", "+9 +9"))), "b2 v-1 p6");
  EXPECT_EQ(Told(Do(TakeValue("b3", "9"))), "ALREADY_DECIDED");
  EXPECT_EQ(Told(Do(Claims("b1", "-7 +7 -7"))), "b1 v0 p9");
  EXPECT_EQ(Told(Do(TakeValue("b2", "7"))), "b2 v0 p11") << "free in the end";
  EXPECT_EQ(Told(Do(Claims("b1", "-7 +7"))), "ALREADY_DECIDED") << "not its own to release";
}

TEST_F(WriteApiCommandHandler, ClaimsOfAnotherScopeAreOthers) {
  EXPECT_EQ(Told(Do(TakeValue("b1", "Oak"))), "b1 v0 p2");
  EXPECT_EQ(Told(Do(Create("oak", "Oak"))), "oak v0 p4");
}

TEST_F(WriteApiCommandHandler, AClaimedValueMayHaveAnyBytes) {
  int n = 0;
  for (const std::string& value :
       {std::string("a b"), std::string("é/-"), std::string(500, 'x'), std::string(128, 'x'),
        std::string(126, 'x'), std::string("v.1"), std::string("a\tb")}) {
    EXPECT_TRUE(Do(TakeValue(fmt::format("b{}", ++n), value))->answer.ok()) << value;
    EXPECT_EQ(Told(Do(TakeValue("late", value))), "ALREADY_DECIDED") << value;
  }
}

TEST_F(WriteApiCommandHandler, AClaimRefusedOnTentativeStateIsToldOnlyAfterTheCommit) {
  Do(TakeValue("b1", "7"));
  store().Hold();
  const SentPtr taken = Do(TakeValue("b2", "8"));
  const SentPtr refused = Do(TakeValue("b2", "7"));
  EXPECT_EQ(Told(refused), "-");
  store().Release();
  Run();
  EXPECT_EQ(Told(taken), "b2 v0 p4");
  EXPECT_EQ(Told(refused), "ALREADY_DECIDED");
}

TEST_F(WriteApiCommandHandler, AClaimRefusedOnStateThatDidNotComeTrueIsDecidedAgain) {
  Do(TakeValue("b1", "7"));
  store().Hold();
  const SentPtr taken = Do(TakeValue("b2", "8"));
  const SentPtr refused = Do(TakeValue("b2", "7"));
  const SentPtr released = Do(ReleaseValue("b2", "7"));
  AppendRequest freed = testing::AppendOf("claim_badge_id-v.7", {""});
  freed.streams.front().events.front().type = core::v1::ClaimReleased::descriptor()->full_name();
  AppendDirectly(std::move(freed));
  Run();
  store().Fail(Reject(core::v1::ERROR_REASON_DISK_FULL, "full"));
  store().Release();
  Run();
  EXPECT_EQ(Told(taken), "DISK_FULL");
  EXPECT_EQ(Told(refused), "b2 v0 p5");
  EXPECT_EQ(Told(released), "b2 v1 p7") << "in the order of their calls";
}

TEST_F(WriteApiCommandHandler, ClaimingAgainIsToldOnlyAfterTheCommitItStandsOn) {
  store().Hold();
  const SentPtr taken = Do(TakeValue("b1", "7"));
  const SentPtr again = Do(TakeValue("b1", "7"));
  EXPECT_EQ(Told(again), "-");
  store().Release();
  Run();
  EXPECT_EQ(Told(taken), "b1 v0 p2");
  EXPECT_EQ(Told(again), "b1 v0 p2");
}

TEST_F(WriteApiCommandHandler, HoldingAClaimAlreadyIsToldOnlyAfterTheCommitItWasDecidedOn) {
  Do(TakeValue("b1", "7"));
  store().Hold();
  rooms::v1::LinkExternalRoomRequest link;
  link.set_room_id("b1");
  Caller trusted;
  trusted.trusted = true;
  const SentPtr linked = Do(link, trusted);
  const SentPtr again = Do(TakeValue("b1", "7"));  // Neither an event nor a claim is to be stored.
  EXPECT_EQ(Told(again), "-");
  store().Release();
  Run();
  EXPECT_EQ(Told(linked), "b1 v1 p3");
  EXPECT_EQ(Told(again), "b1 v1 p3");
}

TEST_F(WriteApiCommandHandler, CommandsBehindARefusedClaimAreStillAnswered) {
  Do(TakeValue("b1", "7"));
  const SentPtr refused = Send(TakeValue("b2", "7"));
  const SentPtr next = Send(TakeValue("b2", "8"));
  const SentPtr released = Send(ReleaseValue("b2", "8"));
  Run();
  EXPECT_EQ(Told(refused), "ALREADY_DECIDED");
  EXPECT_EQ(Told(next), "b2 v0 p4");
  EXPECT_EQ(Told(released), "b2 v1 p6");
}

TEST_F(WriteApiCommandHandler, HoldingAClaimAlreadyIsDecidedOnWhatAnotherWriterStored) {
  Do(TakeValue("b1", "7"));
  AppendRequest linked = testing::AppendOf("badge-b1", {""});
  linked.streams.front().events.front().type =
      rooms::v1::ExternalRoomLinked::descriptor()->full_name();
  AppendDirectly(linked);
  Run();
  EXPECT_EQ(Told(Do(TakeValue("b1", "7"))), "b1 v1 p3") << "nothing to store, and not at v0";
  AppendDirectly(linked);
  Run();
  EXPECT_EQ(Told(Do(At(1, TakeValue("b1", "7")))), "VERSION_CONFLICT");
}

TEST_F(WriteApiCommandHandler, AClaimIsRefusedOnlyOnWhatAnotherWriterStored) {
  Do(TakeValue("b1", "7"));
  CommandHandler other(registry(), base().store(), base().clock(), base().scheduler().Pool());
  SendTo(other, ReleaseValue("b1", "7"));
  Run();
  SendTo(other, TakeValue("b2", "7"));
  Run();
  EXPECT_EQ(Told(Do(At(0, TakeValue("b1", "7")))), "VERSION_CONFLICT");
  EXPECT_EQ(Told(Do(At(1, TakeValue("b1", "7")))), "ALREADY_DECIDED");
}

TEST_F(WriteApiCommandHandler, NothingIsDecidedOnWhatARefusedClaimWouldHaveLeft) {
  Do(TakeValue("b1", "7"));
  const SentPtr refused = Send(TakeValue("b2", "7"));
  const SentPtr released = Send(ReleaseValue("b2", "7"));  // Right only if it had been taken.
  store().before_append = [this] {  // Another writer, at whose version that would fit.
    AppendRequest linked = testing::AppendOf("badge-b2", {""});
    linked.streams.front().events.front().type =
        rooms::v1::ExternalRoomLinked::descriptor()->full_name();
    AppendDirectly(std::move(linked));
  };
  Run();
  EXPECT_EQ(Told(refused), "ALREADY_DECIDED");
  EXPECT_EQ(Told(released), "NOT_INVITED");
  EXPECT_THAT(Log(), ElementsAre("badge-b1@0 InvitationAccepted"));
}

// Limits and damage.

TEST_F(WriteApiCommandHandler, BeyondTheQueueOfALoadCommandsAreToldToComeBack) {
  std::vector<SentPtr> waiting;
  for (std::size_t i = 0; i < kLaneQueueMax; ++i) waiting.push_back(Send(Rename("oak", "Oak")));
  const SentPtr full = Send(Rename("oak", "Oak"));
  EXPECT_EQ(Told(full), "QUEUE_FULL");
  EXPECT_TRUE(absl::IsResourceExhausted(full->status()));
  EXPECT_EQ(MetadataOf(full->status(), "maximum"), fmt::to_string(kLaneQueueMax));
  google::rpc::RetryInfo retry;
  const auto detail = full->status().GetPayload(ToAbsl(kRetryInfoUrl));
  ASSERT_TRUE(detail && retry.ParseFromString(std::string(*detail)));
  EXPECT_GT(retry.retry_delay().nanos(), 0);
  EXPECT_EQ(Told(Send(Create("elm", "Elm"))), "-") << "other aggregates have room";
  Run();
  for (const SentPtr& sent : waiting) ASSERT_EQ(Told(sent), "ROOM_NOT_FOUND");
  EXPECT_EQ(Told(Do(Create("oak", "Oak"))), "oak v0 p4") << "there is room again";
}

TEST_F(WriteApiCommandHandler, BeyondItsUnansweredCommandsAnAggregateTakesNoMore) {
  Do(Create("oak", "Oak"));
  store().Hold();
  std::vector<SentPtr> waiting;
  for (std::size_t i = 0; i < kLaneCommandsMax; ++i) {  // In turn an append and one that is held.
    waiting.push_back(Send(Rename("oak", fmt::format("Oak {}", i / 2))));
  }
  const SentPtr full = Send(Rename("oak", "Elm"));
  EXPECT_EQ(Told(full), "QUEUE_FULL");
  EXPECT_EQ(MetadataOf(full->status(), "maximum"), fmt::to_string(kLaneCommandsMax));
  EXPECT_EQ(MetadataOf(full->status(), "stream"), "counter-oak");
  EXPECT_EQ(Told(Send(Create("elm", "Elm"))), "-") << "other aggregates have room";
  store().Release();
  Run();
  for (const SentPtr& sent : waiting) ASSERT_TRUE(sent->status().ok()) << sent->status();
  EXPECT_TRUE(Do(Rename("oak", "Elm"))->status().ok()) << "there is room again";
}

TEST_F(WriteApiCommandHandler, BeyondTheCallsThatWaitForOneIdMoreAreToldToComeBack) {
  store().Hold();
  auto command = Create("oak", "Oak");
  command.set_command_id("c-1");
  std::vector<SentPtr> waiting;
  for (std::size_t i = 0; i < 1 + kJoinedCallsMax; ++i) waiting.push_back(Send(command));
  const SentPtr full = Send(command);
  EXPECT_EQ(Told(full), "QUEUE_FULL");
  EXPECT_EQ(MetadataOf(full->status(), "maximum"), fmt::to_string(kJoinedCallsMax));
  store().Release();
  Run();
  for (const SentPtr& sent : waiting) ASSERT_TRUE(sent->status().ok()) << sent->status();
  EXPECT_TRUE(Do(command)->status().ok());
}

TEST_F(WriteApiCommandHandler, BeyondTheIdsInFlightMoreAreToldToComeBack) {
  if (testing::kSanitized) GTEST_SKIP() << "thousands of commands on one thread";
  store().Hold();
  std::vector<SentPtr> waiting;
  const auto create = [](std::size_t i) {
    auto command = Create(fmt::format("r{}", i), fmt::format("Oak {}", i));
    command.set_command_id(fmt::format("c-{}", i));
    return command;
  };
  for (std::size_t i = 0; i < kCommandIdsMax; ++i) waiting.push_back(Send(create(i)));
  const SentPtr full = Send(create(kCommandIdsMax));
  EXPECT_EQ(Told(full), "QUEUE_FULL");
  EXPECT_EQ(MetadataOf(full->status(), "maximum"), fmt::to_string(kCommandIdsMax));
  EXPECT_EQ(Told(Send(Create("elm", "Elm"))), "-") << "one without an id";
  store().Release();
  Run();
  for (const SentPtr& sent : waiting) ASSERT_TRUE(sent->status().ok()) << sent->status();
  EXPECT_TRUE(Do(create(kCommandIdsMax))->status().ok());
}

TEST_F(WriteApiCommandHandler, AnAggregateIsLoadedOnceHoweverManyWait) {
  AppendDirectly(testing::RenameOf("oak", "Oak"));
  Run();
  const SentPtr first = Send(Rename("oak", "Ash"));
  const SentPtr second = Send(Rename("oak", "Birch"));
  Run();
  const int reads = store().reads;
  Do(Rename("oak", "Cedar"));
  EXPECT_EQ(store().reads, reads) << "loaded again";
  EXPECT_EQ(Told(first) + Told(second), "ROOM_NOT_FOUNDROOM_NOT_FOUND");
}

TEST_F(WriteApiCommandHandler, AnEventThatDoesNotDecodeIsDataLossOfThatAggregateOnly) {
  Do(Create("oak", "Oak"));
  AppendDirectly(testing::PoisonOf("oak"));
  Run();
  Start();
  const SentPtr first = Send(Rename("oak", "Ash"));
  const SentPtr second = Send(WithId("c-1", Rename("oak", "Ash")));
  const SentPtr other = Send(Create("elm", "Elm"));
  Run();
  EXPECT_EQ(Told(first), "DATA_LOSS");
  EXPECT_EQ(Told(second), "DATA_LOSS");
  EXPECT_TRUE(absl::IsDataLoss(first->status()));
  EXPECT_EQ(MetadataOf(first->status(), "position"), "3");
  EXPECT_EQ(Told(other), "elm v0 p5");
}

TEST_F(WriteApiCommandHandler, TheNextCommandTriesToLoadAgainAfterDataLoss) {
  Do(Create("oak", "Oak"));
  Start();
  store().read_failure = Reject(core::v1::ERROR_REASON_DATA_LOSS, "damaged");
  EXPECT_EQ(Told(Do(WithId("c-1", Rename("oak", "Ash")))), "DATA_LOSS");
  const int reads = store().reads;
  EXPECT_EQ(Told(Do(WithId("c-1", Rename("oak", "Ash")))), "DATA_LOSS");
  EXPECT_GT(store().reads, reads);
  store().read_failure = absl::OkStatus();
  EXPECT_EQ(Told(Do(WithId("c-1", Rename("oak", "Ash")))), "oak v1 p3");
}

TEST_F(WriteApiCommandHandler, AnEventOfAnotherTypeIsDataLoss) {
  AppendDirectly(testing::AppendOf("counter-oak", {"x"}));
  Run();
  EXPECT_EQ(Told(Do(Create("oak", "Oak"))), "DATA_LOSS");
}

TEST_F(WriteApiCommandHandler, AStreamLongerThanOneReadIsLoadedWhole) {
  constexpr int kEvents = 2'500;
  Do(Create("oak", "Oak"));
  for (int i = 0; i < kEvents; ++i) AppendDirectly(testing::RenameOf("oak", fmt::to_string(i)));
  Run();
  Start();
  EXPECT_EQ(Told(Do(Rename("oak", fmt::to_string(kEvents - 1)))),
            fmt::format("oak v{} p{}", kEvents, kEvents + 2));
}

// Lanes.

TEST(WriteApiLanes, AStreamHasOneLane) {
  Lanes lanes;
  const auto oak = lanes.Get("room-oak");
  EXPECT_EQ(lanes.Get("room-oak"), oak);
  EXPECT_NE(lanes.Get("room-elm"), oak);
  EXPECT_EQ(oak->stream, "room-oak");
}

TEST(WriteApiLanes, TheLeastRecentlyUsedIdleLanesGoAndThoseInUseStay) {
  Lanes lanes;
  const auto in_use = lanes.Get("room-used");
  const std::weak_ptr<Lane> idle = lanes.Get("room-idle");
  const std::weak_ptr<Lane> warm = lanes.Get("room-warm");
  for (std::size_t i = 0; i < 2 * kCachedAggregatesMax; ++i) {
    lanes.Get(fmt::format("room-{}", i));
    if (i % 100 == 0) lanes.Get("room-warm");
  }
  EXPECT_TRUE(idle.expired());
  EXPECT_FALSE(warm.expired());
  EXPECT_EQ(lanes.Get("room-used"), in_use);
}

}  // namespace
}  // namespace leftfold::writing
