#ifndef TESTS_INTEGRATION_READ_API_FIXTURE_H_
#define TESTS_INTEGRATION_READ_API_FIXTURE_H_

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/executor.h"
#include "core/registry.h"
#include "core/reject.h"
#include "leftfold/rooms/v1/queries.pb.h"
#include "read_api/view_pool.h"
#include "sql/view_file.h"
#include "testing/temporary_folder.h"

namespace leftfold::read_api {

// Runs tasks when told to, in the order of their posts, on a time of its own.
class ManualExecutor final : public Executor {
 public:
  void Post(std::function<void()> task) override { tasks_.push_back(std::move(task)); }
  void PostAfter(absl::Duration delay, std::function<void()> task) override {
    timers_.emplace(now_ + delay, std::move(task));
  }
  // False when there is none.
  bool RunOne() {
    if (tasks_.empty()) return false;
    const std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    task();
    return true;
  }
  // Until nothing is left to do now.
  void Run() {
    while (RunOne()) {
    }
  }
  void Advance(absl::Duration by) {
    const absl::Duration end = now_ + by;
    Run();
    while (!timers_.empty() && timers_.begin()->first <= end) {
      now_ = timers_.begin()->first;
      tasks_.push_back(std::move(timers_.extract(timers_.begin()).mapped()));
      Run();
    }
    now_ = end;
  }

 private:
  absl::Duration now_;
  std::deque<std::function<void()>> tasks_;
  std::multimap<absl::Duration, std::function<void()>> timers_;
};

inline absl::Status NoRoom(const std::string& id) {
  return absl::NotFoundError("there is no room " + id);
}

// A view whose rows the tests write by hand.
struct HandMade {
  static constexpr std::string_view kName = "hand_made";
  static constexpr int kVersion = 1;
  static constexpr std::string_view kSchema =
      "CREATE TABLE room(id TEXT PRIMARY KEY, name TEXT NOT NULL) STRICT";
  using Handles = Types<>;
  using Queries = Types<rooms::v1::GetRoomRequest, rooms::v1::ListRoomsRequest>;
  using Watches = Types<rooms::v1::WatchRoomRequest, rooms::v1::WatchRoomsRequest>;

  template <class Event>
  static void On(const Event&, const EventMeta&, WriteTx&) {}  // Handles nothing.

  template <class Response>
  static absl::StatusOr<Response> Find(std::string_view id, ReadTx& tx) {
    Rows rows = tx.Query("SELECT id, name FROM room WHERE id = ?", id);
    if (!rows.Next()) return NoRoom(std::string(id));
    Response response;
    response.mutable_room()->set_room_id(rows.Text(0));
    response.mutable_room()->set_name(rows.Text(1));
    return response;
  }
  static absl::StatusOr<rooms::v1::GetRoomResponse> Answer(const rooms::v1::GetRoomRequest& r,
                                                           ReadTx& tx) {
    return Find<rooms::v1::GetRoomResponse>(r.room_id(), tx);
  }
  static std::string Stream(const rooms::v1::GetRoomRequest& r) { return "room-" + r.room_id(); }
  // A query with a mistake in its SQL.
  static absl::StatusOr<rooms::v1::ListRoomsResponse> Answer(const rooms::v1::ListRoomsRequest&,
                                                             ReadTx& tx) {
    Rows rows = tx.Query("SELECT nothing FROM nowhere");
    return rooms::v1::ListRoomsResponse();
  }
  static std::string Key(const rooms::v1::WatchRoomRequest& r) { return r.room_id(); }
  static absl::StatusOr<rooms::v1::WatchRoomResponse> Answer(const rooms::v1::WatchRoomRequest& r,
                                                             ReadTx& tx) {
    ++watch_answers;
    return Find<rooms::v1::WatchRoomResponse>(r.room_id(), tx);
  }
  static inline std::atomic<int> watch_answers = 0;  // Made for watches of one room.
  static bool Matches(const rooms::v1::WatchRoomsRequest&, std::string_view key, ReadTx& tx) {
    return tx.Query("SELECT 1 FROM room WHERE id = ?", key).Next();
  }
  static std::vector<std::string> Keys(const rooms::v1::WatchRoomsRequest&, std::string_view after,
                                       int limit, ReadTx& tx) {
    std::vector<std::string> keys;
    for (Rows rows = tx.Query("SELECT id FROM room WHERE id > ? ORDER BY id LIMIT ?", after, limit);
         rows.Next();) {
      keys.push_back(rows.Text(0));
    }
    return keys;
  }
  static absl::StatusOr<rooms::v1::WatchRoomsResponse> Answer(const rooms::v1::WatchRoomsRequest&,
                                                              std::string_view key, ReadTx& tx) {
    return Find<rooms::v1::WatchRoomsResponse>(key, tx);
  }
};

// A pool with the hand-made view, and the projector's part played by hand.
class ReadApiTest : public ::testing::Test {
 protected:
  ReadApiTest() {
    registry_.Add<HandMade>();
    view_ = &registry_.views().front();
    pool_ = std::make_unique<ViewPool>(registry_, executor_);
  }

  std::string PathOf(std::int64_t generation) {
    return sql::ViewPath(folder_.path(), HandMade::kName, {HandMade::kVersion, generation});
  }
  std::unique_ptr<sql::Connection> NewFile(std::int64_t generation) {
    auto writer = sql::OpenViewWriter(PathOf(generation), *view_, Digest{});
    EXPECT_TRUE(writer.ok()) << writer.status();
    return *std::move(writer);
  }
  // Generation 1 is served.
  void Serve() {
    writer_ = NewFile(1);
    pool_->OnServing(HandMade::kName, PathOf(1));
  }
  struct Change {
    std::string id;
    std::string name;  // Empty removes the room.
  };
  static void Commit(sql::Connection& writer, std::int64_t position,
                     const std::vector<Change>& changes) {
    ASSERT_TRUE(writer.Begin().ok());
    sql::ConnectionWriteTx tx(writer);
    for (const Change& change : changes) {
      if (change.name.empty()) {
        tx.Exec("DELETE FROM room WHERE id = ?", change.id);
      } else {
        tx.Exec("INSERT INTO room VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET name = ?2",
                change.id, change.name);
      }
      sql::WriteChange(writer, Position{position}, change.id);
    }
    sql::WriteCheckpoint(writer, {Position{position}, Digest{}});
    ASSERT_TRUE(writer.Commit().ok()) << writer.status();
  }
  // Commits the changes at `position` and tells the read side; tasks are not run.
  void Apply(std::int64_t position, const std::vector<Change>& changes) {
    Commit(*writer_, position, changes);
    Tell(position, changes);
  }
  void Tell(std::int64_t position, const std::vector<Change>& changes) {
    std::vector<std::string> touched;
    for (const Change& change : changes) touched.push_back(change.id);
    pool_->OnApplied(HandMade::kName, Position{position}, touched);
  }

  ::leftfold::testing::TemporaryFolder folder_;
  Registry registry_;
  const ViewEntry* view_ = nullptr;
  ManualExecutor executor_;
  std::unique_ptr<ViewPool> pool_;
  std::unique_ptr<sql::Connection> writer_;
};

}  // namespace leftfold::read_api
#endif  // TESTS_INTEGRATION_READ_API_FIXTURE_H_
