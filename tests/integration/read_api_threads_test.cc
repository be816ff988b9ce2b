// The read side on real threads: a writer, slow and fast watchers, queries that wait for what was
// just written and queries that never end, a switch in the middle. Everybody ends in the last
// state, no position ever goes back, and each answer is that of its position.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <future>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "read_api/query_handler.h"
#include "read_api/watch_hub.h"
#include "server/thread_pool.h"
#include "testing/environment.h"
#include "tests/integration/read_api_fixture.h"

namespace leftfold::read_api {
namespace {

constexpr int kRooms = 20;
constexpr int kCommits = 600;

// A client that folds what it gets into rows. Acknowledges from another task, as gRPC does.
class FoldingClient final : public WatchSink {
 public:
  FoldingClient(Executor& executor, bool document) : executor_(executor), document_(document) {}
  void Write(std::string_view message) override {
    {
      const std::lock_guard lock(mu_);
      EXPECT_FALSE(end_);
      const std::string bytes(message);
      if (document_) {
        FoldDocument(bytes);
      } else {
        FoldList(bytes);
      }
    }
    changed_.notify_all();
    executor_.Post([this] { watcher->OnWritten(true); });
  }
  void Finish(const absl::Status& status) override {
    const std::lock_guard lock(mu_);
    EXPECT_FALSE(end_);
    end_ = status;
    changed_.notify_all();
  }
  // Waits until the client is at `position`.
  std::map<std::string, std::string> RowsAt(std::int64_t position) {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return position_ >= position || end_; });
    EXPECT_FALSE(end_);
    return rows_;
  }
  void WaitForEnd() {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return end_.has_value(); });
  }

  std::shared_ptr<Watcher> watcher;

 private:
  void Reach(const std::string& position) {
    if (position.empty()) return;
    EXPECT_GT(std::stoll(position), position_);
    position_ = std::stoll(position);
  }
  void FoldDocument(const std::string& bytes) {
    rooms::v1::WatchRoomResponse response;
    EXPECT_TRUE(response.ParseFromString(bytes));
    rows_[response.room().room_id()] = response.room().name();
    Reach(response.position());
  }
  void FoldList(const std::string& bytes) {
    rooms::v1::WatchRoomsResponse response;
    EXPECT_TRUE(response.ParseFromString(bytes));
    if (response.has_room()) round_[response.room().room_id()] = response.room().name();
    if (!response.removed_key().empty()) round_[response.removed_key()] = std::nullopt;
    if (response.position().empty()) return;
    if (response.snapshot_complete()) rows_.clear();
    for (const auto& [key, name] : round_) {
      if (name) {
        rows_[key] = *name;
      } else {
        rows_.erase(key);
      }
    }
    round_.clear();
    Reach(response.position());
  }

  Executor& executor_;
  const bool document_;
  std::mutex mu_;
  std::condition_variable changed_;
  std::map<std::string, std::string> rows_;
  std::map<std::string, std::optional<std::string>> round_;  // Since the last position.
  std::int64_t position_ = -1;
  std::optional<absl::Status> end_;
};

class ReadApiThreads : public ReadApiTest {
 protected:
  // The writer's part: commits to the served file, tells the read side, and switches in the middle.
  void WriteAll(std::uint32_t seed) {
    std::mt19937 random(seed);
    for (int position = 2; position <= kCommits; ++position) {
      std::vector<Change> changes;
      for (int n = static_cast<int>(random() % 3); n >= 0; --n) {
        const std::string id = fmt::format("room{:02}", random() % kRooms);
        const bool remove = random() % 4 == 0 && id != "room00";
        changes.push_back({id, remove ? "" : fmt::format("{} at {}", id, position)});
      }
      // So that all end at the last position: documents are silent about what does not touch them.
      if (position == kCommits) changes.push_back({"room00", "the end"});
      for (const Change& change : changes) {
        expected_[change.id] = change.name;
        if (change.id == "room00") room00_[position] = change.name;
      }
      pool_->OnWriting(HandMade::kName);
      if (position == kCommits / 2) {
        writer_ = NewFile(2);
        std::vector<Change> rows;
        for (const auto& [id, name] : expected_) rows.push_back({id, name});
        Commit(*writer_, position, rows);
        pool_->OnServing(HandMade::kName, PathOf(2));
        changes = rows;
      } else {
        Commit(*writer_, position, changes);
      }
      Tell(position, changes);
      told_ = position;
      pool_->OnWritten(HandMade::kName);
    }
    std::erase_if(expected_, [](const auto& row) { return row.second.empty(); });
  }

  // Asks again and again until the end, each time for what was told last.
  void QueryUntilTheEnd(QueryHandler& queries) {
    std::int64_t applied = 0;
    while (applied < kCommits) {
      const std::int64_t told = told_;
      auto request = std::make_unique<rooms::v1::GetRoomRequest>();
      request->set_room_id("room00");
      request->set_min_position(std::to_string(told));
      std::promise<absl::StatusOr<Answer>> promise;
      queries.Handle(*view_, view_->queries[0], std::move(request), absl::InfiniteDuration(),
                     [&](absl::StatusOr<Answer> answer) { promise.set_value(std::move(answer)); });
      const absl::StatusOr<Answer> answer = promise.get_future().get();
      ASSERT_TRUE(answer.ok()) << answer.status();
      const auto& room = static_cast<const rooms::v1::GetRoomResponse&>(**answer);
      EXPECT_GE(std::stoll(room.applied_position()), std::max(told, applied));
      applied = std::stoll(room.applied_position());
      const std::lock_guard lock(answers_mu_);
      answers_.emplace(applied, room.room().name());
    }
  }

  std::map<std::string, std::string> expected_;
  std::map<std::int64_t, std::string> room00_ = {{1, "the begin"}};  // By position.
  std::atomic<std::int64_t> told_ = 1;
  std::mutex answers_mu_;
  std::set<std::pair<std::int64_t, std::string>> answers_;  // Position and name of room00.
};

TEST_F(ReadApiThreads, AllWatchersAndQueriesEndInTheLastState) {
  const auto seed = static_cast<std::uint32_t>(testing::Seed());
  SCOPED_TRACE(fmt::format("LEFTFOLD_SEED={}", seed));
  auto threads = std::make_unique<ThreadPool>("read", 4);
  pool_ = std::make_unique<ViewPool>(registry_, *threads);
  WatchHub hub(registry_, *pool_, *threads);
  QueryHandler queries(registry_, *pool_);
  pool_->ForwardTo(&hub);
  Serve();
  Apply(1, {{"room00", "the begin"}});
  expected_["room00"] = "the begin";

  std::vector<std::shared_ptr<FoldingClient>> clients;
  const auto open = [&](bool document) {
    auto client = std::make_shared<FoldingClient>(*threads, document);
    std::unique_ptr<google::protobuf::Message> request =
        std::make_unique<rooms::v1::WatchRoomsRequest>();
    if (document) {
      auto room = std::make_unique<rooms::v1::WatchRoomRequest>();
      room->set_room_id("room00");
      request = std::move(room);
    }
    client->watcher = hub.Open(*view_, view_->watches[document ? 0 : 1], std::move(request),
                               absl::InfiniteDuration(), client);
    client->watcher->Start();
    clients.push_back(client);
  };
  std::mutex mu;
  std::condition_variable answered;
  int answers = 0;
  std::jthread writer([&] { WriteAll(seed); });
  std::vector<std::jthread> askers;
  for (int i = 0; i < 3; ++i) askers.emplace_back([&] { QueryUntilTheEnd(queries); });
  for (int i = 0; i < 40; ++i) {
    open(i % 4 == 0);
    auto request = std::make_unique<rooms::v1::GetRoomRequest>();
    request->set_room_id("room00");
    request->set_min_position(std::to_string(i * kCommits / 40));
    const std::int64_t min_position = i * kCommits / 40;
    queries.Handle(*view_, view_->queries[0], std::move(request), absl::InfiniteDuration(),
                   [&, min_position](absl::StatusOr<Answer> answer) {
                     const std::lock_guard lock(mu);
                     if (answer.ok()) {
                       const auto& room = static_cast<const rooms::v1::GetRoomResponse&>(**answer);
                       EXPECT_GE(std::stoll(room.applied_position()), min_position);
                     } else {
                       EXPECT_EQ(ReasonOf(answer.status()),
                                 "READ_MODEL_BEHIND");  // On a very slow machine.
                     }
                     ++answers;
                     answered.notify_all();
                   });
  }
  writer.join();
  for (std::jthread& asker : askers) asker.join();
  for (const auto& [position, name] : answers_)
    EXPECT_EQ(name, std::prev(room00_.upper_bound(position))->second) << "at " << position;
  for (std::size_t i = 0; i < clients.size(); ++i) {
    const auto rows = clients[i]->RowsAt(kCommits);
    if (i % 4 == 0) {
      EXPECT_EQ(rows.at("room00"), "the end");
    } else {
      EXPECT_EQ(rows, expected_);
    }
  }
  {
    std::unique_lock lock(mu);
    answered.wait(lock, [&] { return answers == 40; });
  }
  hub.Stop();
  pool_->Stop();
  for (const auto& client : clients) client->WaitForEnd();
  threads->Stop();
  EXPECT_EQ(hub.open_watches(), 0);
  for (const auto& client : clients) client->watcher.reset();  // Or they hold each other.
  threads.reset();
}

}  // namespace
}  // namespace leftfold::read_api
