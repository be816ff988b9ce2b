// Following the files of views that another process builds.
#include <gmock/gmock.h>

#include <filesystem>

#include "core/reject.h"
#include "read_api/view_follower.h"
#include "read_api/watch_hub.h"
#include "server/served_views.h"
#include "server/view_health.h"
#include "tests/integration/read_api_fixture.h"

namespace leftfold::read_api {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// What a listener is told, in words.
class Words final : public ViewListener {
 public:
  void OnServing(std::string_view, const std::string& path) override {
    Say("serving " + std::filesystem::path(path).filename().string());
  }
  void OnBuilding(std::string_view) override { Say("building"); }
  void OnApplied(std::string_view, Position applied,
                 const std::vector<std::string>& touched) override {
    std::string text = "applied " + std::to_string(applied.value);
    for (const std::string& key : touched) text += " " + key;
    Say(text);
  }
  void OnStopped(std::string_view, const absl::Status& reason) override {
    Say("stopped " + std::string(absl::StatusCodeToString(reason.code())) + ReasonOf(reason));
  }
  std::vector<std::string> Take() { return std::exchange(said_, {}); }

 private:
  void Say(std::string text) { said_.push_back(std::move(text)); }
  std::vector<std::string> said_;
};

class Follower : public ReadApiTest {
 protected:
  void SetUp() override { follower_.Start(); }
  // What is told at the next look.
  std::vector<std::string> Next() {
    executor_.Advance(kFollowInterval);
    return words_.Take();
  }
  // A file as the projector of another process leaves it, and serves it.
  std::unique_ptr<sql::Connection> Build(std::int64_t generation, std::int64_t position) {
    auto writer = NewFile(generation);
    Commit(*writer, position, {{"oak", "Oak"}});
    return writer;
  }
  void Switch(std::int64_t generation) {
    ASSERT_TRUE(
        sql::WriteCurrent(folder_.path(), HandMade::kName, {HandMade::kVersion, generation}).ok());
  }

  Words words_;
  ViewFollower follower_{registry_, folder_.path(), words_, executor_};
};

TEST_F(Follower, AViewWithoutAFileIsBuildingUntilThereIsOne) {
  EXPECT_THAT(words_.Take(), ElementsAre("building")) << "at the start";
  EXPECT_THAT(Next(), IsEmpty());
  const auto writer = Build(1, 3);
  EXPECT_THAT(Next(), IsEmpty()) << "it is not served yet";
  Switch(1);
  EXPECT_THAT(Next(), ElementsAre("serving 1-1.db"));
}

TEST_F(Follower, EachCommitIsToldOnceWithItsKeys) {
  const auto writer = Build(1, 3);
  Switch(1);
  Next();
  EXPECT_THAT(Next(), IsEmpty());
  Commit(*writer, 4, {{"elm", "Elm"}});
  Commit(*writer, 6, {{"oak", "Oak 2"}, {"ash", "Ash"}});
  EXPECT_THAT(Next(), ElementsAre("applied 6 elm ash oak"));
  EXPECT_THAT(Next(), IsEmpty());
  Commit(*writer, 7, {});
  EXPECT_THAT(Next(), ElementsAre("applied 7")) << "waits for 7 end";
}

TEST_F(Follower, WhatARetryChangedIsToldWithTheNextPosition) {
  const auto writer = Build(1, 3);
  Switch(1);
  Next();
  ASSERT_TRUE(writer->Begin().ok());
  sql::WriteChange(*writer, Position{4}, "parked");
  ASSERT_TRUE(writer->Commit().ok());
  EXPECT_THAT(Next(), IsEmpty());
  Commit(*writer, 4, {{"elm", "Elm"}});
  EXPECT_THAT(Next(), ElementsAre("applied 4 elm parked"));
}

TEST_F(Follower, MoreKeysThanAreToldOneByOneAreAllToldAnew) {
  const auto writer = Build(1, 3);
  Switch(1);
  Next();
  std::vector<Change> changes;
  for (int i = 0; i < kFollowedKeysMax; ++i) changes.push_back({"r" + std::to_string(i), "R"});
  Commit(*writer, 4, changes);
  const std::vector<std::string> told = Next();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_TRUE(told[0].starts_with("applied 4 ")) << "as many as that are";
  changes.push_back({"one more", "R"});
  Commit(*writer, 5, changes);
  EXPECT_THAT(Next(), ElementsAre("serving 1-1.db"));
}

TEST_F(Follower, CommitsFurtherBackThanChangesReachAreAllToldAnew) {
  const auto writer = Build(1, 3);
  Switch(1);
  Next();
  Commit(*writer, 4 + sql::kChangesKept, {{"elm", "Elm"}});
  EXPECT_THAT(Next(), ElementsAre("serving 1-1.db"));
}

TEST_F(Follower, WhatCannotBeReadIsNotGone) {
  namespace fs = std::filesystem;
  const fs::path view = fs::path(folder_.path()) / HandMade::kName;
  const auto writer = Build(1, 3);
  Switch(1);
  ASSERT_TRUE(sql::WritePaused(folder_.path(), HandMade::kName, "because").ok());
  Next();
  for (const char* name : {"CURRENT", "PAUSED"}) {
    fs::rename(view / name, view / "kept");
    fs::create_directory(view / name);
    EXPECT_THAT(Next(), IsEmpty()) << name;
    fs::remove(view / name);
    fs::rename(view / "kept", view / name);
    EXPECT_THAT(Next(), IsEmpty()) << name;
  }
}

TEST_F(Follower, AnotherGenerationAndAnotherFileOfTheSameNameAreServed) {
  auto writer = Build(1, 3);
  Switch(1);
  Next();
  const auto second = Build(2, 4);
  Switch(2);
  EXPECT_THAT(Next(), ElementsAre("serving 1-2.db"));
  Commit(*writer, 5, {{"elm", "Elm"}});
  EXPECT_THAT(Next(), IsEmpty()) << "of a file that is not served";
  Switch(1);
  EXPECT_THAT(Next(), ElementsAre("serving 1-1.db"));
  writer.reset();
  sql::RemoveGeneration(folder_.path(), HandMade::kName, {HandMade::kVersion, 1});
  writer = Build(1, 9);
  EXPECT_THAT(Next(), ElementsAre("serving 1-1.db"));
  Commit(*writer, 10, {{"ash", "Ash"}});
  EXPECT_THAT(Next(), ElementsAre("applied 10 ash")) << "of the new file";
}

TEST_F(Follower, AFileThatIsLostIsToldOnceAndServedWhenItIsBack) {
  words_.Take();
  std::filesystem::create_directory(folder_.path() + "/hand_made");
  Switch(1);
  EXPECT_THAT(Next(), ElementsAre("stopped NOT_FOUND"));
  EXPECT_THAT(Next(), IsEmpty());
  const auto writer = Build(1, 3);
  EXPECT_THAT(Next(), ElementsAre("serving 1-1.db"));
  std::filesystem::remove_all(folder_.path() + "/hand_made");
  EXPECT_THAT(Next(), ElementsAre("building"));
}

TEST_F(Follower, APauseIsToldUntilItEnds) {
  const auto writer = Build(1, 3);
  Switch(1);
  Next();
  ASSERT_TRUE(sql::WritePaused(folder_.path(), HandMade::kName, "an inquiry").ok());
  EXPECT_THAT(Next(), ElementsAre("stopped UNAVAILABLEVIEW_PAUSED"));
  EXPECT_THAT(Next(), IsEmpty());
  const auto second = Build(2, 4);
  Switch(2);
  EXPECT_THAT(Next(), ElementsAre("serving 1-2.db", "stopped UNAVAILABLEVIEW_PAUSED"));
  ASSERT_TRUE(sql::WritePaused(folder_.path(), HandMade::kName, std::nullopt).ok());
  EXPECT_THAT(Next(), ElementsAre("applied 4"));
}

TEST_F(Follower, WhyAViewHasStoppedIsToldUntilItGoesOn) {
  const auto write = [&](const absl::Status& reason) {
    ASSERT_TRUE(
        sql::WriteStopped(folder_.path(), HandMade::kName, HandMade::kVersion, reason).ok());
  };
  words_.Take();
  write(absl::InvalidArgumentError("stopped at position 1: poison"));
  EXPECT_THAT(Next(), ElementsAre("stopped INVALID_ARGUMENT")) << "while it is built, too";
  write(absl::OkStatus());
  EXPECT_THAT(Next(), IsEmpty());
  EXPECT_THAT(Next(), ElementsAre("building"));
  const auto writer = Build(1, 3);
  Switch(1);
  Next();
  write(Reject(core::v1::ERROR_REASON_DATA_LOSS, "stopped at position 4: a hole"));
  EXPECT_THAT(Next(), ElementsAre("stopped DATA_LOSSDATA_LOSS"));
  EXPECT_THAT(Next(), IsEmpty());
  ASSERT_TRUE(sql::WritePaused(folder_.path(), HandMade::kName, "an inquiry").ok());
  EXPECT_THAT(Next(), ElementsAre("stopped UNAVAILABLEVIEW_PAUSED"));
  ASSERT_TRUE(sql::WritePaused(folder_.path(), HandMade::kName, std::nullopt).ok());
  EXPECT_THAT(Next(), ElementsAre("stopped DATA_LOSSDATA_LOSS"));
  write(absl::OkStatus());
  EXPECT_THAT(Next(), ElementsAre("applied 3"));
  ASSERT_TRUE(sql::WriteStopped(folder_.path(), HandMade::kName, HandMade::kVersion + 1,
                                absl::InternalError("another version"))
                  .ok());
  EXPECT_THAT(Next(), IsEmpty());
}

// What an operator of a process that only reads is shown.
TEST_F(Follower, AStoppedViewIsListedAndItsServiceDoesNotServe) {
  ViewHealth health(registry_, *pool_);
  std::map<std::string, bool> serving;
  health.TellTo([&](const std::string& service, bool serves) { serving[service] = serves; });
  ViewFollower follower(registry_, folder_.path(), health, executor_);
  const auto writer = Build(1, 3);
  Switch(1);
  follower.Start();
  const auto listed = [&] {
    return ListServedViews(registry_, *pool_, folder_.path(), nullptr).at(0);
  };
  EXPECT_EQ(listed().state, ViewState::kServed);
  const std::string service = "leftfold.rooms.v1.RoomQueryService";
  EXPECT_TRUE(serving.at(service));
  const std::string why = "stopped at position 4: SQLite error 1299: NOT NULL constraint failed";
  ASSERT_TRUE(sql::WriteStopped(folder_.path(), HandMade::kName, HandMade::kVersion,
                                absl::InvalidArgumentError(why))
                  .ok());
  executor_.Advance(kFollowInterval);
  EXPECT_EQ(listed().state, ViewState::kStopped);
  EXPECT_EQ(listed().reason, why);
  EXPECT_EQ(listed().checkpoint, Position{3});
  EXPECT_FALSE(serving.at(service));
  EXPECT_EQ(ReasonOf(pool_->IsReadable(*view_, Position{4}).status()), "VIEW_STOPPED");
  EXPECT_TRUE(*pool_->IsReadable(*view_, Position{3})) << "it serves its last state";
  ASSERT_TRUE(
      sql::WriteStopped(folder_.path(), HandMade::kName, HandMade::kVersion, absl::OkStatus())
          .ok());
  executor_.Advance(kFollowInterval);
  EXPECT_EQ(listed().state, ViewState::kServed);
  EXPECT_TRUE(serving.at(service));
}

TEST_F(Follower, NothingIsToldAfterStop) {
  words_.Take();
  follower_.Stop();
  const auto writer = Build(1, 3);
  Switch(1);
  EXPECT_THAT(Next(), IsEmpty());
}

// A follower before the pool and the hub, as in a process that only reads.
TEST_F(Follower, AWaitForAPositionEndsWithTheCommitOfAnotherProcess) {
  ViewFollower follower(registry_, folder_.path(), *pool_, executor_);
  const auto writer = Build(1, 3);
  Switch(1);
  follower.Start();
  EXPECT_EQ(pool_->ConditionOf(*view_).state, ViewCondition::State::kServing);
  std::optional<absl::Status> waited;
  pool_->WaitFor(*view_, Position{4}, absl::Seconds(1),
                 [&](absl::Status status) { waited = std::move(status); });
  executor_.Advance(kFollowInterval);
  EXPECT_EQ(waited, std::nullopt);
  Commit(*writer, 4, {{"elm", "Elm"}});
  executor_.Advance(kFollowInterval);
  ASSERT_TRUE(waited.has_value());
  EXPECT_TRUE(waited->ok()) << *waited;
}

}  // namespace
}  // namespace leftfold::read_api
