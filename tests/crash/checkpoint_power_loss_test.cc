// A file that is copied back from its write-ahead log between transactions, on a disk that loses
// its power at any call of SQLite that does so, or at which a call fails. A writer of FULL keeps
// what it committed, one of NORMAL a beginning of it; neither has a damaged page.
// LEFTFOLD_SEED gives one schedule back, LEFTFOLD_POINTS how many are tried in all suites.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "sql/connection.h"
#include "tests/crash/faulty_disk.h"

namespace leftfold::testing {
namespace {

constexpr int kTransactions = 40;
constexpr int kPagesOfAStep = 5;
constexpr std::uint64_t kStepPointsEach = 10;

absl::StatusOr<std::unique_ptr<sql::Connection>> OpenNotes(const std::string& folder, bool full) {
  return sql::Connection::Open(
      folder + "/notes.db",
      {.role = sql::Role::kWriter, .full_sync = full, .autocheckpoint_pages = 15});
}

std::uint64_t EachOf(std::mt19937_64& random) { return 1 + random() % 5; }

// Transaction n writes the row n, and changes some of those before it to n.
void WriteNotes(const std::string& folder, std::uint64_t seed, std::ostream& answers, bool full) {
  std::mt19937_64 random(seed);
  const auto notes = OpenNotes(folder, full);
  if (!notes.ok()) Die(notes.status().ToString());
  sql::Connection& file = **notes;
  constexpr std::int64_t kNormal = 1, kFull = 2;
  if (file.Value("PRAGMA synchronous") != (full ? kFull : kNormal)) Die("it syncs otherwise");
  file.Run("CREATE TABLE note(id INTEGER PRIMARY KEY, changed INTEGER, body BLOB) STRICT")
      .IgnoreError();
  for (int n = 1; n <= kTransactions; ++n) {
    const std::uint64_t each = EachOf(random);
    const std::uint64_t bytes = random() % 6'000;
    const bool later = random() % 4 == 0;  // A later commit copies back.
    file.Begin().IgnoreError();
    file.Run(fmt::format("UPDATE note SET changed = {0} WHERE id % {1} = 0;"
                         "INSERT INTO note VALUES ({0}, {0}, zeroblob({2}))",
                         n, each, bytes))
        .IgnoreError();
    if (const absl::Status committed = file.Commit(); !committed.ok()) Die(committed.ToString());
    answers << n << std::endl;
    if (later) continue;
    if (const absl::Status copied = file.CheckpointEvery(kPagesOfAStep); !copied.ok())
      Die(copied.ToString());
  }
}

// What transaction n and those before it leave, with none of them lost where that is promised.
std::string CheckNotes(const std::string& folder, std::uint64_t seed, std::istream& answers,
                       bool promised) {
  std::int64_t answered = 0;
  for (std::int64_t n = 0; answers >> n;) answered = n;
  const auto notes = OpenNotes(folder, /*full=*/true);
  if (!notes.ok()) return notes.status().ToString();
  sql::Connection& file = **notes;
  if (file.Value("SELECT count(*) FROM sqlite_schema") == 0)
    return promised && answered > 0 ? fmt::format("0 of {} are kept", answered) : "";
  {
    Rows check(file.Prepare("PRAGMA integrity_check"));
    if (!check.Next() || check.Text(0) != "ok") return "the file is damaged";
  }
  const std::int64_t kept = file.Value("SELECT count(*) FROM note");
  if (promised && kept < answered) return fmt::format("{} of {} are kept", kept, answered);
  std::mt19937_64 random(seed);
  std::vector<std::int64_t> changed(static_cast<std::size_t>(kept) + 1);
  for (std::int64_t n = 1; n <= kept; ++n) {
    const auto each = static_cast<std::int64_t>(EachOf(random));
    random.discard(2);
    for (std::int64_t id = each; id < n; id += each) changed[static_cast<std::size_t>(id)] = n;
    changed[static_cast<std::size_t>(n)] = n;
  }
  for (Rows rows(file.Prepare("SELECT id, changed FROM note ORDER BY id")); rows.Next();) {
    if (rows.Int(1) != changed[static_cast<std::size_t>(rows.Int(0))])
      return fmt::format("row {} of {} is of transaction {}", rows.Int(0), kept, rows.Int(1));
  }
  return file.status().ok() ? "" : file.status().ToString();
}

// A file that is written with full syncs or without, of which full ones are promised or not.
DiskWork WorkOnNotes(bool full, bool promised, bool at_checkpoints) {
  return {{},
          [full](const std::string& disk, std::uint64_t seed, std::ostream& answers) {
            WriteNotes(disk, seed, answers, full);
          },
          [promised](const std::string& disk, std::uint64_t seed, std::istream& answers) {
            return CheckNotes(disk, seed, answers, promised);
          },
          at_checkpoints};
}

const DiskWork kLikeTheLog = WorkOnNotes(true, true, /*at_checkpoints=*/true);
const DiskWork kLikeAView = WorkOnNotes(false, false, /*at_checkpoints=*/true);
// Checkpoints sync what they copy back: what is lost is lost between them.
const DiskWork kWithFullSyncs = WorkOnNotes(true, true, /*at_checkpoints=*/false);
const DiskWork kWithNormalSyncs = WorkOnNotes(false, true, /*at_checkpoints=*/false);

TEST(PowerLossBetweenTransactions, LosesNothingThatWasCommittedWithFullSyncs) {
  ForEachPoint(kLikeTheLog, Points(kStepPoints) / 2, kStepPointsEach, kLosePowerOnce);
}

TEST(PowerLossBetweenTransactions, LeavesABeginningWithNormalSyncs) {
  ForEachPoint(kLikeAView, Points(kStepPoints) / 2, kStepPointsEach, kLosePowerOnce);
}

TEST(PowerLossBetweenTransactions, ADiskThatLiesAboutSyncsIsFound) {
  EXPECT_GT(FoundOnALyingDisk(kLikeAView, DiskFault::SyncLies::kAll, 40, kStepPointsEach), 0);
}

// They lose what was answered, and harm nothing else.
TEST(PowerLossBetweenTransactions, NormalSyncsAreFoundWhereFullOnesArePromised) {
  using ::testing::Each, ::testing::EndsWith, ::testing::IsEmpty, ::testing::Not;
  constexpr std::uint64_t kControlSeed = 1;
  constexpr std::int64_t kNthCall = 16;  // Of a thousand and more; a tenth of them loses something.
  EXPECT_THAT(WrongAtEveryCall(kWithFullSyncs, kControlSeed, kNthCall), IsEmpty());
  const auto lost = WrongAtEveryCall(kWithNormalSyncs, kControlSeed, kNthCall);
  EXPECT_THAT(lost, AllOf(Not(IsEmpty()), Each(EndsWith("are kept"))));
  fmt::print("lost at {} calls\n", lost.size());
}

}  // namespace
}  // namespace leftfold::testing
