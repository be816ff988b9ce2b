// Events that are no longer written, read as those that stand for them now: by the aggregate, by
// views, and by views that keep events and fold them later. What is stored stays as it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/reject.h"
#include "event_store/verify.h"
#include "sql/view_file.h"
#include "testing/event_store_contract.h"
#include "testing/given.h"
#include "testing/sign_domain.h"
#include "write_api/command_handler.h"

namespace leftfold::testing {
namespace {

using ::testing::ElementsAre;

rooms::v1::RenameRoomRequest Rename(const std::string& id, const std::string& name) {
  rooms::v1::RenameRoomRequest command;
  command.set_room_id(id);
  command.set_name(name);
  return command;
}

// An append of one event to the sign.
template <class Event>
AppendRequest AppendTo(const std::string& id, const Event& event) {
  AppendRequest request = AppendOf("sign-" + id, {event.SerializeAsString()});
  request.streams.front().events.front().type = Event::descriptor()->full_name();
  return request;
}

template <class Event>
RecordedEvent Recorded(const Event& event) {
  RecordedEvent recorded;
  recorded.position = Position{7};
  recorded.stream = "sign-a";
  recorded.type = Event::descriptor()->full_name();
  recorded.payload = event.SerializeAsString();
  return recorded;
}

TEST(Upcast, ARenamedEventIsFoldedAsItsSuccessor) {
  Given<Sign>(Sign::OldName("oak")).When(Rename("a", "oak")).ThenNothing();
  Given<Sign>(Sign::OldName("oak")).When(Rename("a", "elm")).Then(Sign::Renamed("elm"));
}

TEST(Upcast, ASplitEventIsFoldedAsAllOfItsSuccessorsInOrder) {
  const auto past = Given<Sign>(Sign::Described("x"), Sign::OldBoth("oak", "old"));
  EXPECT_EQ(past.state().name, "oak");
  EXPECT_EQ(past.state().description, "old");
  EXPECT_EQ(past.state().events, 3);
}

TEST(Upcast, AnEventWithoutSuccessorIsPassedOver) {
  EXPECT_EQ(Given<Sign>(Sign::Renamed("oak"), rooms::v1::RoomRestored()).state().events, 1);
}

TEST(Upcast, AViewGetsTheSuccessorsAtThePlaceOfTheOldEvent) {
  ViewFixture<SignTrail, Sign> view("sign");
  view.Fold("a", Sign::OldName("oak"))
      .Fold("a", Sign::OldBoth("elm", "tall"))
      .Fold("a", rooms::v1::RoomRestored())
      .Fold("b", Sign::Renamed("ash"));
  EXPECT_EQ(view.Ask(rooms::v1::GetRoomRequest())->room().description(),
            "sign-a@0#1=oak sign-a@1#2=elm sign-a@1#2=tall sign-b@0#4=ash");
}

TEST(Upcast, AViewThatHandlesTheOldTypeGetsItAsItWasRecordedAndFoldsItWhenAsked) {
  ViewFixture<SignHistory, Sign> view("sign");
  view.Fold("a", Sign::OldName("oak"))
      .Fold("a", Sign::OldBoth("elm", "tall"))
      .Fold("a", Sign::Renamed("ash"));
  const auto at = [&](std::int64_t version) {
    rooms::v1::GetRoomAtRequest query;
    query.set_version(version);
    const auto answer = view.Ask(query);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer->room().name() + "," + answer->room().description();
  };
  EXPECT_EQ(at(0), "oak,");
  EXPECT_EQ(at(1), "elm,tall");
  EXPECT_EQ(at(2), "ash,tall");
}

// Of the old events only those concern it for which a description may stand.
struct Descriptions {
  static constexpr std::string_view kName = "descriptions";
  static constexpr int kVersion = 1;
  static constexpr std::string_view kSchema = "CREATE TABLE t (id INTEGER PRIMARY KEY) STRICT;";
  using Handles = Types<rooms::v1::RoomDescriptionChanged>;
  using Queries = Types<>;
  using Watches = Types<>;
  static void On(const rooms::v1::RoomDescriptionChanged&, const EventMeta&, WriteTx&) {}
  template <class Query>
  static absl::StatusOr<Query> Answer(const Query&, ReadTx&) {
    return absl::UnimplementedError("not asked");
  }
};

TEST(Upcast, AViewIsStoppedOnlyByAnOldEventThatConcernsIt) {
  Registry registry;
  registry.Add<Descriptions>();
  registry.Add<Sign>();
  const ViewEntry& view = registry.views().front();
  auto connection = sql::OpenViewInMemory(view, Digest{});
  ASSERT_TRUE(connection.ok());
  sql::ConnectionWriteTx tx(**connection);
  RecordedEvent name = Recorded(Sign::OldName("oak"));
  EXPECT_FALSE(*view.fold(name, tx));
  name.payload = "\xff";
  EXPECT_FALSE(*view.fold(name, tx));
  RecordedEvent both = Recorded(Sign::OldBoth("oak", "old"));
  EXPECT_TRUE(*view.fold(both, tx));
  both.encoding = Encoding::kJson;
  EXPECT_EQ(ReasonOf(view.fold(both, tx).status()), "DATA_LOSS");
  both.encoding = Encoding::kProtobuf;
  both.payload = "\xff";
  const absl::Status broken = view.fold(both, tx).status();
  EXPECT_EQ(ReasonOf(broken), "DATA_LOSS");
  EXPECT_EQ(MetadataOf(broken, "position"), "7");
}

TEST(Upcast, AnAggregateIsNotFoldedFromAnOldEventThatDoesNotDecode) {
  Registry registry;
  registry.Add<Sign>();
  const AggregateEntry& sign = registry.aggregates().front();
  const ErasedState state = sign.new_state();
  RecordedEvent old = Recorded(Sign::OldName("oak"));
  EXPECT_TRUE(sign.evolve(state.get(), old).ok());
  old.payload = "\xff";
  EXPECT_EQ(ReasonOf(sign.evolve(state.get(), old)), "DATA_LOSS");
  old = Recorded(Sign::OldName("oak"));
  old.encoding = Encoding::kJson;
  EXPECT_EQ(ReasonOf(sign.evolve(state.get(), old)), "DATA_LOSS");
}

TEST(Upcast, AStoredJsonPayloadIsNotTakenForAnEmptyMessage) {
  core::v1::RecordedEvent stored;
  stored.set_type(rooms::v1::RoomRenamed::descriptor()->full_name());
  stored.set_json("{}");
  Sign::State state;
  EXPECT_FALSE(FoldStored<Sign>(stored, state));
  EXPECT_EQ(state.events, 0);
}

class UpcastInTheLog : public ::testing::TestWithParam<StoreKind> {};
INSTANTIATE_TEST_SUITE_P(Stores, UpcastInTheLog, ::testing::ValuesIn(AllStores()),
                         [](const auto& kind) { return kind.param.name; });

TEST_P(UpcastInTheLog, CommandsAreDecidedOnItAndItStaysAsItWasStored) {
  StoreOnScheduler base(GetParam());
  ASSERT_TRUE(base.Append(AppendTo("a", Sign::OldName("oak"))).ok());
  ASSERT_TRUE(base.Append(AppendTo("a", Sign::OldBoth("elm", "tall"))).ok());
  const std::vector<RecordedEvent> before = base.All();
  Registry registry;
  registry.Add<Sign>();
  CommandHandler handler(registry, base.store(), base.clock(), base.scheduler().Pool());
  std::vector<std::string> answers;
  const auto send = [&](const std::string& name) {
    handler.Handle(registry.commands().front(),
                   std::make_unique<rooms::v1::RenameRoomRequest>(Rename("a", name)), {},
                   [&](const auto& receipt) {
                     answers.push_back(receipt.ok() ? fmt::format("v{}", receipt->version())
                                                    : receipt.status().ToString());
                   });
    base.scheduler().RunUntilIdle();
  };
  send("elm");
  send("ash");
  EXPECT_THAT(answers, ElementsAre("v1", "v2"));
  std::vector<RecordedEvent> after = base.All();
  ASSERT_EQ(after.size(), 3u);
  EXPECT_EQ(after.back().type, "leftfold.rooms.v1.RoomRenamed");
  after.pop_back();
  for (std::size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(Describe(after[i]), Describe(before[i]));
    EXPECT_EQ(after[i].chain, before[i].chain);
  }
  EXPECT_EQ(after.front().type, "leftfold.rooms.v1.SessionCancelled");
  EXPECT_TRUE(VerifyLog(base.store(), [](std::int64_t, std::int64_t) {}).ok());
}

struct OtherSign : Sign {
  static constexpr std::string_view kCategory = "other_sign";
};

TEST(UpcastDeathTest, AnOldTypeHasOneUpcaster) {
  Registry registry;
  registry.Add<Sign>();
  EXPECT_DEATH(registry.Add<OtherSign>(), "two aggregates upcast leftfold.rooms.v1");
}

TEST(RegistryEvents, KnowsWhatIsWrittenWhatWasWrittenAndClaims) {
  Registry registry;
  registry.Add<Sign>();
  std::vector<std::string> names;
  for (const auto& [name, prototype] : registry.events()) {
    EXPECT_EQ(prototype->GetDescriptor()->full_name(), name);
    names.push_back(name);
  }
  EXPECT_THAT(
      names,
      ElementsAre("leftfold.core.v1.ClaimReleased", "leftfold.core.v1.ClaimTaken",
                  "leftfold.core.v1.DeliveredAfterParking", "leftfold.core.v1.DeliveryParked",
                  "leftfold.core.v1.RetryRequested", "leftfold.core.v1.SkipRequested",
                  "leftfold.rooms.v1.ExternalRoomLinked",
                  "leftfold.rooms.v1.RoomDescriptionChanged", "leftfold.rooms.v1.RoomRenamed",
                  "leftfold.rooms.v1.RoomRestored", "leftfold.rooms.v1.SessionCancelled"));
}

}  // namespace
}  // namespace leftfold::testing
