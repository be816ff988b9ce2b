// Queries against a view file that is written by hand: freshness, states of the view, connections.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>

#include "read_api/query_handler.h"
#include "testing/damage.h"
#include "tests/integration/read_api_fixture.h"

namespace leftfold::read_api {
namespace {

using rooms::v1::GetRoomRequest;
using rooms::v1::GetRoomResponse;
using rooms::v1::ListRoomsRequest;

class ReadApiQuery : public ReadApiTest {
 protected:
  ReadApiQuery() : queries_(registry_, *pool_) {}

  struct Result {
    std::optional<absl::StatusOr<Answer>> answer;
    bool done() const { return answer.has_value(); }
    absl::Status status() const { return answer->status(); }
    const GetRoomResponse& room() const { return static_cast<const GetRoomResponse&>(***answer); }
  };
  std::shared_ptr<Result> Get(const std::string& id, const std::string& min_position = "",
                              absl::Duration time_left = absl::InfiniteDuration()) {
    auto request = std::make_unique<GetRoomRequest>();
    request->set_room_id(id);
    request->set_min_position(min_position);
    return Ask(0, std::move(request), time_left);
  }
  std::shared_ptr<Result> Ask(std::size_t query, std::unique_ptr<google::protobuf::Message> request,
                              absl::Duration time_left = absl::InfiniteDuration()) {
    auto result = std::make_shared<Result>();
    queries_.Handle(*view_, view_->queries[query], std::move(request), time_left,
                    [result](absl::StatusOr<Answer> answer) {
                      EXPECT_FALSE(result->done());
                      result->answer.emplace(std::move(answer));
                    });
    return result;
  }

  // "3: Oak", or what is wrong.
  std::string Says(const std::string& id, const std::string& min_position = "") {
    const auto result = Get(id, min_position);
    if (!result->done()) return "not answered yet";
    if (!result->status().ok()) return std::string(result->status().message());
    return fmt::format("{}: {}", result->room().applied_position(), result->room().room().name());
  }

  QueryHandler queries_;
};

TEST_F(ReadApiQuery, IsAnsweredAtOnceWithThePositionOfTheRows) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  const auto result = Get("oak");
  ASSERT_TRUE(result->done());  // No task had to run.
  EXPECT_EQ(result->room().room().name(), "Oak");
  EXPECT_EQ(result->room().applied_position(), "3");
}

TEST_F(ReadApiQuery, WithoutALogThereIsNoEarlierAnswer) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  auto request = std::make_unique<GetRoomRequest>();
  request->set_room_id("oak");
  request->set_as_of_position("1");
  const auto result = Ask(0, std::move(request));
  ASSERT_TRUE(result->done());
  EXPECT_EQ(ReasonOf(result->status()), "LOG_NOT_HERE");
}

TEST_F(ReadApiQuery, TheDomainsErrorGoesThrough) {
  Serve();
  EXPECT_TRUE(absl::IsNotFound(Get("oak")->status()));
}

TEST_F(ReadApiQuery, WaitsForMinPositionAndSeesItsOwnWrite) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  const auto result = Get("oak", "5");
  executor_.Run();
  EXPECT_FALSE(result->done());
  Apply(4, {});
  executor_.Run();
  EXPECT_FALSE(result->done());
  Apply(5, {{"oak", "Elm"}});
  executor_.Run();
  ASSERT_TRUE(result->done());
  EXPECT_EQ(result->room().room().name(), "Elm");
  EXPECT_EQ(result->room().applied_position(), "5");
  executor_.Advance(kFreshnessWaitMax);  // Its timer finds nothing to do.
}

TEST_F(ReadApiQuery, IsNotAnsweredOnTheProjectorsTask) {
  Serve();
  const auto result = Get("oak", "5");
  Apply(5, {{"oak", "Elm"}});
  EXPECT_FALSE(result->done());
  executor_.Run();
  EXPECT_TRUE(result->done());
}

TEST_F(ReadApiQuery, AViewThatStaysBehindIsToldAfterTheLongestWait) {
  Serve();
  Apply(3, {});
  const auto result = Get("oak", "5");
  executor_.Advance(kFreshnessWaitMax - absl::Milliseconds(1));
  EXPECT_FALSE(result->done());
  executor_.Advance(absl::Milliseconds(1));
  ASSERT_TRUE(result->done());
  EXPECT_EQ(result->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(result->status()), "READ_MODEL_BEHIND");
  EXPECT_EQ(MetadataOf(result->status(), "view"), "hand_made");
  EXPECT_EQ(MetadataOf(result->status(), "applied"), "3");
  EXPECT_EQ(MetadataOf(result->status(), "min_position"), "5");
  EXPECT_TRUE(result->status().GetPayload("type.googleapis.com/google.rpc.RetryInfo").has_value());
}

TEST_F(ReadApiQuery, AnEarlierDeadlineOfTheClientLeavesTimeForTheAnswer) {
  Serve();
  const auto result = Get("oak", "5", absl::Milliseconds(250));
  executor_.Advance(absl::Milliseconds(199));
  EXPECT_FALSE(result->done());
  executor_.Advance(absl::Milliseconds(1));
  ASSERT_TRUE(result->done());
  EXPECT_EQ(ReasonOf(result->status()), "READ_MODEL_BEHIND");
}

TEST_F(ReadApiQuery, WithoutTimeToWaitTheAnswerIsBehindAtOnce) {
  Serve();
  const auto result = Get("oak", "5", absl::Milliseconds(40));
  executor_.Run();
  ASSERT_TRUE(result->done());
  EXPECT_EQ(ReasonOf(result->status()), "READ_MODEL_BEHIND");
}

TEST_F(ReadApiQuery, AMalformedPositionIsAnInvalidField) {
  Serve();
  for (const char* text : {"x", "-1", " 1", "+1", "1.0", "99999999999999999999"}) {
    const auto result = Get("oak", text);
    ASSERT_TRUE(result->done()) << text;
    EXPECT_EQ(result->status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_EQ(ReasonOf(result->status()), "INVALID_FIELDS") << text;
    EXPECT_EQ(MetadataOf(result->status(), "fields"), "min_position") << text;
  }
}

TEST_F(ReadApiQuery, AllMalformedFieldsAreNamedAtOnce) {
  Serve();
  auto request = std::make_unique<GetRoomRequest>();
  request->set_room_id("oak");
  request->set_min_position("x");
  request->set_as_of_position("y");
  const auto result = Ask(0, std::move(request));
  ASSERT_TRUE(result->done());
  EXPECT_EQ(MetadataOf(result->status(), "fields"), "min_position, as_of_position");
}

TEST_F(ReadApiQuery, AViewThatIsBeingBuiltSaysSo) {
  EXPECT_EQ(ReasonOf(Get("oak")->status()), "VIEW_REBUILDING");  // Nothing was said of it yet.
  pool_->OnBuilding(HandMade::kName);
  pool_->OnBuilt(HandMade::kName, Position{30}, Position{70});
  const auto result = Get("oak");
  EXPECT_EQ(result->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(result->status()), "VIEW_REBUILDING");
  EXPECT_EQ(MetadataOf(result->status(), "done"), "30");
  EXPECT_EQ(MetadataOf(result->status(), "total"), "70");
  EXPECT_TRUE(result->status().GetPayload("type.googleapis.com/google.rpc.RetryInfo").has_value());
}

TEST_F(ReadApiQuery, AStoppedViewServesItsLastStateAndRefusesWhatLiesBeyond) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  const auto waiting = Get("oak", "4");
  pool_->OnStopped(HandMade::kName,
                   Reject(core::v1::ERROR_REASON_DATA_LOSS, "event 4 does not decode"));
  executor_.Run();
  ASSERT_TRUE(waiting->done());
  EXPECT_EQ(ReasonOf(waiting->status()), "VIEW_STOPPED");
  EXPECT_EQ(Get("oak", "3")->room().room().name(), "Oak");
  const absl::Status beyond = Get("oak", "4")->status();
  EXPECT_EQ(beyond.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(beyond), "VIEW_STOPPED");
  EXPECT_EQ(MetadataOf(beyond, "view"), "hand_made");
  EXPECT_EQ(MetadataOf(beyond, "applied"), "3");
  EXPECT_EQ(MetadataOf(beyond, "reason"), "DATA_LOSS: event 4 does not decode");
}

TEST_F(ReadApiQuery, AViewThatStoppedBeforeItWasBuiltNamesNoPositionButThatOfTheReason) {
  pool_->OnBuilding(HandMade::kName);
  pool_->OnStopped(HandMade::kName, Reject(core::v1::ERROR_REASON_DATA_LOSS, "no event 50"));
  const absl::Status status = Get("oak")->status();
  EXPECT_EQ(ReasonOf(status), "VIEW_STOPPED");
  EXPECT_EQ(ToStd(status.message()),
            "the view hand_made is not built yet and needs an operator: DATA_LOSS: no event 50");
  EXPECT_EQ(MetadataOf(status, "applied"), "");
}

TEST_F(ReadApiQuery, AReasonThatIsNotForClientsIsNotShown) {
  Serve();
  pool_->OnStopped(HandMade::kName, absl::InternalError("cannot write /secret/path"));
  const absl::Status beyond = Get("oak", "4")->status();
  EXPECT_EQ(MetadataOf(beyond, "reason"), "INTERNAL");
  EXPECT_EQ(beyond.message().find("secret"), absl::string_view::npos);
}

TEST_F(ReadApiQuery, AViewThatGoesOnWithNothingNewIsWaitedForAgain) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  pool_->OnStopped(HandMade::kName, Reject(core::v1::ERROR_REASON_VIEW_PAUSED, "an inquiry"));
  EXPECT_EQ(ReasonOf(Get("oak", "4")->status()), "VIEW_STOPPED");
  Tell(3, {});
  const auto waiting = Get("oak", "4");
  ASSERT_FALSE(waiting->done());
  Apply(4, {{"oak", "Oak 2"}});
  executor_.Run();
  EXPECT_EQ(waiting->room().room().name(), "Oak 2");
}

TEST_F(ReadApiQuery, AStoppedViewThatIsServedAnewGoesOn) {
  Serve();
  pool_->OnStopped(HandMade::kName, absl::InternalError("x"));
  writer_ = NewFile(2);
  Commit(*writer_, 9, {{"oak", "Rebuilt"}});
  pool_->OnServing(HandMade::kName, PathOf(2));
  EXPECT_EQ(Get("oak", "9")->room().room().name(), "Rebuilt");
  EXPECT_EQ(pool_->ConditionOf(*view_).state, ViewCondition::State::kServing);
}

TEST_F(ReadApiQuery, ASwitchSettlesWhoWaitsForWhatTheNewFileHas) {
  Serve();
  const auto result = Get("oak", "9");
  writer_ = NewFile(2);
  Commit(*writer_, 9, {{"oak", "Rebuilt"}});
  pool_->OnServing(HandMade::kName, PathOf(2));
  executor_.Run();
  ASSERT_TRUE(result->done());
  EXPECT_EQ(result->room().room().name(), "Rebuilt");
}

TEST_F(ReadApiQuery, AConnectionToTheFileBeforeASwitchIsNotUsedAgain) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  {
    auto lease = pool_->TryLease(*view_);
    ASSERT_TRUE(lease.ok() && lease->has_value());
    writer_ = NewFile(2);
    Commit(*writer_, 9, {{"oak", "Rebuilt"}});
    pool_->OnServing(HandMade::kName, PathOf(2));
  }
  std::vector<Lease> leases;  // All that there are.
  for (int i = 0; i < kConnectionsPerViewMax; ++i) {
    auto lease = pool_->TryLease(*view_);
    ASSERT_TRUE(lease.ok() && lease->has_value());
    sql::ConnectionReadTx tx((*lease)->connection());
    EXPECT_EQ(tx.applied(), Position{9});
    leases.push_back(**std::move(lease));
  }
  EXPECT_FALSE(pool_->TryLease(*view_)->has_value());
}

TEST_F(ReadApiQuery, GoesOnInTheTransactionOfTheOneBeforeUntilTheFileMayBeWritten) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  pool_->OnWritten(HandMade::kName);
  EXPECT_EQ(Says("oak"), "3: Oak");
  Commit(*writer_, 4, {{"oak", "Elm"}});  // Nobody was told.
  EXPECT_EQ(Says("oak"), "3: Oak");
  EXPECT_TRUE(absl::IsNotFound(Get("elm")->status()));
  EXPECT_EQ(Says("oak"), "3: Oak");
  pool_->OnWriting(HandMade::kName);
  EXPECT_EQ(Says("oak"), "4: Elm");
  Commit(*writer_, 5, {{"oak", "Yew"}});
  EXPECT_EQ(Says("oak"), "5: Yew");
}

TEST_F(ReadApiQuery, NoTransactionOutlivesAWriteThatCameWhileItWasUsed) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  pool_->OnWritten(HandMade::kName);
  auto before = pool_->TryLease(*view_);
  ASSERT_TRUE(before.ok() && before->has_value());
  EXPECT_EQ((*before)->Begin(), Position{3});
  pool_->OnWriting(HandMade::kName);
  auto meanwhile = pool_->TryLease(*view_);
  ASSERT_TRUE(meanwhile.ok() && meanwhile->has_value());
  EXPECT_EQ((*meanwhile)->Begin(), Position{3});
  Apply(4, {{"oak", "Elm"}});
  pool_->OnWritten(HandMade::kName);
  EXPECT_EQ((*before)->Begin(), Position{3}) << "one lease, one state";
  before->reset();
  EXPECT_EQ(Says("oak", "4"), "4: Elm");
  meanwhile->reset();
  EXPECT_EQ(Says("oak", "4"), "4: Elm");
}

TEST_F(ReadApiQuery, WhoWaitedForAConnectionIsNotAnsweredOutOfATransactionFromBeforeAWrite) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  pool_->OnWritten(HandMade::kName);
  std::vector<Lease> leases;
  for (int i = 0; i < kConnectionsPerViewMax; ++i) leases.push_back(**pool_->TryLease(*view_));
  const auto result = Get("oak");
  executor_.Run();
  EXPECT_EQ(leases.back().Begin(), Position{3});
  leases.pop_back();  // Its transaction goes on to who waits, whose task has not run yet.
  pool_->OnWriting(HandMade::kName);
  Apply(4, {{"oak", "Elm"}});
  pool_->OnWritten(HandMade::kName);
  executor_.Run();
  ASSERT_TRUE(result->done());
  EXPECT_EQ(result->room().room().name(), "Elm");
  EXPECT_EQ(Says("oak", "4"), "4: Elm");
}

TEST_F(ReadApiQuery, TheWriteAheadLogBeginsAgainBetweenQueriesThatNeverEnd) {
  Serve();
  std::uintmax_t most = 0;
  for (int position = 1; position <= 200; ++position) {
    pool_->OnWriting(HandMade::kName);
    Apply(position, {{"oak", fmt::format("Oak {}", position)}});
    EXPECT_EQ(Says("oak"), fmt::format("{0}: Oak {0}", position));
    ASSERT_TRUE(writer_->Checkpoint().ok());
    pool_->OnWritten(HandMade::kName);
    EXPECT_EQ(Says("oak"), fmt::format("{0}: Oak {0}", position));
    const std::uintmax_t bytes = std::filesystem::file_size(PathOf(1) + "-wal");
    if (position <= 10) most = bytes;
    EXPECT_LE(bytes, most) << position;
  }
}

TEST_F(ReadApiQuery, ASqlErrorIsInternalAndTheNextQueryWorks) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  const auto broken = Ask(1, std::make_unique<ListRoomsRequest>());
  EXPECT_EQ(broken->status().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(Get("oak")->room().room().name(), "Oak");
}

TEST_F(ReadApiQuery, ADamagedPageIsDataLossAndSaysWhatToDo) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  ASSERT_TRUE(writer_->Checkpoint().ok());
  ::leftfold::testing::DamageRootPage(PathOf(1), "room");
  const auto answer = Get("oak");
  EXPECT_EQ(answer->status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(answer->status().message()),
              ::testing::AllOf(::testing::HasSubstr("1-1.db is damaged"),
                               ::testing::HasSubstr("leftfold replay hand_made")));
}

TEST_F(ReadApiQuery, WithoutAFreeConnectionItWaitsForOne) {
  Serve();
  Apply(3, {{"oak", "Oak"}});
  std::vector<Lease> leases;
  for (int i = 0; i < kConnectionsPerViewMax; ++i) {
    auto lease = pool_->TryLease(*view_);
    ASSERT_TRUE(lease.ok() && lease->has_value());
    leases.push_back(**std::move(lease));
  }
  const auto result = Get("oak");
  executor_.Run();
  EXPECT_FALSE(result->done());
  leases.pop_back();
  executor_.Run();
  ASSERT_TRUE(result->done());
  EXPECT_EQ(result->room().room().name(), "Oak");
}

TEST_F(ReadApiQuery, TheQueueForConnectionsIsBounded) {
  Serve();
  std::vector<Lease> leases;
  for (int i = 0; i < kConnectionsPerViewMax; ++i) leases.push_back(**pool_->TryLease(*view_));
  std::vector<std::shared_ptr<Result>> waiting;
  for (std::size_t i = 0; i < kLeaseQueueMax; ++i) waiting.push_back(Get("oak"));
  const auto refused = Get("oak");
  executor_.Run();
  ASSERT_TRUE(refused->done());
  EXPECT_EQ(refused->status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(refused->status()), "QUEUE_FULL");
  leases.clear();
  executor_.Run();
  for (const auto& result : waiting) EXPECT_TRUE(result->done());
}

TEST_F(ReadApiQuery, WaitersForPositionsAreBounded) {
  Serve();
  std::vector<std::shared_ptr<Result>> waiting;
  for (std::size_t i = 0; i < kPositionWaitersMax; ++i) waiting.push_back(Get("oak", "5"));
  const auto refused = Get("oak", "5");
  executor_.Run();
  ASSERT_TRUE(refused->done());
  EXPECT_EQ(ReasonOf(refused->status()), "QUEUE_FULL");
}

TEST_F(ReadApiQuery, StopAnswersWhoWaitsAndWhoComes) {
  Serve();
  const auto waiting = Get("oak", "5");
  pool_->Stop();
  executor_.Run();
  ASSERT_TRUE(waiting->done());
  EXPECT_EQ(ReasonOf(waiting->status()), "STOPPING");
  EXPECT_EQ(ReasonOf(Get("oak")->status()), "STOPPING");
}

}  // namespace
}  // namespace leftfold::read_api
