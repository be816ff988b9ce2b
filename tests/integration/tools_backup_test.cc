// Backup and restore with real files: beside a writer, killed at every step, and with folders that
// do not fit.
#include <SQLiteCpp/SQLiteCpp.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "server/role_lock.h"
#include "server/thread_pool.h"
#include "sql/view_file.h"
#include "testing/nap.h"
#include "tests/integration/tools_transfer_fixture.h"
#include "tools/backup.h"
#include "tools/restore.h"

namespace leftfold::tools {
namespace {

namespace fs = std::filesystem;
using testing::AppendOf;
using testing::ContentOf;
using testing::DecidedCommand;
using ::testing::HasSubstr;
using testing::LogOnDisk;
using ::testing::SizeIs;
using testing::Tamper;

class Backups : public Transfer {
 protected:
  absl::StatusOr<BackupResult> TakeBackup(const Steps& steps = kNoSteps) {
    return BackupLog({.data = log_.data(), .to = Path("backup"), .sizes = kSmall}, steps);
  }
  Lines FilesIn(const std::string& folder) const {
    Lines files;
    for (const auto& entry : fs::directory_iterator(Path(folder)))
      files.push_back(entry.path().filename());
    return files;
  }
  absl::StatusOr<BackupResult> UpdateBackup(const Steps& steps = kNoSteps) {
    return BackupLog({.data = log_.data(), .to = Path("backup"), .update = true, .sizes = kSmall},
                     steps);
  }
};

TEST_F(Backups, ABackupIsExactlyWhatTheLogWasAtItsStart) {
  const Lines before = Content();
  const Head head = log_.store().GetHead();
  int appended = 0;
  const auto result = TakeBackup([&](std::string_view, std::int64_t, std::int64_t) {
    const std::string n = std::to_string(++appended);
    log_.Append(DecidedCommand("room-a", {"more"}, "more-" + n));
    log_.Append(DecidedCommand("zoo-" + n, {"more"}, "other-" + n));
    log_.Append(DecidedCommand("room-a", {}, "nothing-" + n));
  });
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_GT(appended, 8);
  EXPECT_EQ(ContentOf(Path("backup/log")), before);
  EXPECT_EQ(result->head.position, head.position);
  EXPECT_EQ(result->head.chain, head.chain);
  EXPECT_FALSE(fs::exists(Path("backup.partial")));
  const auto opened = OpenSqliteEventStoreReadOnly(Path("backup/log"));
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ((*opened)->StoreId(), log_.store().StoreId());
  EXPECT_TRUE((*opened)->FindCommand("c3")->has_value());
}

TEST_F(Backups, ABackupIsOneFileThatCanBeWrittenTo) {
  ASSERT_TRUE(TakeBackup().ok());
  EXPECT_EQ(FilesIn("backup/log"), Lines{"events.db"});
  EXPECT_EQ(SQLite::Database(Path("backup/log/events.db"), SQLite::OPEN_READONLY)
                .execAndGet("PRAGMA journal_mode")
                .getString(),
            "delete");
  ThreadPool pool("writer", 1);
  const SystemClock clock;
  {
    const auto store = OpenSqliteEventStore(
        Path("backup/log"), {.writer = &pool, .completions = &pool, .clock = &clock});
    ASSERT_TRUE(store.ok()) << store.status();
    std::atomic<bool> done = false;
    (*store)->Append(AppendOf("room-a", {"nine"}, Exactly{Version{4}}), [&](const auto& receipt) {
      EXPECT_TRUE(receipt.ok()) << receipt.status();
      done = true;
    });
    pool.Stop();
    EXPECT_TRUE(done);
  }
  EXPECT_EQ(Verified(Path("backup")), absl::OkStatus());
}

TEST_F(Backups, NoReadGoesOnBetweenPages) {
  int checked = 0;
  ASSERT_TRUE(TakeBackup([&](std::string_view step, std::int64_t, std::int64_t) {
                if (step != "copy") return;
                log_.Append(AppendOf("room-a", {"x"}));
                SQLite::Database file(log_.log() + "/events.db", SQLite::OPEN_READWRITE);
                SQLite::Statement checkpoint(file, "PRAGMA wal_checkpoint(TRUNCATE)");
                ASSERT_TRUE(checkpoint.executeStep());
                EXPECT_EQ(checkpoint.getColumn(0).getInt(), 0) << "a reader is in the way";
                ++checked;
              }).ok());
  EXPECT_GT(checked, 8);
}

TEST_F(Backups, BesideAWriterOnAnotherThreadABackupIsAPrefix) {
  log_.Close();
  ThreadPool writer("writer", 1);
  ThreadPool completions("completions", 1);
  const SystemClock clock;
  auto store = OpenSqliteEventStore(
      log_.log(), {.writer = &writer, .completions = &completions, .clock = &clock});
  ASSERT_TRUE(store.ok()) << store.status();
  std::atomic<bool> stop = false;
  std::atomic<int> appended = 0;
  std::jthread appending([&] {
    std::atomic<int> in_flight = 0;
    for (int i = 0; !stop; ++i) {
      while (in_flight >= 32) std::this_thread::yield();
      ++in_flight;
      (*store)->Append(
          DecidedCommand("room-" + std::to_string(i % 7), {"a", "b"}, "t" + std::to_string(i)),
          [&](const auto& receipt) {
            EXPECT_TRUE(receipt.ok()) << receipt.status();
            ++appended;
            --in_flight;
          });
    }
    while (in_flight > 0) testing::Nap();
  });
  constexpr int kBackups = 5;
  for (int i = 0; i < kBackups; ++i) {
    const int enough = appended + 200;
    while (appended < enough) testing::Nap();
    const auto result =
        BackupLog({.data = log_.data(), .to = Path(std::to_string(i)), .sizes = {.page_events = 7}},
                  kNoSteps);
    ASSERT_TRUE(result.ok()) << result.status();
  }
  stop = true;
  appending.join();
  const Lines whole = Content();
  for (int i = 0; i < kBackups; ++i) {
    const Lines part = ContentOf(Path(std::to_string(i) + "/log"));
    EXPECT_GT(part.size(), 400u);
    EXPECT_LT(part.size(), whole.size());
    EXPECT_TRUE(IsPrefix(part, whole));
  }
  writer.Stop();
  completions.Stop();
}

TEST_F(Backups, KilledAnywhereItLeavesNothingThatLooksLikeABackupAndGoesOn) {
  const Lines whole = Content();
  log_.Close();
  const int kills = KillEverywhere([&](const Steps& steps) { return TakeBackup(steps).status(); },
                                   [&](int n) {
                                     const bool renamed = fs::exists(Path("backup"));
                                     if (!renamed) {
                                       EXPECT_EQ(TakeBackup().status(), absl::OkStatus()) << n;
                                     }
                                     EXPECT_EQ(ContentOf(Path("backup/log")), whole) << n;
                                     EXPECT_EQ(Verified(Path("backup")), absl::OkStatus()) << n;
                                     EXPECT_FALSE(fs::exists(Path("backup.partial"))) << n;
                                     fs::remove_all(Path("backup"));
                                   });
  EXPECT_GT(kills, 12);
}

TEST_F(Backups, KilledAgainAndAgainItComesToItsEnd) {
  const Lines whole = Content();
  log_.Close();
  const int kills = KillEverywhere([&](const Steps& steps) { return TakeBackup(steps).status(); },
                                   [&](int n) { EXPECT_FALSE(fs::exists(Path("backup"))) << n; });
  EXPECT_GT(kills, 3);
  EXPECT_EQ(ContentOf(Path("backup/log")), whole);
}

TEST_F(Backups, AnInterruptedBackupOfAnotherTimeOrLogIsBegunAnew) {
  fs::create_directories(Path("backup.partial"));
  LogOnDisk other;
  other.Fill();
  other.Close();
  fs::copy(other.log(), Path("backup.partial/log"), fs::copy_options::recursive);
  ASSERT_TRUE(TakeBackup().ok());
  EXPECT_EQ(ContentOf(Path("backup/log")), Content());
}

TEST_F(Backups, AFolderThatHoldsSomethingIsRefusedAndLeftAlone) {
  fs::create_directories(Path("backup"));
  std::ofstream(Path("backup/mine")) << "x";
  EXPECT_EQ(TakeBackup().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(UpdateBackup().status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(fs::exists(Path("backup/mine")));
  fs::remove(Path("backup/mine"));
  std::ofstream(Path("backup.partial")) << "x";
  EXPECT_FALSE(TakeBackup().ok());
  fs::remove(Path("backup.partial"));
  fs::create_directories(Path("backup.partial"));
  std::ofstream(Path("backup.partial/mine")) << "x";
  EXPECT_EQ(TakeBackup().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(fs::exists(Path("backup.partial/mine")));
}

TEST_F(Backups, AFaultyLogIsNotBackedUp) {
  log_.Close();
  Tamper(log_.log(), "UPDATE events SET payload = x'00' WHERE position = 5");
  const auto result = TakeBackup();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Message(result), HasSubstr("position 5"));
  EXPECT_FALSE(fs::exists(Path("backup")));
}

TEST_F(Backups, FilesThatAreMadeAgainAreNotCopied) {
  std::ofstream(log_.log() + "/index.db") << "no database";
  std::ofstream(log_.log() + "/snapshots.db") << "no database";
  ASSERT_TRUE(TakeBackup().ok());
  EXPECT_FALSE(fs::exists(Path("backup/log/index.db")));
  EXPECT_FALSE(fs::exists(Path("backup/log/snapshots.db")));
}

TEST_F(Backups, AnUpdateBringsABackupToTheHeadAndCanBeKilledAnywhere) {
  ASSERT_TRUE(TakeBackup().ok());
  const Lines earlier = Content();
  log_.Append(DecidedCommand("room-a", {"nine", "ten"}, "c7"));
  log_.Append(DecidedCommand("room-a", {}, "c8"));
  log_.Append(DecidedCommand("room-new", {"eleven"}, "c9"));
  const Lines whole = Content();
  fs::copy(Path("backup"), Path("earlier"), fs::copy_options::recursive);
  log_.Close();
  const int kills =
      KillEverywhere([&](const Steps& steps) { return UpdateBackup(steps).status(); },
                     [&](int n) {
                       const Lines now = ContentOf(Path("backup/log"));
                       EXPECT_TRUE(IsPrefix(earlier, now) && IsPrefix(now, whole)) << n;
                       EXPECT_EQ(Verified(Path("backup")), absl::OkStatus()) << n;
                       EXPECT_EQ(UpdateBackup().status(), absl::OkStatus()) << n;
                       EXPECT_EQ(ContentOf(Path("backup/log")), whole) << n;
                       fs::remove_all(Path("backup"));
                       fs::copy(Path("earlier"), Path("backup"), fs::copy_options::recursive);
                     });
  EXPECT_GT(kills, 5);
  EXPECT_EQ(ContentOf(Path("backup/log")), whole);
  const auto again = UpdateBackup();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->begun_after, again->head.position);
}

TEST_F(Backups, ReactorsComeWithTheirLogAndAreNeverAheadOfIt) {
  MakeReactor(log_.data(), "mails", Position{8});
  MakeReactor(log_.data(), "webhook.it's.1", Position{3});
  bool first = true;
  const auto result = TakeBackup([&](std::string_view step, std::int64_t, std::int64_t) {
    if (step == "copy" && std::exchange(first, false)) {  // It goes on while the log is copied.
      log_.Append(DecidedCommand("room-a", {"nine"}, "c7"));
      MakeReactor(log_.data(), "mails", Position{9});
    }
  });
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->reactors, 2);
  EXPECT_THAT(result->left_out, SizeIs(0));
  EXPECT_EQ(result->head.position, Position{8});
  EXPECT_EQ(DoneBy(Path("backup"), "mails"), 8);
  EXPECT_EQ(DoneBy(Path("backup"), "webhook.it's.1"), 3);
  fs::remove_all(log_.data() + "/reactors/webhook.it's.1.db");
  ASSERT_TRUE(UpdateBackup().ok());
  EXPECT_EQ(DoneBy(Path("backup"), "mails"), 9);
  EXPECT_EQ(DoneBy(Path("backup"), "webhook.it's.1"), -1);
  EXPECT_FALSE(fs::exists(Path("backup/reactors.partial")));
}

TEST_F(Backups, ReactorsThatDoNotBelongToTheLogAreLeftOut) {
  MakeReactor(log_.data(), "fine", Position{8});
  MakeReactor(log_.data(), "astray", Position{99});
  std::ofstream(log_.data() + "/reactors/torn.db") << "no database";
  const auto result = TakeBackup();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->reactors, 1);
  ASSERT_THAT(result->left_out, SizeIs(2));
  EXPECT_EQ(result->left_out.front(), "astray: its checkpoint 99 is beyond the log");
  EXPECT_THAT(result->left_out.back(), HasSubstr("torn: "));
  EXPECT_EQ(DoneBy(Path("backup"), "fine"), 8);
  EXPECT_EQ(DoneBy(Path("backup"), "astray"), -1);
}

TEST_F(Backups, AnUpdateKeepsTheCopyOfAReactorThatIsDamagedSince) {
  MakeReactor(log_.data(), "mails", Position{8});
  ASSERT_TRUE(TakeBackup().ok());
  fs::remove_all(log_.data() + "/reactors");
  fs::create_directories(log_.data() + "/reactors");
  std::ofstream(log_.data() + "/reactors/mails.db") << "no database";
  const auto result = UpdateBackup();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->left_out, SizeIs(1));
  EXPECT_EQ(DoneBy(Path("backup"), "mails"), 8);
}

TEST_F(Backups, EndWhereTheReactorsCannotBeRead) {
  std::ofstream(log_.data() + "/reactors") << "no folder";
  EXPECT_THAT(Message(TakeBackup()), HasSubstr("cannot read"));
}

TEST_F(Backups, KilledAnywhereTheReactorsOfABackupAreNeverAheadOfIt) {
  MakeReactor(log_.data(), "mails", Position{8});
  ASSERT_TRUE(TakeBackup().ok());
  log_.Append(DecidedCommand("room-a", {"nine"}, "c7"));
  MakeReactor(log_.data(), "mails", Position{9});
  fs::copy(Path("backup"), Path("earlier"), fs::copy_options::recursive);
  log_.Close();
  const int kills =
      KillEverywhere([&](const Steps& steps) { return UpdateBackup(steps).status(); },
                     [&](int n) {
                       const std::int64_t done = DoneBy(Path("backup"), "mails");
                       EXPECT_TRUE(done == 8 || done == 9) << n;
                       EXPECT_GE(std::ssize(ContentOf(Path("backup/log"))), done) << n;
                       EXPECT_EQ(UpdateBackup().status(), absl::OkStatus()) << n;
                       EXPECT_EQ(DoneBy(Path("backup"), "mails"), 9) << n;
                       fs::remove_all(Path("backup"));
                       fs::copy(Path("earlier"), Path("backup"), fs::copy_options::recursive);
                     });
  EXPECT_GT(kills, 6);
}

TEST_F(Backups, AnUpdateOfABackupWithAnotherHistoryIsRefused) {
  ASSERT_TRUE(TakeBackup().ok());
  {
    LogOnDisk other;
    other.Fill();
    EXPECT_EQ(BackupLog({.data = other.data(), .to = Path("backup"), .update = true}, kNoSteps)
                  .status()
                  .code(),
              absl::StatusCode::kFailedPrecondition);
  }
  const Lines kept = Content();
  // The log went back and then another way.
  log_.Close();
  ASSERT_TRUE(
      RestoreLog({.from = Path("backup"), .data = log_.data(), .until = "6", .replace = true},
                 kNoSteps)
          .ok());
  log_.Reopen();
  log_.Append(AppendOf("room-a", {"other seven"}));
  log_.Append(AppendOf("room-a", {"other eight"}));
  log_.Append(AppendOf("room-a", {"other nine"}));
  EXPECT_EQ(UpdateBackup().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ContentOf(Path("backup/log")), kept);
}

// A backup, and a data folder beside it.
class Restores : public Backups {
 protected:
  Restores() {
    whole_ = Content();
    EXPECT_TRUE(TakeBackup().ok());
  }
  absl::StatusOr<RestoreResult> RestoreInto(const std::string& data, const std::string& until = "",
                                            bool replace = false, const Steps& steps = kNoSteps) {
    return RestoreLog({.from = Path("backup"),
                       .data = Path(data),
                       .until = until,
                       .replace = replace,
                       .sizes = kSmall},
                      steps);
  }
  // The events of the backup up to a position, and the commands up to a number.
  Lines UpTo(std::int64_t position, int commands) const {
    Lines lines;
    for (const std::string& line : whole_) {
      std::int64_t number = 0;
      const bool command = line.starts_with("command ");
      const bool event = !command && lines.size() > 0;
      if (event || command) number = std::stoll(command ? line.substr(8) : line);
      if ((event && number > position) || (command && number > commands)) continue;
      lines.push_back(line);
    }
    return lines;
  }
  Lines SetAside(const std::string& data) const {
    Lines found;
    for (const auto& entry : fs::directory_iterator(Path(data))) {
      const std::string name = entry.path().filename();
      if (name.starts_with("log.replaced-")) found.push_back(entry.path());
    }
    return found;
  }
  bool IsServed(const std::string& data, const std::string& name) const {
    return !sql::ListCurrent(Path(data) + "/views", name)->empty();
  }

  Lines whole_;
};

TEST_F(Restores, AWholeBackupComesBack) {
  const auto result = RestoreInto("data");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(ContentOf(Path("data/log")), whole_);
  EXPECT_EQ(result->set_aside, "");
  EXPECT_FALSE(fs::exists(Path("data/log.partial")));
}

TEST_F(Restores, UpToAPositionOrATime) {
  ASSERT_TRUE(RestoreInto("seven", "7").ok());
  EXPECT_EQ(ContentOf(Path("seven/log")), UpTo(7, 5));
  // What was decided without events at a position comes with it.
  ASSERT_TRUE(RestoreInto("three", "3").ok());
  EXPECT_EQ(ContentOf(Path("three/log")), UpTo(3, 3));
  // The clock was at 00:00:00 and went on by a second before each append.
  ASSERT_TRUE(RestoreInto("time", "2026-01-01T00:00:04Z").ok());
  EXPECT_EQ(ContentOf(Path("time/log")), UpTo(4, 3));
  ASSERT_TRUE(RestoreInto("between", "2026-01-01T01:00:01.999999+01:00").ok());
  EXPECT_EQ(ContentOf(Path("between/log")), UpTo(2, 1));
  ASSERT_TRUE(RestoreInto("late", "2030-01-01T00:00:00Z").ok());
  EXPECT_EQ(ContentOf(Path("late/log")), whole_);
  for (const char* data : {"seven", "three", "time", "between", "late"})
    EXPECT_EQ(Verified(Path(data)), absl::OkStatus()) << data;
}

TEST_F(Restores, AnAppendIsNeverCut) {
  const auto result = RestoreInto("data", "5");  // 5 and 6 were one.
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->head.position, Position{4});
  EXPECT_EQ(ContentOf(Path("data/log")), UpTo(4, 3));
  EXPECT_EQ(RestoreInto("none", "1").status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_FALSE(fs::exists(Path("none")));
}

TEST_F(Restores, WhatIsNoPositionNorTimeIsRefused) {
  for (const char* until : {"0", "-1", "9", "1999-01-01T00:00:00Z"}) {
    EXPECT_EQ(RestoreInto("data", until).status().code(), absl::StatusCode::kOutOfRange) << until;
  }
  for (const char* until : {"yesterday", "2026-01-01", "5x"}) {
    EXPECT_EQ(RestoreInto("data", until).status().code(), absl::StatusCode::kInvalidArgument)
        << until;
  }
  EXPECT_FALSE(fs::exists(Path("data")));
}

TEST_F(Restores, ALogThatIsThereIsSetAsideOnlyWhenToldSo) {
  ASSERT_TRUE(RestoreInto("data", "3").ok());
  const Lines old = ContentOf(Path("data/log"));
  EXPECT_EQ(RestoreInto("data").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ContentOf(Path("data/log")), old);
  const auto result = RestoreInto("data", "", /*replace=*/true);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(ContentOf(Path("data/log")), whole_);
  EXPECT_EQ(ContentOf(result->set_aside), old);
}

TEST_F(Restores, ALockedFolderIsRefused) {
  const auto lock = RoleLock::Take(Path("data"), "project");
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(RestoreInto("data").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(fs::exists(Path("data/log")));
}

TEST_F(Restores, AFaultyBackupIsNotRestored) {
  Tamper(Path("backup/log"), "UPDATE events SET payload = x'00' WHERE position = 5");
  const auto result = RestoreInto("data");
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Message(result), HasSubstr("position 5"));
  EXPECT_FALSE(fs::exists(Path("data/log")));
}

TEST_F(Restores, ViewsThatAreNotOnTheRestoredLogAreNotServed) {
  ASSERT_TRUE(RestoreInto("data").ok());
  MakeView(Path("data"), "ahead", Position{8});
  MakeView(Path("data"), "behind", Position{4});
  MakeView(Path("data"), "new", Position{0});
  const auto result = RestoreInto("data", "6", /*replace=*/true);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(IsServed("data", "ahead"));
  EXPECT_TRUE(IsServed("data", "behind"));
  EXPECT_TRUE(IsServed("data", "new"));
  ASSERT_THAT(result->views, SizeIs(1));
  EXPECT_THAT(result->views.front(), HasSubstr("checkpoint 8 is beyond the log"));
}

TEST_F(Restores, ViewsOfAnotherHistoryAreNotServed) {
  ASSERT_TRUE(RestoreInto("data", "4").ok());
  {
    ThreadPool pool("writer", 1);
    const SystemClock clock;
    const auto store = OpenSqliteEventStore(
        Path("data/log"), {.writer = &pool, .completions = &pool, .clock = &clock});
    ASSERT_TRUE(store.ok());
    (*store)->Append(AppendOf("room-a", {"another five"}), [](const auto&) {});
    pool.Stop();
  }
  MakeView(Path("data"), "astray", Position{5});
  const auto result = RestoreInto("data", "", /*replace=*/true);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(IsServed("data", "astray"));
  EXPECT_THAT(result->views, SizeIs(1));
}

TEST_F(Restores, ReactorsComeBackAndTheOldOnesAreSetAside) {
  MakeReactor(Path("backup"), "mails", Position{6});
  ASSERT_TRUE(RestoreInto("data").ok());
  EXPECT_EQ(DoneBy(Path("data"), "mails"), 6);
  MakeReactor(Path("data"), "mails", Position{8});
  const auto result = RestoreInto("data", "", /*replace=*/true);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(DoneBy(Path("data"), "mails"), 6);
  EXPECT_TRUE(fs::exists(result->reactors_set_aside + "/mails.db"));
}

TEST_F(Restores, AReactorThatHadGoneFurtherBeginsAnewOnlyWhenToldSo) {
  MakeReactor(Path("backup"), "ahead", Position{8});
  MakeReactor(Path("backup"), "behind", Position{4});
  ASSERT_TRUE(RestoreInto("data").ok());
  const Lines before = ContentOf(Path("data/log"));
  const auto refused = RestoreInto("data", "6", /*replace=*/true);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(refused), HasSubstr("ahead: its checkpoint 8 is beyond the log"));
  EXPECT_THAT(Message(refused), HasSubstr("--reactors-anew"));
  EXPECT_EQ(ContentOf(Path("data/log")), before);
  EXPECT_EQ(DoneBy(Path("data"), "ahead"), 8);
  EXPECT_FALSE(fs::exists(Path("data/reactors.partial")));
  const auto anew = RestoreLog({.from = Path("backup"),
                                .data = Path("data"),
                                .until = "6",
                                .replace = true,
                                .reactors_anew = true},
                               kNoSteps);
  ASSERT_TRUE(anew.ok()) << anew.status();
  EXPECT_THAT(anew->reactors_anew, SizeIs(1));
  EXPECT_EQ(DoneBy(Path("data"), "ahead"), -1);
  EXPECT_EQ(DoneBy(Path("data"), "behind"), 4);
  EXPECT_TRUE(fs::exists(anew->reactors_set_aside + "/ahead.db"));
}

TEST_F(Restores, AReactorWhoseCommandsLedBeyondTheCutIsAheadOfItToo) {
  MakeReactor(Path("backup"), "asked", Position{4}, /*seen=*/Position{7});
  MakeReactor(Path("backup"), "waits", Position{4}, /*seen=*/Position{6});
  ASSERT_TRUE(RestoreInto("data").ok());
  const auto refused = RestoreInto("data", "6", /*replace=*/true);
  EXPECT_THAT(Message(refused), HasSubstr("asked: its checkpoint 4 is on the log, but its commands "
                                          "have led to events up to position 7, beyond it"));
  EXPECT_THAT(Message(refused), ::testing::Not(HasSubstr("waits")));
  EXPECT_TRUE(RestoreInto("data", "7", /*replace=*/true).ok());
}

TEST_F(Restores, AReactorThatTheBackupLacksBeginsAnewOnlyWhenToldSo) {
  MakeReactor(Path("backup"), "mails", Position{6});
  ASSERT_TRUE(RestoreInto("data").ok());
  MakeReactor(Path("data"), "newer", Position{8});
  const auto refused = RestoreInto("data", "", /*replace=*/true);
  EXPECT_THAT(Message(refused), HasSubstr("newer: the backup has no file of it"));
  EXPECT_EQ(DoneBy(Path("data"), "newer"), 8);
}

TEST_F(Restores, ReactorsOfTheFolderItselfStayWhereABackupHasNone) {
  ASSERT_TRUE(RestoreInto("data").ok());
  MakeReactor(Path("data"), "mails", Position{5});
  ASSERT_TRUE(RestoreInto("data", "6", /*replace=*/true).ok());
  EXPECT_EQ(DoneBy(Path("data"), "mails"), 5);
}

TEST_F(Restores, KilledAnywhereNoReactorIsAheadOfItsLogOrWithoutProgress) {
  ASSERT_TRUE(RestoreInto("data").ok());
  MakeReactor(Path("data"), "mails", Position{8});
  MakeReactor(Path("backup"), "mails", Position{4});
  fs::copy(Path("data"), Path("before"), fs::copy_options::recursive);
  log_.Close();
  const int kills = KillEverywhere(
      [&](const Steps& steps) {
        return RestoreInto("data", "6", /*replace=*/true, steps).status();
      },
      [&](int n) {
        const std::int64_t done = DoneBy(Path("data"), "mails");
        const bool restored = ContentOf(Path("data/log")) == UpTo(6, 4);
        EXPECT_TRUE(done == 4 || (done == 8 && !restored)) << n << ": " << done;
        EXPECT_EQ(RestoreInto("data", "6", /*replace=*/true).status(), absl::OkStatus()) << n;
        EXPECT_EQ(DoneBy(Path("data"), "mails"), 4) << n;
        fs::remove_all(Path("data"));
        fs::copy(Path("before"), Path("data"), fs::copy_options::recursive);
      });
  EXPECT_GT(kills, 12);
}

TEST_F(Restores, KilledAnywhereBothLogsAreThereAndItGoesOn) {
  ASSERT_TRUE(RestoreInto("data", "7").ok());
  fs::copy(Path("data"), Path("before"), fs::copy_options::recursive);
  const Lines old = ContentOf(Path("data/log"));
  const auto there = [&](const Lines& content) {
    if (ContentOf(Path("data/log")) == content) return true;
    const Lines aside = SetAside("data");
    return std::any_of(aside.begin(), aside.end(),
                       [&](const std::string& path) { return ContentOf(path) == content; });
  };
  log_.Close();
  const int kills = KillEverywhere(
      [&](const Steps& steps) { return RestoreInto("data", "", /*replace=*/true, steps).status(); },
      [&](int n) {
        const Lines now = ContentOf(Path("data/log"));
        EXPECT_TRUE(now == old || now == whole_) << n;
        EXPECT_TRUE(there(old)) << "the old log is gone after the kill at step " << n;
        EXPECT_EQ(Verified(Path("data")), absl::OkStatus()) << n;
        EXPECT_EQ(RestoreInto("data", "", /*replace=*/true).status(), absl::OkStatus()) << n;
        EXPECT_EQ(ContentOf(Path("data/log")), whole_) << n;
        EXPECT_TRUE(there(old)) << "the old log is gone after it went on from step " << n;
        fs::remove_all(Path("data"));
        fs::copy(Path("before"), Path("data"), fs::copy_options::recursive);
      });
  EXPECT_GT(kills, 12);
}

TEST_F(Restores, KilledAnywhereWhereThereWasNoLogItGoesOn) {
  log_.Close();
  const int kills = KillEverywhere(
      [&](const Steps& steps) { return RestoreInto("data", "", false, steps).status(); },
      [&](int n) {
        if (!fs::exists(Path("data/log"))) {
          EXPECT_EQ(RestoreInto("data").status(), absl::OkStatus()) << n;
        }
        EXPECT_EQ(ContentOf(Path("data/log")), whole_) << n;
        fs::remove_all(Path("data"));
      });
  EXPECT_GT(kills, 12);
}

TEST_F(Restores, AFolderCanBeRestoredFromItself) {
  log_.Close();
  const auto result = RestoreLog(
      {.from = log_.data(), .data = log_.data(), .until = "6", .replace = true}, kNoSteps);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(Content(), UpTo(6, 4));
  EXPECT_EQ(ContentOf(result->set_aside), whole_);
}

}  // namespace
}  // namespace leftfold::tools
