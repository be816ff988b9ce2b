// Orders, payments, restaurants and agents with all reactors, where deliveries get lost or come
// twice, answers get lost, the provider fails as providers do, and the process crashes: in the end
// the money and the agents are where they belong.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "testing/environment.h"
#include "tests/property/order_world.h"

namespace leftfold::ordering {
namespace {

constexpr int kSchedulesPerTown = 20;
constexpr int kParts = 4;
constexpr std::uint64_t kSchedules = 10'000;

// What so many schedules come to, each of them.
constexpr int kSchedulesThatSeeAll = 2'000;
constexpr const char* kEnds[] = {"ORDER_STATUS_INVALID",      "ORDER_STATUS_PAYMENT_FAILED",
                                 "ORDER_STATUS_CANCELLED",    "ORDER_STATUS_EXPIRED",
                                 "ORDER_STATUS_DELIVERED",    "ORDER_STATUS_REFUNDED",
                                 "ORDER_STATUS_REFUND_STUCK", "REFUNDED after RefundStuck",
                                 "REFUND_CAUSE_REJECTED",     "REFUND_CAUSE_APPROVAL_TIMED_OUT",
                                 "REFUND_CAUSE_NO_AGENT",     "REFUND_CAUSE_DELIVERY_FAILED",
                                 "REFUND_CAUSE_CANCELLED",    "REFUND_CAUSE_EXPIRED"};

// What is wrong after some schedule, with the story of its orders; "" when nothing is.
std::string RunTown(std::uint64_t seed, Bug bug, int schedules) {
  Town town(seed, bug);
  for (int i = 0; i < schedules; ++i) {
    town.RunSchedule();
    const std::vector<std::string> wrong = town.Check();
    if (wrong.empty()) continue;
    std::string report = fmt::format("schedule {}:\n", i);
    for (const std::string& w : wrong) report += w + "\n";
    for (const std::string& id : town.open()) report += town.Story(id);
    return report;
  }
  return "";
}

// Parts of one test, so that they can run side by side. LEFTFOLD_SEED replays towns from that one
// on, LEFTFOLD_SCHEDULES of them in all.
class OrderProcess : public ::testing::TestWithParam<int> {};

TEST_P(OrderProcess, KeepsMoneyAndAgentsRightWhateverHappens) {
  const bool replay = testing::HasSeed();
  if (replay && GetParam() > 0) GTEST_SKIP() << "one part replays";
  const int all = static_cast<int>(testing::Cases("LEFTFOLD_SCHEDULES", kSchedules));
  const int schedules = replay ? all : all / kParts;
  std::uint64_t seed = testing::SeedOr(1'000'000 * static_cast<std::uint64_t>(GetParam()));
  fmt::print("LEFTFOLD_SCHEDULES={}\n", schedules);
  for (int left = schedules; left > 0; left -= kSchedulesPerTown) {
    const std::string wrong = RunTown(seed, Bug::kNone, std::min(left, kSchedulesPerTown));
    ASSERT_EQ(wrong, "") << "LEFTFOLD_SEED=" << seed << " LEFTFOLD_SCHEDULES=" << kSchedulesPerTown;
    ++seed;
  }
  for (const auto& [end, count] : Town::Ends()) fmt::print("{} {}\n", count, end);
  if (replay || schedules < kSchedulesThatSeeAll) return;
  for (const char* end : kEnds) EXPECT_GT(Town::Ends()[end], 0) << "no schedule came to " << end;
}

INSTANTIATE_TEST_SUITE_P(Part, OrderProcess, ::testing::Range(0, kParts));

// Each of them is found within some towns.
class PlantedBug : public ::testing::TestWithParam<Bug> {};

TEST_P(PlantedBug, IsFound) {
  constexpr std::uint64_t kTowns = 20;
  std::string wrong;
  for (std::uint64_t seed = 1; seed <= kTowns && wrong.empty(); ++seed)
    wrong = RunTown(seed, GetParam(), kSchedulesPerTown);
  EXPECT_NE(wrong, "");
  fmt::print("{}\n", wrong.substr(0, wrong.find("  ")));
}

INSTANTIATE_TEST_SUITE_P(Process, PlantedBug,
                         ::testing::Values(Bug::kNoIdempotencyKey, Bug::kNoCompensation,
                                           Bug::kDoubleAssignment));

}  // namespace
}  // namespace leftfold::ordering
