// The whole path, from commands to views that are rebuilt while they are served, on a disk that
// loses its power at any call of SQLite that changes a file, or at which a call fails: after the
// restart every view is its log's fold, at its head, and what was answered is in the log.
// LEFTFOLD_SEED gives one schedule back, LEFTFOLD_POINTS how many points are tried in all suites.

#include <gtest/gtest.h>

#include <iostream>
#include <map>
#include <random>
#include <sstream>
#include <string>

#include "testing/counter_domain.h"
#include "testing/environment.h"
#include "tests/crash/faulty_disk.h"
#include "tests/crash/room_process.h"

namespace leftfold::testing {
namespace {

constexpr int kRoomCommands = 12;
// In the place of a command's number: all views are served.
constexpr int kServed = -1;

void WorkOnRooms(const std::string& folder, std::uint64_t seed, std::ostream& answers) {
  std::mt19937_64 random(seed);
  RoomProcess process(folder, seed);
  for (int n = 0; n < kRoomCommands; ++n) {
    process.Send(n, [n, &answers](const core::v1::CommandReceipt& receipt) {
      answers << n << ' ' << receipt.position() << std::endl;
    });
    if (random() % 5 == 0) process.BeginRebuild(random());
    process.RunSome(random() % 40);
    if (random() % 4 == 0) {
      process.RunAll();
      if (process.IsServed()) answers << kServed << " 0" << std::endl;
    }
    if (random() % 10 == 0) process.Open();
  }
  process.RunAll();
}

std::string CheckRooms(const std::string& folder, std::uint64_t seed, std::istream& answers) {
  std::map<int, std::string> answered;
  {
    int n = 0;
    for (std::string position; answers >> n >> position;) {
      if (n == kServed) continue;
      const auto [first, added] = answered.emplace(n, position);
      if (!added && first->second != position)
        return fmt::format("command {} is at {} and {}", n, first->second, position);
    }
  }
  RoomProcess process(folder, seed);
  process.RunAll();
  if (const std::string wrong = process.CheckViews(); !wrong.empty()) return wrong;
  std::string wrong;
  for (const auto& [n, position] : answered) {
    std::string again = "refused";
    process.Send(n, [&](const core::v1::CommandReceipt& receipt) { again = receipt.position(); });
    process.RunAll();
    if (again != position) return fmt::format("command {} was at {}, is {}", n, position, again);
  }
  return process.CheckViews();
}

// Views that were served are so from the first moment, without being built.
std::string CheckServedRooms(const std::string& folder, std::uint64_t seed, std::istream& answers) {
  std::stringstream copy;
  copy << answers.rdbuf();
  if (copy.str().find(fmt::format("{} ", kServed)) != std::string::npos &&
      !RoomProcess(folder, seed).IsServed()) {
    return "a view that was served is not";
  }
  return CheckRooms(folder, seed, copy);
}

const DiskWork kRoomWork = {{}, WorkOnRooms, CheckServedRooms};
const DiskWork kRoomWorkOnFailures = {{}, WorkOnRooms, CheckRooms};
constexpr std::uint64_t kViewPointsEach = 10;

class ViewsPowerLoss : public ::testing::TestWithParam<int> {
 protected:
  static constexpr int kParts = 4;
  static std::uint64_t Part() { return Points(kViewPoints) / kParts / 2; }
};

TEST_P(ViewsPowerLoss, LosesNothingThatWasAnsweredAndEveryViewIsItsFold) {
  ForEachPoint(kRoomWork, Part(), kViewPointsEach, kLosePowerOnce);
}

TEST_P(ViewsPowerLoss, AndFailuresOneAfterTheOtherDoNeither) {
  ForEachPoint(kRoomWorkOnFailures, Part(), kViewPointsEach, kFailRepeatedly);
}

INSTANTIATE_TEST_SUITE_P(Part, ViewsPowerLoss, ::testing::Range(0, 4));

// The tests above can see.
TEST(ViewsPowerLossControl, ADiskThatLiesAboutSyncsIsFound) {
  EXPECT_GT(FoundOnALyingDisk(kRoomWork, DiskFault::SyncLies::kAll, 40, kViewPointsEach), 0);
}

// A view in which it shows when an event is folded again.
void AddCounts(Registry& registry) {
  registry.Add<Counter>();
  registry.Add<Counts>();
}
// Its rows are committed by themselves, before its checkpoint.
void AddCountsApart(Registry& registry) {
  AddCounts(registry);
  auto& fold = const_cast<ViewEntry&>(registry.views().front()).fold;
  fold = [whole = fold](const RecordedEvent& event, WriteTx& tx) {
    auto folded = whole(event, tx);
    tx.Exec("COMMIT");
    tx.Exec("BEGIN IMMEDIATE");
    return folded;
  };
}
DiskWork CountsOf(void (*add)(Registry&)) {
  return {[add](const std::string& disk, std::uint64_t seed) {
            const auto made = InSeparateProcess([&] {
              RoomProcess(disk, seed, add).RunAll();
              return "";
            });
            if (made.code != 0) Die(made.errors);
          },
          [add](const std::string& disk, std::uint64_t seed, std::ostream&) {
            RoomProcess process(disk, seed, add);
            for (const char* name : {"one", "two", "three"}) {
              process.path().store().Append(RenameOf("a", name), [](const auto&) {});
              process.RunAll();
            }
          },
          [add](const std::string& disk, std::uint64_t seed, std::istream&) {
            RoomProcess process(disk, seed, add);
            process.RunAll();
            return process.CheckViews();
          }};
}
TEST(ViewsPowerLossControl, ACheckpointApartFromItsRowsIsFound) {
  EXPECT_EQ(FoundAtEveryCall(CountsOf(AddCounts), 1), 0);
  EXPECT_GT(FoundAtEveryCall(CountsOf(AddCountsApart), 1), 0);
}

}  // namespace
}  // namespace leftfold::testing
