// Watches against a view file that is written by hand: states, merging, rounds, resumption,
// switches.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "read_api/watch_hub.h"
#include "tests/integration/read_api_fixture.h"

namespace leftfold::read_api {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// What a client got, in short: "Oak@3" a state, "@3" none of it but a position, "deleted@3", "-oak"
// a removal, "heartbeat@3";
// "!" after it: snapshot_complete.
template <class Response>
std::string Short(const Response& r) {
  std::string text = r.heartbeat() ? "heartbeat" : r.room().name();
  if constexpr (requires { r.deleted(); }) {
    if (r.deleted()) text += "deleted";
  } else if (!r.removed_key().empty()) {
    text += "-" + r.removed_key();
  }
  if (!r.position().empty()) text += "@" + r.position();
  if constexpr (requires { r.snapshot_complete(); }) {
    if (r.snapshot_complete()) text += "!";
  }
  return text;
}

class Client final : public WatchSink {
 public:
  explicit Client(bool document) : document_(document) {}
  void Write(std::string_view message) override {
    EXPECT_FALSE(writing) << "a second write at once";
    EXPECT_FALSE(end.has_value()) << "a write after the end";
    writing = true;
    rooms::v1::WatchRoomResponse one;
    rooms::v1::WatchRoomsResponse many;
    const std::string bytes(message);
    EXPECT_TRUE(document_ ? one.ParseFromString(bytes) : many.ParseFromString(bytes));
    got.push_back(document_ ? Short(one) : Short(many));
    if (!slow) Ready();
  }
  void Finish(const absl::Status& status) override {
    EXPECT_FALSE(writing) << "ended while a write was outstanding";
    EXPECT_FALSE(end.has_value()) << "ended twice";
    end = status;
  }
  void Ready(bool ok = true) {
    writing = false;
    watcher->OnWritten(ok);
  }
  // And forgets them.
  std::vector<std::string> Take() { return std::exchange(got, {}); }

  std::shared_ptr<Watcher> watcher;
  bool slow = false;
  bool writing = false;
  std::vector<std::string> got;
  std::optional<absl::Status> end;

 private:
  bool document_;
};

class ReadApiWatch : public ReadApiTest {
 protected:
  ReadApiWatch() : hub_(registry_, *pool_, executor_) { pool_->ForwardTo(&hub_); }
  ~ReadApiWatch() override {
    hub_.Stop();
    for (const auto& client : clients_) {
      client->slow = false;
      if (client->writing) client->Ready();
    }
    executor_.Run();
    for (const auto& client : clients_)
      EXPECT_TRUE(client->end.has_value()) << "a watch that never ended";
    EXPECT_EQ(hub_.open_watches(), 0);
    for (const auto& client : clients_) client->watcher.reset();  // Or they hold each other.
  }

  std::shared_ptr<Client> WatchRoom(const std::string& id, const std::string& resume = "",
                                    bool slow = false) {
    auto request = std::make_unique<rooms::v1::WatchRoomRequest>();
    request->set_room_id(id);
    request->set_resume_position(resume);
    return Open(0, std::move(request), slow);
  }
  std::shared_ptr<Client> WatchRooms(const std::string& resume = "", bool slow = false) {
    auto request = std::make_unique<rooms::v1::WatchRoomsRequest>();
    request->set_resume_position(resume);
    return Open(1, std::move(request), slow);
  }
  // A watch of the room oak, or of all, with `min_position`; nothing runs yet.
  template <class Request>
  std::shared_ptr<Client> BeginFrom(const std::string& min_position) {
    auto request = std::make_unique<Request>();
    request->set_min_position(min_position);
    if constexpr (requires { request->set_room_id("oak"); }) {
      request->set_room_id("oak");
      return Begin(0, std::move(request), false);
    } else {
      return Begin(1, std::move(request), false);
    }
  }
  template <class Request>
  std::shared_ptr<Client> WatchFrom(const std::string& min_position) {
    auto client = BeginFrom<Request>(min_position);
    executor_.Run();
    return client;
  }
  std::shared_ptr<Client> Open(std::size_t watch,
                               std::unique_ptr<google::protobuf::Message> request, bool slow) {
    auto client = Begin(watch, std::move(request), slow);
    executor_.Run();
    return client;
  }
  std::shared_ptr<Client> Begin(std::size_t watch,
                                std::unique_ptr<google::protobuf::Message> request, bool slow) {
    auto client = std::make_shared<Client>(watch == 0);
    client->slow = slow;
    client->watcher = hub_.Open(*view_, view_->watches[watch], std::move(request),
                                absl::InfiniteDuration(), client);
    client->watcher->Start();
    clients_.push_back(client);
    return client;
  }
  void ApplyAndRun(std::int64_t position, const std::vector<Change>& changes) {
    Apply(position, changes);
    executor_.Run();
  }
  // The client takes the outstanding message; the next is written.
  void Pull(Client& client) {
    client.Ready();
    executor_.Run();
  }
  void SwitchTo(std::int64_t generation, std::int64_t position, const std::vector<Change>& rows) {
    writer_ = NewFile(generation);
    Commit(*writer_, position, rows);
    pool_->OnServing(HandMade::kName, PathOf(generation));
    executor_.Run();
  }

  WatchHub hub_;
  std::vector<std::shared_ptr<Client>> clients_;
};

// ---- one document

TEST_F(ReadApiWatch, ADocumentIsStatedAndThenAgainAfterEachCommitThatTouchedIt) {
  Serve();
  Apply(3, {{"oak", "Oak"}, {"elm", "Elm"}});
  const auto client = WatchRoom("oak");
  EXPECT_THAT(client->got, ElementsAre("Oak@3"));
  ApplyAndRun(4, {{"elm", "Elm 2"}});
  EXPECT_THAT(client->got, ElementsAre("Oak@3"));
  ApplyAndRun(5, {{"oak", "Oak 2"}});
  ApplyAndRun(6, {{"oak", "Oak 3"}});
  EXPECT_THAT(client->got, ElementsAre("Oak@3", "Oak 2@5", "Oak 3@6"));
  EXPECT_FALSE(client->end);
}

TEST_F(ReadApiWatch, ADocumentThatDoesNotExistIsAnError) {
  Serve();
  const auto client = WatchRoom("oak");
  EXPECT_THAT(client->got, IsEmpty());
  ASSERT_TRUE(client->end);
  EXPECT_TRUE(absl::IsNotFound(*client->end));
}

TEST_F(ReadApiWatch, ADocumentThatIsRemovedEndsWithATombstone) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  const auto client = WatchRoom("oak");
  ApplyAndRun(4, {{"oak", ""}});
  EXPECT_THAT(client->got, ElementsAre("Oak@3", "deleted@4"));
  ASSERT_TRUE(client->end);
  EXPECT_TRUE(client->end->ok());
  EXPECT_EQ(hub_.open_watches(), 0);
}

TEST_F(ReadApiWatch, ASlowClientGetsTheNewestStateOnly) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  const auto client = WatchRoom("oak", "", true);
  for (int position = 4; position <= 100; ++position)
    ApplyAndRun(position, {{"oak", "Oak " + std::to_string(position)}});
  EXPECT_THAT(client->got, ElementsAre("Oak@3"));
  Pull(*client);
  EXPECT_THAT(client->got, ElementsAre("Oak@3", "Oak 100@100"));
  Pull(*client);
  EXPECT_THAT(client->got, SizeIs(2));
}

TEST_F(ReadApiWatch, AChangeThatTheFirstReadSawAlreadyIsNotSentAgain) {
  Serve();
  Commit(*writer_, 3, {{"oak", "Oak"}});
  const auto client = WatchRoom("oak");
  EXPECT_THAT(client->got, ElementsAre("Oak@3"));
  Tell(3, {{"oak", "Oak"}});
  executor_.Run();
  EXPECT_THAT(client->got, SizeIs(1));
}

TEST_F(ReadApiWatch, AResumedDocumentThatDidNotChangeIsSilentUntilItDoes) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  Apply(5, {{"elm", "Elm"}});
  for (const char* resume : {"3", "5"}) {
    const auto client = WatchRoom("oak", resume);
    EXPECT_THAT(client->Take(), IsEmpty());
    executor_.Advance(kHeartbeatInterval);
    EXPECT_THAT(client->Take(), ElementsAre("heartbeat@5"));
    client->watcher->Cancel();
  }
  const auto client = WatchRoom("oak", "5");
  ApplyAndRun(6, {{"elm", "Elm 2"}});
  EXPECT_THAT(client->Take(), IsEmpty());
  ApplyAndRun(7, {{"oak", "Oak 2"}});
  EXPECT_THAT(client->Take(), ElementsAre("Oak 2@7"));
}

TEST_F(ReadApiWatch, WhatIsSaidOfAFileIsAHintOnly) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  const auto document = WatchRoom("oak");
  const auto list = WatchRooms();
  document->Take();
  list->Take();
  Tell(4, {{"oak", "x"}});  // Before the rows are there.
  executor_.Run();
  EXPECT_THAT(document->Take(), IsEmpty());
  EXPECT_THAT(list->Take(), IsEmpty());
  Commit(*writer_, 4, {{"oak", "Oak 2"}});
  executor_.Advance(absl::Milliseconds(10));
  EXPECT_THAT(document->Take(), ElementsAre("Oak 2@4"));
  EXPECT_THAT(list->Take(), ElementsAre("Oak 2@4"));
}

TEST_F(ReadApiWatch, AResumedDocumentThatChangedIsStated) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  Apply(5, {{"oak", "Oak 2"}});
  EXPECT_THAT(WatchRoom("oak", "3")->got, ElementsAre("Oak 2@5"));
}

TEST_F(ReadApiWatch, AResumedDocumentThatIsGoneIsATombstone) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  Apply(5, {{"oak", ""}});
  const auto client = WatchRoom("oak", "3");
  EXPECT_THAT(client->got, ElementsAre("deleted@5"));
  EXPECT_TRUE(client->end && client->end->ok());
}

TEST_F(ReadApiWatch, APositionAheadOfTheViewIsWaitedFor) {
  Serve();
  const auto client = WatchRoom("oak", "4");
  ApplyAndRun(3, {{"oak", "too old"}});
  ApplyAndRun(5, {{"oak", "Oak"}});
  EXPECT_THAT(client->got, ElementsAre("Oak@5"));
  const auto late = WatchRoom("oak", "9");
  executor_.Advance(kFreshnessWaitMax);
  ASSERT_TRUE(late->end);
  EXPECT_EQ(ReasonOf(*late->end), "READ_MODEL_BEHIND");
}

TEST_F(ReadApiWatch, AMalformedPositionIsAnInvalidField) {
  Serve();
  EXPECT_EQ(ReasonOf(*WatchRoom("oak", "x")->end), "INVALID_FIELDS");
  EXPECT_EQ(ReasonOf(*WatchFrom<rooms::v1::WatchRoomRequest>("x")->end), "INVALID_FIELDS");
  auto both = std::make_unique<rooms::v1::WatchRoomRequest>();
  both->set_room_id("oak");
  both->set_min_position("x");
  both->set_resume_position("y");
  EXPECT_EQ(MetadataOf(*Open(0, std::move(both), false)->end, "fields"),
            "min_position, resume_position");
}

TEST_F(ReadApiWatch, AMinimumPositionIsWaitedForAndTheFirstStateIsNotOlder) {
  Serve();
  Apply(3, {{"oak", "too old"}});
  const auto document = WatchFrom<rooms::v1::WatchRoomRequest>("5");
  const auto list = WatchFrom<rooms::v1::WatchRoomsRequest>("5");
  ApplyAndRun(4, {{"oak", "still too old"}});
  EXPECT_THAT(document->got, IsEmpty());
  EXPECT_THAT(list->got, IsEmpty());
  ApplyAndRun(5, {{"oak", "Oak"}});
  EXPECT_THAT(document->got, ElementsAre("Oak@5"));
  EXPECT_THAT(list->got, ElementsAre("Oak@5!"));
  ApplyAndRun(6, {{"oak", "Oak 2"}});
  EXPECT_EQ(document->got.back(), "Oak 2@6");
  EXPECT_EQ(list->got.back(), "Oak 2@6");
}

TEST_F(ReadApiWatch, AMinimumPositionThatIsReachedAlreadyStatesWhatIsThereAtOnce) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  EXPECT_THAT(WatchFrom<rooms::v1::WatchRoomRequest>("2")->got, ElementsAre("Oak@3"));
  EXPECT_THAT(WatchFrom<rooms::v1::WatchRoomsRequest>("3")->got, ElementsAre("Oak@3!"));
}

TEST_F(ReadApiWatch, AMinimumPositionThatDoesNotComeIsReadModelBehind) {
  Serve();
  const auto late = WatchFrom<rooms::v1::WatchRoomsRequest>("9");
  executor_.Advance(kFreshnessWaitMax);
  ASSERT_TRUE(late->end);
  EXPECT_EQ(ReasonOf(*late->end), "READ_MODEL_BEHIND");
  EXPECT_EQ(MetadataOf(*late->end, "min_position"), "9");
}

TEST_F(ReadApiWatch, AViewThatIsBeingBuiltSaysSo) {
  pool_->OnBuilding(HandMade::kName);
  EXPECT_EQ(ReasonOf(*WatchRoom("oak")->end), "VIEW_REBUILDING");
}

TEST_F(ReadApiWatch, AStoppedViewSendsItsLastStateAndHeartbeats) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  pool_->OnStopped(HandMade::kName, absl::DataLossError("x"));
  const auto client = WatchRoom("oak");
  executor_.Advance(kHeartbeatInterval);
  EXPECT_THAT(client->got, ElementsAre("Oak@3", "heartbeat@3"));
  EXPECT_EQ(ReasonOf(*WatchRoom("oak", "4")->end), "VIEW_STOPPED");
}

TEST_F(ReadApiWatch, HeartbeatsCarryThePositionThatTheSilenceAmountsTo) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  const auto client = WatchRoom("oak");
  ApplyAndRun(8, {{"elm", "Elm"}});
  executor_.Advance(kHeartbeatInterval);
  executor_.Advance(kHeartbeatInterval);
  EXPECT_THAT(client->got, ElementsAre("Oak@3", "heartbeat@8", "heartbeat@8"));
  ApplyAndRun(9, {{"oak", "Oak 2"}});
  EXPECT_EQ(client->got.back(), "Oak 2@9");
}

TEST_F(ReadApiWatch, ACancelledWatchEndsAndCountsNoMore) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  const auto client = WatchRoom("oak", "", true);
  client->watcher->Cancel();
  executor_.Run();
  EXPECT_FALSE(client->end);  // The write is outstanding.
  Pull(*client);
  ASSERT_TRUE(client->end);
  EXPECT_TRUE(absl::IsCancelled(*client->end));
  EXPECT_EQ(hub_.open_watches(), 0);
  ApplyAndRun(4, {{"oak", "Oak 2"}});
  EXPECT_THAT(client->got, SizeIs(1));
}

TEST_F(ReadApiWatch, AFailedWriteEndsTheWatch) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  const auto client = WatchRoom("oak", "", true);
  client->Ready(false);
  executor_.Run();
  EXPECT_TRUE(client->end && absl::IsCancelled(*client->end));
}

TEST_F(ReadApiWatch, StopEndsAllWatchesAndThoseToCome) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  const auto one = WatchRoom("oak");
  const auto waiting = WatchRoom("oak", "9");
  const auto list = WatchRooms();
  hub_.Stop();
  executor_.Run();
  for (const auto& client : {one, waiting, list, WatchRoom("oak")}) {
    ASSERT_TRUE(client->end);
    EXPECT_EQ(ReasonOf(*client->end), "STOPPING");
  }
}

TEST_F(ReadApiWatch, WatchesAreBounded) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  for (int i = 0; i < kWatchersMax; ++i) WatchRoom("oak", "9");
  const auto refused = WatchRoom("oak");
  ASSERT_TRUE(refused->end);
  EXPECT_EQ(ReasonOf(*refused->end), "QUEUE_FULL");
}

TEST_F(ReadApiWatch, ManyWatchersOfOneDocumentAllGetIt) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  std::vector<std::shared_ptr<Client>> many;
  for (std::size_t i = 0; i < 3 * kWatchersPerStep; ++i) many.push_back(WatchRoom("oak"));
  ApplyAndRun(4, {{"oak", "Oak 2"}});
  for (const auto& client : many) EXPECT_THAT(client->got, ElementsAre("Oak@3", "Oak 2@4"));
}

TEST_F(ReadApiWatch, AnAnswerIsMadeOnceForAllWatchersOfAKey) {
  constexpr int kMany = 3 * static_cast<int>(kWatchersPerStep) + 1;
  Serve();
  Apply(1, {{"oak", "Oak"}, {"elm", "Elm"}});
  for (int i = 0; i < kMany; ++i) WatchRoom("oak");
  const auto other = WatchRoom("elm");
  HandMade::watch_answers = 0;
  ApplyAndRun(2, {{"oak", "Oak 2"}, {"elm", "Elm 2"}});
  EXPECT_EQ(HandMade::watch_answers, 2);
  for (const auto& client : clients_) EXPECT_THAT(client->got, SizeIs(2));
  EXPECT_THAT(other->got, ElementsAre("Elm@1", "Elm 2@2"));
  ApplyAndRun(3, {{"oak", "Oak 3"}});
  EXPECT_EQ(HandMade::watch_answers, 3);
}

TEST_F(ReadApiWatch, NoAnswerIsSentOfALaterPosition) {
  Serve();
  Apply(1, {{"oak", "Oak"}});
  for (std::size_t i = 0; i <= kWatchersPerStep; ++i) WatchRoom("oak");
  Apply(2, {{"oak", "Oak 2"}});
  ASSERT_TRUE(executor_.RunOne());
  EXPECT_EQ(clients_.back()->got.back(), "Oak@1");
  ApplyAndRun(3, {{"oak", "Oak 3"}});
  EXPECT_EQ(clients_.back()->got.back(), "Oak 3@3");
  EXPECT_EQ(clients_.front()->got.back(), "Oak 3@3");
}

TEST_F(ReadApiWatch, NoAnswerOfOneFileIsSentOfAnotherAtTheSamePosition) {
  Serve();
  Apply(1, {{"oak", "Oak"}});
  for (std::size_t i = 0; i <= kWatchersPerStep; ++i) WatchRoom("oak");
  Apply(2, {{"oak", "Oak 2"}});
  ASSERT_TRUE(executor_.RunOne());
  EXPECT_EQ(clients_.front()->got.back(), "Oak 2@2");
  EXPECT_EQ(clients_.back()->got.back(), "Oak@1");
  SwitchTo(2, 2, {{"oak", "Oak of another file"}});
  EXPECT_EQ(clients_.back()->got.back(), "Oak of another file@2");
}

TEST_F(ReadApiWatch, AViewIsWatchedAsLongAsAWatchIsOpen) {
  Serve();
  Apply(1, {{"oak", "Oak"}});
  EXPECT_FALSE(pool_->IsWatched("hand_made"));
  for (const auto& client : {WatchRoom("oak"), WatchRooms()}) {
    EXPECT_TRUE(pool_->IsWatched("hand_made"));
    if (client == clients_.back()) break;
    client->watcher->Cancel();
    executor_.Run();
  }
  clients_.back()->watcher->Cancel();
  executor_.Run();
  EXPECT_FALSE(pool_->IsWatched("hand_made"));
}

TEST_F(ReadApiWatch, ABusyPoolDelaysButDoesNotEnd) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  std::vector<Lease> leases;
  for (int i = 0; i < kConnectionsPerViewMax; ++i) leases.push_back(**pool_->TryLease(*view_));
  for (std::size_t i = 0; i < kLeaseQueueMax; ++i)
    pool_->LeaseLater(*view_, [](absl::StatusOr<Lease>) {});
  const auto client = WatchRoom("oak");
  EXPECT_THAT(client->got, IsEmpty());
  EXPECT_FALSE(client->end);
  leases.clear();
  executor_.Advance(kRetryWhenBehind);
  EXPECT_THAT(client->got, ElementsAre("Oak@3"));
}

// ---- switches

TEST_F(ReadApiWatch, ASwitchStatesTheDocumentAnewAsSoonAsTheFileIsPastTheClient) {
  Serve();
  Apply(10, {{"oak", "Oak"}});
  const auto client = WatchRoom("oak");
  SwitchTo(2, 7, {{"oak", "older"}});
  EXPECT_THAT(client->Take(), ElementsAre("Oak@10"));
  ApplyAndRun(8, {{"oak", "still older"}});
  ApplyAndRun(10, {{"oak", "as old"}});
  EXPECT_THAT(client->Take(), IsEmpty());
  executor_.Advance(kHeartbeatInterval);
  EXPECT_THAT(client->Take(), ElementsAre("heartbeat@10"));
  ApplyAndRun(11, {{"elm", "Elm"}});
  EXPECT_THAT(client->Take(), ElementsAre("as old@11"));
}

TEST_F(ReadApiWatch, ASwitchStatesTheListAnew) {
  Serve();
  Apply(10, {{"ash", "Ash"}, {"oak", "Oak"}});
  const auto client = WatchRooms();
  EXPECT_THAT(client->Take(), ElementsAre("Ash", "Oak@10!"));
  SwitchTo(2, 9, {{"oak", "Rebuilt"}});
  EXPECT_THAT(client->Take(), IsEmpty());
  ApplyAndRun(12, {{"elm", "Elm"}});
  EXPECT_THAT(client->Take(), ElementsAre("Elm", "Rebuilt@12!"));
}

TEST_F(ReadApiWatch, ASwitchDuringARoundLetsItEndAndStatesTheListAnew) {
  Serve();
  std::vector<Change> changes;
  for (int i = 0; i < 2 * kWatchChunk; ++i) changes.push_back({fmt::format("room{:04}", i), "old"});
  Apply(10, changes);
  const auto client = WatchRooms("", true);
  SwitchTo(2, 11, {{"room0000", "new"}, {"room0031", "new"}});
  for (int i = 0; i < 100 && client->writing; ++i) Pull(*client);
  const auto got = client->Take();
  ASSERT_EQ(got.size(), static_cast<std::size_t>(kWatchChunk + 3));
  EXPECT_THAT(std::vector<std::string>(got.begin() + kWatchChunk - 1, got.end()),
              ElementsAre("old", "new@10!", "new", "new@11!"));
}

TEST_F(ReadApiWatch, WhoResumesFromWhatAnotherFileSaidIsStatedAllAnew) {
  Serve();
  Apply(10, {{"ash", "Ash"}, {"oak", "Oak"}});
  writer_ = NewFile(2);
  Commit(*writer_, 10, {{"ash", "Ash"}, {"oak", "Rebuilt"}});
  ASSERT_TRUE(writer_->Begin().ok());
  sql::ForgetChangesBefore(*writer_, Position{11});
  ASSERT_TRUE(writer_->Commit().ok());
  pool_->OnServing(HandMade::kName, PathOf(2));
  const auto document = WatchRoom("oak", "10");
  const auto list = WatchRooms("10");
  EXPECT_THAT(document->Take(), IsEmpty()) << "the client has been told of position 10";
  EXPECT_THAT(list->Take(), IsEmpty());
  ApplyAndRun(11, {{"elm", "Elm"}});
  EXPECT_THAT(document->Take(), ElementsAre("Rebuilt@11"));
  EXPECT_THAT(list->Take(), ElementsAre("Ash", "Elm", "Rebuilt@11!"));
  EXPECT_THAT(WatchRoom("oak", "11")->Take(), IsEmpty());
}

TEST_F(ReadApiWatch, WhoResumesAtARetryIsToldOfItWithTheNextPosition) {
  Serve();
  Apply(10, {{"ash", "Ash"}, {"oak", "Oak"}});
  // As ViewRunner::RetryParked does: rows of position 10 change, which counts as 11.
  Commit(*writer_, 10, {{"oak", "Retried"}});
  ASSERT_TRUE(writer_->Run("UPDATE leftfold_changes SET position = 11 WHERE key = 'oak'").ok());
  const auto oak = WatchRoom("oak", "10");
  const auto ash = WatchRoom("ash", "10");
  const auto list = WatchRooms("10");
  EXPECT_THAT(oak->Take(), IsEmpty());
  ApplyAndRun(11, {{"elm", "Elm"}});
  EXPECT_THAT(oak->Take(), ElementsAre("Retried@11"));
  EXPECT_THAT(ash->Take(), IsEmpty());
  EXPECT_THAT(list->Take(), ElementsAre("Elm", "Retried@11"));
}

TEST_F(ReadApiWatch, ASwitchToAFileBeforeTheMinimumPositionIsWaitedOutToo) {
  Serve();
  Apply(10, {{"oak", "Oak"}});
  writer_ = NewFile(2);
  Commit(*writer_, 7, {{"oak", "older"}});
  // Found readable; the file is switched before the first read.
  const auto document = BeginFrom<rooms::v1::WatchRoomRequest>("10");
  const auto list = BeginFrom<rooms::v1::WatchRoomsRequest>("10");
  pool_->OnServing(HandMade::kName, PathOf(2));
  executor_.Run();
  ApplyAndRun(9, {{"oak", "still older"}});
  EXPECT_THAT(document->got, IsEmpty());
  EXPECT_THAT(list->got, IsEmpty());
  ApplyAndRun(10, {{"oak", "Rebuilt"}});
  EXPECT_THAT(document->got, ElementsAre("Rebuilt@10"));
  EXPECT_THAT(list->got, ElementsAre("Rebuilt@10!"));
}

// ---- lists

TEST_F(ReadApiWatch, AListIsStatedInOrderAndThePositionComesWithTheLast) {
  Serve();
  Apply(3, {{"oak", "Oak"}, {"ash", "Ash"}, {"elm", "Elm"}});
  EXPECT_THAT(WatchRooms()->got, ElementsAre("Ash", "Elm", "Oak@3!"));
}

TEST_F(ReadApiWatch, AnEmptyListIsOneMessage) {
  Serve();
  Apply(3, {{"oak", ""}});
  EXPECT_THAT(WatchRooms()->got, ElementsAre("@3!"));
}

TEST_F(ReadApiWatch, AListOfManyChunksIsWhole) {
  for (const int size :
       {kWatchChunk - 1, kWatchChunk, kWatchChunk + 1, 2 * kWatchChunk, 5 * kWatchChunk + 3}) {
    Serve();
    std::vector<Change> changes;
    for (int i = 0; i < size; ++i)
      changes.push_back({fmt::format("room{:04}", i), fmt::format("{}", i)});
    writer_ = NewFile(size);
    Commit(*writer_, 3, changes);
    pool_->OnServing(HandMade::kName, PathOf(size));
    std::vector<std::string> expected;
    for (int i = 0; i < size; ++i) expected.push_back(fmt::format("{}", i));
    expected.back() += "@3!";
    EXPECT_EQ(WatchRooms()->got, expected);
  }
}

TEST_F(ReadApiWatch, ChangesAndRemovalsFollowTheList) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  const auto client = WatchRooms();
  EXPECT_THAT(client->Take(), ElementsAre("Oak@3!"));
  ApplyAndRun(4, {{"elm", "Elm"}});
  EXPECT_THAT(client->Take(), ElementsAre("Elm@4"));
  ApplyAndRun(5, {{"oak", ""}, {"elm", "Elm 2"}});
  EXPECT_THAT(client->Take(), ElementsAre("-oak", "Elm 2@5"));
  ApplyAndRun(6, {{"never", ""}});
  EXPECT_THAT(client->Take(), ElementsAre("-never@6"));
}

TEST_F(ReadApiWatch, NoChangeIsLostBetweenTheListAndWhatFollows) {
  Serve();
  std::vector<Change> changes;
  for (int i = 0; i < 2 * kWatchChunk; ++i) changes.push_back({fmt::format("room{:04}", i), "old"});
  Apply(3, changes);
  const auto client = WatchRooms("", true);
  // The first chunk is read; both ends of the list change.
  ApplyAndRun(4, {{"room0000", "new"}, {"room0031", "new"}, {"room0005", ""}});
  for (int i = 0; i < 100 && client->writing; ++i) Pull(*client);
  const auto got = client->Take();
  ASSERT_EQ(got.size(), static_cast<std::size_t>(2 * kWatchChunk + 3));
  EXPECT_EQ(got[31], "new@3!");  // Later states may show early; the position says what is complete.
  EXPECT_THAT(std::vector<std::string>(got.begin() + 32, got.end()),
              ElementsAre("new", "new", "-room0005@4"));
}

TEST_F(ReadApiWatch, ASlowClientOfAListGetsEachKeyOnce) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  const auto client = WatchRooms("", true);
  for (int position = 4; position <= 103; ++position) {
    ApplyAndRun(position, {{position % 2 == 0 ? "oak" : "elm", std::to_string(position)}});
  }
  for (int i = 0; i < 10 && client->writing; ++i) Pull(*client);
  EXPECT_THAT(client->got, ElementsAre("Oak@3!", "102", "103@103"));
}

TEST_F(ReadApiWatch, AClientThatIsTooFarBehindGetsTheListAnew) {
  Serve();
  Apply(3, {{"oak", "Oak"}, {"elm", "Elm"}});
  const auto client = WatchRooms("", true);
  std::vector<Change> changes;
  for (std::size_t i = 0; i <= kDirtyKeysMax; ++i)
    changes.push_back({fmt::format("gone{}", i), ""});
  changes.push_back({"elm", ""});
  ApplyAndRun(4, changes);
  for (int i = 0; i < 10 && client->writing; ++i) Pull(*client);
  EXPECT_THAT(client->got, ElementsAre("Elm", "Oak@3!", "Oak@4!"));
}

TEST_F(ReadApiWatch, TouchesThatAreKeptAreBounded) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  const auto client = WatchRooms("", true);
  for (std::int64_t position = 4; position < 4 + static_cast<std::int64_t>(kRecentTouchesMax) + 10;
       ++position) {
    Tell(position, {{"oak", "x"}});
  }
  Commit(*writer_, 20'000, {{"oak", "Oak 2"}});
  Tell(20'000, {{"oak", "x"}});
  executor_.Run();
  for (int i = 0; i < 10 && client->writing; ++i) Pull(*client);
  EXPECT_THAT(client->got, ElementsAre("Oak@3!", "Oak 2@20000!"));
}

TEST_F(ReadApiWatch, AResumedListGetsWhatChangedSince) {
  Serve();
  Apply(3, {{"oak", "Oak"}, {"ash", "Ash"}, {"elm", "Elm"}});
  Apply(4, {{"oak", "Oak 2"}});
  Apply(5, {{"ash", ""}});
  EXPECT_THAT(WatchRooms("4")->got, ElementsAre("-ash@5"));
  const auto client = WatchRooms("5");
  EXPECT_THAT(client->Take(), IsEmpty());
  executor_.Advance(kHeartbeatInterval);
  EXPECT_THAT(client->Take(), ElementsAre("heartbeat@5"));
  ApplyAndRun(6, {{"elm", "Elm 2"}});
  EXPECT_THAT(client->Take(), ElementsAre("Elm 2@6"));
}

TEST_F(ReadApiWatch, AResumedListThatIsNotCoveredIsStatedAnew) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  Apply(4 + sql::kChangesKept, {{"elm", "Elm"}});
  EXPECT_THAT(WatchRooms("3")->got, ElementsAre("Elm", "Oak@10004!"));
}

TEST_F(ReadApiWatch, AChangeThatTheListSawAlreadyIsNotSentAgain) {
  Serve();
  Commit(*writer_, 3, {{"oak", "Oak"}});
  const auto client = WatchRooms();
  Tell(3, {{"oak", "Oak"}});
  executor_.Run();
  EXPECT_THAT(client->got, ElementsAre("Oak@3!"));
}

}  // namespace
}  // namespace leftfold::read_api
