// One command at a time: form, receipts, expected versions; then many at once: tentative state,
// conflicts, command ids, claims, full queues, damaged events.
#include <gmock/gmock.h>

#include "google/rpc/error_details.pb.h"
#include "tests/unit/write_api_fixture.h"
#include "write_api/lanes.h"

namespace leftfold::writing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class WriteApiCommandHandler : public WriteApi {};

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

}  // namespace
}  // namespace leftfold::writing
