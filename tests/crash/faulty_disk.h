#ifndef TESTS_CRASH_FAULTY_DISK_H_
#define TESTS_CRASH_FAULTY_DISK_H_

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"
#include "testing/environment.h"
#include "testing/fault_vfs.h"
#include "testing/temporary_folder.h"
#include "tests/crash/separate_process.h"

// Work that is done in a process of its own on a disk that fails or loses its power at some call,
// and looked at afterwards.
namespace leftfold::testing {

struct DiskWork {
  // What is on the disk before, by a seed; may be empty.
  std::function<void(const std::string& disk, std::uint64_t seed)> prepare;
  // What the process with the disk does. What it is answered it tells to `answers`, which outlives
  // it.
  std::function<void(const std::string& disk, std::uint64_t seed, std::ostream& answers)> run;
  // After the restart: "" or what was not kept.
  std::function<std::string(const std::string& disk, std::uint64_t seed, std::istream& answers)>
      check;
  bool at_checkpoints = false;  // Only there the power goes.
  std::uint64_t kinds = 1;      // Seeds that follow one another are of so many kinds.
};

// Points at which the power goes or calls fail, as `.ci/run deep` tries them; LEFTFOLD_POINTS says
// how many in all.
inline constexpr std::uint64_t kLogPoints = 5'000;
inline constexpr std::uint64_t kViewPoints = 1'000;
inline constexpr std::uint64_t kBackupPoints = 4'000;
inline constexpr std::uint64_t kMigrationPoints = 6'000;
inline constexpr std::uint64_t kCheckpointPoints = 2'000;
inline constexpr std::uint64_t kStepPoints = 2'000;
inline constexpr std::uint64_t kAllPoints =
    kLogPoints + kViewPoints + kBackupPoints + kMigrationPoints + kCheckpointPoints + kStepPoints;

// Whether each call is tried, of one schedule of each test.
inline bool AllPoints() {
  const char* const given = std::getenv("LEFTFOLD_POINTS");
  return given != nullptr && std::string_view(given) == "all";
}

// How many of these points are tried now: in `make test` a 25th.
inline std::uint64_t Points(std::uint64_t of) {
  constexpr std::uint64_t kShare = 25;
  if (AllPoints()) return of;
  return Cases("LEFTFOLD_POINTS", kAllPoints, kShare) * of / kAllPoints;
}

// Calls of a run: those that change something, and those of each kind.
struct Calls {
  std::int64_t changing = 0;
  std::array<std::int64_t, kDiskCalls> of{};
};

// A disk as the work of a seed finds it.
class PreparedDisk {
 public:
  PreparedDisk(const DiskWork& work, std::uint64_t seed) : work_(work), seed_(seed) {
    std::filesystem::create_directory(path());
    if (work.prepare) work.prepare(path(), seed);
  }
  PreparedDisk(const PreparedDisk& other) : work_(other.work_), seed_(other.seed_) {
    std::filesystem::copy(other.path(), path(), std::filesystem::copy_options::recursive);
  }
  PreparedDisk& operator=(const PreparedDisk&) = delete;

  // Runs the work in a process of its own; its exit code.
  int Run(DiskFault fault) const {
    const int child = Fork();
    if (child == 0) {
      if (freopen(errors().c_str(), "w", stderr) == nullptr) _exit(1);
      setvbuf(stderr, nullptr, _IONBF, 0);
      fault.disk = path();
      fault.at_checkpoints = work_.at_checkpoints;
      Arm(fault);
      std::ofstream answers(AnswersBeside(path()), std::ios::app);
      work_.run(path(), seed_, answers);
      PowerMayGo();
      std::ofstream counted(folder_.path() + "/calls");
      counted << ChangingCalls();
      for (int call = 0; call < kDiskCalls; ++call)
        counted << ' ' << CallsOf(static_cast<DiskCall>(call));
      counted.close();
      _exit(0);
    }
    return CodeOf(child);
  }
  // What runs on this disk told so far.
  static std::string AnswersBeside(const std::string& disk) { return disk + "/../answers"; }
  std::string Answers() const {
    std::ifstream file(AnswersBeside(path()));
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // What the last run wrote to stderr.
  std::string Errors() const {
    std::ifstream file(errors());
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // Of a run that came to its end.
  Calls CallsOfRun() const {
    Calls calls;
    std::ifstream counted(folder_.path() + "/calls");
    counted >> calls.changing;
    for (std::int64_t& of : calls.of) counted >> of;
    return calls;
  }
  // In a process of its own too: what it opens may end it.
  Ended EndOfCheck() const {
    return InSeparateProcess([&] {
      std::ifstream answers(AnswersBeside(path()));
      return work_.check(path(), seed_, answers);
    });
  }
  std::string Check() const {
    const Ended ended = EndOfCheck();
    return ended.code == 0 ? ended.text : fmt::format("{}: {}", ended.code, ended.errors);
  }
  // For controls: what is found is told, or ends the check with a line that says why; any other end
  // is a failure.
  std::string FoundByCheck() const {
    const Ended ended = EndOfCheck();
    if (ended.code == 0) return ended.text;
    EXPECT_EQ(ended.Wrong(), "");
    return ended.errors;
  }

 private:
  std::string path() const { return folder_.path() + "/disk"; }
  std::string errors() const { return folder_.path() + "/errors"; }

  const DiskWork& work_;
  const std::uint64_t seed_;
  TemporaryFolder folder_{FolderInMemory()};
};

// The work of a seed, and the calls that it makes when nothing fails.
struct Schedule {
  PreparedDisk disk;
  Calls calls;
};

inline Schedule ScheduleOf(const DiskWork& work, std::uint64_t seed) {
  const PreparedDisk prepared(work, seed);
  const auto disk = std::make_unique<PreparedDisk>(prepared);
  if (const int code = disk->Run({}); code != 0)
    Die(fmt::format("the work of seed {} ends with {}", seed, code));
  const Calls calls = disk->CallsOfRun();
  if (const std::string wrong = disk->Check(); !wrong.empty())
    Die(fmt::format("seed {}: {}", seed, wrong));
  return {prepared, calls};
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

// How each kind of call may fail.
inline constexpr std::array<std::pair<DiskCall, int>, 15> kFailures = {{
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
    {DiskCall::kLock, SQLITE_IOERR_LOCK},
    {DiskCall::kShmLock, SQLITE_IOERR_SHMLOCK},
    {DiskCall::kShmLock, SQLITE_BUSY},
    {DiskCall::kAccess, SQLITE_IOERR_ACCESS},
    {DiskCall::kRename, SQLITE_IOERR},
}};

inline std::int64_t MadeOf(const Calls& calls, DiskCall call) {
  return calls.of[static_cast<std::size_t>(call)];
}

inline DiskFault AnyFailure(const Calls& calls, std::mt19937_64& random) {
  const auto& [call, code] = kFailures[random() % kFailures.size()];
  DiskFault fault;
  fault.fails = call;
  fault.code = code;
  fault.fail_at = OneOf(std::max<std::int64_t>(MadeOf(calls, call), 1), random);
  fault.sticky = random() % 2 == 0;
  return fault;
}

// Tries points of schedules: so many of each, or as LEFTFOLD_POINTS=all says, each of one of each
// kind.
struct Trial {
  void (*one)(const Schedule& schedule, std::mt19937_64& random);
  std::uint64_t (*all)(const Schedule& schedule, std::mt19937_64& random);  // How many.
};

template <class TryOne>
void ForEachPoint(const DiskWork& work, std::uint64_t points, std::uint64_t points_each,
                  TryOne try_one) {
  const std::uint64_t first = Seed();
  std::uint64_t seed = first;
  for (std::uint64_t tried = 0; tried < points; tried += points_each, ++seed) {
    std::mt19937_64 random(seed);
    const Schedule schedule = ScheduleOf(work, seed);
    for (std::uint64_t i = 0; i < std::min(points_each, points - tried); ++i) {
      try_one(schedule, random);
      if (::testing::Test::HasFatalFailure())
        FAIL() << "LEFTFOLD_SEED=" << seed << " tries these points again";
    }
  }
  fmt::print("{} points from seed {}\n", points, first);
}
inline void ForEachPoint(const DiskWork& work, std::uint64_t points, std::uint64_t points_each,
                         const Trial& trial) {
  if (!AllPoints()) return ForEachPoint(work, points, points_each, trial.one);
  const std::uint64_t first = Seed();
  SCOPED_TRACE(fmt::format("LEFTFOLD_SEED={} tries these points again", first));
  std::uint64_t tried = 0;
  for (std::uint64_t seed = first; seed < first + work.kinds; ++seed) {
    std::mt19937_64 random(seed);
    tried += trial.all(ScheduleOf(work, seed), random);
    if (::testing::Test::HasFatalFailure()) return;
  }
  fmt::print("{} points from seed {}, which are all\n", tried, first);
}

inline void LosePowerAt(const Schedule& schedule, std::int64_t call, std::mt19937_64& random) {
  const PreparedDisk disk = schedule.disk;
  ASSERT_EQ(disk.Run(PowerLossAt(call, random)), kPowerLost);
  ASSERT_EQ(disk.Check(), "") << "at call " << call << " of " << schedule.calls.changing;
}

// The power goes once, at any call that changes something, or after all of them. Of what is
// unsynced the seed keeps something else each time: all of them, three times.
inline constexpr Trial kLosePowerOnce = {
    [](const Schedule& schedule, std::mt19937_64& random) {
      const std::int64_t last = schedule.calls.changing;
      LosePowerAt(schedule, random() % 8 == 0 ? last : OneOf(last, random), random);
    },
    [](const Schedule& schedule, std::mt19937_64& random) {
      constexpr std::int64_t kDamages = 3;
      const std::int64_t points = kDamages * schedule.calls.changing;
      for (std::int64_t n = 0; n < points && !::testing::Test::HasFatalFailure(); ++n)
        LosePowerAt(schedule, 1 + n / kDamages, random);
      return static_cast<std::uint64_t>(points);
    }};

// Calls fail, and the power goes again while what was left of the time before is put right.
inline void FailOnAndOn(const PreparedDisk& disk, const Calls& calls, std::mt19937_64& random) {
  for (std::uint64_t runs = 1 + random() % 3; runs > 0; --runs) {
    DiskFault fault = AnyFailure(calls, random);
    if (random() % 2 == 0) fault = PowerLossAt(OneOf(calls.changing, random), random);
    if (random() % 2 == 0) fault.power_loss_at = OneOf(calls.changing, random);
    const int code = disk.Run(fault);
    ASSERT_TRUE(code == 0 || code == kPowerLost || code == 128 + SIGABRT) << code;
  }
  ASSERT_EQ(disk.Check(), "");
}
inline void FailRepeatedly(const Schedule& schedule, std::mt19937_64& random) {
  const PreparedDisk disk = schedule.disk;
  FailOnAndOn(disk, schedule.calls, random);
}
inline void FailAt(const Schedule& schedule, const DiskFault& fault) {
  const PreparedDisk disk = schedule.disk;
  const int code = disk.Run(fault);
  ASSERT_TRUE(code == 0 || code == 128 + SIGABRT) << code << disk.Errors();
  ASSERT_EQ(disk.Check(), "") << "call " << fault.fail_at << " of kind "
                              << static_cast<int>(fault.fails) << " fails with " << fault.code
                              << (fault.sticky ? " and all later ones" : "");
}
// Once and for ever, each call of each kind.
inline std::uint64_t FailEverywhere(const Schedule& schedule, std::mt19937_64&) {
  std::uint64_t tried = 0;
  for (const auto& [call, code] : kFailures) {
    for (std::int64_t n = 1; n <= MadeOf(schedule.calls, call); ++n) {
      for (const bool sticky : {false, true}) {
        DiskFault fault;
        fault.fails = call;
        fault.code = code;
        fault.fail_at = n;
        fault.sticky = sticky;
        FailAt(schedule, fault);
        ++tried;
        if (::testing::Test::HasFatalFailure()) return tried;
      }
    }
  }
  return tried;
}
inline constexpr Trial kFailRepeatedly = {FailRepeatedly, FailEverywhere};

// How many of so many points on a disk that only says that it has synced are found.
inline int FoundOnALyingDisk(const DiskWork& work, DiskFault::SyncLies lies, std::uint64_t points,
                             std::uint64_t points_each) {
  int found = 0;
  ForEachPoint(work, points, points_each, [&](const Schedule& schedule, std::mt19937_64& random) {
    const PreparedDisk disk = schedule.disk;
    const std::int64_t last = schedule.calls.changing;
    DiskFault fault = PowerLossAt(random() % 2 == 0 ? last : OneOf(last, random), random);
    fault.sync_lies = lies;
    ASSERT_EQ(disk.Run(fault), kPowerLost);
    if (!disk.FoundByCheck().empty()) ++found;
  });
  return found;
}

// What is found when the power goes at each call of one schedule, or at each n-th.
inline std::vector<std::string> WrongAtEveryCall(const DiskWork& work, std::uint64_t seed,
                                                 std::int64_t nth = 1) {
  std::vector<std::string> wrong;
  std::mt19937_64 random(seed);
  const Schedule schedule = ScheduleOf(work, seed);
  for (std::int64_t call = 1; call <= schedule.calls.changing; call += nth) {
    const PreparedDisk disk = schedule.disk;
    EXPECT_EQ(disk.Run(PowerLossAt(call, random)), kPowerLost);
    if (const std::string found = disk.FoundByCheck(); !found.empty()) wrong.push_back(found);
  }
  return wrong;
}
inline int FoundAtEveryCall(const DiskWork& work, std::uint64_t seed) {
  return static_cast<int>(WrongAtEveryCall(work, seed).size());
}

}  // namespace leftfold::testing
#endif  // TESTS_CRASH_FAULTY_DISK_H_
