// The log on a disk that loses its power at any call of SQLite that changes a file, or at which a
// call fails: what was answered is there after the restart, what was not is there as a whole or
// not at all, and a retry of everything brings each command into the log once.
// LEFTFOLD_SEED gives one schedule back, LEFTFOLD_POINTS how many are tried.

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <fstream>
#include <iostream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/ids.h"
#include "event_store/sqlite/sqlite_event_store.h"
#include "event_store/sqlite/verify_log_file.h"
#include "testing/environment.h"
#include "testing/event_store_contract.h"
#include "testing/fake_clock.h"
#include "testing/fault_vfs.h"
#include "testing/log_history.h"
#include "testing/temporary_folder.h"
#include "testing/virtual_scheduler.h"

namespace leftfold::testing {
namespace {

constexpr int kCommands = 24;
// In the place of a receipt's position.
constexpr Position kRefused{-1};
constexpr Position kBegun{-2};  // The process has begun.

// A command of one or several streams, with or without events, some of many pages.
AppendRequest CommandNumber(std::uint64_t seed, int n) {
  std::mt19937_64 random(seed * 1'000 + static_cast<std::uint64_t>(n));
  AppendRequest request;
  const std::string id = fmt::format("c{}", n);
  int events = 0;
  for (std::uint64_t streams = 1 + random() % 2, s = 0; s < streams; ++s) {
    StreamAppend& append = request.streams.emplace_back();
    append.stream = fmt::format("room-{}", s * 10 + random() % 4);
    append.check = Any{};
    for (std::uint64_t left = random() % 4; left > 0; --left) {
      NewEvent event = EventOf(fmt::format("{}/{}", n, ++events));
      event.payload.resize(event.payload.size() + (random() % 8 == 0 ? 9'000 : random() % 200),
                           'x');
      event.event_id = DerivedUuid(id, events);
      append.events.push_back(std::move(event));
    }
  }
  return CommandOf(std::move(request), id);
}

// The log of a process.
class Log {
 public:
  Log(const std::string& folder, std::uint64_t seed) : folder_(folder), scheduler_(seed) {}
  // Closes it before, if it is open.
  absl::Status Open() {
    store_.reset();
    auto opened = OpenSqliteEventStore(
        folder_ + "/log",
        {.writer = &scheduler_.Serial(), .completions = &scheduler_.Pool(), .clock = &clock_});
    if (!opened.ok()) return opened.status();
    store_ = *std::move(opened);
    return absl::OkStatus();
  }
  void Append(AppendRequest request, EventStore::AppendDone done) {
    store_->Append(std::move(request), std::move(done));
  }
  EventStore& store() { return *store_; }
  VirtualScheduler& scheduler() { return scheduler_; }

 private:
  const std::string folder_;
  FakeClock clock_;
  VirtualScheduler scheduler_;
  std::unique_ptr<EventStore> store_;
};

Receipt Refusal() {
  Receipt receipt;
  receipt.position = kRefused;
  return receipt;
}

// What the process with the disk does; what it is answered it tells to `answers`, which outlives
// it.
void Work(const std::string& folder, std::uint64_t seed, std::ostream& answers) {
  std::mt19937_64 random(seed);
  answers << 0 << ' ' << kBegun.value << ' ' << 0 << std::endl;
  Log log(folder, seed);
  if (!log.Open().ok()) Die("the log cannot be opened");
  for (int n = 0; n < kCommands; ++n) {
    log.Append(CommandNumber(seed, n), [n, &answers](const absl::StatusOr<Receipt>& receipt) {
      const Receipt told = receipt.ok() ? *receipt : Refusal();
      answers << n << ' ' << told.position.value << ' ' << told.version.value << std::endl;
    });
    if (random() % 3 == 0) log.scheduler().RunUntilIdle();
    // A log that is closed is copied back from its write-ahead log.
    if (random() % 8 == 0) {
      log.scheduler().RunUntilIdle();
      if (!log.Open().ok()) Die("the log cannot be opened again");
    }
  }
  log.scheduler().RunUntilIdle();
}

// Runs it in a process of its own; its exit code, 128 + signal when it was ended by one.
int RunOnDisk(const std::string& folder, std::uint64_t seed, const DiskFault& fault) {
  const int child = fork();
  if (child == 0) {
    if (freopen("/dev/null", "w", stderr) == nullptr) _exit(1);
    Arm(fault);
    std::ofstream answers(folder + "/answers", std::ios::app);
    Work(folder, seed, answers);
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

// After the restart: "" or what was not kept.
std::string CheckAfter(const std::string& folder, std::uint64_t seed) {
  LogHistory history;
  for (int n = 0; n < kCommands; ++n) history.Asked(CommandNumber(seed, n));
  std::ifstream answers(folder + "/answers");
  Receipt receipt;
  receipt.aggregate_id = "oak";
  receipt.created_id = "created-1";
  for (int n = 0; answers >> n >> receipt.position.value >> receipt.version.value;) {
    const std::string id = fmt::format("c{}", n);
    if (receipt.position == kBegun) {
      history.ForgetRefusals();
    } else if (receipt.position == kRefused) {
      history.Refused(id);
    } else {
      history.Answered(id, receipt);
    }
  }
  {
    Log log(folder, seed);
    if (const absl::Status opened = log.Open(); !opened.ok()) return opened.ToString();
    log.scheduler().RunUntilIdle();
    if (const std::string wrong = history.Check(log.store()); !wrong.empty()) return wrong;
    history.ForgetRefusals();
    for (int n = 0; n < kCommands; ++n) {
      log.Append(CommandNumber(seed, n), [&](const absl::StatusOr<Receipt>& again) {
        if (again.ok()) history.Answered(fmt::format("c{}", n), *again);
      });
      log.scheduler().RunUntilIdle();
    }
    if (const std::string wrong = history.Check(log.store()); !wrong.empty())
      return "after a retry: " + wrong;
  }
  const auto verified = VerifyLogFile(folder + "/log", {});
  return verified.ok() ? "" : std::string(verified.status().message());
}

// Calls of a run without faults: those that change a file, and those of each kind.
struct Calls {
  std::int64_t changing = 0;
  std::array<std::int64_t, kDiskCalls> of{};
};

Calls CallsOfARun(std::uint64_t seed) {
  const TemporaryFolder folder(FolderInMemory());
  if (RunOnDisk(folder.path(), seed, {}) != 0) Die("the work does not end");
  Calls calls;
  std::ifstream counted(folder.path() + "/calls");
  counted >> calls.changing;
  for (std::int64_t& of : calls.of) counted >> of;
  if (const std::string wrong = CheckAfter(folder.path(), seed); !wrong.empty()) Die(wrong);
  return calls;
}

std::int64_t OneOf(std::int64_t calls, std::mt19937_64& random) {
  return 1 + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(calls));
}

DiskFault PowerLossAt(std::int64_t call, std::mt19937_64& random) {
  DiskFault fault;
  fault.power_loss_at = call;
  fault.seed = random();
  return fault;
}

DiskFault AnyFailure(const Calls& calls, std::mt19937_64& random) {
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

// Tries so many points of schedules.
template <class TryOne>
void ForEachPoint(std::uint64_t points, TryOne try_one) {
  constexpr std::uint64_t kPointsEach = 20;
  for (std::uint64_t tried = 0; tried < points; tried += kPointsEach) {
    const std::uint64_t seed = Seed();
    std::mt19937_64 random(seed);
    const Calls calls = CallsOfARun(seed);
    for (std::uint64_t i = 0; i < std::min(kPointsEach, points - tried); ++i) {
      try_one(seed, calls, random);
      if (::testing::Test::HasFatalFailure())
        FAIL() << "LEFTFOLD_SEED=" << seed << " tries these points again";
    }
  }
}

class PowerLoss : public ::testing::TestWithParam<int> {
 protected:
  static constexpr int kParts = 4;
  static std::uint64_t Points() { return Cases("LEFTFOLD_POINTS", 2'000) / kParts / 2; }
};

TEST_P(PowerLoss, LosesNothingThatWasAnswered) {
  ForEachPoint(Points(), [](std::uint64_t seed, const Calls& calls, std::mt19937_64& random) {
    const TemporaryFolder folder(FolderInMemory());
    const DiskFault fault = PowerLossAt(OneOf(calls.changing, random), random);
    ASSERT_EQ(RunOnDisk(folder.path(), seed, fault), kPowerLost);
    ASSERT_EQ(CheckAfter(folder.path(), seed), "")
        << "at call " << fault.power_loss_at << " of " << calls.changing;
  });
}

// Calls fail, and the power goes again while what was left of the time before is put right.
TEST_P(PowerLoss, AndFailuresOneAfterTheOtherLoseNothing) {
  ForEachPoint(Points(), [](std::uint64_t seed, const Calls& calls, std::mt19937_64& random) {
    const TemporaryFolder folder(FolderInMemory());
    for (std::uint64_t runs = 1 + random() % 3; runs > 0; --runs) {
      DiskFault fault = AnyFailure(calls, random);
      if (random() % 2 == 0) fault = PowerLossAt(OneOf(calls.changing, random), random);
      if (random() % 2 == 0) fault.power_loss_at = OneOf(calls.changing, random);
      const int code = RunOnDisk(folder.path(), seed, fault);
      ASSERT_TRUE(code == 0 || code == kPowerLost || code == 128 + SIGABRT) << code;
    }
    ASSERT_EQ(CheckAfter(folder.path(), seed), "");
  });
}

INSTANTIATE_TEST_SUITE_P(Part, PowerLoss, ::testing::Range(0, 4));

// The test above can see: on a disk that only says that it has synced, something is lost.
TEST(PowerLossControl, ADiskThatLiesAboutSyncsIsFound) {
  int found = 0;
  ForEachPoint(40, [&](std::uint64_t seed, const Calls& calls, std::mt19937_64& random) {
    const TemporaryFolder folder(FolderInMemory());
    DiskFault fault = PowerLossAt(OneOf(calls.changing, random), random);
    fault.sync_lies = true;
    ASSERT_EQ(RunOnDisk(folder.path(), seed, fault), kPowerLost);
    if (!CheckAfter(folder.path(), seed).empty()) ++found;
  });
  EXPECT_GT(found, 0);
}

}  // namespace
}  // namespace leftfold::testing
