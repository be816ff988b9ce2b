// What `make demo` runs: it fails by itself when an answer is not the expected one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "testing/child_process.h"

namespace leftfold {
namespace {

using ::testing::ContainsRegex;

// Of `output`, what comes before `text`; it is taken away.
std::string TakeUntil(const std::string& text, std::string& output) {
  const std::size_t end = output.find(text);
  EXPECT_NE(end, std::string::npos) << "no " << text << " in:\n" << output;
  if (end == std::string::npos) return "";
  std::string before = output.substr(0, end);
  output.erase(0, end + text.size());
  return before;
}

TEST(Demo, PrintsStagesAsTheyAreReachedAndTheTimesOfAThousandOrders) {
  testing::Ran demo = testing::RunShell(LEFTFOLD_SOURCE_DIR "/scripts/demo.sh");
  ASSERT_EQ(demo.exit_code, 0) << demo.output;
  std::string& output = demo.output;
  const std::string watch = "\n# watch: [0-9:]+[.][0-9]+ +";
  TakeUntil("/WatchOrder &", output);
  EXPECT_THAT(TakeUntil("/PayForOrder", output),
              ContainsRegex(watch + "AWAITING_PAYMENT +validation done\n"));
  EXPECT_THAT(TakeUntil("/ConfirmPickup", output),
              ContainsRegex(watch + "AGENT_ASSIGNED .*pickup running\n"));
  TakeUntil("/ConfirmDelivery", output);
  EXPECT_THAT(TakeUntil("# A thousand agents", output),
              ContainsRegex(watch + "DELIVERED .*delivery done\n"));
  for (const char* stage :
       {"placed", "validated", "paid", "approved", "assigned", "picked up", "delivered"}) {
    TakeUntil(std::string("# ") + stage + " ", output);
    EXPECT_THAT(TakeUntil(" after the stage before\n", output),
                ContainsRegex("^ *1000 orders +[0-9]+ ms after the call began, +[0-9]+ ms$"))
        << stage;
  }
  TakeUntil("leftfold verify --data data", output);
}

}  // namespace
}  // namespace leftfold
