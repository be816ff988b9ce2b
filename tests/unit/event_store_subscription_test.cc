// The subscription loop on the virtual scheduler: what a subscriber is told, and the hand-over from
// catch-up to live under writes, pauses and lost notifications.
#include <gmock/gmock.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/reject.h"
#include "event_store/continuity.h"
#include "event_store/feed.h"
#include "event_store/readers.h"
#include "testing/environment.h"
#include "testing/event_store_contract.h"
#include "testing/forwarding_store.h"

namespace leftfold {
namespace {

using store::v1::SubscribeRequest;
using store::v1::SubscribeResponse;
using testing::AppendOf;
using ::testing::ElementsAre;
using testing::ForwardingStore;
using testing::StoreOnScheduler;

// A client: keeps what it is sent, and says that a write is through when the test wants it.
class FeedClient final : public FeedSink {
 public:
  void Write(std::string message) override {
    ASSERT_FALSE(outstanding_) << "a second write while one is outstanding";
    ASSERT_FALSE(finished) << "a write after the end";
    outstanding_ = true;
    largest = std::max(largest, message.size());
    ASSERT_TRUE(messages.emplace_back().ParseFromString(message));
    if (!paused) Acknowledge();
  }
  void Finish(const absl::Status& status) override {
    ASSERT_FALSE(outstanding_);
    ASSERT_FALSE(finished) << "finished twice";
    finished = status;
  }
  void Acknowledge(bool ok = true) {
    if (!std::exchange(outstanding_, false)) return;
    feed->OnWritten(ok);
  }

  std::vector<std::int64_t> Positions() const {
    std::vector<std::int64_t> positions;
    for (const SubscribeResponse& message : messages) {
      for (const auto& event : message.events().events()) positions.push_back(event.position());
    }
    return positions;
  }
  // "started 0", "events 1-3", "caught_up 3" …
  std::vector<std::string> Told() const {
    std::vector<std::string> told;
    for (const SubscribeResponse& m : messages) {
      if (m.has_started()) told.push_back(fmt::format("started {}", m.started().position()));
      if (m.has_events())
        told.push_back(
            fmt::format("events {}-{}", m.events().events(0).position(), m.events().position()));
      if (m.has_caught_up()) told.push_back(fmt::format("caught_up {}", m.caught_up().position()));
      if (m.has_fell_behind())
        told.push_back(fmt::format("fell_behind {}", m.fell_behind().position()));
      if (m.has_checkpoint())
        told.push_back(fmt::format("checkpoint {}", m.checkpoint().position()));
      if (m.has_heartbeat()) told.push_back(fmt::format("heartbeat {}", m.heartbeat().position()));
    }
    return told;
  }

  bool paused = false;
  std::shared_ptr<Feed> feed;
  std::vector<SubscribeResponse> messages;
  std::optional<absl::Status> finished;
  std::size_t largest = 0;

 private:
  bool outstanding_ = false;
};

// Loses notifications with a probability.
class LosingStore final : public ForwardingStore {
 public:
  LosingStore(EventStore& store, std::uint64_t seed) : ForwardingStore(store), random_(seed) {}
  void WaitPast(Position position, std::function<void()> wake) override {
    if (random_() % 100 < loses_percent) return;
    if (only_notified) listens_from_ = GetHead().position;
    ForwardingStore::WaitPast(std::max(position, listens_from_), std::move(wake));
  }
  absl::StatusOr<ReadAllResult> ReadAll(const ReadAllOptions& options) override {
    if (++reads > fails_after) return absl::DataLossError("damaged");
    ReadAllOptions live = options;
    live.from = std::max(live.from, listens_from_);
    return ForwardingStore::ReadAll(live);
  }
  absl::StatusOr<Position> PositionBefore(absl::Time time) override {
    const auto position = ForwardingStore::PositionBefore(time);
    if (!position.ok()) return position;
    return Position{position->value + unpublished};
  }
  std::uint64_t loses_percent = 0;
  bool only_notified = false;  // Who has listened once gets what has come since, and nothing else.
  std::int64_t unpublished = 0;  // Events that are committed and not shown by GetHead yet.
  int reads = 0;
  int fails_after = std::numeric_limits<int>::max();

 private:
  std::mt19937_64 random_;
  Position listens_from_;
};

class SubscriptionTest : public ::testing::Test {
 protected:
  explicit SubscriptionTest(std::uint64_t seed = 1)
      : on_(testing::MemoryStore(), seed), losing_(on_.store(), seed) {}
  ~SubscriptionTest() override { on_.scheduler().DropAll(); }

  std::shared_ptr<FeedClient> Subscribe(const SubscribeRequest& request) {
    auto client = std::make_shared<FeedClient>();
    // The feed is the client's, so it must not own the client.
    auto feed = OpenSubscription(feeds_, request, {std::shared_ptr<void>(), client.get()});
    EXPECT_TRUE(feed.ok()) << feed.status();
    client->feed = *feed;
    clients_.push_back(client);
    (*feed)->Start();
    return client;
  }
  void Append(const std::string& stream, int events) {
    on_.store().Append(
        AppendOf(stream, std::vector<std::string>(static_cast<std::size_t>(events), "x")),
        [](const absl::StatusOr<Receipt>& receipt) { ASSERT_TRUE(receipt.ok()); });
  }
  void Run(absl::Duration duration = absl::Milliseconds(100)) { on_.scheduler().RunFor(duration); }
  void ExpectContinuous(const FeedClient& client, const store::v1::EventFilter& filter = {}) {
    ContinuityChecker checker(filter);
    for (const SubscribeResponse& message : client.messages) {
      const absl::Status status = checker.Check(message);
      ASSERT_TRUE(status.ok()) << status;
    }
  }

  StoreOnScheduler on_;
  LosingStore losing_;
  Feeds feeds_{losing_, on_.scheduler().Pool()};
  std::vector<std::shared_ptr<FeedClient>> clients_;
};

TEST_F(SubscriptionTest, WhatIsThereComesFirstThenWhatIsAppended) {
  Append("room-oak", 3);
  Run();
  const auto client = Subscribe({});
  Run();
  Append("room-elm", 2);
  Run();
  EXPECT_THAT(client->Told(), ElementsAre("started 0", "events 1-3", "caught_up 3", "events 4-5"));
  ExpectContinuous(*client);
}

TEST_F(SubscriptionTest, WithoutEventsOnlyTheEndOfTheLogIsTold) {
  Append("room-oak", 3);
  Run();
  SubscribeRequest request;
  request.mutable_end();
  request.set_without_events(true);
  const auto client = Subscribe(request);
  Run();
  EXPECT_THAT(client->Told(), ElementsAre("started 3", "caught_up 3"));
  Append("room-oak", 2);
  Run();
  client->paused = true;
  Append("room-oak", 1);
  Run();
  for (int i = 0; i < 5; ++i) Append("room-oak", 1'000);
  Run();
  client->paused = false;
  client->Acknowledge();
  Run();
  EXPECT_THAT(client->Told(), ElementsAre("started 3", "caught_up 3", "checkpoint 5",
                                          "checkpoint 6", "checkpoint 5006"));
  EXPECT_EQ(client->messages.back().checkpoint().chain(), AsBytes(on_.store().GetHead().chain));
  request.mutable_filter()->add_categories("room");
  EXPECT_EQ(ReasonOf(OpenSubscription(feeds_, request, nullptr).status()), "INVALID_FIELDS");
}

TEST_F(SubscriptionTest, ItGoesOnAfterAPositionThatTheClientProvesToKnow) {
  Append("room-oak", 5);
  Run();
  const auto events = on_.All();
  SubscribeRequest request;
  request.set_after_position(3);
  request.set_after_chain(std::string(AsBytes(events[2].chain)));
  const auto client = Subscribe(request);
  Run();
  EXPECT_THAT(client->Told(), ElementsAre("started 3", "events 4-5", "caught_up 5"));
  ContinuityChecker checker({});
  checker.ResumeAfter(Position{3}, events[2].chain);
  for (const auto& message : client->messages) EXPECT_TRUE(checker.Check(message).ok());
}

TEST_F(SubscriptionTest, AnotherLogThanTheClientKnewIsNotReadOn) {
  Append("room-oak", 5);
  Run();
  SubscribeRequest beyond;
  beyond.set_after_position(6);
  SubscribeRequest other;
  other.set_after_position(3);
  other.set_after_chain(std::string(32, 'x'));
  for (const auto& request : {beyond, other}) {
    const auto client = Subscribe(request);
    Run();
    ASSERT_TRUE(client->finished.has_value());
    EXPECT_EQ(ReasonOf(*client->finished), "LOG_DIVERGED");
    EXPECT_EQ(client->finished->code(), absl::StatusCode::kDataLoss);
    EXPECT_TRUE(client->messages.empty());
  }
  EXPECT_EQ(feeds_.open(), 0u);
}

TEST_F(SubscriptionTest, FromTheEndOnlyWhatComesIsSent) {
  Append("room-oak", 5);
  Run();
  SubscribeRequest request;
  request.mutable_end();
  const auto client = Subscribe(request);
  Run();
  Append("room-oak", 1);
  Run();
  EXPECT_THAT(client->Told(), ElementsAre("started 5", "caught_up 5", "events 6-6"));
  ExpectContinuous(*client);
}

TEST_F(SubscriptionTest, FromATimeTheFirstEventRecordedThenIsTheFirstSent) {
  Append("room-oak", 2);
  Run();
  on_.clock().Advance(absl::Hours(1));
  SubscribeRequest request;
  const absl::Time now = on_.clock().Now();
  request.mutable_time()->set_seconds(absl::ToUnixSeconds(now));
  Append("room-oak", 2);
  Run();
  const auto client = Subscribe(request);
  Run();
  EXPECT_THAT(client->Told(), ElementsAre("started 2", "events 3-4", "caught_up 4"));
}

TEST_F(SubscriptionTest, FromATimeWhatIsJustBeingCommittedComesLater) {
  Append("room-oak", 2);
  Run();
  losing_.unpublished = 3;
  SubscribeRequest request;
  request.mutable_time()->set_seconds(absl::ToUnixSeconds(on_.clock().Now() + absl::Hours(1)));
  const auto client = Subscribe(request);
  Run();
  Append("room-oak", 1);
  Run();
  EXPECT_THAT(client->Told(), ElementsAre("started 2", "caught_up 2", "events 3-3"));
}

TEST_F(SubscriptionTest, ACategoryIsProvedByItsOwnLinks) {
  for (int i = 0; i < 5; ++i) {
    Append("room-oak", 2);
    Append("order-1", 3);
  }
  Run();
  SubscribeRequest request;
  request.mutable_filter()->add_categories("order");
  const auto client = Subscribe(request);
  Run();
  EXPECT_EQ(client->Positions().size(), 15u);
  ExpectContinuous(*client, request.filter());
}

TEST_F(SubscriptionTest, AStretchThatTheFilterDoesNotWantIsPassedWithCheckpoints) {
  for (int i = 0; i < 25; ++i) Append("room-oak", 1'000);
  Append("order-1", 1);
  Run();
  SubscribeRequest request;
  request.mutable_filter()->add_categories("order");
  const auto client = Subscribe(request);
  Run();
  EXPECT_THAT(client->Told(), ElementsAre("started 0", "checkpoint 10000", "checkpoint 20000",
                                          "events 25001-25001", "caught_up 25001"));
  const auto events = on_.All();
  EXPECT_EQ(client->messages[1].checkpoint().chain(), AsBytes(events[9'999].chain));
  ExpectContinuous(*client, request.filter());
}

TEST_F(SubscriptionTest, AQuietSubscriptionBeatsAndSaysHowFarItIs) {
  Append("room-oak", 1);
  Run();
  SubscribeRequest request;
  request.mutable_filter()->add_categories("order");
  const auto client = Subscribe(request);
  Run();
  Append("room-oak", 4);
  Run(kSubscriptionHeartbeat + absl::Seconds(1));
  EXPECT_THAT(client->Told(), ElementsAre("started 0", "caught_up 1", "heartbeat 5"));
}

TEST_F(SubscriptionTest, ALiveSubscriberThatWasPausedIsToldThatItFellBehind) {
  const auto client = Subscribe({});
  Run();
  client->paused = true;
  Append("room-oak", 1);
  Run();
  for (int i = 0; i < 3; ++i) Append("room-oak", 1'000);
  Run();
  client->paused = false;
  client->Acknowledge();
  Run();
  const auto told = client->Told();
  ASSERT_GE(told.size(), 5u);
  EXPECT_EQ(told[2], "events 1-1");
  EXPECT_EQ(told[3], "fell_behind 1");
  EXPECT_EQ(told.back(), "caught_up 3001");
  EXPECT_EQ(std::count(told.begin(), told.end(), "caught_up 3001"), 1);
  ExpectContinuous(*client);
}

TEST_F(SubscriptionTest, AMessageEndsAtItsBytesAndAtItsEvents) {
  Append("room-oak", 1'000);
  AppendRequest large =
      AppendOf("room-oak", std::vector<std::string>(5, std::string(100'000, 'x')));
  AppendRequest largest = AppendOf("room-oak", {std::string(kEventBytesMax, 'x')});
  core::v1::EventMetadata metadata;
  (*metadata.mutable_headers())["h"] = std::string(kMetadataBytesMax - 100, 'y');
  metadata.SerializeToString(&largest.metadata);
  for (int i = 0; i < 32; ++i) {
    largest.streams[0].events[0].tags.push_back(
        {std::string(126, 'k') + std::to_string(10 + i), std::string(512, 'v')});
  }
  // Small payloads in large metadata: fewer fit than are read.
  AppendRequest heavy = AppendOf("room-oak", std::vector<std::string>(10, "x"));
  heavy.metadata = largest.metadata;
  for (AppendRequest* request : {&large, &largest, &heavy}) {
    on_.store().Append(std::move(*request), [](const auto& receipt) { ASSERT_TRUE(receipt.ok()); });
  }
  Run();
  SubscribeRequest request;
  request.set_raw_metadata(true);
  const auto client = Subscribe(request);
  Run();
  EXPECT_EQ(client->Positions().size(), 1'016u);
  for (const auto& message : client->messages) {
    EXPECT_LE(message.events().events_size(), static_cast<int>(kReaderMessageEvents));
    if (message.events().events_size() > 1) {
      EXPECT_LE(message.ByteSizeLong(), kReaderMessageBytes + 64);
    }
  }
  EXPECT_LE(client->largest, kReaderBytesMax);
  ExpectContinuous(*client);
}

TEST_F(SubscriptionTest, WhileAMessageIsOnItsWayTheNextOneIsReadAndNoMore) {
  for (int i = 0; i < 5; ++i) Append("room-oak", 1'000);
  Run();
  const auto client = Subscribe({});
  client->paused = true;
  Run(absl::Seconds(1));
  EXPECT_EQ(client->messages.size(), 1u);
  EXPECT_EQ(losing_.reads, 1);
  client->Acknowledge();
  Run(absl::Seconds(1));
  EXPECT_EQ(client->messages.size(), 2u);
  EXPECT_EQ(losing_.reads, 2);
  client->paused = false;
  client->Acknowledge();
  Run();
  EXPECT_EQ(client->Positions().size(), 5'000u);
  ExpectContinuous(*client);
}

TEST_F(SubscriptionTest, BehindALargeMessageNothingIsReadAhead) {
  const std::string large(2 * kReaderMessageBytes, 'x');
  on_.store().Append(AppendOf("room-oak", {large, large, large}),
                     [](const auto& receipt) { ASSERT_TRUE(receipt.ok()); });
  Run();
  const auto client = Subscribe({});
  client->paused = true;
  Run();
  EXPECT_EQ(losing_.reads, 1) << "behind `started`, which is small";
  client->Acknowledge();
  Run(absl::Seconds(1));
  EXPECT_THAT(client->Told(), ElementsAre("started 0", "events 1-1"));
  EXPECT_EQ(losing_.reads, 1);
  client->paused = false;
  client->Acknowledge();
  Run();
  EXPECT_THAT(client->Positions(), ElementsAre(1, 2, 3));
}

TEST_F(SubscriptionTest, WhatWasReadAheadIsDroppedAtTheEnd) {
  for (int i = 0; i < 3; ++i) Append("room-oak", 1'000);
  Run();
  const auto client = Subscribe({});
  client->paused = true;
  Run();
  client->feed->Cancel();
  Run();
  EXPECT_FALSE(client->finished.has_value()) << "its write is outstanding";
  client->Acknowledge();
  Run();
  ASSERT_TRUE(client->finished.has_value());
  EXPECT_THAT(client->Told(), ElementsAre("started 0"));
  EXPECT_EQ(feeds_.open(), 0u);
}

TEST_F(SubscriptionTest, ADefectThatIsReadAheadIsToldAfterTheMessageBeforeIt) {
  for (int i = 0; i < 3; ++i) Append("room-oak", 1'000);
  Run();
  const auto client = Subscribe({});
  client->paused = true;
  losing_.fails_after = 1;
  Run();
  client->Acknowledge();
  Run();
  EXPECT_FALSE(client->finished.has_value()) << "its write is outstanding";
  client->Acknowledge();
  Run();
  ASSERT_TRUE(client->finished.has_value());
  EXPECT_TRUE(absl::IsDataLoss(*client->finished));
  EXPECT_EQ(client->messages.size(), 2u);
  EXPECT_EQ(feeds_.open(), 0u);
}

TEST_F(SubscriptionTest, ACancelledOneEndsAfterItsWriteAndIsForgotten) {
  const auto client = Subscribe({});
  client->paused = true;
  Run();
  client->feed->Cancel();
  Run();
  EXPECT_FALSE(client->finished.has_value());
  client->Acknowledge();
  Run();
  ASSERT_TRUE(client->finished.has_value());
  EXPECT_TRUE(absl::IsCancelled(*client->finished));
  EXPECT_EQ(feeds_.open(), 0u);
  client->feed->Cancel();
  client->feed->OnWritten(true);
  Run();
}

TEST_F(SubscriptionTest, StoppingEndsThemAllAndRefusesMore) {
  const auto client = Subscribe({});
  Run();
  feeds_.Stop();
  Run();
  ASSERT_TRUE(client->finished.has_value());
  EXPECT_EQ(ReasonOf(*client->finished), "STOPPING");
  const auto refused = OpenSubscription(feeds_, {}, std::make_shared<FeedClient>());
  EXPECT_EQ(ReasonOf(refused.status()), "STOPPING");
}

TEST_F(SubscriptionTest, MoreThanTheServerAllowsAreRefusedWithADelay) {
  std::vector<std::shared_ptr<Feed>> feeds;
  for (std::size_t i = 0; i < kReadersMax; ++i) {
    auto feed = OpenSubscription(feeds_, {}, std::make_shared<FeedClient>());
    ASSERT_TRUE(feed.ok());
    feeds.push_back(*std::move(feed));
  }
  const auto refused = OpenSubscription(feeds_, {}, std::make_shared<FeedClient>());
  EXPECT_EQ(ReasonOf(refused.status()), "TOO_MANY_READERS");
  EXPECT_TRUE(refused.status().GetPayload(ToAbsl(kRetryInfoUrl)).has_value());
}

TEST_F(SubscriptionTest, ALostWakeUpOnlyDelays) {
  losing_.loses_percent = 100;
  const auto client = Subscribe({});
  Run();
  Append("room-oak", 1);
  Run(kReaderPollInterval);
  EXPECT_THAT(client->Told(), ElementsAre("started 0", "caught_up 0", "events 1-1"));
}

TEST_F(SubscriptionTest, FeedsThatComeAndGoOnAQuietLogLeaveNoCallsBehind) {
  class CountingStore final : public ForwardingStore {
   public:
    using ForwardingStore::ForwardingStore;
    void WaitPast(Position position, std::function<void()> wake) override {
      ++calls;
      ForwardingStore::WaitPast(position, std::move(wake));
    }
    int calls = 0;
  } counting(on_.store());
  Feeds feeds(counting, on_.scheduler().Pool());
  for (int i = 0; i < 100; ++i) {
    auto client = std::make_shared<FeedClient>();
    client->feed = *OpenSubscription(feeds, {}, client);
    client->feed->Start();
    Run(absl::Seconds(1));
    client->feed->Cancel();
    Run(absl::Seconds(1));
    client->feed.reset();
  }
  EXPECT_EQ(counting.calls, 1);
  on_.scheduler().DropAll();
}

// One run of one session with its seed: writes, pauses, cancels and reconnects, lost notifications,
// in an order that the seed decides. What was delivered over all connections is 1, 2, 3 … to the
// head.
class HandOver : public SubscriptionTest {
 protected:
  explicit HandOver(std::uint64_t seed) : SubscriptionTest(seed), random_(seed) {}
  void TestBody() override {}

 public:
  static void RunOne(std::uint64_t seed, std::uint64_t loses_percent, bool only_notified = false) {
    SCOPED_TRACE(fmt::format("LEFTFOLD_SEED={}", seed));
    HandOver session(seed);
    session.losing_.loses_percent = loses_percent;
    session.losing_.only_notified = only_notified;
    session.Go();
  }

 private:
  int Below(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }

  void Connect() {
    SubscribeRequest request;
    *request.mutable_filter() = filter_;
    request.set_after_position(checker_->position().value);
    client_ = Subscribe(request);
    taken_ = 0;
  }
  // Whatever has been sent counts as delivered and is checked.
  void TakeDelivered() {
    for (; taken_ < client_->messages.size(); ++taken_) {
      const SubscribeResponse& message = client_->messages[taken_];
      const absl::Status status = checker_->Check(message);
      ASSERT_TRUE(status.ok()) << status;
      for (const auto& event : message.events().events()) delivered_.push_back(event.position());
      if (checker_->chain() && filter_.categories().empty())
        checker_->ResumeAfter(checker_->position(), *checker_->chain());
    }
  }
  void Reconnect() {
    client_->feed->Cancel();
    client_->Acknowledge(Below(2) == 0);
    TakeDelivered();
    Connect();
  }

  void Go() {
    if (Below(3) == 0) filter_.add_categories("room");
    checker_.emplace(filter_);
    Append("room-oak", 1 + Below(700));
    for (int i = Below(200); i > 0; --i) on_.scheduler().RunOne();
    Connect();
    for (int step = 0; step < 60; ++step) {
      const int what = Below(100);
      if (what < 45) {
        Append(Below(2) == 0 ? "room-oak" : "order-1", 1 + Below(what < 3 ? 1'000 : 20));
      } else if (what < 55) {
        client_->paused = !client_->paused;
      } else if (what < 65) {
        client_->Acknowledge();
      } else if (what < 70) {
        Reconnect();
      } else if (what < 90) {
        for (int i = Below(30); i > 0; --i) on_.scheduler().RunOne();
      } else {
        Run(absl::Milliseconds(Below(800)));
      }
      TakeDelivered();
      if (::testing::Test::HasFatalFailure()) return;
    }
    client_->paused = false;
    client_->Acknowledge();
    Run(absl::Seconds(3));
    TakeDelivered();
    std::vector<std::int64_t> expected;
    for (const RecordedEvent& event : on_.All()) {
      if (filter_.categories().empty() || CategoryOf(event.stream) == "room")
        expected.push_back(event.position.value);
    }
    EXPECT_EQ(delivered_, expected);
  }

  std::mt19937_64 random_;
  store::v1::EventFilter filter_;
  std::optional<ContinuityChecker> checker_;
  std::shared_ptr<FeedClient> client_;
  std::size_t taken_ = 0;
  std::vector<std::int64_t> delivered_;
};

TEST(SubscriptionHandOver, SessionsHaveNoGapAndNoRepeatWhateverIsLost) {
  const std::uint64_t seed = testing::SeedOr(20'260'718);
  const auto sessions = testing::CasesOrSome("LEFTFOLD_HAND_OVERS", 1'000, 150);
  constexpr std::uint64_t kLoses[] = {0, 50, 100};
  for (std::uint64_t i = 0; i < sessions && !::testing::Test::HasFailure(); ++i)
    HandOver::RunOne(seed + i, kLoses[i % 3]);
}

// The test above can see.
TEST(SubscriptionHandOver, ASubscriberThatTrustsNotificationsIsFound) {
  ::testing::TestPartResultArray found;
  {
    const ::testing::ScopedFakeTestPartResultReporter all(&found);
    for (std::uint64_t seed = 1; seed <= 20; ++seed) HandOver::RunOne(seed, 0, true);
  }
  EXPECT_GT(found.size(), 0);
}

// What the server sends, with a fault of the test's own in between.
class Continuity : public SubscriptionTest {
 protected:
  std::vector<core::v1::RecordedEvent> Events(const store::v1::EventFilter& filter) {
    for (int i = 0; i < 10; ++i) {
      Append("room-oak", 2);
      Append("order-1", 1);
    }
    Run();
    SubscribeRequest request;
    *request.mutable_filter() = filter;
    const auto client = Subscribe(request);
    Run();
    started_ = client->messages.front();
    std::vector<core::v1::RecordedEvent> events;
    for (const auto& message : client->messages)
      events.insert(events.end(), message.events().events().begin(),
                    message.events().events().end());
    return events;
  }
  std::string FaultIn(const std::vector<core::v1::RecordedEvent>& events,
                      const store::v1::EventFilter& filter) {
    ContinuityChecker checker(filter);
    EXPECT_TRUE(checker.Check(started_).ok());
    for (const auto& event : events) {
      const absl::Status status = checker.Check(event);
      if (!status.ok()) return MetadataOf(status, "position");
    }
    return "";
  }
  SubscribeResponse started_;
};

TEST_F(Continuity, APlantedSkipDuplicateAndSwapAreFoundWhereTheyAre) {
  store::v1::EventFilter room;
  room.add_categories("room");
  for (const store::v1::EventFilter& filter : {store::v1::EventFilter(), room}) {
    const auto events = Events(filter);
    ASSERT_GE(events.size(), 10u);
    EXPECT_EQ(FaultIn(events, filter), "");
    const auto position = [&](std::size_t i) { return std::to_string(events[i].position()); };
    for (std::size_t i = 0; i + 1 < events.size(); ++i) {
      auto skipped = events;
      skipped.erase(skipped.begin() + static_cast<std::ptrdiff_t>(i));
      EXPECT_EQ(FaultIn(skipped, filter), position(i + 1));
      auto repeated = events;
      repeated.insert(repeated.begin() + static_cast<std::ptrdiff_t>(i), events[i]);
      EXPECT_EQ(FaultIn(repeated, filter), position(i));
      auto swapped = events;
      std::swap(swapped[i], swapped[i + 1]);
      EXPECT_EQ(FaultIn(swapped, filter), position(i + 1));
    }
  }
}

TEST_F(Continuity, AnEventThatWasAlteredOrRenumberedBreaksTheChain) {
  const auto events = Events({});
  const auto fault = [&](auto alter) {
    auto altered = events;
    alter(altered[7]);
    return FaultIn(altered, {});
  };
  const std::string there = std::to_string(events[7].position());
  EXPECT_EQ(fault([](auto& event) { event.set_stream("room-elm"); }), there);
  EXPECT_EQ(fault([](auto& event) { event.set_version(9); }), there);
  EXPECT_EQ(fault([](auto& event) { event.mutable_recorded_at()->set_seconds(1); }), there);
  EXPECT_EQ(fault([](auto& event) { event.mutable_leaf()->at(0) ^= 1; }), there);
  // A skip that is hidden by new numbers.
  auto renumbered = events;
  renumbered.erase(renumbered.begin() + 7);
  for (std::size_t i = 7; i < renumbered.size(); ++i)
    renumbered[i].set_position(static_cast<std::int64_t>(i) + 1);
  EXPECT_EQ(FaultIn(renumbered, {}), there);
}

TEST_F(Continuity, AHoleIsFoundThoughTheChainWasLinkedAnew) {
  auto events = Events({});
  events.erase(events.begin() + 7);
  Digest chain = on_.All()[6].chain;
  for (std::size_t i = 7; i < events.size(); ++i) {
    RecordedEvent linked = on_.All()[i + 1];
    chain = ChainOf(chain, linked);
    events[i].set_chain(std::string(AsBytes(chain)));
  }
  EXPECT_EQ(FaultIn(events, {}), std::to_string(events[7].position()));
}

TEST_F(Continuity, ACaughtUpBeyondWhatWasDeliveredIsFound) {
  Events({});
  ContinuityChecker checker({});
  ASSERT_TRUE(checker.Check(started_).ok());
  SubscribeResponse caught_up;
  caught_up.mutable_caught_up()->set_position(1);
  EXPECT_FALSE(checker.Check(caught_up).ok());
}

}  // namespace
}  // namespace leftfold
