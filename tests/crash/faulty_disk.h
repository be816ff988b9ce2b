#ifndef TESTS_CRASH_FAULTY_DISK_H_
#define TESTS_CRASH_FAULTY_DISK_H_

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <utility>

#include "core/status.h"
#include "testing/environment.h"
#include "testing/fault_vfs.h"
#include "testing/temporary_folder.h"

// Work that is done in a process of its own on a disk that fails or loses its power at some call,
// and looked at afterwards.
namespace leftfold::testing {

struct DiskWork {
  // What the process with the disk does, in a folder and by a seed. What it is answered it tells
  // to `answers`, which outlives it.
  std::function<void(const std::string& folder, std::uint64_t seed, std::ostream& answers)> run;
  // After the restart: "" or what was not kept.
  std::function<std::string(const std::string& folder, std::uint64_t seed)> check;
};

// Runs it in a process of its own; its exit code, 128 + signal when it was ended by one.
inline int RunOnDisk(const DiskWork& work, const std::string& folder, std::uint64_t seed,
                     const DiskFault& fault) {
  const int child = fork();
  if (child == 0) {
    if (freopen("/dev/null", "w", stderr) == nullptr) _exit(1);
    Arm(fault);
    std::ofstream answers(folder + "/answers", std::ios::app);
    work.run(folder, seed, answers);
    std::ofstream counted(folder + "/calls");
    counted << ChangingCalls();
    for (int call = 0; call < kDiskCalls; ++call)
      counted << ' ' << CallsOf(static_cast<DiskCall>(call));
    counted.close();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Calls of a run without faults: those that change a file, and those of each kind.
struct Calls {
  std::int64_t changing = 0;
  std::array<std::int64_t, kDiskCalls> of{};
};

inline Calls CallsOfARun(const DiskWork& work, std::uint64_t seed) {
  const TemporaryFolder folder(FolderInMemory());
  if (const int code = RunOnDisk(work, folder.path(), seed, {}); code != 0)
    Die(fmt::format("the work of seed {} ends with {}", seed, code));
  Calls calls;
  std::ifstream counted(folder.path() + "/calls");
  counted >> calls.changing;
  for (std::int64_t& of : calls.of) counted >> of;
  if (const std::string wrong = work.check(folder.path(), seed); !wrong.empty())
    Die(fmt::format("seed {}: {}", seed, wrong));
  return calls;
}

inline std::int64_t OneOf(std::int64_t calls, std::mt19937_64& random) {
  return 1 + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(calls));
}

inline DiskFault PowerLossAt(std::int64_t call, std::mt19937_64& random) {
  DiskFault fault;
  fault.power_loss_at = call;
  fault.seed = random();
  return fault;
}

inline DiskFault AnyFailure(const Calls& calls, std::mt19937_64& random) {
  constexpr std::array<std::pair<DiskCall, int>, 10> kFailures = {{
      {DiskCall::kRead, SQLITE_IOERR_READ},
      {DiskCall::kWrite, SQLITE_IOERR_WRITE},
      {DiskCall::kWrite, SQLITE_FULL},
      {DiskCall::kSync, SQLITE_IOERR_FSYNC},
      {DiskCall::kTruncate, SQLITE_IOERR_TRUNCATE},
      {DiskCall::kDelete, SQLITE_IOERR_DELETE},
      {DiskCall::kOpen, SQLITE_CANTOPEN},
      {DiskCall::kFileSize, SQLITE_IOERR_FSTAT},
      {DiskCall::kShmMap, SQLITE_IOERR_SHMMAP},
      {DiskCall::kShmMap, SQLITE_FULL},
  }};
  const auto& [call, code] = kFailures[random() % kFailures.size()];
  DiskFault fault;
  fault.fails = call;
  fault.code = code;
  const std::int64_t made = calls.of[static_cast<std::size_t>(call)];
  fault.fail_at = OneOf(std::max<std::int64_t>(made, 1), random);
  fault.sticky = random() % 2 == 0;
  return fault;
}

// Tries so many points of schedules, so many of each.
template <class TryOne>
void ForEachPoint(const DiskWork& work, std::uint64_t points, std::uint64_t points_each,
                  TryOne try_one) {
  for (std::uint64_t tried = 0; tried < points; tried += points_each) {
    const std::uint64_t seed = Seed();
    std::mt19937_64 random(seed);
    const Calls calls = CallsOfARun(work, seed);
    for (std::uint64_t i = 0; i < std::min(points_each, points - tried); ++i) {
      try_one(seed, calls, random);
      if (::testing::Test::HasFatalFailure())
        FAIL() << "LEFTFOLD_SEED=" << seed << " tries these points again";
    }
  }
}

// The power goes once, at any call that changes a file.
inline void LosePowerOnce(const DiskWork& work, std::uint64_t seed, const Calls& calls,
                          std::mt19937_64& random) {
  const TemporaryFolder folder(FolderInMemory());
  const DiskFault fault = PowerLossAt(OneOf(calls.changing, random), random);
  ASSERT_EQ(RunOnDisk(work, folder.path(), seed, fault), kPowerLost);
  ASSERT_EQ(work.check(folder.path(), seed), "")
      << "at call " << fault.power_loss_at << " of " << calls.changing;
}

// Calls fail, and the power goes again while what was left of the time before is put right.
inline void FailRepeatedly(const DiskWork& work, std::uint64_t seed, const Calls& calls,
                           std::mt19937_64& random) {
  const TemporaryFolder folder(FolderInMemory());
  for (std::uint64_t runs = 1 + random() % 3; runs > 0; --runs) {
    DiskFault fault = AnyFailure(calls, random);
    if (random() % 2 == 0) fault = PowerLossAt(OneOf(calls.changing, random), random);
    if (random() % 2 == 0) fault.power_loss_at = OneOf(calls.changing, random);
    const int code = RunOnDisk(work, folder.path(), seed, fault);
    ASSERT_TRUE(code == 0 || code == kPowerLost || code == 128 + SIGABRT) << code;
  }
  ASSERT_EQ(work.check(folder.path(), seed), "");
}

// How many of so many points on a disk that only says that it has synced are found.
inline int FoundOnALyingDisk(const DiskWork& work, DiskFault::SyncLies lies, std::uint64_t points,
                             std::uint64_t points_each) {
  int found = 0;
  ForEachPoint(work, points, points_each,
               [&](std::uint64_t seed, const Calls& calls, std::mt19937_64& random) {
                 const TemporaryFolder folder(FolderInMemory());
                 DiskFault fault = PowerLossAt(OneOf(calls.changing, random), random);
                 fault.sync_lies = lies;
                 ASSERT_EQ(RunOnDisk(work, folder.path(), seed, fault), kPowerLost);
                 if (!work.check(folder.path(), seed).empty()) ++found;
               });
  return found;
}

}  // namespace leftfold::testing
#endif  // TESTS_CRASH_FAULTY_DISK_H_
