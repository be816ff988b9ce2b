// kill -9 while views are rebuilt, compared and rolled back under writers, readers and watchers: at
// each step of a rebuild (core/kill_points.h), and at random moments. No query fails, no state is
// wrong or goes back, watches go on where they were, nothing is lost and nothing half-switched.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <regex>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "leftfold/admin/v1/admin.grpc.pb.h"
#include "testing/child_process.h"
#include "testing/environment.h"
#include "testing/grpc_error.h"
#include "testing/rooms_client.h"
#include "testing/temporary_folder.h"
#include "testing/watch_stream.h"

namespace leftfold {
namespace {

using testing::RoomsClient;
using testing::ServerProcess;

constexpr std::uint64_t kRebuilds = 100;
constexpr std::uint64_t kSomeRebuilds = 25;
constexpr int kRandomKills = 4;
constexpr int kWriters = 16;
constexpr int kWatchers = 100;
constexpr int kRebuiltRooms = 4;
constexpr std::string_view kView = "room_directory";
// Bounds a test whose condition never comes.
constexpr std::chrono::seconds kRebuildPatience(60);

std::string RoomOf(int n) { return "room" + std::to_string(n % kRebuiltRooms); }

// The process that folds and rebuilds is killed; `rest` is never, "" where there is no other.
struct ProcessSplit {
  std::string name;
  std::string killed;
  std::string rest;
};
void PrintTo(const ProcessSplit& split, std::ostream* out) { *out << split.name; }

enum class Action { kStart, kBuild, kVerify, kRollBack };
struct Kill {
  Action action;  // That comes to the point.
  std::string point;
};

// In an order in which each action has what it needs: a rollback a generation before.
const Kill kKills[] = {
    {Action::kBuild, "room_directory/rebuild_folded"},
    {Action::kStart, "room_directory/switch_cleaned"},  // What that one has left.
    {Action::kBuild, "room_directory/rebuild_durable"},
    {Action::kBuild, "room_directory/rebuild_compared"},
    {Action::kBuild, "room_directory/rebuild_paused"},
    {Action::kBuild, "room_directory/switch_begun"},
    {Action::kBuild, "CURRENT/file_written"},
    {Action::kBuild, "room_directory/switch_written"},
    {Action::kBuild, "room_directory/switch_served"},
    {Action::kBuild, "room_directory/switch_cleaned"},
    {Action::kVerify, "room_directory/rebuild_folded"},
    {Action::kVerify, "room_directory/rebuild_compared"},
    {Action::kRollBack, "room_directory/rebuild_paused"},
    {Action::kRollBack, "room_directory/switch_begun"},
    {Action::kRollBack, "CURRENT/file_written"},
    {Action::kRollBack, "room_directory/switch_written"},
    {Action::kRollBack, "room_directory/switch_served"},
};

// What clients were told, to be compared with the log. Thread-safe.
class Told {
 public:
  // The room as of the position `applied`.
  void State(const std::string& room, std::int64_t version, const std::string& name,
             std::int64_t applied) {
    const std::lock_guard lock(mu_);
    states_.emplace(room, version, name, applied);
  }
  void Acknowledge(const std::string& room, const std::string& name,
                   const core::v1::CommandReceipt& receipt) {
    const std::lock_guard lock(mu_);
    acknowledged_.emplace_back(room, receipt.version(), name, std::stoll(receipt.position()));
  }
  std::int64_t last_acknowledged() {
    const std::lock_guard lock(mu_);
    std::int64_t last = 0;
    for (const auto& [room, version, name, position] : acknowledged_)
      last = std::max(last, position);
    return last;
  }

  // Every command that was acknowledged is in the log, once, where it was said to be; every state
  // is that of the log at its position.
  void ExpectEquals(const std::string& tail) {
    std::map<std::pair<std::string, std::int64_t>, std::pair<std::string, std::int64_t>> log;
    std::set<std::string> names;
    static const std::regex kEvent(
        R"re("position":"(\d+)","stream":"room-(\w+)","version":"(\d+)".*"name":"([\w-]+)")re");
    std::istringstream lines(tail);
    for (std::string line; std::getline(lines, line);) {
      std::smatch event;
      if (!std::regex_search(line, event, kEvent)) continue;
      log[{event[2], std::stoll(event[3])}] = {event[4], std::stoll(event[1])};
      EXPECT_TRUE(names.insert(event[4]).second) << "decided twice: " << line;
    }
    for (const auto& [room, version, name, position] : acknowledged_) {
      const auto event = log[{room, version}];
      EXPECT_EQ(event, std::pair(name, position)) << room << " " << version << " was lost";
    }
    for (const auto& [room, version, name, applied] : states_) {
      const auto event = log.find({room, version});
      ASSERT_NE(event, log.end()) << room << " has no version " << version;
      EXPECT_EQ(name, event->second.first) << room << " " << version;
      EXPECT_GE(applied, event->second.second) << room << " " << version << " came too early";
      const auto next = log.find({room, version + 1});
      if (next != log.end()) {
        EXPECT_LT(applied, next->second.second) << "an old state of " << room;
      }
    }
    EXPECT_GT(acknowledged_.size(), 0U);
    EXPECT_GT(states_.size(), 0U);
  }

 private:
  std::mutex mu_;
  std::set<std::tuple<std::string, std::int64_t, std::string, std::int64_t>> states_;
  std::vector<std::tuple<std::string, std::int64_t, std::string, std::int64_t>> acknowledged_;
};

// One watch of a room, which goes on in the next process where it was in the one before.
class Watcher {
 public:
  Watcher(std::string room, Told& told, bool may_end)
      : room_(std::move(room)), told_(told), may_end_(may_end) {}

  void Open(rooms::v1::RoomQueryService::Stub& stub) {
    rooms::v1::WatchRoomRequest request;
    request.set_room_id(room_);
    stream_.reset();
    {
      const std::lock_guard lock(mu_);
      heard_ = false;
      if (position_ >= 0) request.set_resume_position(std::to_string(position_));
    }
    stream_ = std::make_unique<Stream>(
        request,
        [&](auto* context, auto* message, auto* reactor) {
          stub.async()->WatchRoom(context, message, reactor);
        },
        [this](const rooms::v1::WatchRoomResponse& message) { Take(message); },
        [this](const grpc::Status& end) {
          EXPECT_TRUE(may_end_ && end.error_code() == grpc::StatusCode::UNAVAILABLE &&
                      end.error_details().empty())
              << "a watch ended: " << end.error_message();
        });
    stream_->Read();
  }
  void Close() { stream_.reset(); }
  // It was told of a change since it was opened.
  void AwaitChange() {
    std::unique_lock lock(mu_);
    EXPECT_TRUE(changed_.wait_for(lock, kRebuildPatience, [&] { return heard_; }))
        << "a watch does not go on";
  }
  void AwaitVersion(std::int64_t version) {
    std::unique_lock lock(mu_);
    EXPECT_TRUE(changed_.wait_for(lock, kRebuildPatience, [&] { return version_ == version; }))
        << "a watch ends at version " << version_ << " instead of " << version;
  }
  const std::string& room() const { return room_; }

 private:
  using Stream = testing::WatchStream<rooms::v1::WatchRoomRequest, rooms::v1::WatchRoomResponse>;

  void Take(const rooms::v1::WatchRoomResponse& message) {
    const std::int64_t next = std::stoll(message.position());
    const std::lock_guard lock(mu_);
    if (message.heartbeat()) {
      EXPECT_GE(next, position_);
    } else {
      EXPECT_GT(next, position_);
      EXPECT_GE(message.room().version(), version_);
      version_ = message.room().version();
      told_.State(room_, version_, message.room().name(), next);
      heard_ = true;
    }
    position_ = next;
    changed_.notify_all();
  }

  const std::string room_;
  Told& told_;
  const bool may_end_;
  std::mutex mu_;
  std::condition_variable changed_;
  std::int64_t position_ = -1;
  std::int64_t version_ = -1;
  bool heard_ = false;
  std::unique_ptr<Stream> stream_;  // Last: its callbacks use the rest.
};

class RebuildKill : public ::testing::TestWithParam<ProcessSplit> {
 protected:
  RebuildKill() {
    random_.seed(testing::Seed());
    if (IsApart()) {
      rest_ = std::make_unique<ServerProcess>(
          ServerProcess::CommandOf(LEFTFOLD_BINARY, folder_.path(), GetParam().rest));
    }
  }
  ~RebuildKill() override {
    End();
    for (std::thread& writer : writers_) writer.join();
  }
  static bool IsApart() { return !GetParam().rest.empty(); }

  // false: it was killed at the point before it served.
  bool Start(const std::string& kill_at) {
    std::vector<std::string> command = {"/usr/bin/env", "LEFTFOLD_KILL_AT=" + kill_at};
    const auto serve = ServerProcess::CommandOf(LEFTFOLD_BINARY, folder_.path(), GetParam().killed);
    command.insert(command.end(), serve.begin(), serve.end());
    int exit_code = 0;
    auto started = ServerProcess::TryStart(command, &exit_code);
    if (started == nullptr) {
      EXPECT_EQ(exit_code, 128 + SIGKILL);
      return false;
    }
    admin_ = admin::v1::AdminService::NewStub(
        grpc::CreateChannel(started->admin_address, grpc::InsecureChannelCredentials()));
    const ServerProcess& clients = IsApart() ? *rest_ : *started;
    const bool opens = queries_ == nullptr || !IsApart();
    if (opens) {
      queries_ = rooms::v1::RoomQueryService::NewStub(
          grpc::CreateChannel(clients.read_address, grpc::InsecureChannelCredentials()));
    }
    {
      const std::lock_guard lock(mu_);
      write_address_ = clients.write_address;
      read_address_ = clients.read_address;
      killed_ = std::move(started);
      ++started_;
    }
    changed_.notify_all();
    if (opens && !watchers_.empty()) OpenWatches();
    return true;
  }
  void OpenWatches() {
    for (const auto& watcher : watchers_) watcher->Open(*queries_);
  }
  void ExpectKilled() {
    EXPECT_EQ(killed_->process.Wait(), 128 + SIGKILL);
    killed_.reset();
  }
  void End() {
    const std::lock_guard lock(mu_);
    over_ = true;
    changed_.notify_all();
  }

  // A client of the process that was started after the `seen`-th, nullptr when it is over.
  std::unique_ptr<RoomsClient> Connect(int& seen) {
    std::unique_lock lock(mu_);
    EXPECT_TRUE(changed_.wait_for(lock, kRebuildPatience, [&] { return over_ || started_ > seen; }))
        << "no process comes back";
    if (over_) return nullptr;
    seen = started_;
    return std::make_unique<RoomsClient>(write_address_, read_address_);
  }
  // What a client is told by a process that is gone. Nothing else may fail.
  static bool IsGone(const grpc::Status& status) {
    const bool gone = !IsApart() && status.error_code() == grpc::StatusCode::UNAVAILABLE &&
                      status.error_details().empty();
    EXPECT_TRUE(gone || status.ok()) << status.error_message();
    return !status.ok();
  }

  // Each command is sent until it is acknowledged; each write is read back, and another room as it
  // is. What one process answers never goes back.
  void Write(int writer) {
    int seen = 0;
    std::unique_ptr<RoomsClient> client;
    std::int64_t applied = 0;
    for (int n = 0; !over_; ++n) {
      const std::string name = fmt::format("{}-{}", writer, n);
      rooms::v1::RenameRoomRequest rename;
      rename.set_room_id(RoomOf(writer));
      rename.set_name(name);
      rename.set_command_id("rename-" + name);
      rooms::v1::RenameRoomResponse renamed;
      while (client == nullptr || IsGone(client->Call(rename, &renamed))) {
        client = Connect(seen);
        if (client == nullptr) return;
        applied = 0;
      }
      told_.Acknowledge(rename.room_id(), name, renamed.receipt());
      if (!Get(*client, rename.room_id(), renamed.receipt().position(), applied) ||
          !Get(*client, RoomOf(n), "", applied)) {
        client = nullptr;
      }
    }
  }
  // false: the process is gone.
  bool Get(RoomsClient& client, const std::string& room, const std::string& min_position,
           std::int64_t& last_applied) {
    rooms::v1::GetRoomRequest get;
    get.set_room_id(room);
    get.set_min_position(min_position);
    rooms::v1::GetRoomResponse response;
    grpc::Status status;
    do {
      status = client.Call(get, &response);
      // While nobody folds.
    } while (IsApart() && testing::ErrorOf(status).reason == "READ_MODEL_BEHIND" && !over_);
    if (over_ || IsGone(status)) return false;
    const std::int64_t applied = std::stoll(response.applied_position());
    if (!min_position.empty()) {
      EXPECT_GE(applied, std::stoll(min_position));
    }
    EXPECT_GE(applied, last_applied) << "a switch went back";
    last_applied = applied;
    told_.State(room, response.room().version(), response.room().name(), applied);
    return true;
  }

  template <class Request, class Response>
  grpc::Status Run(std::unique_ptr<grpc::ClientReader<Response>> (
                       admin::v1::AdminService::Stub::*rpc)(grpc::ClientContext*, const Request&),
                   Request request, Response& last) {
    grpc::ClientContext context;
    request.set_view(std::string(kView));
    const auto reader = (admin_.get()->*rpc)(&context, request);
    while (reader->Read(&last)) {
    }
    return reader->Finish();
  }
  grpc::Status Do(Action action) {
    using Stub = admin::v1::AdminService::Stub;
    if (action == Action::kRollBack) {
      admin::v1::RollbackViewResponse response;
      return Run(&Stub::RollbackView, admin::v1::RollbackViewRequest(), response);
    }
    admin::v1::RebuildViewRequest request;
    request.set_action(action == Action::kVerify ? admin::v1::RebuildViewRequest::ACTION_VERIFY
                                                 : admin::v1::RebuildViewRequest::ACTION_SWITCH);
    admin::v1::RebuildViewResponse response;
    const grpc::Status status = Run(&Stub::RebuildView, request, response);
    EXPECT_TRUE(response.outcome().equal() || !status.ok()) << response.outcome().difference();
    if (action == Action::kBuild && status.ok()) ++rebuilds_;
    return status;
  }
  Action AnyAction() {
    const auto any = random_() % 4;
    return any == 0 ? Action::kVerify : any == 1 ? Action::kRollBack : Action::kBuild;
  }

  // Everything goes on.
  void AwaitChanges() {
    for (const auto& watcher : watchers_) {
      if (HasFailure()) return;
      watcher->AwaitChange();
    }
  }
  int GenerationsOnDisk() const {
    const std::filesystem::path view = fmt::format("{}/views/{}", folder_.path(), kView);
    int generations = 0;
    for (const auto& entry : std::filesystem::directory_iterator(view))
      generations += entry.path().extension() == ".db" ? 1 : 0;
    return generations;
  }

  const testing::TemporaryFolder folder_;
  std::mt19937_64 random_;
  Told told_;
  std::unique_ptr<ServerProcess> rest_;
  std::unique_ptr<ServerProcess> killed_;
  std::unique_ptr<admin::v1::AdminService::Stub> admin_;
  std::unique_ptr<rooms::v1::RoomQueryService::Stub> queries_;
  std::uint64_t rebuilds_ = 0;  // That were switched to.
  std::mutex mu_;
  std::condition_variable changed_;
  std::string write_address_;
  std::string read_address_;
  int started_ = 0;
  std::atomic<bool> over_ = false;
  std::vector<std::thread> writers_;
  std::vector<std::unique_ptr<Watcher>> watchers_;
};

TEST_P(RebuildKill, NoQueryFailsAndNothingIsWrongOrLost) {
  ASSERT_TRUE(Start(""));
  int seen = 0;
  const auto client = Connect(seen);
  for (int room = 0; room < kRebuiltRooms; ++room) {
    rooms::v1::CreateRoomRequest create;
    create.set_room_id(RoomOf(room));
    create.set_name("new-" + RoomOf(room));
    rooms::v1::CreateRoomResponse created;
    ASSERT_TRUE(client->Call(create, &created).ok());
    std::int64_t applied = 0;
    ASSERT_TRUE(Get(*client, RoomOf(room), created.receipt().position(), applied));
  }
  for (int i = 0; i < kWatchers; ++i)
    watchers_.push_back(std::make_unique<Watcher>(RoomOf(i), told_, !IsApart()));
  OpenWatches();
  for (int i = 0; i < kWriters; ++i) writers_.emplace_back([this, i] { Write(i); });
  AwaitChanges();
  ASSERT_TRUE(Do(Action::kBuild).ok());
  killed_->process.Kill(SIGKILL);
  ExpectKilled();

  for (const Kill& kill : kKills) {
    SCOPED_TRACE(kill.point);
    ASSERT_EQ(Start(kill.point), kill.action != Action::kStart);
    if (kill.action == Action::kStart) continue;
    AwaitChanges();
    ASSERT_FALSE(HasFailure());
    ASSERT_FALSE(Do(kill.action).ok()) << "it does not come to the point";
    ExpectKilled();
    ASSERT_FALSE(HasFailure());
  }

  for (int n = 0; n < kRandomKills; ++n) {
    ASSERT_TRUE(Start(""));
    const int whole = std::uniform_int_distribution<int>(0, 8)(random_);
    const std::chrono::microseconds moment(random_() % 50'000);
    AwaitChanges();
    ASSERT_FALSE(HasFailure());
    for (int i = 0; i < whole; ++i) {
      const grpc::Status status = Do(AnyAction());
      ASSERT_TRUE(status.ok()) << status.error_message();
    }
    std::jthread last([this, action = AnyAction()] { Do(action); });
    std::this_thread::sleep_for(moment);  // Any moment is right.
    killed_->process.Kill(SIGKILL);
    last.join();
    ExpectKilled();
    ASSERT_FALSE(HasFailure());
  }

  ASSERT_TRUE(Start(""));
  AwaitChanges();
  const auto rebuilds = testing::CasesOrSome("LEFTFOLD_REBUILDS", kRebuilds, kSomeRebuilds);
  while (rebuilds_ < rebuilds) {
    const grpc::Status status = Do(AnyAction());
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_FALSE(HasFailure());
  }
  ASSERT_TRUE(Do(Action::kBuild).ok());
  End();
  for (std::thread& writer : writers_) writer.join();
  writers_.clear();
  RoomsClient reader(write_address_, read_address_);
  for (const auto& watcher : watchers_) {
    rooms::v1::GetRoomRequest get;
    get.set_room_id(watcher->room());
    get.set_min_position(std::to_string(told_.last_acknowledged()));
    rooms::v1::GetRoomResponse response;
    ASSERT_TRUE(reader.Call(get, &response).ok());
    watcher->AwaitVersion(response.room().version());
    ASSERT_FALSE(HasFailure());
    watcher->Close();
  }
  for (ServerProcess* server : {killed_.get(), rest_.get()}) {
    if (server == nullptr) continue;
    server->process.Kill(SIGTERM);
    EXPECT_EQ(server->process.Wait(), 0);
  }
  // What was served, what was before; nothing that a kill has left.
  EXPECT_EQ(GenerationsOnDisk(), 2);

  const testing::Ran tail =
      testing::RunShell(LEFTFOLD_BINARY " tail --data " + folder_.path() + " --category room");
  ASSERT_EQ(tail.exit_code, 0) << tail.output;
  told_.ExpectEquals(tail.output);
  for (const std::string tool : {" replay --all --verify", " verify"}) {
    const testing::Ran ran =
        testing::RunShell(LEFTFOLD_BINARY + tool + " --data " + folder_.path());
    EXPECT_EQ(ran.exit_code, 0) << ran.output;
  }
}

INSTANTIATE_TEST_SUITE_P(Processes, RebuildKill,
                         ::testing::Values(ProcessSplit{"InOneProcess", "project,write,read", ""},
                                           ProcessSplit{"ProjectorApart", "project", "write,read"}),
                         [](const auto& split) { return split.param.name; });

}  // namespace
}  // namespace leftfold
