// As many watchers of one server over gRPC as it takes: of as many rooms, of one room; thousands of
// which some do not read; of the list. All end in the newest state, at positions that rise, and
// what a watcher costs is bounded.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "leftfold/rooms/v1/commands.grpc.pb.h"
#include "leftfold/rooms/v1/queries.grpc.pb.h"
#include "read_api/watch_hub.h"
#include "testing/child_process.h"
#include "testing/environment.h"
#include "testing/rooms_client.h"
#include "testing/sanitized.h"
#include "testing/temporary_folder.h"
#include "testing/watch_stream.h"

namespace leftfold {
namespace {

using RoomWatch = testing::WatchStream<rooms::v1::WatchRoomRequest, rooms::v1::WatchRoomResponse>;
using ListWatch = testing::WatchStream<rooms::v1::WatchRoomsRequest, rooms::v1::WatchRoomsResponse>;
using Stub = rooms::v1::RoomQueryService::Stub;
using Commands = rooms::v1::RoomCommandService::StubInterface::async_interface;

constexpr int kSomeWatchers = testing::kSanitized ? 200 : 2'000;
constexpr int kReaders = testing::kSanitized ? 200 : 2'000;
constexpr int kSlow = 50;
// Commands that are not answered yet.
constexpr int kInFlight = 256;
constexpr int kConnections = 4;
// What a watcher may cost the server at the most, also one that does not read: mostly gRPC's own.
constexpr double kKibOfAWatcherMax = 64;
// Half of the states that it would be sent if each waited for it. Those that read cost some of it
// too, where the machine lets them wait.
constexpr double kKibOfASlowWatcherMax = 200;

// As many as a server takes, or some.
int Watchers() {
  return static_cast<int>(
      testing::CasesOrSome("LEFTFOLD_WATCHERS", read_api::kWatchersMax, kSomeWatchers));
}
std::string RoomId(int room) { return fmt::format("room{}", room); }

// What many watchers heard last; waits until all heard the same.
class Heard {
 public:
  explicit Heard(int watchers)
      : newest_(static_cast<std::size_t>(watchers)),
        positions_(static_cast<std::size_t>(watchers), -1) {}
  void Hear(int watcher, const std::string& name, std::int64_t position) {
    const auto index = static_cast<std::size_t>(watcher);
    bool all = false;
    {
      const std::lock_guard lock(mu_);
      ++messages_;
      EXPECT_GT(position, positions_[index]);
      positions_[index] = position;
      waiting_ -= newest_[index] != name && name == awaited_ ? 1 : 0;
      newest_[index] = name;
      all = waiting_ == 0;
    }
    if (all) changed_.notify_all();
  }
  // The number of all messages so far.
  std::int64_t AwaitAll(const std::string& name) {
    std::unique_lock lock(mu_);
    awaited_ = name;
    waiting_ = std::count_if(newest_.begin(), newest_.end(),
                             [&](const std::string& newest) { return newest != name; });
    changed_.wait(lock, [&] { return waiting_ == 0; });
    return messages_;
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  std::vector<std::string> newest_;
  std::vector<std::int64_t> positions_;
  std::string awaited_;
  std::ptrdiff_t waiting_ = 0;
  std::int64_t messages_ = 0;
};

// The list as a client has it after each whole round.
class List {
 public:
  void Fold(const rooms::v1::WatchRoomsResponse& message) {
    {
      const std::lock_guard lock(mu_);
      if (message.has_room()) round_[message.room().room_id()] = message.room().name();
      if (!message.removed_key().empty()) round_[message.removed_key()] = std::nullopt;
      if (message.position().empty()) return;
      if (message.snapshot_complete()) rows_.clear();
      for (const auto& [key, name] : round_) {
        name ? void(rows_[key] = *name) : void(rows_.erase(key));
      }
      round_.clear();
      position_ = std::stoll(message.position());
    }
    changed_.notify_all();
  }
  std::map<std::string, std::string> At(std::int64_t position) {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return position_ >= position; });
    return rows_;
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  std::map<std::string, std::string> rows_;
  std::map<std::string, std::optional<std::string>> round_;
  std::int64_t position_ = -1;
};

class WatchScale : public ::testing::Test {
 protected:
  WatchScale()
      : server_(LEFTFOLD_BINARY, folder_.path()),
        client_(server_.write_address, server_.read_address) {
    for (int i = 0; i < kConnections; ++i) stubs_.push_back(Connect(i));
  }

  // Different arguments: connections are not shared.
  std::unique_ptr<Stub> Connect(int number) {
    grpc::ChannelArguments arguments;
    arguments.SetInt("leftfold.test.connection", number);
    return rooms::v1::RoomQueryService::NewStub(grpc::CreateCustomChannel(
        server_.read_address, grpc::InsecureChannelCredentials(), arguments));
  }
  template <class Request, class Response>
  std::int64_t Do(const Request& request, Response response) {
    const grpc::Status status = client_.Call(request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return std::stoll(response.receipt().position());
  }
  std::int64_t Create(int room, const std::string& description = "") {
    rooms::v1::CreateRoomRequest request;
    request.set_room_id(RoomId(room));
    request.set_name("Oak");
    request.set_description(description);
    return Do(request, rooms::v1::CreateRoomResponse());
  }
  std::int64_t Rename(int room, const std::string& name) {
    rooms::v1::RenameRoomRequest request;
    request.set_room_id(RoomId(room));
    request.set_name(name);
    return Do(request, rooms::v1::RenameRoomResponse());
  }
  std::int64_t Delete(int room) {
    rooms::v1::DeleteRoomRequest request;
    request.set_room_id(RoomId(room));
    return Do(request, rooms::v1::DeleteRoomResponse());
  }
  // One command for each room, many at once. The last position.
  template <class Request, class Response>
  std::int64_t DoToAll(void (Commands::*rpc)(grpc::ClientContext*, const Request*, Response*,
                                             std::function<void(grpc::Status)>),
                       const std::string& name) {
    struct Call {
      grpc::ClientContext context;
      Request request;
      Response response;
    };
    std::mutex mu;
    std::condition_variable changed;
    int in_flight = 0;
    std::int64_t last = 0;
    for (int room = 0; room < Watchers(); ++room) {
      {
        std::unique_lock lock(mu);
        changed.wait(lock, [&] { return in_flight < kInFlight; });
        ++in_flight;
      }
      auto call = std::make_shared<Call>();
      call->request.set_room_id(RoomId(room));
      call->request.set_name(name);
      (static_cast<Commands*>(client_.commands().async())->*rpc)(
          &call->context, &call->request, &call->response, [&, call](const grpc::Status& status) {
            EXPECT_TRUE(status.ok()) << status.error_message();
            const std::lock_guard lock(mu);
            last = std::max(last, std::stol(call->response.receipt().position()));
            --in_flight;
            changed.notify_all();
          });
    }
    std::unique_lock lock(mu);
    changed.wait(lock, [&] { return in_flight == 0; });
    return last;
  }
  // The views have it.
  void Await(std::int64_t position) {
    rooms::v1::GetRoomRequest request;
    request.set_room_id(RoomId(0));
    request.set_min_position(fmt::to_string(position));
    rooms::v1::GetRoomResponse response;
    const grpc::Status status = client_.Call(request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  std::unique_ptr<RoomWatch> Watch(Stub& stub, int room, Heard& heard, int watcher) {
    rooms::v1::WatchRoomRequest request;
    request.set_room_id(RoomId(room));
    return std::make_unique<RoomWatch>(
        request,
        [&stub](auto* context, auto* message, auto* reactor) {
          stub.async()->WatchRoom(context, message, reactor);
        },
        [&heard, watcher](const rooms::v1::WatchRoomResponse& state) {
          if (state.heartbeat()) return;
          heard.Hear(watcher, state.room().name(), std::stoll(state.position()));
        },
        [](const grpc::Status& status) { ADD_FAILURE() << status.error_message(); });
  }
  std::unique_ptr<ListWatch> Watch(Stub& stub, List& list) {
    return std::make_unique<ListWatch>(
        rooms::v1::WatchRoomsRequest(),
        [&stub](auto* context, auto* message, auto* reactor) {
          stub.async()->WatchRooms(context, message, reactor);
        },
        [&list](const rooms::v1::WatchRoomsResponse& message) { list.Fold(message); },
        [](const grpc::Status& status) { ADD_FAILURE() << status.error_message(); });
  }
  // Since `before`, of each watcher; sanitizers keep what was given back.
  void ExpectKibEach(double before, int watchers, double most) {
    const double each = (server_.process.ResidentMegabytes() - before) * 1'024 / watchers;
    RecordProperty("KibEach", fmt::format("{:.1f}", each));
    if (!testing::kSanitized) {
      EXPECT_LT(each, most);
    }
  }

  const testing::TemporaryFolder folder_;
  testing::ServerProcess server_;
  testing::RoomsClient client_;
  std::vector<std::unique_ptr<Stub>> stubs_;
};

TEST_F(WatchScale, EachOfManyHearsOfItsOwnRoom) {
  Await(DoToAll(&Commands::CreateRoom, "Oak"));
  const double before = server_.process.ResidentMegabytes();
  Heard heard(Watchers());
  std::vector<std::unique_ptr<RoomWatch>> watches;
  for (int i = 0; i < Watchers(); ++i) {
    watches.push_back(Watch(*stubs_[static_cast<std::size_t>(i % kConnections)], i, heard, i));
    watches.back()->Read();
  }
  EXPECT_EQ(heard.AwaitAll("Oak"), Watchers());
  ExpectKibEach(before, Watchers(), kKibOfAWatcherMax);
  DoToAll(&Commands::RenameRoom, "Elm");
  EXPECT_EQ(heard.AwaitAll("Elm"), 2 * Watchers()) << "somebody was told of another room";
}

TEST_F(WatchScale, AllHearOfOneRoom) {
  constexpr int kChanges = 10;
  Await(Create(0));
  const double before = server_.process.ResidentMegabytes();
  Heard heard(Watchers());
  std::vector<std::unique_ptr<RoomWatch>> watches;
  for (int i = 0; i < Watchers(); ++i) {
    watches.push_back(Watch(*stubs_[static_cast<std::size_t>(i % kConnections)], 0, heard, i));
    watches.back()->Read();
  }
  EXPECT_EQ(heard.AwaitAll("Oak"), Watchers());
  ExpectKibEach(before, Watchers(), kKibOfAWatcherMax);
  for (int change = 1; change <= kChanges; ++change) Rename(0, fmt::to_string(change));
  EXPECT_LE(heard.AwaitAll(fmt::to_string(kChanges)), (1 + kChanges) * Watchers());
}

TEST_F(WatchScale, ManyHearOfOneRoomAndThoseThatDoNotReadCostNoMore) {
  constexpr int kChanges = 100;
  // Many times what fits between server and client.
  Await(Create(0, std::string(4'000, 'x')));
  Heard heard(kReaders), slow_heard(kSlow);
  std::vector<std::unique_ptr<RoomWatch>> watches, slow;
  for (int i = 0; i < kReaders; ++i) {
    watches.push_back(Watch(*stubs_[static_cast<std::size_t>(i % kConnections)], 0, heard, i));
    watches.back()->Read();
  }
  const auto other_connection = Connect(kConnections);
  for (int i = 0; i < kSlow; ++i) slow.push_back(Watch(*other_connection, 0, slow_heard, i));
  heard.AwaitAll("Oak");
  Rename(0, "warm");
  heard.AwaitAll("warm");
  const double before = server_.process.ResidentMegabytes();
  for (int change = 1; change <= kChanges; ++change) Rename(0, fmt::to_string(change));
  heard.AwaitAll(fmt::to_string(kChanges));
  ExpectKibEach(before, kSlow, kKibOfASlowWatcherMax);
  for (const auto& watch : slow) watch->Read();
  const std::int64_t messages = slow_heard.AwaitAll(fmt::to_string(kChanges));
  EXPECT_LT(messages, kSlow * kChanges / 2) << "states in between merge for a slow client";
}

TEST_F(WatchScale, ListsFollowInsertsChangesAndRemovalsWhetherTheyAreReadOrNot) {
  constexpr int kLists = 20, kRooms = 100;
  std::int64_t last = 0;
  for (int room = 0; room < kRooms; ++room) last = Create(room, std::string(4'000, 'x'));
  Await(last);
  std::vector<std::unique_ptr<List>> lists;
  std::vector<std::unique_ptr<ListWatch>> watches;
  const auto other_connection = Connect(kConnections);
  for (int i = 0; i < kLists; ++i) {
    lists.push_back(std::make_unique<List>());
    watches.push_back(Watch(i % 2 == 0 ? *stubs_.front() : *other_connection, *lists.back()));
    if (i % 2 == 0) watches.back()->Read();
  }
  EXPECT_EQ(lists.front()->At(last).size(), std::size_t{kRooms});
  const double before = server_.process.ResidentMegabytes();
  std::map<std::string, std::string> expected;
  for (int room = 1; room < kRooms; ++room) {
    if (room % 3 == 0) {
      Delete(room);
    } else {
      expected[RoomId(room)] = fmt::format("Elm {}", room);
      Rename(room, expected[RoomId(room)]);
    }
    Create(kRooms + room);
    expected[RoomId(kRooms + room)] = "Oak";
  }
  // The last is one that all are told of.
  expected[RoomId(0)] = "the end";
  last = Rename(0, "the end");
  for (int i = 0; i < kLists; i += 2)
    EXPECT_EQ(lists[static_cast<std::size_t>(i)]->At(last), expected);
  ExpectKibEach(before, kLists / 2, 2 * kKibOfASlowWatcherMax);
  for (int i = 1; i < kLists; i += 2) {
    watches[static_cast<std::size_t>(i)]->Read();
    EXPECT_EQ(lists[static_cast<std::size_t>(i)]->At(last), expected);
  }
}

}  // namespace
}  // namespace leftfold
