// Threads of a pool: none waits for another's task, and timers find one that is free.
#include <gtest/gtest.h>

#include <chrono>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

#include "server/thread_pool.h"

namespace leftfold {
namespace {

TEST(ThreadPoolTest, TimersThatAreDueTogetherRunTogether) {
  constexpr int kThreads = 4;
  std::latch all(kThreads + 1);
  ThreadPool pool("test", kThreads);
  // Each ends when all have begun.
  for (int i = 0; i < kThreads; ++i)
    pool.PostAfter(absl::Milliseconds(5), [&] { all.arrive_and_wait(); });
  all.arrive_and_wait();
}

TEST(ThreadPoolTest, ATimerDoesNotWaitForATaskWhereAThreadIsFree) {
  std::latch fired(1);
  std::latch ended(1);
  ThreadPool pool("test", 2);
  pool.PostAfter(absl::Milliseconds(20), [&] { fired.count_down(); });
  // Whichever of the two waits for the timer.
  pool.Post([&] {
    fired.wait();
    ended.count_down();
  });
  ended.wait();
}

// The thread that waits for the timer may be the one that a task wakes, at the moment when the
// timer is due.
TEST(ThreadPoolTest, ATimerDoesNotWaitForATaskThatCameJustBefore) {
  constexpr int kRounds = 200;
  ThreadPool pool("test", 2);
  for (int round = 0; round < kRounds; ++round) {
    struct Latches {
      std::latch other_is_free{1}, fired{1}, ended{1};
    };
    const auto of = std::make_shared<Latches>();  // The pool's threads may be in them at the end.
    pool.Post([of] { of->other_is_free.wait(); });
    const auto due = std::chrono::ceil<TimerGrain>(std::chrono::steady_clock::now() +
                                                   std::chrono::milliseconds(1));
    pool.PostAfter(absl::FromChrono(due - std::chrono::steady_clock::now()),
                   [of] { of->fired.count_down(); });
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    of->other_is_free.count_down();
    const auto just_before = due - std::chrono::microseconds(round % 40);
    while (std::chrono::steady_clock::now() < just_before) {
    }
    pool.Post([of] {
      of->fired.wait();
      of->ended.count_down();
    });
    of->ended.wait();
  }
}

TEST(ThreadPoolTest, AnEarlierTimerGoesOffBeforeALaterOne) {
  std::latch ended(2);
  std::vector<int> order;
  ThreadPool pool("test", 1);
  pool.PostAfter(absl::Milliseconds(30), [&] {
    order.push_back(2);
    ended.count_down();
  });
  pool.PostAfter(absl::Milliseconds(10), [&] {
    order.push_back(1);
    ended.count_down();
  });
  ended.wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST(ThreadPoolTest, ATimerGoesOffNoEarlierThanAsked) {
  constexpr absl::Duration kDelay = absl::Microseconds(1'100);
  std::latch ended(1);
  ThreadPool pool("test", 1);
  const auto begun = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point fired;
  pool.PostAfter(kDelay, [&] {
    fired = std::chrono::steady_clock::now();
    ended.count_down();
  });
  ended.wait();
  EXPECT_GE(absl::FromChrono(fired - begun), kDelay);
}

TEST(ThreadPoolTest, StopRunsWhatIsQueuedAndDropsTimers) {
  int ran = 0;
  ThreadPool pool("test", 1);
  pool.PostAfter(absl::Hours(1), [&] { ran += 100; });
  for (int i = 0; i < 10; ++i) pool.Post([&] { ++ran; });
  pool.Stop();
  pool.Post([&] { ran += 100; });
  EXPECT_EQ(ran, 10);
}

}  // namespace
}  // namespace leftfold
