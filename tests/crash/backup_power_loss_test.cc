// Backup and restore on a disk that loses its power at any call that changes something, or at which
// a call fails: what was said to be made is there and whole after it; else what was there before
// is, and the next run comes to its end.
// LEFTFOLD_SEED gives one schedule back, LEFTFOLD_POINTS how many are tried in all suites.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>

#include "testing/log_on_disk.h"
#include "tests/crash/faulty_disk.h"
#include "tests/integration/tools_transfer_fixture.h"
#include "tools/backup.h"
#include "tools/restore.h"

namespace leftfold::testing {
namespace {

namespace fs = std::filesystem;
using tools::DoneBy;
using tools::IsPrefix;
using tools::kNoSteps;
using tools::Lines;
using tools::MakeReactor;
using tools::MakeView;

constexpr std::string_view kDone = "done";
constexpr const char* kReactor = "mails";
constexpr const char* kView = "rooms";
constexpr Position kFilled{8};  // The head that LogOnDisk::Fill leaves.

void AppendMore(LogOnDisk& log, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (std::uint64_t n = 1 + random() % 8; n > 0; --n) {
    const std::string text(random() % 4 == 0 ? 9'000 : 10, 'x');
    log.Append(DecidedCommand(fmt::format("room-{}", random() % 3), {text, "y"},
                              fmt::format("more-{}", n)));
  }
}

void CopyFolder(const std::string& from, const std::string& to) {
  fs::copy(from, to, fs::copy_options::recursive);
}

absl::Status TakeBackup(const std::string& disk, bool updates) {
  return tools::BackupLog({.data = disk + "/data",
                           .to = disk + "/backup",
                           .update = updates,
                           .sizes = {.page_events = 2, .group_bytes = 1}},
                          kNoSteps)
      .status();
}

bool WasTold(std::istream& answers) {
  return std::string(std::istreambuf_iterator<char>(answers), {}).find(kDone) != std::string::npos;
}

std::string FaultOf(const std::string& data) {
  return std::string(tools::Verified(data).message());
}

bool Updates(std::uint64_t seed) { return seed % 2 == 0; }

void PrepareBackup(const std::string& disk, std::uint64_t seed) {
  LogOnDisk log;
  log.Fill();
  MakeReactor(log.data(), kReactor, kFilled);
  if (Updates(seed)) {
    CopyFolder(log.data(), disk + "/data");
    if (!TakeBackup(disk, false).ok()) Die("no backup");
    CopyFolder(disk + "/backup", disk + "/earlier");
    fs::remove_all(disk + "/data");
  }
  AppendMore(log, seed);
  MakeReactor(log.data(), kReactor, log.store().GetHead().position);
  log.Close();
  CopyFolder(log.data(), disk + "/data");
}

void WorkOnBackup(const std::string& disk, std::uint64_t seed, std::ostream& answers) {
  if (TakeBackup(disk, Updates(seed)).ok()) answers << kDone << std::endl;
}

std::string CheckBackup(const std::string& disk, std::uint64_t seed, std::istream& answers) {
  const Lines whole = ContentOf(disk + "/data/log");
  if (const std::string fault = FaultOf(disk + "/data"); !fault.empty())
    return "the log itself: " + fault;
  const std::string backup = disk + "/backup";
  const bool told = WasTold(answers);
  const std::int64_t head = DoneBy(disk + "/data", kReactor);
  const auto is_whole = [&] {
    return ContentOf(backup + "/log") == whole && FaultOf(backup).empty() &&
           DoneBy(backup, kReactor) == head;
  };
  if (Updates(seed)) {
    const Lines now = ContentOf(backup + "/log");
    const Lines earlier = ContentOf(disk + "/earlier/log");
    if (!IsPrefix(earlier, now) || !IsPrefix(now, whole)) return "the backup has lost something";
    if (const std::string fault = FaultOf(backup); !fault.empty()) return fault;
    const std::int64_t done = DoneBy(backup, kReactor);
    if (done != kFilled.value && done != head) return fmt::format("the reactor is at {}", done);
    if (done == head && now != whole) return "the reactor is ahead of its log";
    if (told && !is_whole()) return "the update that was made is not there";
  } else {
    if (!fs::exists(backup) && told) return "the backup that was made is not there";
    if (fs::exists(backup)) return is_whole() ? "" : "half a backup looks like one";
  }
  if (const absl::Status again = TakeBackup(disk, Updates(seed)); !again.ok())
    return "again: " + again.ToString();
  return is_whole() ? "" : "the next one is not whole";
}

// A data folder that has gone on since it was backed up, or is not there.
bool Replaces(std::uint64_t seed) { return seed % 4 != 0; }

absl::Status RestoreOn(const std::string& disk, std::uint64_t seed) {
  return tools::RestoreLog({.from = disk + "/backup",
                            .data = disk + "/data",
                            .replace = Replaces(seed),
                            .reactors_anew = true,
                            .sizes = {.page_events = 2, .group_bytes = 1}},
                           kNoSteps)
      .status();
}

void PrepareRestore(const std::string& disk, std::uint64_t seed) {
  LogOnDisk log;
  log.Fill();
  MakeReactor(log.data(), kReactor, kFilled);
  CopyFolder(log.data(), disk + "/data");
  if (!TakeBackup(disk, false).ok()) Die("no backup");
  fs::remove_all(disk + "/data");
  if (!Replaces(seed)) return;
  AppendMore(log, seed);
  const Position head = log.store().GetHead().position;
  MakeReactor(log.data(), kReactor, head);
  MakeView(log.data(), kView, head);
  log.Close();
  CopyFolder(log.data(), disk + "/data");
  CopyFolder(log.data(), disk + "/earlier");
}

void WorkOnRestore(const std::string& disk, std::uint64_t seed, std::ostream& answers) {
  if (RestoreOn(disk, seed).ok()) answers << kDone << std::endl;
}

// Whether a log with this content is in the data folder, in its place or set aside.
bool IsKept(const std::string& data, const Lines& content) {
  for (const auto& entry : fs::directory_iterator(data)) {
    const std::string name = entry.path().filename();
    const bool log = name == "log" || name.starts_with("log.replaced-");
    if (log && ContentOf(entry.path()) == content) return true;
  }
  return false;
}

std::string CheckRestored(const std::string& disk, const Lines& wanted) {
  const std::string data = disk + "/data";
  if (ContentOf(data + "/log") != wanted) return "the log is not the restored one";
  if (const std::string fault = FaultOf(data); !fault.empty()) return fault;
  if (DoneBy(data, kReactor) != kFilled.value) return "the reactor is not the restored one";
  // It had gone further.
  return sql::ListCurrent(data + "/views", kView)->empty() ? "" : "the view is off the log";
}

std::string CheckRestore(const std::string& disk, std::uint64_t seed, std::istream& answers) {
  const std::string data = disk + "/data";
  const Lines wanted = ContentOf(disk + "/backup/log");
  const bool told = WasTold(answers);
  Lines old;
  if (Replaces(seed)) {
    old = ContentOf(disk + "/earlier/log");
    const Lines now = ContentOf(data + "/log");
    if (now != old && now != wanted) return "the log is neither the old nor the restored one";
    if (!IsKept(data, old)) return "the old log is gone";
    const std::int64_t done = DoneBy(data, kReactor);
    const bool restored = now == wanted;
    if (done != kFilled.value && (restored || done != DoneBy(disk + "/earlier", kReactor)))
      return fmt::format("the reactor is at {}", done);
    if (restored && !sql::ListCurrent(data + "/views", kView)->empty())
      return "the view is off the log";
  } else if (fs::exists(data + "/log") && ContentOf(data + "/log") != wanted) {
    return "half a log looks like one";
  }
  if (told) {
    if (const std::string wrong = CheckRestored(disk, wanted); !wrong.empty())
      return "what was restored: " + wrong;
  }
  if (Replaces(seed) || !fs::exists(data + "/log")) {
    if (const absl::Status again = RestoreOn(disk, seed); !again.ok())
      return "again: " + again.ToString();
  }
  if (Replaces(seed) && !IsKept(data, old)) return "the old log is gone after all";
  return CheckRestored(disk, wanted);
}

const DiskWork kBackupWork = {PrepareBackup, WorkOnBackup, CheckBackup};
const DiskWork kRestoreWork = {PrepareRestore, WorkOnRestore, CheckRestore};
constexpr std::uint64_t kBackupPointsEach = 20;
constexpr int kBackupParts = 4;

std::uint64_t BackupPart() { return Points(kBackupPoints) / kBackupParts; }

TEST(BackupPowerLoss, ABackupThatWasMadeIsThereAndHalfOfOneIsNot) {
  ForEachPoint(kBackupWork, BackupPart(), kBackupPointsEach, kLosePowerOnce);
}
TEST(BackupPowerLoss, FailuresOneAfterTheOtherLeaveNoHalfBackup) {
  ForEachPoint(kBackupWork, BackupPart(), kBackupPointsEach, kFailRepeatedly);
}
TEST(BackupPowerLoss, ARestoredLogIsThereOrTheOldOneIs) {
  ForEachPoint(kRestoreWork, BackupPart(), kBackupPointsEach, kLosePowerOnce);
}
TEST(BackupPowerLoss, FailuresOneAfterTheOtherLeaveTheOldLogOrTheRestoredOne) {
  ForEachPoint(kRestoreWork, BackupPart(), kBackupPointsEach, kFailRepeatedly);
}

// The tests above can see.
TEST(BackupPowerLossControl, ADiskThatLiesAboutSyncsIsFound) {
  EXPECT_GT(FoundOnALyingDisk(kBackupWork, DiskFault::SyncLies::kAll, 40, 10), 0);
  EXPECT_GT(FoundOnALyingDisk(kRestoreWork, DiskFault::SyncLies::kAll, 40, 10), 0);
}
TEST(BackupPowerLossControl, RenamesThatAreNeverSyncedAreFound) {
  EXPECT_GT(FoundOnALyingDisk(kBackupWork, DiskFault::SyncLies::kOfFolders, 40, 10), 0);
  EXPECT_GT(FoundOnALyingDisk(kRestoreWork, DiskFault::SyncLies::kOfFolders, 40, 10), 0);
}

}  // namespace
}  // namespace leftfold::testing
