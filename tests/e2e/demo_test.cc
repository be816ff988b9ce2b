// What `make demo` runs: it fails by itself when an answer is not the expected one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/child_process.h"

namespace leftfold {
namespace {

TEST(Demo, RunsToItsEnd) {
  const testing::Ran demo = testing::RunShell(LEFTFOLD_SOURCE_DIR "/scripts/demo.sh");
  EXPECT_EQ(demo.exit_code, 0) << demo.output;
  EXPECT_THAT(demo.output, ::testing::HasSubstr("leftfold verify --data data")) << demo.output;
}

}  // namespace
}  // namespace leftfold
