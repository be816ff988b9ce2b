#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/reject.h"
#include "event_store/event_store.h"
#include "event_store/verify.h"
#include "server/thread_pool.h"
#include "testing/append_history.h"
#include "testing/environment.h"
#include "testing/event_store_contract.h"

namespace leftfold {
namespace {

using testing::AppendAttempt;
using testing::StoreKind;

constexpr int kWriters = 64;
constexpr int kAttemptsEach = 150;

struct Race {
  StoreKind kind;
  int streams;
};

// 64 threads that append to the same streams, each at the version that it last heard of.
class EventStoreRace : public ::testing::TestWithParam<Race> {
 protected:
  EventStoreRace() : histories_(static_cast<std::size_t>(GetParam().streams)) {}
  ~EventStoreRace() override {
    writer_.Stop();
    completions_.Stop();
  }

  // What is told to the caller of an append.
  absl::StatusOr<Receipt> Append(AppendRequest request) {
    std::promise<absl::StatusOr<Receipt>> answer;
    store_->Append(std::move(request),
                   [&](absl::StatusOr<Receipt> receipt) { answer.set_value(std::move(receipt)); });
    return answer.get_future().get();
  }

  void Write(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int i = 0; i < kAttemptsEach; ++i) {
      const std::size_t stream = random() % histories_.size();
      AppendAttempt attempt;
      attempt.called = clock_ticks_++;
      attempt.expected = known_[stream];
      const auto receipt = Append(testing::AppendOf(fmt::format("room-{}", stream), {"x"},
                                                    Exactly{Version{attempt.expected}}));
      attempt.returned = clock_ticks_++;
      attempt.accepted = receipt.ok();
      if (receipt.ok()) {
        EXPECT_EQ(receipt->version.value, attempt.expected + 1);
        known_[stream] = receipt->version.value;
      } else {
        EXPECT_EQ(ReasonOf(receipt.status()), "VERSION_CONFLICT") << receipt.status();
        attempt.actual = std::stoll(MetadataOf(receipt.status(), "actual"));
        known_[stream] = attempt.actual;
      }
      const std::lock_guard lock(mu_);
      histories_[stream].push_back(attempt);
    }
  }

  // Follows the log; what it reads is in its stream from then on.
  void Follow(const std::stop_token& stop) {
    Position through;
    while (!stop.stop_requested()) {
      const auto read = store_->ReadAll({.from = through, .events_max = 100});
      ASSERT_TRUE(read.ok()) << read.status();
      for (const RecordedEvent& event : read->events) {
        const auto found =
            store_->ReadStream(event.stream, {.from = event.version, .events_max = 1});
        ASSERT_TRUE(found.ok()) << found.status();
        ASSERT_EQ(found->size(), 1U) << event.stream << " lacks version " << event.version.value;
        through = event.position;
      }
    }
  }

  testing::TemporaryFolder folder_;
  SystemClock clock_;
  ThreadPool writer_{"writer", 1};
  ThreadPool completions_{"completions", 2};
  std::unique_ptr<EventStore> store_ = GetParam().kind.open(
      {.folder = folder_.path(), .writer = writer_, .completions = completions_, .clock = clock_});
  std::atomic<std::int64_t> clock_ticks_ = 0;
  // The version that somebody heard of last; all writers share it, so that they meet.
  std::vector<std::atomic<std::int64_t>> known_ = MakeKnown();
  std::mutex mu_;
  std::vector<std::vector<AppendAttempt>> histories_;

 private:
  static std::vector<std::atomic<std::int64_t>> MakeKnown() {
    std::vector<std::atomic<std::int64_t>> known(static_cast<std::size_t>(GetParam().streams));
    for (auto& version : known) version = -1;
    return known;
  }
};

std::vector<Race> Races() {
  std::vector<Race> races;
  for (const StoreKind& kind : testing::AllStores()) {
    for (const int streams : {1, 10, 10'000}) races.push_back({kind, streams});
  }
  return races;
}

INSTANTIATE_TEST_SUITE_P(Stores, EventStoreRace, ::testing::ValuesIn(Races()),
                         [](const auto& race) {
                           return fmt::format("{}_{}", race.param.kind.name, race.param.streams);
                         });

TEST_P(EventStoreRace, EachVersionHasOneWinnerAndTheHistoryIsLinearizable) {
  const std::uint64_t seed = testing::Seed();
  SCOPED_TRACE(fmt::format("LEFTFOLD_SEED={}", seed));
  const std::jthread follower([&](const std::stop_token& stop) { Follow(stop); });
  {
    std::vector<std::jthread> writers;
    for (int i = 0; i < kWriters; ++i)
      writers.emplace_back([&, i] { Write(seed + static_cast<std::uint64_t>(i)); });
  }
  std::int64_t accepted = 0;
  for (std::size_t stream = 0; stream < histories_.size(); ++stream) {
    EXPECT_EQ(testing::NotLinearizable(histories_[stream]), "") << "room-" << stream;
    std::int64_t versions = 0;
    for (const AppendAttempt& attempt : histories_[stream]) versions += attempt.accepted ? 1 : 0;
    EXPECT_EQ(store_->StreamVersion(fmt::format("room-{}", stream)).value().value, versions - 1);
    accepted += versions;
  }
  EXPECT_EQ(store_->GetHead().position.value, accepted);
  EXPECT_GT(accepted, kAttemptsEach);
  EXPECT_LE(accepted, kWriters * kAttemptsEach);
  const absl::Status verified = VerifyLog(*store_, [](auto, auto) {});
  EXPECT_TRUE(verified.ok()) << verified;
}

}  // namespace
}  // namespace leftfold
