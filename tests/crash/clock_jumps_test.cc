// A real server whose wall clock jumps: by days, forwards and back, a second to and fro, or stands.
// What it orders, remembers, waits for and gives up does not go by this clock.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <iostream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/timestamp.h"
#include "event_store/continuity.h"
#include "leftfold/store/v1/event_store.grpc.pb.h"
#include "testing/child_process.h"
#include "testing/environment.h"
#include "testing/grpc_error.h"
#include "testing/nap.h"
#include "testing/rooms_client.h"
#include "testing/scrape.h"
#include "testing/store_client.h"
#include "testing/temporary_folder.h"
#include "tests/crash/jumping_clock.h"

namespace leftfold {
namespace {

using testing::RoomsClient;
using testing::ServerProcess;

constexpr absl::Duration kNeverSoLong = absl::Seconds(60);
constexpr int kCreatesMax = 10'000;
constexpr std::uint64_t kJumps = 200;
constexpr std::uint64_t kSomeJumps = 15;

class ClockJumps : public ::testing::Test {
 protected:
  void Start(const std::vector<std::string>& flags = {}) {
    auto command = ServerProcess::CommandOf(LEFTFOLD_BINARY, folder_.path());
    command.insert(command.end(), flags.begin(), flags.end());
    server_ = std::make_unique<ServerProcess>(clock_.With(command));
    client_ = std::make_unique<RoomsClient>(server_->write_address, server_->read_address);
    store_ = testing::ConnectToStore(server_->write_address);
  }
  core::v1::CommandReceipt Create(const std::string& id) {
    rooms::v1::CreateRoomRequest create;
    create.set_room_id(id);
    create.set_name(id);
    create.set_command_id("create-" + id);
    rooms::v1::CreateRoomResponse created;
    const grpc::Status status = client_->Call(create, &created);
    EXPECT_TRUE(status.ok()) << id << ": " << status.error_message();
    rooms::v1::GetRoomRequest get;
    get.set_room_id(id);
    get.set_min_position(created.receipt().position());
    rooms::v1::GetRoomResponse got;
    const grpc::Status read = client_->Call(get, &got);
    EXPECT_TRUE(read.ok()) << id << ": " << read.error_message();
    return created.receipt();
  }
  // Of all events, in the order of the log.
  std::vector<absl::Time> Times() {
    std::vector<absl::Time> times;
    const auto context = testing::NewContext();
    const auto reader = store_->ReadAll(context.get(), {});
    for (store::v1::ReadAllResponse response; reader->Read(&response);) {
      for (const auto& event : response.events()) times.push_back(FromProto(event.recorded_at()));
    }
    EXPECT_TRUE(reader->Finish().ok());
    return times;
  }
  // The position at which a subscription from a time begins.
  std::int64_t FirstFrom(absl::Time time) {
    store::v1::SubscribeRequest request;
    *request.mutable_time() = ToProto(time);
    const auto context = testing::NewContext();
    const auto reader = store_->Subscribe(context.get(), request);
    store::v1::SubscribeResponse response;
    EXPECT_TRUE(reader->Read(&response));
    context->TryCancel();
    reader->Finish().IgnoreError();
    return response.started().position() + 1;
  }
  testing::TemporaryFolder folder_;
  testing::JumpingClock clock_;
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<RoomsClient> client_;
  std::unique_ptr<store::v1::EventStoreService::Stub> store_;
};

TEST_F(ClockJumps, ChangeNeitherOrderNorMemoryNorWhatIsWaitedFor) {
  std::mt19937_64 random(testing::Seed());
  Start();
  const core::v1::CommandReceipt first = Create("first");
  const auto context = testing::NewContext(absl::Minutes(5));
  const auto subscription = store_->Subscribe(context.get(), {});
  std::jthread subscriber([&] {
    ContinuityChecker checker{store::v1::EventFilter()};
    for (store::v1::SubscribeResponse message; subscription->Read(&message);) {
      const absl::Status status = checker.Check(message);
      EXPECT_TRUE(status.ok()) << status;
    }
  });
  const auto jumps = testing::CasesOrSome("LEFTFOLD_CLOCK_JUMPS", kJumps, kSomeJumps);
  for (std::uint64_t jump = 0; jump < jumps && !HasFailure(); ++jump) {
    const absl::Duration offsets[] = {
        absl::Hours(24),   -absl::Hours(24),      -absl::Hours(1),       absl::Seconds(1),
        -absl::Seconds(1), absl::Hours(24 * 400), -absl::Hours(24 * 400)};
    clock_.JumpTo(offsets[random() % std::size(offsets)]);
    Create(fmt::format("room{}", jump));
  }
  // The same command is known for ever.
  clock_.JumpTo(absl::Hours(24 * 4'000));
  EXPECT_EQ(Create("first").position(), first.position());
  EXPECT_TRUE(Create("first").duplicate());
  // Abseil looks at the wall clock every two seconds or so, and counts cycles in between.
  std::vector<absl::Time> times;
  for (int n = 0; n < kCreatesMax; ++n) {
    Create(fmt::format("last{}", n));
    times = Times();
    if (times.back() - times.front() > absl::Hours(24)) break;
  }
  EXPECT_TRUE(std::is_sorted(times.begin(), times.end())) << "recorded_at went back";
  EXPECT_GT(times.back() - times.front(), absl::Hours(24)) << "the clock did not jump";
  for (int i = 0; i < 10; ++i) {
    const absl::Time time = times[random() % times.size()];
    const auto expected = std::lower_bound(times.begin(), times.end(), time) - times.begin() + 1;
    EXPECT_EQ(FirstFrom(time), expected) << time;
  }
  for (const auto& [name, value] : testing::Scrape(server_->metrics_address)) {
    EXPECT_TRUE(value >= 0 || name.find("_seconds") == std::string::npos) << name << " " << value;
  }
  context->TryCancel();
  subscriber.join();
  subscription->Finish().IgnoreError();
  store_ = nullptr;
  client_ = nullptr;
  clock_.JumpTo(-absl::Hours(24));
  server_->process.Kill(SIGTERM);
  EXPECT_EQ(server_->process.WaitAtMost(kNeverSoLong), 0);
  const testing::Ran verified =
      testing::RunShell(LEFTFOLD_BINARY " verify --data " + folder_.path());
  EXPECT_EQ(verified.exit_code, 0) << verified.output;
}

TEST_F(ClockJumps, BackDoNotKeepAServerFromItsEnd) {
  Start({"--drain-limit", "1"});
  Create("oak");
  // A client that does not let go.
  for (int i = 0; i < 16; ++i) {
    store::v1::AppendRequest append;
    *append.add_records() = testing::JsonRecord("heap-1", '"' + std::string(1 << 19, 'x') + '"');
    store::v1::AppendResponse response;
    ASSERT_TRUE(store_->Append(testing::NewContext().get(), append, &response).ok());
  }
  const auto context = testing::NewContext(absl::Minutes(5));
  const auto stuck = store_->ReadAll(context.get(), {});
  while (testing::Scrape(server_->metrics_address)["leftfold_reader_messages_total"] < 1) {
    testing::Nap();
  }
  server_->process.Kill(SIGTERM);
  server_->process.ValueAfter("stopping: ");
  clock_.JumpTo(-absl::Hours(24));
  EXPECT_EQ(server_->process.WaitAtMost(kNeverSoLong), 0) << "it waits for its wall clock";
  context->TryCancel();
  stuck->Finish().IgnoreError();
}

}  // namespace
}  // namespace leftfold
