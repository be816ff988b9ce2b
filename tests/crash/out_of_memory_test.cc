// SQLite gets no memory, at any of its allocations, once or from then on: who asked hears of an
// error and the next one is served, or the process ends with a line that says why; what was
// answered is there after it, each view is its log's fold, and every page has its checksum.
// LEFTFOLD_ALLOCATIONS says how many allocations are tried in each test.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <string>

#include "leftfold/rooms/v1/queries.pb.h"
#include "tests/crash/faulty_disk.h"
#include "tests/crash/room_process.h"

namespace leftfold::testing {
namespace {

constexpr int kFewCommands = 5;
constexpr std::uint64_t kMemorySeed = 4;
constexpr std::uint64_t kAllocationsTried = 500;

// Opens, appends, folds, rebuilds and answers queries; before it, some of it was done.
void PrepareRooms(const std::string& disk, std::uint64_t seed) {
  RoomProcess process(disk, seed);
  for (int n = 0; n < 2; ++n) process.Send(n, [](const auto&) {});
  process.RunAll();
}
void WorkInLittleMemory(const std::string& disk, std::uint64_t seed, std::ostream& answers) {
  RoomProcess process(disk, seed);
  for (int n = 2; n < kFewCommands; ++n) {
    process.Send(n, [n, &answers](const core::v1::CommandReceipt& receipt) {
      answers << n << ' ' << receipt.position() << std::endl;
    });
    process.RunAll();
    rooms::v1::ListRoomsRequest list;
    process.path().Query(list, [](const absl::StatusOr<Answer>&) {});
    process.RunAll();
  }
  process.BeginRebuild(0);
  process.RunAll();
}
std::string CheckMemoryRooms(const std::string& disk, std::uint64_t seed, std::istream& answers) {
  RoomProcess process(disk, seed);
  process.RunAll();
  int n = 0;
  for (std::string position; answers >> n >> position;) {
    std::string again = "refused";
    process.Send(n, [&](const core::v1::CommandReceipt& receipt) { again = receipt.position(); });
    process.RunAll();
    if (again != position) return fmt::format("command {} was at {}, is {}", n, position, again);
  }
  if (const std::string wrong = process.CheckViews(); !wrong.empty()) return wrong;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(disk)) {
    if (entry.path().extension() != ".db") continue;
    const auto file = sql::Connection::Open(entry.path(), {});
    if (!file.ok()) return file.status().ToString();
    if (!(*file)->HasPageChecksums()) return entry.path().string() + " has no checksums of pages";
  }
  return "";
}

std::int64_t AllocationsOf(const Schedule& schedule) {
  return schedule.calls.of[static_cast<std::size_t>(DiskCall::kAllocate)];
}

DiskFault FailedAllocation(std::int64_t n, bool sticky) {
  DiskFault fault;
  fault.fails = DiskCall::kAllocate;
  fault.code = SQLITE_NOMEM;
  fault.fail_at = n;
  fault.sticky = sticky;
  return fault;
}

constexpr int kMemoryParts = 2;

void FailAllocations(const DiskWork& work, bool sticky, std::uint64_t part) {
  const Schedule schedule = ScheduleOf(work, kMemorySeed);
  const auto all = static_cast<std::uint64_t>(AllocationsOf(schedule));
  const std::uint64_t tries =
      std::min(all, Cases("LEFTFOLD_ALLOCATIONS", kAllocationsTried, /*share=*/25));
  int ended = 0;
  for (std::uint64_t n = part; n < tries; n += kMemoryParts) {
    const DiskFault fault =
        FailedAllocation(static_cast<std::int64_t>(1 + n * all / tries), sticky);
    const PreparedDisk disk = schedule.disk;
    const int code = disk.Run(fault);
    const bool by_itself =
        code == 128 + SIGABRT && disk.Errors().find("leftfold: fatal: ") != std::string::npos;
    ASSERT_TRUE(code == 0 || by_itself) << "allocation " << fault.fail_at << ": " << code << "\n"
                                        << disk.Errors();
    ASSERT_EQ(disk.Check(), "") << "allocation " << fault.fail_at << " of " << all;
    ended += by_itself ? 1 : 0;
  }
  fmt::print("{} of {} allocations failed, {} ended the process\n", tries / kMemoryParts, all,
             ended);
}

const DiskWork kNewStoreInLittleMemory = {{}, WorkInLittleMemory, CheckMemoryRooms};
const DiskWork kStoreInLittleMemory = {PrepareRooms, WorkInLittleMemory, CheckMemoryRooms};

// A fold that could ask for the time would be another one when it is done again.
TEST(OutOfMemory, LeavesNoWriterOfViewsWithAClock) {
  const DiskWork work = {
      {},
      [](const std::string& disk, std::uint64_t, std::ostream& answers) {
        const auto writer = sql::Connection::Open(
            disk + "/view.db", {.role = sql::Role::kWriter, .deterministic = true});
        if (!writer.ok()) return;
        for (const char* clock : {"random()", "unixepoch()", "date()", "strftime('%s')"}) {
          (*writer)->Value(fmt::format("SELECT {}", clock));
          if ((*writer)->status().ok()) answers << clock << std::endl;
          (*writer)->ClearStatus();
        }
      },
      [](const std::string&, std::uint64_t, std::istream& answers) {
        return std::string(std::istreambuf_iterator<char>(answers), {});
      }};
  const Schedule schedule = ScheduleOf(work, kMemorySeed);
  for (std::int64_t n = 1; n <= AllocationsOf(schedule); ++n) {
    const PreparedDisk disk = schedule.disk;
    ASSERT_EQ(disk.Run(FailedAllocation(n, false)), 0) << disk.Errors();
    ASSERT_EQ(disk.Check(), "") << "allocation " << n;
  }
}

class OutOfMemoryParts : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(OutOfMemoryParts, OnceHarmsNoNewStore) {
  FailAllocations(kNewStoreInLittleMemory, false, GetParam());
}
TEST_P(OutOfMemoryParts, FromThenOnHarmsNoNewStore) {
  FailAllocations(kNewStoreInLittleMemory, true, GetParam());
}
TEST_P(OutOfMemoryParts, OnceHarmsNoStore) {
  FailAllocations(kStoreInLittleMemory, false, GetParam());
}
TEST_P(OutOfMemoryParts, FromThenOnHarmsNoStore) {
  FailAllocations(kStoreInLittleMemory, true, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Part, OutOfMemoryParts, ::testing::Range<std::uint64_t>(0, kMemoryParts));

}  // namespace
}  // namespace leftfold::testing
