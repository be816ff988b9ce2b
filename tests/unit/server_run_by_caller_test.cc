// Who runs what is posted: the caller itself, or the pool.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "server/run_by_caller.h"
#include "testing/virtual_scheduler.h"

namespace leftfold {
namespace {

class RunByCallerTest : public ::testing::Test {
 protected:
  std::function<void()> Note(const std::string& what) {
    return [this, what] { ran_.push_back(what); };
  }
  using Ran = std::vector<std::string>;

  testing::VirtualScheduler pool_{1};
  RunByCaller executor_{pool_.Serial()};
  Ran ran_;
};

TEST_F(RunByCallerTest, TheFirstTaskOfACallRunsAtItsEnd) {
  {
    const RunByCaller::Call call(executor_);
    executor_.Post(Note("first"));
    executor_.Post(Note("second"));
    EXPECT_EQ(ran_, Ran{});
  }
  EXPECT_EQ(ran_, Ran{"first"});
  pool_.RunUntilIdle();
  EXPECT_EQ(ran_, (Ran{"first", "second"}));
}

TEST_F(RunByCallerTest, WhatThatTaskPostsIsThePools) {
  {
    const RunByCaller::Call call(executor_);
    executor_.Post([this] { executor_.Post(Note("next")); });
  }
  EXPECT_EQ(ran_, Ran{});
  pool_.RunUntilIdle();
  EXPECT_EQ(ran_, Ran{"next"});
}

TEST_F(RunByCallerTest, OtherThreadsAndOtherExecutorsArePosted) {
  RunByCaller other(pool_.Serial());
  {
    const RunByCaller::Call call(executor_);
    std::thread([this] { executor_.Post(Note("of another thread")); }).join();
    other.Post(Note("of another executor"));
  }
  EXPECT_EQ(ran_, Ran{});
  pool_.RunUntilIdle();
  EXPECT_EQ(ran_.size(), 2U);
}

TEST_F(RunByCallerTest, WithoutACallAllIsPosted) {
  executor_.Post(Note("alone"));
  EXPECT_EQ(ran_, Ran{});
  pool_.RunUntilIdle();
  EXPECT_EQ(ran_, Ran{"alone"});
}

}  // namespace
}  // namespace leftfold
