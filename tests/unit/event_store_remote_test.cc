// A remote store whose server is killed, comes back, stops, is another one, or refuses it.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/reject.h"
#include "event_store/memory/memory_event_store.h"
#include "event_store/remote/remote_event_store.h"
#include "server/thread_pool.h"
#include "testing/event_store_contract.h"
#include "testing/forwarding_store.h"
#include "testing/store_server.h"

namespace leftfold {
namespace {

using testing::AppendOf;
using testing::CommandOf;
using testing::StoreServer;

// Keeps answers back when it is told to, as a store whose server dies in between.
class HoldingStore final : public testing::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  void Append(AppendRequest request, AppendDone done) override {
    if (lose_appends) return Kept();
    if (!hold_answers) return store_.Append(std::move(request), std::move(done));
    store_.Append(std::move(request), [this](const auto&) { Kept(); });
  }
  // Until so many appends were kept.
  void Await(int count) {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return kept_ >= count; });
  }
  Head GetHead() override {
    if (late.exchange(false)) {
      Kept();
      return earlier;
    }
    return restored ? earlier : store_.GetHead();
  }
  Head earlier;
  std::atomic<bool> late = false;          // Tells `earlier` once, and counts as an append kept.
  std::atomic<bool> restored = false;      // Says that the log ends with `earlier`.
  std::atomic<bool> hold_answers = false;  // Stores, but does not answer.
  std::atomic<bool> lose_appends = false;  // Does not even store.

 private:
  void Kept() {
    const std::lock_guard lock(mu_);
    ++kept_;
    changed_.notify_all();
  }
  std::mutex mu_;
  std::condition_variable changed_;
  int kept_ = 0;
};

class RemoteEventStoreTest : public ::testing::Test {
 protected:
  RemoteEventStoreTest() { Connect(StoreServer::kToken, absl::Seconds(10)); }
  ~RemoteEventStoreTest() override {
    remote_ = nullptr;
    // Before the servers go, whose feeds the store may be about to wake.
    writer_.Stop();
    completions_.Stop();
  }

  void Connect(const std::string& token, absl::Duration call_wait,
               Executor* completions = nullptr) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 10);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 10);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 20);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    auto remote = RemoteEventStore::Connect(
        {.channel = grpc::CreateCustomChannel(server_->address(),
                                              grpc::InsecureChannelCredentials(), arguments),
         .token = token,
         .completions = completions == nullptr ? &completions_ : completions,
         .call_wait = call_wait});
    ASSERT_TRUE(remote.ok()) << remote.status();
    remote_ = *std::move(remote);
  }
  std::future<absl::StatusOr<Receipt>> Begin(AppendRequest request) {
    auto answer = std::make_shared<std::promise<absl::StatusOr<Receipt>>>();
    remote_->Append(std::move(request), [answer](absl::StatusOr<Receipt> receipt) {
      answer->set_value(std::move(receipt));
    });
    return answer->get_future();
  }
  absl::StatusOr<Receipt> Append(AppendRequest request) { return Begin(std::move(request)).get(); }
  void Kill() {
    address_ = server_->address();
    server_->Kill();
  }
  void Restart() {
    gone_.push_back(std::move(server_));  // The store may be about to wake its feeds.
    server_ = std::make_unique<StoreServer>(store_, address_);
  }

  SystemClock clock_;
  ThreadPool writer_{"writer", 1};
  ThreadPool completions_{"completions", 2};
  std::unique_ptr<EventStore> memory_ = NewMemoryEventStore(writer_, completions_, clock_);
  HoldingStore store_{*memory_};
  std::unique_ptr<StoreServer> server_ = std::make_unique<StoreServer>(store_);
  std::vector<std::unique_ptr<StoreServer>> gone_;
  std::string address_;
  std::unique_ptr<RemoteEventStore> remote_;
};

TEST_F(RemoteEventStoreTest, WithoutTheTokenAnAppendIsRefusedAndReadsAreNot) {
  Connect("another", absl::Seconds(10));
  const absl::Status status = Append(AppendOf("room-a", {"1"})).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(ReasonOf(status), "TOKEN_REQUIRED");
  EXPECT_TRUE(remote_->ReadAll({}).ok());
}

TEST_F(RemoteEventStoreTest, AnAppendWithoutIdWhoseServerDiedHasAnUnknownOutcome) {
  store_.hold_answers = true;
  auto answer = Begin(AppendOf("room-a", {"1"}));
  store_.Await(1);
  Kill();
  const absl::Status status = answer.get().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(ReasonOf(status), "OUTCOME_UNKNOWN");
  EXPECT_EQ(memory_->GetHead().position, Position{1}) << "it was stored, and not sent again";
}

TEST_F(RemoteEventStoreTest, AStoredCommandWhoseServerDiedIsFoundByItsId) {
  store_.hold_answers = true;
  auto answer = Begin(CommandOf(AppendOf("room-a", {"1"}), "c1"));
  store_.Await(1);
  Kill();
  store_.hold_answers = false;
  Restart();
  EXPECT_EQ(testing::Describe(answer.get()),
            "version=0 position=1 aggregate=oak created=created-1 duplicate=true");
  EXPECT_EQ(memory_->GetHead().position, Position{1});
}

TEST_F(RemoteEventStoreTest, ACommandThatWasNotStoredIsNotSentAgain) {
  store_.lose_appends = true;
  auto answer = Begin(CommandOf(AppendOf("room-a", {"1"}), "c1"));
  store_.Await(1);
  Kill();
  store_.lose_appends = false;
  Restart();
  const absl::Status status = answer.get().status();
  EXPECT_EQ(ReasonOf(status), "OUTCOME_UNKNOWN");
  EXPECT_EQ(MetadataOf(status, "command_id"), "c1");
  EXPECT_EQ(memory_->GetHead().position, kBeforeFirst);
  EXPECT_TRUE(Append(CommandOf(AppendOf("room-a", {"1"}), "c1")).ok());
}

TEST_F(RemoteEventStoreTest, WhatStandsOnAnUnknownOutcomeIsRefused) {
  const auto chain = std::make_shared<std::atomic<bool>>(false);
  store_.lose_appends = true;
  AppendRequest first = AppendOf("room-a", {"1"});
  first.broken = chain;
  auto answer = Begin(std::move(first));
  store_.Await(1);
  Kill();
  EXPECT_FALSE(answer.get().ok());
  EXPECT_TRUE(*chain);
  store_.lose_appends = false;
  Restart();
  AppendRequest second = AppendOf("room-a", {"2"});
  second.broken = chain;
  EXPECT_EQ(ReasonOf(Append(std::move(second)).status()), "VERSION_CONFLICT");
}

TEST_F(RemoteEventStoreTest, ItGoesOnWhenTheServerComesBack) {
  ASSERT_TRUE(Append(AppendOf("room-a", {"1"})).ok());
  Kill();
  auto answer = Begin(AppendOf("room-a", {"2"}));
  Restart();
  const auto receipt = answer.get();
  // The session may not have been seen to be over by then.
  if (!receipt.ok()) {
    EXPECT_EQ(ReasonOf(receipt.status()), "OUTCOME_UNKNOWN");
  }
  EXPECT_TRUE(Append(AppendOf("room-a", {"3"})).ok());
  EXPECT_EQ(remote_->GetHead().position, memory_->GetHead().position);
  EXPECT_EQ(remote_->ReadStream("room-a", {})->back().payload, "3");
}

TEST_F(RemoteEventStoreTest, WithoutAServerNothingIsSentAndCallsEnd) {
  // Long enough to connect in, on a slow machine too.
  Connect(StoreServer::kToken, absl::Seconds(1));
  Kill();
  const absl::Status status = Append(AppendOf("room-a", {"1"})).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(status), "STORE_UNREACHABLE");
  EXPECT_TRUE(status.GetPayload(ToAbsl(kRetryInfoUrl)).has_value());
  EXPECT_EQ(ReasonOf(remote_->ReadAll({}).status()), "STORE_UNREACHABLE");
  EXPECT_EQ(ReasonOf(remote_->StreamVersion("room-a").status()), "STORE_UNREACHABLE");
  EXPECT_EQ(remote_->GetHead().position, kBeforeFirst);
}

TEST_F(RemoteEventStoreTest, AServerThatStopsAnswersWhatItHasTaken) {
  ASSERT_TRUE(Append(AppendOf("room-a", {"1"})).ok());
  std::vector<std::future<absl::StatusOr<Receipt>>> answers;
  for (int i = 0; i < 500; ++i) answers.push_back(Begin(AppendOf("room-a", {"x"})));
  server_->Stop();
  address_ = server_->address();
  Restart();
  std::int64_t accepted = 1;
  std::int64_t unknown = 0;
  for (auto& answer : answers) {
    const auto receipt = answer.get();
    if (receipt.ok()) {
      ++accepted;
    } else {
      // The connection may be gone before the end of the session is read.
      unknown += ReasonOf(receipt.status()) == "OUTCOME_UNKNOWN" ? 1 : 0;
      EXPECT_THAT(ReasonOf(receipt.status()), ::testing::AnyOf("STOPPING", "OUTCOME_UNKNOWN"));
    }
  }
  EXPECT_GE(memory_->GetHead().position, Position{accepted});
  EXPECT_LE(memory_->GetHead().position, Position{accepted + unknown});
}

TEST_F(RemoteEventStoreTest, AnotherStoreAtTheAddressIsNotWrittenTo) {
  ASSERT_TRUE(Append(AppendOf("room-a", {"1"})).ok());
  Kill();
  const testing::TemporaryFolder folder;
  const auto other = testing::SqliteStore().open(
      {.folder = folder.path(), .writer = writer_, .completions = completions_, .clock = clock_});
  server_ = std::make_unique<StoreServer>(*other, address_);
  // Until the end of the old session is seen.
  absl::Status status;
  do {
    status = Append(AppendOf("room-a", {"2"})).status();
  } while (ReasonOf(status) == "OUTCOME_UNKNOWN");
  EXPECT_EQ(ReasonOf(status), "LOG_DIVERGED");
  EXPECT_EQ(other->GetHead().position, kBeforeFirst);
  server_ = nullptr;
}

TEST_F(RemoteEventStoreTest, AnAppendOfAnotherProcessWakesToo) {
  std::promise<void> woken;
  remote_->WaitPast(kBeforeFirst, [&] { woken.set_value(); });
  memory_->Append(AppendOf("room-a", {"1"}), [](const auto&) {});
  woken.get_future().get();
  EXPECT_EQ(remote_->GetHead().position, Position{1});
}

// Its timers never run: nothing is polled.
class NoTimers final : public Executor {
 public:
  explicit NoTimers(Executor& executor) : executor_(executor) {}
  void Post(std::function<void()> task) override { executor_.Post(std::move(task)); }
  void PostAfter(absl::Duration, std::function<void()>) override {}

 private:
  Executor& executor_;
};

TEST_F(RemoteEventStoreTest, TheServerTellsOfAppendsWithoutBeingAsked) {
  NoTimers no_timers(completions_);
  Connect(StoreServer::kToken, absl::Seconds(10), &no_timers);
  for (std::int64_t position = 0; position < 3; ++position) {
    std::promise<void> woken;
    remote_->WaitPast(Position{position}, [&] { woken.set_value(); });
    memory_->Append(AppendOf("room-a", {"1"}), [](const auto&) {});
    woken.get_future().get();
  }
  remote_ = nullptr;
}

TEST_F(RemoteEventStoreTest, WhatTheServerDoesNotTellIsAskedFor) {
  server_->RefuseFeeds();
  for (std::int64_t position = 0; position < 2; ++position) {
    std::promise<void> woken;
    remote_->WaitPast(Position{position}, [&] { woken.set_value(); });
    memory_->Append(AppendOf("room-a", {"1"}), [](const auto&) {});
    woken.get_future().get();
  }
}

TEST_F(RemoteEventStoreTest, AWaitOutlivesItsServer) {
  // Shared: the one who sets it may still be at it when the waiting ends.
  const auto first = std::make_shared<std::promise<void>>();
  const auto second = std::make_shared<std::promise<void>>();
  remote_->WaitPast(kBeforeFirst, [first] { first->set_value(); });
  memory_->Append(AppendOf("room-a", {"1"}), [](const auto&) {});
  first->get_future().get();  // The subscription stands, or is about to.
  remote_->WaitPast(Position{1}, [second] { second->set_value(); });
  Kill();
  memory_->Append(AppendOf("room-a", {"2"}), [](const auto&) {});
  Restart();
  second->get_future().get();
}

TEST_F(RemoteEventStoreTest, WhoWaitsHearsThatAnOlderLogWasRestored) {
  ASSERT_TRUE(Append(AppendOf("room-a", {"1"})).ok());
  const Head before = memory_->GetHead();
  ASSERT_TRUE(Append(AppendOf("room-a", {"2"})).ok());
  for (const Head& head : {before, Head{Position{2}, before.chain}}) {
    SCOPED_TRACE(head.position.value);
    store_.restored = false;
    Connect(StoreServer::kToken, absl::Seconds(10));
    EXPECT_TRUE(remote_->ReadAll({.from = Position{2}}).ok());
    const auto woken = std::make_shared<std::promise<void>>();
    remote_->WaitPast(Position{2}, [woken] { woken->set_value(); });
    Kill();
    store_.earlier = head;
    store_.restored = true;
    Restart();
    woken->get_future().get();
    EXPECT_EQ(ReasonOf(remote_->ReadAll({.from = Position{2}}).status()), "LOG_DIVERGED");
    EXPECT_EQ(ReasonOf(remote_->ReadStream("room-a", {}).status()), "LOG_DIVERGED");
    const auto late = std::make_shared<std::promise<void>>();
    remote_->WaitPast(Position{2}, [late] { late->set_value(); });
    late->get_future().get();
  }
}

// A read shows what is committed a moment before the head does.
TEST_F(RemoteEventStoreTest, AHeadThatIsToldLateOnceIsNoOlderLog) {
  ASSERT_TRUE(Append(AppendOf("room-a", {"1"})).ok());
  store_.earlier = memory_->GetHead();
  ASSERT_TRUE(Append(AppendOf("room-a", {"2"})).ok());
  const auto woken = std::make_shared<std::promise<void>>();
  store_.late = true;
  remote_->WaitPast(Position{2}, [woken] { woken->set_value(); });
  store_.Await(1);
  ASSERT_TRUE(Append(AppendOf("room-a", {"3"})).ok());
  woken->get_future().get();
  const auto read = remote_->ReadAll({.from = Position{2}});
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->events.size(), 1U);
}

TEST_F(RemoteEventStoreTest, ACallThatWaitsForItsServerCanBeInterrupted) {
  Connect(StoreServer::kToken, absl::Hours(1));
  Kill();
  absl::Status read;
  std::jthread reader([&] { read = remote_->ReadAll({}).status(); });
  remote_->Interrupt();  // Before it waits, or while it does.
  reader.join();
  EXPECT_FALSE(read.ok());
  EXPECT_FALSE(remote_->StreamVersion("room-a").ok());
}

TEST_F(RemoteEventStoreTest, WhatTheWireCannotCarryIsRefusedAndTheSessionGoesOn) {
  EXPECT_EQ(
      ReasonOf(Append(AppendOf("room-a", std::vector<std::string>(5, std::string(1 << 20, 'x'))))
                   .status()),
      "LIMIT_EXCEEDED");
  EXPECT_EQ(ReasonOf(Append(CommandOf(AppendOf("room-a", {"x"}), "c\n")).status()),
            "INVALID_FIELDS");
  AppendRequest latin1 = AppendOf("room-a", {"x"});
  latin1.streams[0].events[0].type = "\xe9";
  EXPECT_EQ(ReasonOf(Append(std::move(latin1)).status()), "INVALID_FIELDS");
  AppendRequest slash = AppendOf("room-a", {"x"});
  slash.streams[0].events[0].type = "a/b";
  ASSERT_TRUE(Append(std::move(slash)).ok());
  EXPECT_EQ(memory_->ReadAll({})->events[0].type, "a/b");
  EXPECT_EQ(remote_->ReadAll({})->events[0].type, "a/b");
}

TEST_F(RemoteEventStoreTest, ItMayGoWhileAppendsAndWaitsAreOnTheirWay) {
  store_.lose_appends = true;
  std::atomic<bool> called = false;
  remote_->Append(AppendOf("room-a", {"1"}), [&](const auto&) { called = true; });
  remote_->WaitPast(kBeforeFirst, [&] { called = true; });
  store_.Await(1);
  remote_ = nullptr;
  Kill();
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace leftfold
