// The log on a disk that loses its power at any call of SQLite that changes a file, or at which a
// call fails: what was answered is there after the restart, what was not is there as a whole or
// not at all, and a retry of everything brings each command into the log once.
// LEFTFOLD_SEED gives one schedule back, LEFTFOLD_POINTS how many are tried in all suites.

#include <gtest/gtest.h>

#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "core/ids.h"
#include "event_store/sqlite/sqlite_event_store.h"
#include "event_store/sqlite/verify_log_file.h"
#include "testing/environment.h"
#include "testing/event_store_contract.h"
#include "testing/fake_clock.h"
#include "testing/guarantee_checker.h"
#include "testing/virtual_scheduler.h"
#include "tests/crash/faulty_disk.h"

namespace leftfold::testing {
namespace {

constexpr int kCommands = 24;
// In the place of a receipt's position.
constexpr Position kRefused{-1};
constexpr Position kBegun{-2};       // The process has begun.
constexpr Position kReopened{-3};    // So has the log been, which has recovered.
constexpr Position kDiskFailed{-4};  // What is asked from now on comes after a failure.

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
  Log(const std::string& folder, std::uint64_t seed, const WalLimits& wal = {})
      : folder_(folder), wal_(wal), scheduler_(seed) {}
  // Closes it before, if it is open.
  absl::Status Open() {
    store_.reset();
    auto opened = OpenSqliteEventStore(folder_ + "/log", {.writer = &scheduler_.Serial(),
                                                          .completions = &scheduler_.Pool(),
                                                          .clock = &clock_,
                                                          .wal = wal_});
    if (!opened.ok()) return opened.status();
    store_ = *std::move(opened);
    return absl::OkStatus();
  }
  void Append(AppendRequest request, EventStore::AppendDone done) {
    store_->Append(std::move(request), std::move(done));
  }
  EventStore& store() { return *store_; }
  std::string path() const { return folder_ + "/log/events.db"; }
  VirtualScheduler& scheduler() { return scheduler_; }

 private:
  const std::string folder_;
  const WalLimits wal_;
  FakeClock clock_;
  VirtualScheduler scheduler_;
  std::unique_ptr<EventStore> store_;
};

Receipt Refusal() {
  Receipt receipt;
  receipt.position = kRefused;
  return receipt;
}

void Tell(std::ostream& answers, int n, Position position, Version version) {
  answers << n << ' ' << position.value << ' ' << version.value << std::endl;
}

// What the process with the disk does; what it is answered it tells to `answers`, which outlives
// it.
void WorkOn(Log& log, std::uint64_t seed, std::ostream& answers) {
  std::mt19937_64 random(seed);
  Tell(answers, 0, kBegun, {});
  if (!log.Open().ok()) Die("the log cannot be opened");
  std::int64_t failures = FailuresOf(log.path());
  for (int n = 0; n < kCommands; ++n) {
    if (FailuresOf(log.path()) > failures) {
      log.scheduler().RunUntilIdle();
      Tell(answers, 0, kDiskFailed, {});
      failures = FailuresOf(log.path());
    }
    log.Append(CommandNumber(seed, n), [n, &answers](const absl::StatusOr<Receipt>& receipt) {
      const Receipt told = receipt.ok() ? *receipt : Refusal();
      Tell(answers, n, told.position, told.version);
    });
    if (random() % 3 == 0) log.scheduler().RunUntilIdle();
    // A log that is closed is copied back from its write-ahead log.
    if (random() % 8 == 0) {
      log.scheduler().RunUntilIdle();
      if (!log.Open().ok()) Die("the log cannot be opened again");
      Tell(answers, 0, kReopened, {});
      failures = FailuresOf(log.path());
    }
  }
  log.scheduler().RunUntilIdle();
}

void Work(const std::string& folder, std::uint64_t seed, std::ostream& answers) {
  Log log(folder, seed);
  WorkOn(log, seed, answers);
}

// The write-ahead log is copied back, and made empty, again and again.
void WorkWithCheckpoints(const std::string& folder, std::uint64_t seed, std::ostream& answers) {
  constexpr std::int64_t kWalBytes = 60'000;
  Log log(folder, seed, {.bytes_refused = kWalBytes});
  WorkOn(log, seed, answers);
}

// It is to begin again at its start.
void WorkWithRestarts(const std::string& folder, std::uint64_t seed, std::ostream& answers) {
  constexpr std::int64_t kWalBytes = 30'000;
  Log log(folder, seed, {.bytes_max = kWalBytes});
  WorkOn(log, seed, answers);
}

// After the restart: "" or what was not kept.
std::string CheckAfter(const std::string& folder, std::uint64_t seed, std::istream& answers) {
  GuaranteeChecker checker;
  for (int n = 0; n < kCommands; ++n) checker.Saw(seen::Asked{CommandNumber(seed, n)});
  Receipt receipt;
  receipt.aggregate_id = "oak";
  receipt.created_id = "created-1";
  int lives = 0;
  for (int n = 0; answers >> n >> receipt.position.value >> receipt.version.value;) {
    const std::string id = fmt::format("c{}", n);
    if (receipt.position == kBegun) {
      ++lives;
      checker.Saw(seen::Restarted{});
    } else if (receipt.position == kReopened) {
      ++lives;
    } else if (receipt.position == kDiskFailed) {
      checker.Saw(seen::DiskFailed{fmt::format("life {}", lives)});
    } else if (receipt.position == kRefused) {
      checker.Saw(seen::Refused{id});
    } else {
      checker.Saw(seen::Answered{id, receipt, fmt::format("life {}", lives)});
    }
  }
  {
    Log log(folder, seed);
    if (const absl::Status opened = log.Open(); !opened.ok()) return opened.ToString();
    log.scheduler().RunUntilIdle();
    if (const std::string wrong = checker.Check({log.store()}); !wrong.empty()) return wrong;
    checker.Saw(seen::Restarted{});
    for (int n = 0; n < kCommands; ++n) {
      log.Append(CommandNumber(seed, n), [&](const absl::StatusOr<Receipt>& again) {
        if (again.ok()) checker.Saw(seen::Answered{fmt::format("c{}", n), *again});
      });
      log.scheduler().RunUntilIdle();
      checker.Saw(seen::AskedToTheEnd{fmt::format("c{}", n)});
    }
    if (const std::string wrong = checker.Check({log.store()}); !wrong.empty())
      return "after a retry: " + wrong;
  }
  const auto verified = VerifyLogFile(folder + "/log", {});
  if (!verified.ok()) return std::string(verified.status().message());
  return verified->index.ok() ? "" : "the index: " + std::string(verified->index.message());
}

const DiskWork kWork = {{}, Work, CheckAfter};
const DiskWork kCheckpointWork = {{}, WorkWithCheckpoints, CheckAfter, /*at_checkpoints=*/true};
const DiskWork kRestartWork = {{}, WorkWithRestarts, CheckAfter, /*at_checkpoints=*/true};
constexpr std::uint64_t kPointsEach = 20;

class PowerLoss : public ::testing::TestWithParam<int> {
 protected:
  static constexpr int kParts = 4;
  static std::uint64_t Part() { return Points(kLogPoints) / kParts / 2; }
};

TEST_P(PowerLoss, LosesNothingThatWasAnswered) {
  ForEachPoint(kWork, Part(), kPointsEach, kLosePowerOnce);
}

TEST_P(PowerLoss, AndFailuresOneAfterTheOtherLoseNothing) {
  ForEachPoint(kWork, Part(), kPointsEach, kFailRepeatedly);
}

INSTANTIATE_TEST_SUITE_P(Part, PowerLoss, ::testing::Range(0, 4));

TEST(PowerLossAtCheckpoints, LosesNothingThatWasAnswered) {
  ForEachPoint(kCheckpointWork, Points(kCheckpointPoints) / 4, kPointsEach, kLosePowerOnce);
}

TEST(PowerLossAtRestarts, LosesNothingThatWasAnswered) {
  ForEachPoint(kRestartWork, Points(kCheckpointPoints) / 4, kPointsEach, kLosePowerOnce);
}

TEST(PowerLossAtRestarts, AndFailuresOneAfterTheOtherLoseNothing) {
  ForEachPoint(kRestartWork, Points(kCheckpointPoints) / 4, kPointsEach, kFailRepeatedly);
}

TEST(PowerLossAtCheckpoints, AndFailuresOneAfterTheOtherLoseNothing) {
  ForEachPoint(kCheckpointWork, Points(kCheckpointPoints) / 4, kPointsEach, kFailRepeatedly);
}

// Whoever looks makes the next sync write the file's time too, which is a second write to the disk.
TEST(LogCommits, LookAtNoWriteAheadLogThatIsSmall) {
  const TemporaryFolder folder;
  const Ended ended = InSeparateProcess([&] {
    DiskFault none;
    none.disk = folder.path();
    Arm(none);
    Log log(folder.path(), 1);
    if (!log.Open().ok()) Die("the log cannot be opened");
    std::int64_t looks = 0;
    constexpr int kCommits = 100;
    for (int n = 0; n <= kCommits; ++n) {
      bool kept = false;
      log.Append(AppendOf("room-oak", {"x"}), [&](const auto& receipt) { kept = receipt.ok(); });
      log.scheduler().RunUntilIdle();
      if (!kept) Die("it is not appended");
      if (n == 0) looks = LooksAtWals();  // What it was left with.
    }
    return LooksAtWals() == looks
               ? ""
               : fmt::format("{} looks in {} commits", LooksAtWals() - looks, kCommits);
  });
  EXPECT_EQ(ended.Wrong(), "");
}

// The tests above can see: on such disks something is lost.
TEST(PowerLossControl, ADiskThatLiesAboutSyncsIsFound) {
  EXPECT_GT(FoundOnALyingDisk(kWork, DiskFault::SyncLies::kAll, 40, kPointsEach), 0);
}
TEST(PowerLossControl, CommitsWithoutASyncAreFound) {
  EXPECT_GT(FoundOnALyingDisk(kWork, DiskFault::SyncLies::kOfWals, 40, kPointsEach), 0);
}

}  // namespace
}  // namespace leftfold::testing
