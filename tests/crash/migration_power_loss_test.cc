// Files of an earlier format that are opened on a disk that loses its power at any call that
// changes something, or at which a call fails: each is of one format or the next, never in between,
// and has all that it had; the next opening brings it to the newest.
// LEFTFOLD_SEED gives one schedule back, LEFTFOLD_POINTS how many are tried in all suites.

#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <gtest/gtest.h>

#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "core/status.h"
#include "event_store/sqlite/sqlite_event_store.h"
#include "event_store/sqlite/verify_log_file.h"
#include "sql/reactor_file.h"
#include "sql/view_file.h"
#include "testing/damage.h"
#include "testing/fake_clock.h"
#include "testing/golden_store.h"
#include "testing/log_on_disk.h"
#include "testing/virtual_scheduler.h"
#include "tests/crash/faulty_disk.h"

namespace leftfold::testing {
namespace {

constexpr std::int32_t kMadeUpId = 0x4C46'7777;
constexpr int kOldRows = 60;
constexpr Position kOldCheckpoint{77};
const Digest kOldChain{9};

// As a log's are: several steps, of which the last makes its table anew.
constexpr std::string_view kMadeUpMigrations[] = {
    "CREATE TABLE note(id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT",
    "ALTER TABLE note ADD COLUMN size INTEGER NOT NULL DEFAULT 0;"
    "UPDATE note SET size = length(body)",
    "CREATE TABLE kept(id INTEGER PRIMARY KEY, body TEXT NOT NULL, size INTEGER NOT NULL) STRICT;"
    "INSERT INTO kept SELECT id, body, size FROM note;"
    "DROP TABLE note;"
    "CREATE INDEX kept_size ON kept(size)",
};

std::string BodyOf(std::uint64_t seed, int id) {
  std::mt19937_64 random(seed * 1'000 + static_cast<std::uint64_t>(id));
  return std::string(random() % (random() % 8 == 0 ? 6'000 : 300), 'x') + std::to_string(id);
}
// With the size of each, or 0.
std::vector<std::string> OldRows(std::uint64_t seed, bool sizes) {
  std::vector<std::string> rows;
  for (int id = 1; id <= kOldRows; ++id) {
    const std::string body = BodyOf(seed, id);
    rows.push_back(fmt::format("{}|{}|{}", id, body, sizes ? body.size() : 0));
  }
  return rows;
}
void InsertOldRows(sql::Connection& file, std::uint64_t seed) {
  sql::ConnectionWriteTx tx(file);
  for (int id = 1; id <= kOldRows; ++id)
    tx.Exec("INSERT INTO note(id, body) VALUES (?, ?)", id, BodyOf(seed, id));
}
std::vector<std::string> RowsOf(sql::Connection& file, std::string_view sql) {
  std::vector<std::string> found;
  for (Rows rows(file.Prepare(sql)); rows.Next();) found.push_back(rows.Text(0));
  return found;
}
std::vector<std::string> NotesOf(sql::Connection& file, std::int64_t version) {
  if (version == 1) return RowsOf(file, "SELECT id || '|' || body || '|0' FROM note ORDER BY id");
  if (version == 2)
    return RowsOf(file, "SELECT id || '|' || body || '|' || size FROM note ORDER BY id");
  return RowsOf(file, "SELECT id || '|' || body || '|' || size FROM kept ORDER BY id");
}
// "" or what is wrong with a file that has gone some of kMadeUpMigrations.
std::string CheckNotes(sql::Connection& file, std::uint64_t seed) {
  const std::int64_t version = file.Value("PRAGMA user_version");
  if (version < 1 || version > 3) return fmt::format("format {}", version);
  if (NotesOf(file, version) != OldRows(seed, version > 1))
    return fmt::format("format {} has other rows", version);
  if (RowsOf(file, "PRAGMA integrity_check") != std::vector<std::string>{"ok"}) return "damaged";
  return std::string(file.status().message());
}

// A kind of file: as an earlier binary left it, opened by this one, and looked at.
struct OldFile {
  void (*make)(const std::string& path, std::uint64_t seed);
  absl::Status (*open)(const std::string& path);
  std::string (*check)(sql::Connection& file, std::uint64_t seed);
  std::string (*check_newest)(sql::Connection& file);
  bool full_sync;  // What was migrated is so after a power loss.
};

std::unique_ptr<sql::Connection> OpenOrDie(const std::string& path, sql::OpenOptions options) {
  auto opened = sql::Connection::Open(path, options);
  if (!opened.ok()) Die(opened.status().ToString());
  return *std::move(opened);
}
void RunOrDie(sql::Connection& file, std::string_view sql) {
  if (const absl::Status run = file.Run(sql); !run.ok()) Die(run.ToString());
}

void MakeOldLog(const std::string& path, std::uint64_t seed) {
  const auto file = OpenOrDie(path, {.role = sql::Role::kWriter, .application_id = kMadeUpId});
  if (!file->Migrate(kMadeUpMigrations, 1).ok()) Die("no old log");
  InsertOldRows(*file, seed);
}
absl::Status OpenOldLog(const std::string& path) {
  auto file = sql::Connection::Open(
      path, {.role = sql::Role::kWriter, .full_sync = true, .application_id = kMadeUpId});
  return file.ok() ? (*file)->Migrate(kMadeUpMigrations, 3) : file.status();
}
std::string CheckNewestNotes(sql::Connection& file) {
  return file.Value("PRAGMA user_version") == 3 ? "" : "it is not of the newest format";
}

const ViewEntry& OldView() {
  static const ViewEntry view = [] {
    ViewEntry entry;
    entry.name = "notes";
    entry.version = 1;
    entry.schema = "CREATE TABLE note(id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT";
    return entry;
  }();
  return view;
}
// As views were before they had a format.
void MakeOldView(const std::string& path, std::uint64_t seed) {
  const auto file =
      OpenOrDie(path, {.role = sql::Role::kWriter, .application_id = sql::kViewApplicationId});
  RunOrDie(*file, R"sql(
    CREATE TABLE leftfold_checkpoint(
      id INTEGER PRIMARY KEY CHECK (id = 1), position INTEGER NOT NULL, chain BLOB NOT NULL,
      view TEXT NOT NULL, version INTEGER NOT NULL) STRICT;
    CREATE TABLE leftfold_changes(
      position INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (position, key))
      STRICT, WITHOUT ROWID;
    INSERT INTO leftfold_changes VALUES (77, 'a'))sql");
  RunOrDie(*file, OldView().schema);
  sql::ConnectionWriteTx(*file).Exec("INSERT INTO leftfold_checkpoint VALUES (1, ?, ?, 'notes', 1)",
                                     kOldCheckpoint, AsBlob{AsBytes(kOldChain)});
  InsertOldRows(*file, seed);
}
absl::Status OpenOldView(const std::string& path) {
  auto file = sql::OpenViewWriter(path, OldView(), Digest{});
  if (!file.ok()) return file.status();
  LEFTFOLD_RETURN_IF_ERROR((*file)->Begin());
  sql::WriteChange(**file, kOldCheckpoint, "b");
  return (*file)->Commit();
}
std::string CheckOldView(sql::Connection& file, std::uint64_t seed) {
  const std::int64_t made = file.Value(
      "SELECT count(*) FROM sqlite_schema WHERE name IN ('leftfold_format', 'leftfold_parked', "
      "'leftfold_parked_stream', 'leftfold_skipped')");
  const std::int64_t column = file.Value(
      "SELECT count(*) FROM pragma_table_info('leftfold_checkpoint') WHERE name = 'changes_from'");
  if (made != 4 * column) return fmt::format("in between: {} of 4, column {}", made, column);
  if (column == 1 && file.Value("SELECT format FROM leftfold_format") != 1) return "another format";
  const auto checkpoint = sql::ReadCheckpoint(file);
  if (!checkpoint.ok()) return checkpoint.status().ToString();
  if (checkpoint->position != kOldCheckpoint || checkpoint->chain != kOldChain)
    return "the checkpoint is another one";
  return NotesOf(file, 1) == OldRows(seed, false) ? "" : "the rows are others";
}
std::string CheckNewestView(sql::Connection& file) {
  const auto changes = sql::ChangesAfter(file, Position{kOldCheckpoint.value - 1}, 9);
  if (!changes.ok() || !*changes) return "no changes";
  return **changes == std::vector<std::string>{"a", "b"} ? "" : "other changes";
}

ReactorEntry ReactorOf(std::ptrdiff_t migrations) {
  ReactorEntry entry;
  entry.name = "notes";
  entry.schema = {kMadeUpMigrations, kMadeUpMigrations + migrations};
  return entry;
}
// As reactors' were before they knew what their commands led to.
void MakeOldReactor(const std::string& path, std::uint64_t seed) {
  const sql::Checkpoint checkpoint{kOldCheckpoint, kOldChain};
  const auto made = sql::OpenReactorWriter(path, ReactorOf(1), checkpoint);
  if (!made.ok()) Die(made.status().ToString());
  RunOrDie(**made, "ALTER TABLE leftfold_checkpoint DROP COLUMN seen");
  InsertOldRows(**made, seed);
}
absl::Status OpenOldReactor(const std::string& path) {
  return sql::OpenReactorWriter(path, ReactorOf(3), {}).status();
}
std::string CheckOldReactor(sql::Connection& file, std::uint64_t seed) {
  const auto checkpoint = sql::ReadCheckpoint(file);
  if (!checkpoint.ok()) return checkpoint.status().ToString();
  if (checkpoint->position != kOldCheckpoint || checkpoint->chain != kOldChain)
    return "the checkpoint is another one";
  if (sql::ReadSeen(file) != kBeforeFirst) return "it has seen what it has not";
  return CheckNotes(file, seed);
}

const OldFile kOldFiles[] = {
    {MakeOldLog, OpenOldLog, CheckNotes, CheckNewestNotes, true},
    {MakeOldView, OpenOldView, CheckOldView, CheckNewestView, false},
    {MakeOldReactor, OpenOldReactor, CheckOldReactor, CheckNewestNotes, true},
};
const OldFile& OldFileOf(std::uint64_t seed) { return kOldFiles[seed % std::size(kOldFiles)]; }

std::string OldPath(const std::string& disk) { return disk + "/old.db"; }

std::string CheckOldFile(const std::string& disk, std::uint64_t seed, std::istream& answers) {
  const OldFile& old = OldFileOf(seed);
  const bool told = !std::string(std::istreambuf_iterator<char>(answers), {}).empty();
  {
    const auto file = sql::Connection::Open(OldPath(disk), {});
    if (!file.ok()) return file.status().ToString();
    if (const std::string wrong = old.check(**file, seed); !wrong.empty()) return wrong;
    if (told && old.full_sync) {
      if (const std::string wrong = old.check_newest(**file); !wrong.empty())
        return "it was migrated: " + wrong;
    }
  }
  if (const absl::Status opened = old.open(OldPath(disk)); !opened.ok()) return opened.ToString();
  const auto file = sql::Connection::Open(OldPath(disk), {});
  if (!file.ok()) return file.status().ToString();
  if (const std::string wrong = old.check(**file, seed); !wrong.empty()) return "then: " + wrong;
  return old.check_newest(**file);
}

const DiskWork kMigrationWork = {
    [](const std::string& disk, std::uint64_t seed) { OldFileOf(seed).make(OldPath(disk), seed); },
    [](const std::string& disk, std::uint64_t seed, std::ostream& answers) {
      if (OldFileOf(seed).open(OldPath(disk)).ok()) answers << "migrated" << std::endl;
    },
    CheckOldFile,
    /*at_checkpoints=*/false,
    /*kinds=*/std::size(kOldFiles)};
constexpr std::uint64_t kMigrationPointsEach = 20;

TEST(MigrationPowerLoss, LeavesTheOneFormatOrTheNextAtEveryCall) {
  const std::uint64_t first = Seed();
  std::int64_t tried = 0;
  for (std::uint64_t seed = first; seed < first + std::size(kOldFiles); ++seed) {
    std::mt19937_64 random(seed);
    const Schedule schedule = ScheduleOf(kMigrationWork, seed);
    for (std::int64_t call = 1; call <= schedule.calls.changing; ++call, ++tried) {
      LosePowerAt(schedule, call, random);
      ASSERT_FALSE(HasFatalFailure()) << "LEFTFOLD_SEED=" << seed;
    }
  }
  fmt::print("{} points\n", tried);
}

TEST(MigrationPowerLoss, LeavesTheOneFormatOrTheNext) {
  ForEachPoint(kMigrationWork, Points(kMigrationPoints) / 2, kMigrationPointsEach, kLosePowerOnce);
}

TEST(MigrationPowerLoss, AndFailuresOneAfterTheOtherDoToo) {
  ForEachPoint(kMigrationWork, Points(kMigrationPoints) / 2, kMigrationPointsEach, kFailRepeatedly);
}

// A whole store of each released format, opened and written to by today's binary.
int GoldenFormatOf(std::uint64_t seed) { return 1 + static_cast<int>(seed % kTodaysFormat); }

void OpenGoldenStore(const std::string& data, std::uint64_t seed, std::ostream& answers) {
  VirtualScheduler scheduler(seed);
  const FakeClock clock;
  const auto log = OpenSqliteEventStore(
      data + "/log",
      {.writer = &scheduler.Serial(), .completions = &scheduler.Pool(), .clock = &clock});
  if (!log.ok()) Die(log.status().ToString());
  (*log)->Append(DecidedCommand("room-a", {"nine"}, "c7"), [&](const auto& receipt) {
    if (receipt.ok()) answers << receipt->position.value << std::endl;
  });
  scheduler.RunUntilIdle();
  if (!OpenGoldenNotes(data).ok() || !OpenGoldenMails(data).ok()) Die("they cannot be opened");
}

std::string CheckGoldenStore(const std::string& data, std::uint64_t seed, std::istream& answers) {
  constexpr Position kGoldenHead{8};
  const bool told = !std::string(std::istreambuf_iterator<char>(answers), {}).empty();
  VirtualScheduler scheduler(seed);
  const FakeClock clock;
  {
    const auto log = OpenSqliteEventStore(
        data + "/log",
        {.writer = &scheduler.Serial(), .completions = &scheduler.Pool(), .clock = &clock});
    if (!log.ok()) return log.status().ToString();
    const auto read = (*log)->ReadAll({.from = Position{kGoldenHead.value - 1}});
    if (!read.ok() || read->events.empty()) return "the end of the log is lost";
    const std::string golden = TextOf(GoldenPath(GoldenFormatOf(seed), "log.sql"));
    const std::string chain = absl::BytesToHexString(ToAbsl(AsBytes(read->events.front().chain)));
    if (golden.find(absl::AsciiStrToUpper(chain)) == std::string::npos) return "another log";
    const auto old = (*log)->FindCommand("c4");
    if (!old.ok() || !*old || (*old)->receipt.position != Position{6}) return "c4 is lost";
    if (told && (*log)->GetHead().position != Position{9}) return "what was answered is lost";
  }
  const auto verified = VerifyLogFile(data + "/log", {});
  if (!verified.ok()) return verified.status().ToString();
  if (!verified->index.ok()) return verified->index.ToString();
  const auto notes = OpenGoldenNotes(data);
  if (!notes.ok()) return notes.status().ToString();
  if (sql::ReadCheckpoint(**notes)->position != Position{7} ||
      (*notes)->Value("SELECT count(*) FROM note") != 2)
    return "another view";
  const auto mails = OpenGoldenMails(data);
  if (!mails.ok()) return mails.status().ToString();
  return sql::ReadCheckpoint(**mails)->position == Position{6} &&
                 sql::ReadSeen(**mails) == Position{8} &&
                 (*mails)->Value("SELECT count(*) FROM mailed") == 1
             ? ""
             : "another reactor";
}

const DiskWork kGoldenWork = {
    [](const std::string& data, std::uint64_t seed) { MakeGolden(data, GoldenFormatOf(seed)); },
    OpenGoldenStore, CheckGoldenStore, /*at_checkpoints=*/false,
    /*kinds=*/kTodaysFormat};

TEST(MigrationPowerLoss, LeavesEveryGoldenStoreWithAllThatItHadAtEveryCall) {
  const std::uint64_t first = Seed();
  SCOPED_TRACE(fmt::format("LEFTFOLD_SEED={}", first));
  for (std::uint64_t seed = first; seed < first + kGoldenWork.kinds; ++seed) {
    std::mt19937_64 random(seed);
    const Schedule schedule = ScheduleOf(kGoldenWork, seed);
    for (std::int64_t call = 1; call <= schedule.calls.changing; ++call)
      ASSERT_NO_FATAL_FAILURE(LosePowerAt(schedule, call, random));
    fmt::print("{} points of format {}\n", schedule.calls.changing, GoldenFormatOf(seed));
  }
}

// The tests above can see.
TEST(MigrationPowerLossControl, ADiskThatLiesAboutSyncsIsFound) {
  EXPECT_GT(FoundOnALyingDisk(kMigrationWork, DiskFault::SyncLies::kAll, 120, kMigrationPointsEach),
            0);
}

}  // namespace
}  // namespace leftfold::testing
