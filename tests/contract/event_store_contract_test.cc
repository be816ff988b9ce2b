#include "testing/event_store_contract.h"

#include <absl/container/flat_hash_map.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "core/reject.h"
#include "event_store/event_store.h"
#include "event_store/verify.h"

namespace leftfold {
namespace {

using ::testing::AllOf;
using testing::AppendOf;
using testing::Brief;
using testing::CommandOf;
using testing::Describe;
using ::testing::ElementsAre;
using testing::EventOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::StoreKind;
using testing::StoreOnScheduler;

constexpr std::int64_t kEnd = std::numeric_limits<std::int64_t>::max();

// What every store must do.
class EventStoreContract : public ::testing::TestWithParam<StoreKind> {
 protected:
  absl::StatusOr<Receipt> Append(AppendRequest request) { return log_.Append(std::move(request)); }
  // Appends that must be accepted.
  void Write(AppendRequest request) {
    const auto receipt = log_.Append(std::move(request));
    ASSERT_TRUE(receipt.ok()) << receipt.status();
  }
  EventStore& store() { return log_.store(); }
  std::vector<std::string> Stream(const std::string& name, const ReadStreamOptions& options) {
    const auto events = store().ReadStream(name, options);
    EXPECT_TRUE(events.ok()) << events.status();
    return Brief(*events);
  }
  std::vector<std::string> All(const ReadAllOptions& options) {
    const auto read = store().ReadAll(options);
    EXPECT_TRUE(read.ok()) << read.status();
    return Brief(read->events);
  }

  StoreOnScheduler log_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Stores, EventStoreContract, ::testing::ValuesIn(testing::AllStores()),
                         [](const auto& kind) { return kind.param.name; });

// Two streams over one append, one more over another.
AppendRequest TwoStreams(StreamCheck first, StreamCheck second) {
  AppendRequest request = AppendOf("room-a", {"1", "2"}, first);
  request.streams.push_back(AppendOf("desk-b", {"3"}, second).streams.front());
  return request;
}

TEST_P(EventStoreContract, AnEmptyLogHasTheHeadBeforeTheFirstEvent) {
  EXPECT_EQ(store().GetHead().position, kBeforeFirst);
  EXPECT_EQ(store().GetHead().chain, FirstChain(store().StoreId()));
  EXPECT_EQ(store().StreamVersion("room-a").value(), kNoEventYet);
  EXPECT_THAT(Stream("room-a", {}), IsEmpty());
  EXPECT_THAT(All({}), IsEmpty());
  EXPECT_TRUE(VerifyLog(store(), [](auto, auto) {}).ok());
}

TEST_P(EventStoreContract, PositionsAreDenseFromOneAndVersionsFromZero) {
  Write(AppendOf("room-a", {"x", "y"}));
  Write(AppendOf("room-b", {"z"}));
  const auto receipt = Append(AppendOf("room-a", {"w"}));
  EXPECT_EQ(Describe(receipt), "version=2 position=4 aggregate= created= duplicate=false");
  EXPECT_THAT(All({}), ElementsAre("1:room-a@0=x", "2:room-a@1=y", "3:room-b@0=z", "4:room-a@2=w"));
  EXPECT_EQ(store().StreamVersion("room-a").value(), Version{2});
  EXPECT_EQ(store().GetHead().position, Position{4});
}

TEST_P(EventStoreContract, AllFieldsOfAnEventComeBack) {
  AppendRequest request = AppendOf("room-a", {std::string("\0\xff{}", 4)});
  NewEvent& event = request.streams[0].events[0];
  event.event_id = DerivedUuid("event", 1);
  event.encoding = Encoding::kJson;
  event.tags = {{"user", "ann"}, {"user", ""}};
  request.metadata = std::string("\0m", 2);
  Write(std::move(request));
  const RecordedEvent recorded = log_.All().front();
  EXPECT_EQ(recorded.event_id, DerivedUuid("event", 1));
  EXPECT_EQ(recorded.type, "test.Happened");
  EXPECT_EQ(recorded.payload, std::string("\0\xff{}", 4));
  EXPECT_EQ(recorded.encoding, Encoding::kJson);
  EXPECT_EQ(recorded.metadata, std::string("\0m", 2));
  EXPECT_EQ(recorded.tags, (std::vector<Tag>{{"user", "ann"}, {"user", ""}}));
  EXPECT_EQ(recorded.recorded_at, log_.clock().Now());
}

TEST_P(EventStoreContract, EventsWithoutIdsGetDistinctOnes) {
  Write(AppendOf("room-a", {"x", "y"}));
  const auto events = log_.All();
  EXPECT_NE(events[0].event_id, Uuid{});
  EXPECT_NE(events[0].event_id, events[1].event_id);
}

TEST_P(EventStoreContract, AnAppendToSeveralStreamsIsStoredWhole) {
  const auto receipt = Append(TwoStreams(NoStream{}, NoStream{}));
  EXPECT_EQ(Describe(receipt), "version=1 position=3 aggregate= created= duplicate=false");
  EXPECT_THAT(All({}), ElementsAre("1:room-a@0=1", "2:room-a@1=2", "3:desk-b@0=3"));
}

TEST_P(EventStoreContract, AnAppendWithOneFailedCheckStoresNothing) {
  Write(AppendOf("desk-b", {"0"}));
  const auto receipt = Append(TwoStreams(NoStream{}, NoStream{}));
  EXPECT_EQ(ReasonOf(receipt.status()), "VERSION_CONFLICT");
  EXPECT_THAT(All({}), ElementsAre("1:desk-b@0=0"));
  EXPECT_EQ(store().StreamVersion("room-a").value(), kNoEventYet);
}

TEST_P(EventStoreContract, EveryKindOfCheckAcceptsWhatItAsksFor) {
  Write(AppendOf("room-a", {"x"}, NoStream{}));
  Write(AppendOf("room-a", {"x"}, StreamExists{}));
  Write(AppendOf("room-a", {"x"}, Exactly{Version{1}}));
  Write(AppendOf("room-a", {"x"}, Any{}));
  Write(AppendOf("room-b", {"x"}, Any{}));
  Write(AppendOf("room-c", {"x"}, Exactly{kNoEventYet}));
}

TEST_P(EventStoreContract, EveryKindOfCheckRejectsTheRest) {
  Write(AppendOf("room-a", {"x"}));
  struct Case {
    std::string stream;
    StreamCheck check;
    std::string expected;
    std::string actual;
  };
  const std::vector<Case> cases = {
      {"room-a", NoStream{}, "-1", "0"},          {"room-b", StreamExists{}, "any version", "-1"},
      {"room-a", Exactly{Version{1}}, "1", "0"},  {"room-a", Exactly{kNoEventYet}, "-1", "0"},
      {"room-b", Exactly{Version{0}}, "0", "-1"},
  };
  for (const Case& c : cases) {
    const absl::Status status = Append(AppendOf(c.stream, {"y"}, c.check)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
    EXPECT_EQ(ReasonOf(status), "VERSION_CONFLICT");
    EXPECT_EQ(MetadataOf(status, "stream"), c.stream);
    EXPECT_EQ(MetadataOf(status, "expected"), c.expected);
    EXPECT_EQ(MetadataOf(status, "actual"), c.actual);
  }
  EXPECT_EQ(store().GetHead().position, Position{1});
}

TEST_P(EventStoreContract, TheMessageNamesEveryFailedCheck) {
  Write(AppendOf("room-a", {"x"}));
  const absl::Status status = Append(TwoStreams(NoStream{}, StreamExists{})).status();
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("room-a is at version 0, expected -1"),
                    HasSubstr("desk-b is at version -1, expected any version")));
  EXPECT_EQ(MetadataOf(status, "stream"), "room-a");
}

TEST_P(EventStoreContract, ChecksAreJudgedBeforeAnyEventIsWritten) {
  // The second stream's check is about the state before this append.
  EXPECT_TRUE(Append(TwoStreams(NoStream{}, NoStream{})).ok());
  AppendRequest only_checked = AppendOf("room-a", {}, Exactly{Version{1}});
  only_checked.streams.push_back(AppendOf("desk-b", {"4"}).streams.front());
  const auto receipt = Append(std::move(only_checked));
  EXPECT_EQ(Describe(receipt), "version=1 position=4 aggregate= created= duplicate=false");
}

TEST_P(EventStoreContract, AppendsOfOneGroupSeeEachOther) {
  const auto receipts = log_.AppendTogether({AppendOf("room-a", {"x"}, NoStream{}),
                                             AppendOf("room-a", {"y"}, NoStream{}),
                                             AppendOf("room-a", {"z"}, Exactly{Version{0}})});
  EXPECT_TRUE(receipts[0].ok());
  EXPECT_EQ(ReasonOf(receipts[1].status()), "VERSION_CONFLICT");
  EXPECT_EQ(MetadataOf(receipts[1].status(), "actual"), "0");
  EXPECT_EQ(Describe(receipts[2]), "version=1 position=2 aggregate= created= duplicate=false");
  EXPECT_THAT(All({}), ElementsAre("1:room-a@0=x", "2:room-a@1=z"));
}

TEST_P(EventStoreContract, AppendsThatStandOnARefusedOneAreRefused) {
  const auto chained = [](AppendRequest request, const std::shared_ptr<std::atomic<bool>>& chain) {
    request.broken = chain;
    return request;
  };
  const auto chain = std::make_shared<std::atomic<bool>>(false);
  const auto other = std::make_shared<std::atomic<bool>>(false);
  const auto receipts =
      log_.AppendTogether({chained(AppendOf("room-a", {"1"}), chain),
                           chained(AppendOf("room-b", {"2"}, StreamExists{}), chain),
                           chained(AppendOf("room-a", {"3"}), chain),
                           chained(AppendOf("room-a", {"4"}), other), AppendOf("room-a", {"5"})});
  EXPECT_TRUE(receipts[0].ok());
  EXPECT_EQ(MetadataOf(receipts[1].status(), "stream"), "room-b");
  EXPECT_EQ(ReasonOf(receipts[2].status()), "VERSION_CONFLICT") << "its checks hold by chance";
  EXPECT_EQ(MetadataOf(receipts[2].status(), "stream"), "room-a");
  EXPECT_TRUE(*chain);
  EXPECT_TRUE(receipts[3].ok());
  EXPECT_FALSE(*other);
  EXPECT_THAT(All({}), ElementsAre("1:room-a@0=1", "2:room-a@1=4", "3:room-a@2=5"));
  // Later ones too.
  const auto later = Append(chained(AppendOf("room-a", {"6"}), chain));
  EXPECT_EQ(ReasonOf(later.status()), "VERSION_CONFLICT");
  EXPECT_TRUE(Append(chained(AppendOf("room-a", {"7"}), other)).ok());
}

TEST_P(EventStoreContract, AMalformedAppendAndADuplicateBreakTheirChain) {
  Write(CommandOf(AppendOf("room-a", {"1"}), "c1"));
  for (const AppendRequest& first :
       {CommandOf(AppendOf("room-a", {"1"}), "c1"), AppendOf("no stream name", {"2"})}) {
    const auto chain = std::make_shared<std::atomic<bool>>(false);
    std::vector<AppendRequest> requests = {first, AppendOf("room-a", {"3"})};
    for (AppendRequest& request : requests) request.broken = chain;
    const auto receipts = log_.AppendTogether(std::move(requests));
    EXPECT_EQ(ReasonOf(receipts[1].status()), "VERSION_CONFLICT");
    EXPECT_TRUE(*chain);
  }
  EXPECT_THAT(All({}), ElementsAre("1:room-a@0=1"));
}

TEST_P(EventStoreContract, AnErrorKeepsItsRetryInfo) {
  // More than the store queues, all before the writer's turn.
  int full = 0;
  for (std::size_t i = 0; i < kAppendQueueMax + 1; ++i) {
    AppendRequest request = AppendOf("room-a", {}, NoStream{});
    request.command = CommandRecord{"c", Digest{}, "", ""};
    store().Append(std::move(request), [&](const absl::StatusOr<Receipt>& receipt) {
      if (ReasonOf(receipt.status()) != "QUEUE_FULL") return;
      ++full;
      EXPECT_TRUE(receipt.status().GetPayload(ToAbsl(kRetryInfoUrl)).has_value());
    });
  }
  log_.scheduler().RunUntilIdle();
  EXPECT_EQ(full, 1);
}

TEST_P(EventStoreContract, UnansweredAppendsAreBoundInBytesToo) {
  // Refused ones: it is about what waits, and nothing needs to be written.
  const AppendRequest large =
      AppendOf("room-a", {std::string(kEventBytesMax, 'x')}, StreamExists{});
  constexpr std::size_t kFits = kAppendQueueBytesMax / kEventBytesMax;
  for (int round = 0; round < 2; ++round) {
    std::size_t full = 0;
    for (std::size_t i = 0; i < kFits + 3; ++i) {
      store().Append(large, [&](const absl::StatusOr<Receipt>& receipt) {
        if (ReasonOf(receipt.status()) != "QUEUE_FULL") return;
        ++full;
        EXPECT_EQ(receipt.status().code(), absl::StatusCode::kResourceExhausted);
        EXPECT_EQ(MetadataOf(receipt.status(), "limit"), "bytes of appends");
        EXPECT_TRUE(receipt.status().GetPayload(ToAbsl(kRetryInfoUrl)).has_value());
      });
    }
    log_.scheduler().RunUntilIdle();
    EXPECT_EQ(full, 3u) << "round " << round;
  }
  Write(AppendOf("room-a", {"1"}));
  EXPECT_THAT(All({}), ElementsAre("1:room-a@0=1"));
}

TEST_P(EventStoreContract, WhatIsRefusedDoesNotMoveTheTimeOfEvents) {
  Write(AppendOf("room-a", {"1"}));
  log_.clock().Advance(absl::Hours(1));
  EXPECT_FALSE(Append(AppendOf("room-a", {"2"}, NoStream{})).ok());
  log_.clock().Advance(-absl::Minutes(59));
  Write(AppendOf("room-a", {"2"}));
  EXPECT_EQ(log_.All().back().recorded_at, log_.clock().Now());
}

TEST_P(EventStoreContract, AppendsCommitInTheOrderOfTheirCalls) {
  std::vector<AppendRequest> requests;
  for (int i = 0; i < 1'200; ++i) requests.push_back(AppendOf("room-a", {std::to_string(i)}));
  log_.AppendTogether(std::move(requests));
  const auto events = log_.All();
  ASSERT_EQ(events.size(), 1'200u);
  for (std::size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i].payload, std::to_string(i));
}

TEST_P(EventStoreContract, ACommandSentAgainGetsItsReceiptAgain) {
  const auto first = Append(CommandOf(AppendOf("room-a", {"x"}), "c1"));
  EXPECT_EQ(Describe(first),
            "version=0 position=1 aggregate=oak created=created-1 duplicate=false");
  Write(AppendOf("room-a", {"y"}));
  const auto again = Append(CommandOf(AppendOf("room-a", {"x"}, NoStream{}), "c1"));
  EXPECT_EQ(Describe(again), "version=0 position=1 aggregate=oak created=created-1 duplicate=true");
  EXPECT_EQ(store().GetHead().position, Position{2});
}

TEST_P(EventStoreContract, ACommandIdWithOtherContentIsRefused) {
  Write(CommandOf(AppendOf("room-a", {"x"}), "c1", 1));
  const absl::Status status = Append(CommandOf(AppendOf("room-a", {"x"}), "c1", 2)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReasonOf(status), "COMMAND_ID_REUSED");
  EXPECT_EQ(MetadataOf(status, "command_id"), "c1");
  EXPECT_EQ(store().GetHead().position, Position{1});
}

TEST_P(EventStoreContract, TheSameCommandTwiceInOneGroupIsStoredOnce) {
  const auto receipts = log_.AppendTogether({CommandOf(AppendOf("room-a", {"x"}), "c1", 1),
                                             CommandOf(AppendOf("room-a", {"x"}), "c1", 1),
                                             CommandOf(AppendOf("room-a", {"x"}), "c1", 2)});
  EXPECT_EQ(Describe(receipts[0]),
            "version=0 position=1 aggregate=oak created=created-1 duplicate=false");
  EXPECT_EQ(Describe(receipts[1]),
            "version=0 position=1 aggregate=oak created=created-1 duplicate=true");
  EXPECT_EQ(ReasonOf(receipts[2].status()), "COMMAND_ID_REUSED");
  EXPECT_EQ(store().GetHead().position, Position{1});
}

TEST_P(EventStoreContract, ACommandWithoutEventsIsRememberedToo) {
  Write(AppendOf("room-a", {"x"}));
  const auto first = Append(CommandOf(AppendOf("room-a", {}, Exactly{Version{0}}), "c1"));
  EXPECT_EQ(Describe(first),
            "version=0 position=1 aggregate=oak created=created-1 duplicate=false");
  Write(AppendOf("room-a", {"y"}));
  const auto again = Append(CommandOf(AppendOf("room-a", {}, Exactly{Version{0}}), "c1"));
  EXPECT_EQ(Describe(again), "version=0 position=1 aggregate=oak created=created-1 duplicate=true");
}

TEST_P(EventStoreContract, ARefusedCommandIsNotRemembered) {
  EXPECT_FALSE(Append(CommandOf(AppendOf("room-a", {"x"}, StreamExists{}), "c1")).ok());
  EXPECT_FALSE(store().FindCommand("c1").value().has_value());
  Write(CommandOf(AppendOf("room-a", {"x"}), "c1", 2));
}

TEST_P(EventStoreContract, FindCommandTellsHashAndReceipt) {
  Write(CommandOf(AppendOf("room-a", {"x"}), "c1", 7));
  const auto found = store().FindCommand("c1");
  ASSERT_TRUE(found.ok() && found->has_value());
  EXPECT_EQ((*found)->request_hash, Digest{7});
  EXPECT_EQ(Describe((*found)->receipt),
            "version=0 position=1 aggregate=oak created=created-1 duplicate=true");
  EXPECT_FALSE(store().FindCommand("c2").value().has_value());
}

TEST_P(EventStoreContract, AStreamIsReadForwardWithLimits) {
  Write(AppendOf("room-a", {"aa", "bb", "cc"}));
  Write(AppendOf("room-ab", {"other"}));
  EXPECT_THAT(Stream("room-a", {}), ElementsAre("1:room-a@0=aa", "2:room-a@1=bb", "3:room-a@2=cc"));
  EXPECT_THAT(Stream("room-a", {.from = Version{1}, .events_max = 1}),
              ElementsAre("2:room-a@1=bb"));
  EXPECT_THAT(Stream("room-a", {.bytes_max = 4}), ElementsAre("1:room-a@0=aa", "2:room-a@1=bb"));
  EXPECT_THAT(Stream("room-a", {.bytes_max = 1}), ElementsAre("1:room-a@0=aa"));
  EXPECT_THAT(Stream("room-a", {.from = Version{3}}), IsEmpty());
}

TEST_P(EventStoreContract, AStreamIsReadBackwardWithLimits) {
  Write(AppendOf("room-a", {"aa", "bb", "cc"}));
  const auto backward = [&](std::int64_t from, std::size_t events_max, std::size_t bytes_max) {
    return Stream("room-a", {.from = Version{from},
                             .direction = Direction::kBackward,
                             .events_max = events_max,
                             .bytes_max = bytes_max});
  };
  EXPECT_THAT(backward(kEnd, 9, 99),
              ElementsAre("3:room-a@2=cc", "2:room-a@1=bb", "1:room-a@0=aa"));
  EXPECT_THAT(backward(1, 9, 99), ElementsAre("2:room-a@1=bb", "1:room-a@0=aa"));
  EXPECT_THAT(backward(1, 1, 99), ElementsAre("2:room-a@1=bb"));
  EXPECT_THAT(backward(kEnd, 9, 1), ElementsAre("3:room-a@2=cc"));
  EXPECT_THAT(backward(-1, 9, 99), IsEmpty());
}

TEST_P(EventStoreContract, TheLogIsReadBothWaysFromBeyondAPosition) {
  Write(AppendOf("room-a", {"aa", "bb"}));
  Write(AppendOf("room-b", {"cc"}));
  EXPECT_THAT(All({.from = Position{1}}), ElementsAre("2:room-a@1=bb", "3:room-b@0=cc"));
  EXPECT_THAT(All({.from = Position{1}, .events_max = 1}), ElementsAre("2:room-a@1=bb"));
  EXPECT_THAT(All({.from = kBeforeFirst, .bytes_max = 3}), ElementsAre("1:room-a@0=aa"));
  EXPECT_THAT(All({.from = Position{3}}), IsEmpty());
  EXPECT_THAT(All({.from = Position{3}, .direction = Direction::kBackward}),
              ElementsAre("2:room-a@1=bb", "1:room-a@0=aa"));
  EXPECT_THAT(All({.from = Position{kEnd}, .direction = Direction::kBackward, .events_max = 1}),
              ElementsAre("3:room-b@0=cc"));
  EXPECT_THAT(All({.from = Position{1}, .direction = Direction::kBackward}), IsEmpty());
}

TEST_P(EventStoreContract, AVisitOfTheLogEndsBeforeTheEventThatIsRefused) {
  for (int i = 0; i < 5; ++i) Write(AppendOf("room-a", {"p"}));
  for (const Direction direction : {Direction::kForward, Direction::kBackward}) {
    const bool forward = direction == Direction::kForward;
    std::vector<std::int64_t> taken;
    const auto visit = [&](std::size_t count) {
      taken.clear();
      return log_.store().VisitAll({.from = Position{forward ? 1 : 6}, .direction = direction},
                                   [&](const EventView& event) {
                                     if (taken.size() == count) return false;
                                     taken.push_back(event.position.value);
                                     return true;
                                   });
    };
    EXPECT_EQ(visit(2).value(), Position{forward ? 3 : 4});
    EXPECT_EQ(taken,
              forward ? std::vector<std::int64_t>({2, 3}) : std::vector<std::int64_t>({5, 4}));
    EXPECT_EQ(visit(0).value(), Position{forward ? 1 : 6}) << "nothing was taken";
    EXPECT_EQ(visit(9).value(), Position{forward ? 5 : 1});
  }
}

TEST_P(EventStoreContract, ACategoryIsReadBothWays) {
  Write(AppendOf("room-a", {"1"}));
  Write(AppendOf("rooms-a", {"2"}));
  Write(AppendOf("room-b", {"3"}));
  EXPECT_THAT(All({.from = kBeforeFirst, .filter = {.categories = {"room"}}}),
              ElementsAre("1:room-a@0=1", "3:room-b@0=3"));
  EXPECT_THAT(All({.from = Position{1}, .filter = {.categories = {"room"}}}),
              ElementsAre("3:room-b@0=3"));
  EXPECT_THAT(All({.from = Position{kEnd},
                   .direction = Direction::kBackward,
                   .events_max = 1,
                   .filter = {.categories = {"room"}}}),
              ElementsAre("3:room-b@0=3"));
  EXPECT_THAT(All({.from = kBeforeFirst, .filter = {.categories = {"desk"}}}), IsEmpty());
}

// An append of one event with a type and tags.
AppendRequest Tagged(std::string_view stream, std::string type, std::vector<Tag> tags) {
  AppendRequest request = AppendOf(std::string(stream), {type});
  request.streams[0].events[0].type = std::move(type);
  request.streams[0].events[0].tags = std::move(tags);
  return request;
}

AppendRequest Unless(AppendRequest request, std::vector<QueryItem> items, std::int64_t after) {
  request.condition = AppendCondition{std::move(items), Position{after}};
  return request;
}

TEST_P(EventStoreContract, EachPartOfAFilterSelects) {
  core::v1::EventMetadata metadata;
  metadata.set_correlation_id("order-7");
  Write(Tagged("room-a", "Made", {{"k", "1"}}));
  Write(Tagged("room-ab", "Made", {{"k", "1"}, {"k", "2"}}));
  Write(Tagged("desk-a", "Moved", {{"j", "1"}}));
  AppendRequest correlated = Tagged("room-a", "Moved", {});
  correlated.metadata = metadata.SerializeAsString();
  Write(std::move(correlated));
  const auto positions = [&](EventFilter filter) {
    std::vector<std::int64_t> found;
    const auto read = store().ReadAll({.from = kBeforeFirst, .filter = std::move(filter)});
    EXPECT_TRUE(read.ok()) << read.status();
    for (const RecordedEvent& event : read->events) found.push_back(event.position.value);
    return found;
  };
  EXPECT_THAT(positions({}), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(positions({.categories = {"desk", "cat"}}), ElementsAre(3));
  EXPECT_THAT(positions({.stream_prefix = "room-a"}), ElementsAre(1, 2, 4));
  EXPECT_THAT(positions({.stream_prefix = "room-ab"}), ElementsAre(2));
  EXPECT_THAT(positions({.correlation_id = "order-7"}), ElementsAre(4));
  EXPECT_THAT(positions({.items = {{.types = {"Made", "Else"}}}}), ElementsAre(1, 2));
  EXPECT_THAT(positions({.items = {{.tags = {{"k", "1"}}}}}), ElementsAre(1, 2));
  EXPECT_THAT(positions({.items = {{.tags = {{"k", "1"}, {"k", "2"}}}}}), ElementsAre(2));
  EXPECT_THAT(positions({.items = {{.tags = {{"k", "2"}}}, {.types = {"Moved"}}}}),
              ElementsAre(2, 3, 4));
  EXPECT_THAT(positions({.items = {{.types = {"Moved"}, .tags = {{"k", "1"}}}}}), IsEmpty());
  EXPECT_THAT(positions({.categories = {"room"}, .items = {{.types = {"Moved"}}}}), ElementsAre(4));
}

TEST_P(EventStoreContract, AFilterOfOneStreamLeavesOutThoseWhoseNamesGoOn) {
  Write(AppendOf("room-a", {"1"}));
  Write(AppendOf("room-a2", {"2"}));
  Write(AppendOf("room-a", {"3"}));
  EXPECT_THAT(All({.from = kBeforeFirst, .filter = {.stream = "room-a"}}),
              ElementsAre("1:room-a@0=1", "3:room-a@1=3"));
}

TEST_P(EventStoreContract, AFilteredReadTellsHowFarItHasLooked) {
  Write(AppendOf("room-a", {"1", "2"}));
  Write(AppendOf("desk-a", {"3"}));
  Write(AppendOf("room-a", {"4"}));
  const auto through = [&](ReadAllOptions options) { return store().ReadAll(options)->through; };
  const EventFilter desks{.categories = {"desk"}};
  EXPECT_EQ(through({.from = kBeforeFirst, .filter = desks}), Position{4});
  EXPECT_EQ(through({.from = Position{4}, .filter = desks}), Position{4});
  EXPECT_EQ(through({.from = kBeforeFirst, .events_max = 1, .filter = {.categories = {"room"}}}),
            Position{1});
  EXPECT_EQ(through({.from = Position{kEnd}, .direction = Direction::kBackward, .filter = desks}),
            Position{1});
}

TEST_P(EventStoreContract, AFilteredReadOfALongLogEndsAndGoesOn) {
  for (std::size_t i = 0; i < 2 * kScanEventsMax / kAppendEventsMax; ++i)
    Write(AppendOf("room-a", std::vector<std::string>(kAppendEventsMax, "x")));
  Write(AppendOf("desk-a", {"found"}));
  Position from = kBeforeFirst;
  int reads = 0;
  std::vector<std::string> found;
  while (true) {
    const auto read = store().ReadAll({.from = from, .filter = {.categories = {"desk"}}});
    ASSERT_TRUE(read.ok()) << read.status();
    ++reads;
    for (const RecordedEvent& event : read->events) found.push_back(event.payload);
    if (read->through == from) break;
    from = read->through;
  }
  EXPECT_THAT(found, ElementsAre("found"));
  EXPECT_EQ(from, store().GetHead().position);
  EXPECT_LE(reads, 4);
}

TEST_P(EventStoreContract, AConditionFailsOnAnEventThatFitsAfterItsPosition) {
  Write(Tagged("room-a", "Booked", {{"room", "oak"}}));
  const std::vector<QueryItem> bookings = {{.types = {"Booked"}, .tags = {{"room", "oak"}}}};
  const absl::Status status =
      Append(Unless(Tagged("room-b", "Booked", {{"room", "oak"}}), bookings, 0)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(ReasonOf(status), "CONDITION_FAILED");
  EXPECT_EQ(MetadataOf(status, "position"), "1");
  EXPECT_EQ(MetadataOf(status, "after"), "0");
  Write(Unless(Tagged("room-b", "Booked", {{"room", "oak"}}), bookings, 1));
  EXPECT_FALSE(Append(Unless(Tagged("room-c", "Booked", {{"room", "oak"}}), bookings, 1)).ok());
  Write(Unless(Tagged("room-c", "Booked", {{"room", "elm"}}),
               {{.types = {"Booked"}, .tags = {{"room", "elm"}}}}, 0));
  Write(Unless(Tagged("room-c", "Booked", {}), {{.types = {"Cancelled"}}}, 0));
}

TEST_P(EventStoreContract, AConditionSeesTheAppendsOfItsGroup) {
  const std::vector<QueryItem> bookings = {{.tags = {{"room", "oak"}}}};
  const auto receipts =
      log_.AppendTogether({Unless(Tagged("room-a", "Booked", {{"room", "oak"}}), bookings, 0),
                           Unless(Tagged("room-b", "Booked", {{"room", "oak"}}), bookings, 0),
                           Unless(Tagged("room-c", "Booked", {{"room", "oak"}}), bookings, 1)});
  EXPECT_TRUE(receipts[0].ok());
  EXPECT_EQ(ReasonOf(receipts[1].status()), "CONDITION_FAILED");
  EXPECT_TRUE(receipts[2].ok());
}

TEST_P(EventStoreContract, AConditionAfterAPositionThatIsNotThereIsRefused) {
  const std::vector<QueryItem> bookings = {{.types = {"Booked"}}};
  Write(Tagged("room-a", "Opened", {}));
  const auto receipts =
      log_.AppendTogether({Unless(Tagged("room-b", "Opened", {}), bookings, 2),
                           Unless(Tagged("room-b", "Opened", {}), bookings, 1),
                           Unless(Tagged("room-c", "Opened", {}), bookings, 2),
                           CommandOf(Unless(Tagged("room-d", "Opened", {}), {{}}, 99), "c1")});
  for (const std::size_t refused : {std::size_t{0}, std::size_t{3}}) {
    const absl::Status status = receipts[refused].status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(ReasonOf(status), "INVALID_FIELDS");
  }
  EXPECT_THAT(
      std::string(receipts[0].status().message()),
      HasSubstr("condition.after_position: is 2, beyond the log's last event at 1: pass the "
                "position up to which you have read"));
  EXPECT_TRUE(receipts[1].ok()) << receipts[1].status();
  EXPECT_TRUE(receipts[2].ok()) << receipts[2].status();
  EXPECT_EQ(log_.store().GetHead().position, Position{3});
  EXPECT_EQ(log_.store().FindCommand("c1").value(), std::nullopt);
}

TEST_P(EventStoreContract, AMalformedConditionIsRefused) {
  for (const AppendRequest& request :
       {Unless(Tagged("room-a", "Booked", {}), {{}}, -1),
        Unless(Tagged("room-a", "Booked", {}), {}, 0),
        Unless(Tagged("room-a", "Booked", {}), {{.tags = {{"", "oak"}}}}, 0)}) {
    const absl::Status status = log_.Append(request).status();
    EXPECT_EQ(ReasonOf(status), "INVALID_FIELDS") << status;
    EXPECT_THAT(
        MetadataOf(status, "fields"),
        ::testing::AnyOf("condition.after_position", "condition.fail_if_events_match", "tags.key"));
  }
  EXPECT_EQ(log_.store().GetHead().position, kBeforeFirst);
}

TEST_P(EventStoreContract, AFailedConditionIsToldTogetherWithFailedChecks) {
  Write(Tagged("room-a", "Booked", {{"room", "oak"}}));
  AppendRequest request = Unless(Tagged("room-a", "Booked", {}), {{.tags = {{"room", "oak"}}}}, 0);
  request.streams[0].check = NoStream{};
  const absl::Status status = Append(std::move(request)).status();
  EXPECT_EQ(ReasonOf(status), "VERSION_CONFLICT");
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("room-a is at version 0, expected -1"),
                    HasSubstr("the event at position 1, after 0, fits the condition")));
}

TEST_P(EventStoreContract, AReceiptNamesTheVersionOfEachStream) {
  Write(AppendOf("desk-b", {"0"}));
  const auto receipt = Append(TwoStreams(Any{}, Any{}));
  ASSERT_TRUE(receipt.ok()) << receipt.status();
  EXPECT_THAT(receipt->versions, ElementsAre(Version{1}, Version{1}));
}

TEST_P(EventStoreContract, StreamsAreListedInTheOrderOfTheirNames) {
  Write(AppendOf("room-b", {"1"}));
  Write(AppendOf("room-a", {"1", "2"}));
  Write(AppendOf("roomy-a", {"1"}));
  Write(AppendOf("desk-a", {"1"}));
  const auto names = [&](ListStreamsOptions options) {
    std::vector<std::string> found;
    const auto streams = store().ListStreams(options);
    EXPECT_TRUE(streams.ok()) << streams.status();
    for (const StreamInfo& info : *streams)
      found.push_back(fmt::format("{}@{}", info.stream, info.version.value));
    return found;
  };
  EXPECT_THAT(names({}), ElementsAre("desk-a@0", "room-a@1", "room-b@0", "roomy-a@0"));
  EXPECT_THAT(names({.category = "room"}), ElementsAre("room-a@1", "room-b@0"));
  EXPECT_THAT(names({.category = "room", .after = "room-a"}), ElementsAre("room-b@0"));
  EXPECT_THAT(names({.after = "desk-a", .streams_max = 2}), ElementsAre("room-a@1", "room-b@0"));
  EXPECT_THAT(names({.category = "none"}), IsEmpty());
}

TEST_P(EventStoreContract, APositionIsFoundByTime) {
  const absl::Time start = log_.clock().Now();
  EXPECT_EQ(store().PositionBefore(start).value(), kBeforeFirst);
  Write(AppendOf("room-a", {"1", "2"}));
  log_.clock().Advance(absl::Seconds(10));
  Write(AppendOf("room-a", {"3"}));
  EXPECT_EQ(store().PositionBefore(start).value(), kBeforeFirst);
  EXPECT_EQ(store().PositionBefore(start + absl::Seconds(1)).value(), Position{2});
  EXPECT_EQ(store().PositionBefore(start + absl::Seconds(10)).value(), Position{2});
  EXPECT_EQ(store().PositionBefore(start + absl::Seconds(11)).value(), Position{3});
}

TEST_P(EventStoreContract, EachEventNamesTheOneBeforeItInItsCategory) {
  Write(AppendOf("room-a", {"1", "2"}));
  Write(AppendOf("desk-a", {"3"}));
  Write(AppendOf("room-b", {"4"}));
  Write(AppendOf("desk-a", {"5"}));
  std::vector<std::int64_t> previous;
  for (const RecordedEvent& event : log_.All()) previous.push_back(event.category_previous.value);
  EXPECT_THAT(previous, ElementsAre(0, 1, 0, 2, 3));
}

TEST_P(EventStoreContract, LeavesAndChainAreWhatTheirDefinitionsSay) {
  AppendRequest request = TwoStreams(Any{}, Any{});
  request.metadata = "meta";
  request.streams[0].events[0].tags = {{"k", "v"}};
  Write(std::move(request));
  Write(AppendOf("room-a", {"4"}));
  Digest chain = FirstChain(store().StoreId());
  for (const RecordedEvent& event : log_.All()) {
    EXPECT_EQ(event.leaf, LeafOf(event.event_id, event.encoding, event.type, event.payload,
                                 event.metadata, EncodeTags(event.tags)));
    chain = ChainOf(chain, event);
    EXPECT_EQ(event.chain, chain);
  }
  EXPECT_EQ(store().GetHead().chain, chain);
  EXPECT_TRUE(VerifyLog(store(), [](auto, auto) {}).ok());
}

TEST_P(EventStoreContract, RecordedTimesNeverDecreaseWhenTheClockGoesBack) {
  const absl::Time start = log_.clock().Now();
  Write(AppendOf("room-a", {"1"}));
  log_.clock().Advance(-absl::Hours(1));
  Write(AppendOf("room-a", {"2"}));
  log_.clock().Advance(absl::Hours(2));
  Write(AppendOf("room-a", {"3"}));
  std::vector<absl::Time> times;
  for (const RecordedEvent& event : log_.All()) times.push_back(event.recorded_at);
  EXPECT_THAT(times, ElementsAre(start, start, start + absl::Hours(1)));
}

TEST_P(EventStoreContract, NothingIsCalledInsideAppendOrWaitPast) {
  int called = 0;
  store().Append(AppendOf("room-a", {"1"}), [&](const auto&) { ++called; });
  store().Append(AppendOf("no stream name", {"1"}), [&](const auto&) { ++called; });
  EXPECT_EQ(called, 0);
  log_.scheduler().RunUntilIdle();
  EXPECT_EQ(called, 2);
  store().WaitPast(kBeforeFirst, [&] { ++called; });
  EXPECT_EQ(called, 2);
  log_.scheduler().RunUntilIdle();
  EXPECT_EQ(called, 3);
}

TEST_P(EventStoreContract, AnAppendMayBeMadeFromAnAnswer) {
  bool second = false;
  store().Append(AppendOf("room-a", {"1"}), [&](const auto&) {
    store().Append(AppendOf("room-a", {"2"}),
                   [&](const absl::StatusOr<Receipt>& receipt) { second = receipt.ok(); });
  });
  log_.scheduler().RunUntilIdle();
  EXPECT_TRUE(second);
}

TEST_P(EventStoreContract, NothingIsReadBeforeItIsCommitted) {
  store().Append(AppendOf("room-a", {"1"}), [](const auto&) {});
  EXPECT_EQ(store().GetHead().position, kBeforeFirst);
  EXPECT_THAT(All({}), IsEmpty());
  log_.scheduler().RunUntilIdle();
  EXPECT_THAT(All({}), ElementsAre("1:room-a@0=1"));
}

TEST_P(EventStoreContract, WhatIsAnsweredCanBeRead) {
  bool read = false;
  store().Append(AppendOf("room-a", {"1"}), [&](const absl::StatusOr<Receipt>& receipt) {
    read = receipt.ok() && store().GetHead().position == receipt->position &&
           store().ReadStream("room-a", {})->size() == 1;
  });
  log_.scheduler().RunUntilIdle();
  EXPECT_TRUE(read);
}

TEST_P(EventStoreContract, WaitPastWakesAtOnceWhenTheHeadIsBeyond) {
  Write(AppendOf("room-a", {"1"}));
  bool woken = false;
  store().WaitPast(kBeforeFirst, [&] { woken = true; });
  log_.scheduler().RunUntilIdle();
  EXPECT_TRUE(woken);
}

TEST_P(EventStoreContract, WaitPastWakesOnceWhenTheHeadGetsBeyond) {
  Write(AppendOf("room-a", {"1"}));
  int at_one = 0;
  int at_three = 0;
  store().WaitPast(Position{1}, [&] { ++at_one; });
  store().WaitPast(Position{3}, [&] { ++at_three; });
  log_.scheduler().RunUntilIdle();
  EXPECT_EQ(at_one, 0);
  Write(AppendOf("room-a", {"2", "3"}));
  EXPECT_EQ(at_one, 1);
  EXPECT_EQ(at_three, 0);
  Write(AppendOf("room-a", {"4"}));
  EXPECT_EQ(at_one, 1);
  EXPECT_EQ(at_three, 1);
}

TEST_P(EventStoreContract, WhatIsTooLargeIsRefusedWithLimitMaximumAndActual) {
  struct Case {
    AppendRequest request;
    std::string limit;
    std::size_t maximum;
    std::size_t actual;
  };
  std::vector<Case> cases;
  cases.push_back({AppendOf("room-a", {std::string(kEventBytesMax + 1, 'x')}), "event bytes",
                   kEventBytesMax, kEventBytesMax + 1});
  cases.push_back(
      {AppendOf("room-a", {"x"}), "metadata bytes", kMetadataBytesMax, kMetadataBytesMax + 1});
  cases.back().request.metadata.assign(kMetadataBytesMax + 1, 'x');
  cases.push_back({AppendOf("room-a", std::vector<std::string>(kAppendEventsMax + 1, "x")),
                   "events of an append", kAppendEventsMax, kAppendEventsMax + 1});
  cases.push_back(
      {AppendRequest{}, "streams of an append", kAppendStreamsMax, kAppendStreamsMax + 1});
  for (std::size_t i = 0; i <= kAppendStreamsMax; ++i) {
    const std::string name = "room-" + std::to_string(i);
    cases.back().request.streams.push_back(AppendOf(name, {"x"}).streams.front());
  }
  const std::size_t many = (kAppendBytesMax >> 20) + 1;
  cases.push_back({AppendOf("room-a", std::vector<std::string>(many, std::string(1 << 20, 'x'))),
                   "bytes of an append", kAppendBytesMax, many << 20});
  for (Case& c : cases) {
    const absl::Status status = Append(std::move(c.request)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.limit;
    EXPECT_EQ(ReasonOf(status), "LIMIT_EXCEEDED") << c.limit;
    EXPECT_EQ(MetadataOf(status, "limit"), c.limit);
    EXPECT_EQ(MetadataOf(status, "maximum"), std::to_string(c.maximum));
    EXPECT_EQ(MetadataOf(status, "actual"), std::to_string(c.actual));
  }
  EXPECT_EQ(store().GetHead().position, kBeforeFirst);
}

TEST_P(EventStoreContract, EventsStandInTheOrderThatTheAppendGives) {
  AppendRequest request = AppendOf("room-a", {"a0", "a1", "a2"});
  request.streams.push_back(AppendOf("desk-b", {"b0"}).streams.front());
  request.streams.push_back(AppendOf("room-c", {"c0", "c1"}).streams.front());
  request.order = {2, 0, 1, 0, 2, 0};
  const auto receipt = Append(request);
  ASSERT_TRUE(receipt.ok()) << receipt.status();
  EXPECT_THAT(All({}), ElementsAre("1:room-c@0=c0", "2:room-a@0=a0", "3:desk-b@0=b0",
                                   "4:room-a@1=a1", "5:room-c@1=c1", "6:room-a@2=a2"));
  EXPECT_THAT(receipt->versions, ElementsAre(Version{2}, Version{0}, Version{1}));
  EXPECT_TRUE(VerifyLog(store(), [](auto, auto) {}).ok());
}

TEST_P(EventStoreContract, AnOrderThatDoesNotFitTheEventsIsRefused) {
  using Order = std::vector<std::uint32_t>;
  for (const Order& order : {Order{0}, Order{0, 0}, Order{0, 1, 1}, Order{0, 2}, Order{1, 0, 1}}) {
    AppendRequest request = AppendOf("room-a", {"a0"});
    request.streams.push_back(AppendOf("desk-b", {"b0"}).streams.front());
    request.order = order;
    EXPECT_EQ(ReasonOf(Append(std::move(request)).status()), "INVALID_FIELDS");
  }
  EXPECT_EQ(store().GetHead().position, kBeforeFirst);
}

TEST_P(EventStoreContract, WhatIsJustWithinTheLimitsIsStored) {
  Write(AppendOf("room-a", {std::string(kEventBytesMax, 'x')}));
  Write(AppendOf("room-a", std::vector<std::string>(kAppendEventsMax, "x")));
  Write(CommandOf(AppendOf("room-" + std::string(128, 'a'), {"x"}),
                  std::string(kCommandIdBytesMax, 'c')));
}

TEST_P(EventStoreContract, MalformedAppendsAreRefused) {
  const auto reason = [&](AppendRequest request) {
    return ReasonOf(Append(std::move(request)).status());
  };
  for (const std::string name :
       {"", "room", "-a", "room-", "Room-a", "room-a b", "1room-a", "room-\xc3\xbc"}) {
    EXPECT_EQ(reason(AppendOf(name, {"x"})), "INVALID_FIELDS") << name;
  }
  EXPECT_EQ(reason(AppendOf("room-" + std::string(129, 'a'), {"x"})), "INVALID_FIELDS");
  EXPECT_EQ(reason(AppendRequest{}), "INVALID_FIELDS");
  EXPECT_EQ(reason(AppendOf("room-a", {})), "INVALID_FIELDS");
  EXPECT_EQ(reason(Unless(AppendOf("room-a", {"x"}), {}, 0)), "INVALID_FIELDS");
  EXPECT_EQ(reason(Unless(AppendOf("room-a", {"x"}), {{.types = {"T"}}}, -1)), "INVALID_FIELDS");
  EXPECT_EQ(reason(CommandOf(AppendOf("room-a", {"x"}), "")), "INVALID_FIELDS");
  EXPECT_EQ(reason(CommandOf(AppendOf("room-a", {"x"}), std::string(129, 'c'))), "INVALID_FIELDS");
  AppendRequest twice = AppendOf("room-a", {"x"});
  twice.streams.push_back(twice.streams.front());
  EXPECT_EQ(reason(std::move(twice)), "INVALID_FIELDS");
  AppendRequest typeless = AppendOf("room-a", {"x"});
  typeless.streams[0].events[0].type.clear();
  EXPECT_EQ(reason(std::move(typeless)), "INVALID_FIELDS");
  EXPECT_EQ(store().GetHead().position, kBeforeFirst);
}

}  // namespace
}  // namespace leftfold
