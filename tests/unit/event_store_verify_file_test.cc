// Every way to change a log's file is found, with its position.
#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "event_store/sqlite/log_index.h"
#include "event_store/sqlite/verify_log_file.h"
#include "leftfold/core/v1/event.pb.h"
#include "sql/checksum_vfs.h"
#include "testing/damage.h"
#include "testing/environment.h"
#include "testing/fault_vfs.h"
#include "testing/log_on_disk.h"
#include "tools/payload_check.h"

namespace leftfold {
namespace {

namespace fs = std::filesystem;
using testing::AppendOf;
using testing::ContentOf;
using testing::DecidedCommand;
using ::testing::ElementsAre;
using testing::FlipBit;
using ::testing::HasSubstr;
using testing::LogOnDisk;
using ::testing::MatchesRegex;
using testing::Overwrite;
using testing::Tamper;
using ::testing::UnorderedElementsAre;

class VerifyFile : public ::testing::Test {
 protected:
  VerifyFile() {
    log_.Fill();
    log_.Close();
  }
  // A copy of the sound file, to be damaged.
  std::string Copy() {
    const std::string folder = folder_.path() + "/" + std::to_string(++copies_);
    fs::create_directories(folder);
    fs::copy(log_.log() + "/events.db", folder + "/events.db");
    return folder;
  }
  static absl::Status Verify(const std::string& folder) {
    return VerifyLogFile(folder, {}).status();
  }
  void ExpectFault(const std::string& sql, const std::string& where) {
    const std::string folder = Copy();
    ASSERT_GT(Tamper(folder, "PRAGMA foreign_keys = OFF; " + sql), 0) << sql;
    const absl::Status status = Verify(folder);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << sql;
    EXPECT_THAT(std::string(status.message()), HasSubstr(where)) << sql;
  }

  LogOnDisk log_;
  testing::TemporaryFolder folder_;
  int copies_ = 0;
};

TEST_F(VerifyFile, ASoundLogHasNoFault) {
  const auto log = VerifyLogFile(log_.log(), {});
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_EQ(log->extent.head.position, Position{8});
  EXPECT_EQ(log->extent.command_number, 6);
}

TEST_F(VerifyFile, AnEmptyLogHasNoFault) {
  LogOnDisk empty;
  empty.Close();
  EXPECT_EQ(Verify(empty.log()), absl::OkStatus());
}

TEST_F(VerifyFile, EveryChangedColumnOfAnEventIsFoundAtItsPosition) {
  for (const std::string change :
       {"position = 99", "stream_id = 2, version = 1", "version = 7", "type_id = 9", "encoding = 1",
        "encoding = 256", "event_id = zeroblob(16)", "event_id = CAST(event_id || x'00' AS BLOB)",
        "payload = x'00'", "metadata = x'00'", "tags = x'010000006b0100000076'", "tags = x'05'",
        "recorded_at = recorded_at + 1", "category_previous = 1", "leaf = zeroblob(32)",
        "leaf = CAST(leaf || x'00' AS BLOB)", "chain = zeroblob(32)",
        "chain = CAST(chain || x'00' AS BLOB)"}) {
    ExpectFault("UPDATE events SET " + change + " WHERE position = 4", "at position 4: ");
  }
}

TEST_F(VerifyFile, EveryMissingEventIsFoundAtItsPosition) {
  for (int position = 1; position <= 8; ++position) {
    ExpectFault("DELETE FROM events WHERE position = " + std::to_string(position),
                "at position " + std::to_string(position) + ": ");
  }
}

TEST_F(VerifyFile, AnEndThatIsCutOffIsFoundThoughTheStoreRefusesToOpen) {
  // Categories tell of it,
  std::string folder = Copy();
  Tamper(folder, "DELETE FROM commands WHERE number >= 5; DELETE FROM events WHERE position >= 7");
  EXPECT_EQ(OpenSqliteEventStoreReadOnly(folder).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(Verify(folder).message()),
              HasSubstr("at position 7: the event is missing"));
  // and commands do.
  folder = Copy();
  Tamper(folder,
         "DELETE FROM events WHERE position >= 7; "
         "UPDATE categories SET last_position = 5 WHERE name = 'room'; "
         "UPDATE categories SET last_position = 0 WHERE name = 'order'");
  EXPECT_THAT(std::string(Verify(folder).message()),
              HasSubstr("at position 7: the record of command c5"));
}

TEST_F(VerifyFile, TheFirstOfSeveralFaultsIsNamed) {
  ExpectFault(
      "UPDATE events SET payload = x'00' WHERE position IN (3, 6); "
      "DELETE FROM events WHERE position = 8",
      "at position 3: ");
}

TEST_F(VerifyFile, ChangedRowsOfNamesAreFound) {
  ExpectFault("UPDATE streams SET name = 'room-z' WHERE name = 'room-b'", "at position 3: ");
  ExpectFault("UPDATE streams SET category_id = 2 WHERE name = 'room-b'",
              "stream room-b: its row leads to category claim_name");
  ExpectFault("UPDATE streams SET category_id = 99 WHERE name = 'room-b'",
              "stream room-b: its row leads to category that is not there");
  ExpectFault("DELETE FROM streams WHERE name = 'order-1'", "at position 7: ");
  ExpectFault("INSERT INTO streams(category_id, name) VALUES (1, 'room-new')", "room-new");
  ExpectFault("UPDATE categories SET name = 'zoo' WHERE name = 'order'", "at position 7: ");
  ExpectFault("UPDATE categories SET last_position = 3 WHERE name = 'room'", "at position 8: ");
  ExpectFault("UPDATE categories SET last_position = 10 WHERE name = 'room'", "at position 9: ");
  ExpectFault("DELETE FROM categories WHERE name = 'order'", "at position 7: ");
  ExpectFault("INSERT INTO categories(name, last_position) VALUES ('zoo', 0)",
              "category zoo has no event");
  ExpectFault("INSERT INTO categories(name, last_position) VALUES ('zoo', 5)",
              "at position 5: category zoo has no event");
  ExpectFault("UPDATE types SET name = 'test.Other'", "at position 1: ");
  ExpectFault("INSERT INTO types(name) VALUES ('test.New')", "type test.New: no event has it");
  ExpectFault("DELETE FROM types", "at position 1: ");
  ExpectFault("UPDATE store SET store_id = '00000000-0000-7000-8000-000000000000'",
              "at position 1: ");
  ExpectFault("DELETE FROM store", "no store id");
}

TEST_F(VerifyFile, ChangedCommandsAreFoundAsFarAsEventsTell) {
  ExpectFault("DELETE FROM commands WHERE command_id = 'c1'", "at position 2: ");
  ExpectFault("DELETE FROM commands WHERE command_id = 'c3'", "command number 3 is missing");
  ExpectFault("DELETE FROM commands WHERE command_id = 'c6'", "at position 8: ");
  ExpectFault("DELETE FROM commands", "at position 2: the record of its command c1 is missing");
  ExpectFault("UPDATE commands SET command_id = 'x' WHERE command_id = 'c2'",
              "at position 3: the record of its command c2 is missing");
  ExpectFault("UPDATE commands SET request_hash = x'00' WHERE command_id = 'c2'", "c2");
  ExpectFault("UPDATE commands SET aggregate_id = 'b' WHERE command_id = 'c4'",
              "at position 6: the record of command c4");
  ExpectFault("UPDATE commands SET version = 3 WHERE command_id = 'c1'",
              "at position 2: the record of command c1");
  ExpectFault("UPDATE commands SET version = -2 WHERE command_id = 'c3'",
              "at position 3: the record of command c3");
  ExpectFault("UPDATE commands SET position = 5 WHERE command_id = 'c4'",
              "at position 6: the record of its command c4");
  ExpectFault("UPDATE commands SET position = 9 WHERE command_id = 'c6'", "at position 9: ");
  ExpectFault("UPDATE commands SET position = 1 WHERE command_id = 'c3'",
              "the record of command c3");
  ExpectFault("UPDATE commands SET number = 99 WHERE command_id = 'c6'", "at position 8: ");
}

TEST_F(VerifyFile, ACommandThatIsRecordedTwiceIsFoundOrCannotBe) {
  const std::string folder = Copy();
  try {
    Tamper(folder,
           "INSERT INTO commands SELECT 7, 'c3', request_hash, aggregate_id, created_id, "
           "version, 8 FROM commands WHERE command_id = 'c3'");
  } catch (const SQLite::Exception& e) {
    EXPECT_THAT(e.what(), HasSubstr("UNIQUE"));
    return;
  }
  EXPECT_THAT(std::string(Verify(folder).message()), HasSubstr("two records of command c3"));
}

TEST_F(VerifyFile, TheMarksOfTheFileAreChecked) {
  std::string folder = Copy();
  Tamper(folder, "PRAGMA application_id = 1");
  EXPECT_EQ(Verify(folder).code(), absl::StatusCode::kDataLoss);
  folder = Copy();
  Tamper(folder, "PRAGMA user_version = 0");
  EXPECT_EQ(Verify(folder).code(), absl::StatusCode::kDataLoss);
  folder = Copy();
  Tamper(folder, "PRAGMA user_version = 1000");
  EXPECT_EQ(Verify(folder).code(), absl::StatusCode::kFailedPrecondition);
  folder = Copy();
  Tamper(folder, "DROP TABLE commands");
  EXPECT_THAT(std::string(Verify(folder).message()), HasSubstr("commands"));
  folder = Copy();
  Tamper(folder, "DROP TABLE store");
  EXPECT_EQ(Verify(folder).code(), absl::StatusCode::kDataLoss);
  folder = Copy();
  Tamper(folder, "CREATE TABLE more(x)");
  EXPECT_THAT(std::string(Verify(folder).message()), HasSubstr("table more"));
  EXPECT_EQ(Verify(folder_.path() + "/none").code(), absl::StatusCode::kNotFound);
}

// What is not sealed by events: of these a change may stay unseen.
std::vector<std::string> Sealed(const std::string& folder) {
  SQLite::Database file(folder + "/events.db", SQLite::OPEN_READONLY);
  std::vector<std::string> rows;
  for (const char* sql :
       {"SELECT * FROM store", "SELECT * FROM categories", "SELECT * FROM streams",
        "SELECT * FROM types", "SELECT * FROM events",
        "SELECT number, command_id, version, position FROM commands WHERE command_id <> 'c3'"}) {
    SQLite::Statement statement(file, sql);
    while (statement.executeStep()) {
      std::string row;
      for (int i = 0; i < statement.getColumnCount(); ++i) {
        const SQLite::Column column = statement.getColumn(i);
        row += ToHex({static_cast<const char*>(column.getBlob()),
                      static_cast<std::size_t>(column.getBytes())}) +
               "|";
      }
      rows.push_back(row);
    }
  }
  return rows;
}

TEST_F(VerifyFile, AFlippedByteAnywhereIsFoundOrChangesNothing) {
  const std::uint64_t seed = testing::SeedOr(1);
  SCOPED_TRACE("LEFTFOLD_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const std::vector<std::string> sound = Sealed(log_.log());
  const std::string original = log_.log() + "/events.db";
  const auto size = static_cast<std::int64_t>(fs::file_size(original));
  int found = 0;
  constexpr int kFlips = 1'000;
  const std::string folder = Copy();
  for (int i = 0; i < kFlips; ++i) {
    fs::remove(folder + "/events.db-wal");
    fs::remove(folder + "/events.db-shm");
    fs::copy(original, folder + "/events.db", fs::copy_options::overwrite_existing);
    const std::int64_t at = std::uniform_int_distribution<std::int64_t>(0, size - 1)(random);
    FlipBit(folder + "/events.db", at, static_cast<int>(random() % 8));
    if (!Verify(folder).ok()) {
      ++found;
      continue;
    }
    std::vector<std::string> now;
    try {
      now = Sealed(folder);
    } catch (const SQLite::Exception& e) {
      now = {e.what()};
    }
    ASSERT_EQ(now, sound) << "the byte at " << at << " was flipped, and verify says nothing";
  }
  EXPECT_EQ(found, kFlips);
}

// The log of VerifyFile with one more event, which has a correlation id, and with an index that
// reaches to its end.
class VerifyIndex : public VerifyFile {
 protected:
  VerifyIndex() {
    log_.Reopen();
    AppendRequest correlated = AppendOf("room-b", {"nine"});
    core::v1::EventMetadata metadata;
    metadata.set_correlation_id("order-17");
    correlated.metadata = metadata.SerializeAsString();
    log_.Append(std::move(correlated));
    log_.Close();
    log_.Reopen();  // Brings the index to the end of the log.
    log_.Close();
  }
  std::string CopyWithIndex(const std::string& sql) {
    const std::string folder = Copy();
    fs::copy(log_.log() + "/index.db", folder + "/index.db");
    auto file = sql::Connection::Open(folder + "/index.db", {.role = sql::Role::kWriter});
    EXPECT_GT((*file)->database().exec(sql), 0) << sql;
    return folder;
  }
  // The log is sound whatever its index says.
  static std::string FaultOfIndex(const std::string& folder, bool at_rest = true) {
    const auto log = VerifyLogFile(folder, {.at_rest = at_rest});
    EXPECT_TRUE(log.ok()) << log.status();
    if (!log.ok()) return "";
    const absl::Status& index = log->index;
    EXPECT_TRUE(index.ok() || absl::IsDataLoss(index)) << index;
    return std::string(index.message());
  }
  // SQL after which it reaches to the third event and the second command.
  std::string BehindSql() {
    const auto chain = (*LogFileReader::Open(log_.log()))->ChainAt(Position{3});
    return fmt::format(
        "DELETE FROM stream_runs WHERE last_position > 3; DELETE FROM term_runs WHERE first > 3; "
        "UPDATE term_runs SET last = 3 WHERE last > 3; DELETE FROM command_ids WHERE number > 2; "
        "UPDATE progress SET position = 3, command = 2, chain = x'{}'",
        ToHex(AsBytes(**chain)));
  }
  // SQL for a term of one event, of which there is no other.
  std::string TermSql(const Terms& of, const Terms& others) {
    for (const Term term : of) {
      if (std::find(others.begin(), others.end(), term) == others.end())
        return std::to_string(term);
    }
    return "none";
  }
};

TEST_F(VerifyIndex, EachMissingWrongAndSurplusRowIsNamedByItsPositionOrKey) {
  const Terms plain = TermsOf("room-a", "test.Happened", {}, "");
  const std::string category = TermSql(plain, TermsOf("order-1", "test.Happened", {}, ""));
  const std::string type = TermSql(plain, TermsOf("room-a", "test.Other", {}, ""));
  const std::string tag =
      TermSql(TermsOf("room-a", "test.Happened", {{"course", "ä1"}}, ""), plain);
  core::v1::EventMetadata metadata;
  metadata.set_correlation_id("order-17");
  const std::string correlation =
      TermSql(TermsOf("room-a", "test.Happened", {}, metadata.SerializeAsString()), plain);
  struct Case {
    std::string sql;
    std::string fault;
    bool beside_a_writer = true;  // Found there, too.
  };
  const auto terms = [](const std::string& change, const std::string& term, int last) {
    return fmt::format("{} WHERE term = {} AND last = {}", change, term, last);
  };
  const auto without = [&](const std::string& term, int last) {
    return terms("DELETE FROM term_runs", term, last);
  };
  const auto leads = [](int position, const std::string& term) {
    return fmt::format("at position {}: term {} leads to it, which no event there has", position,
                       term);
  };
  const Case cases[] = {
      // Streams.
      {"DELETE FROM stream_runs WHERE last_position = 5",
       "at position 4: its stream does not lead to it"},
      {"UPDATE stream_runs SET events = 1 WHERE last_position = 5",
       "at position 4: its stream does not lead to it"},
      {"UPDATE stream_runs SET last_position = 5 WHERE last_position = 8",
       "at position 8: its stream does not lead to it"},
      {"UPDATE stream_runs SET last_version = 77 WHERE last_position = 3",
       "at position 3: its stream does not lead to it"},
      {"UPDATE stream_runs SET stream = 77 WHERE last_position = 7",
       "at position 7: its stream does not lead to it"},
      {"UPDATE stream_runs SET events = 3 WHERE last_position = 5",
       "at position 3: version 1 of room-a leads to it, which is not there"},
      {"INSERT INTO stream_runs VALUES (1, 5, 8, 1)",
       "at position 8: version 5 of room-a leads to it, which is not there"},
      {"INSERT INTO stream_runs VALUES (77, 0, 2, 1)",
       "at position 2: version 0 of stream number 77 leads to it, which is not there"},
      {"INSERT INTO stream_runs VALUES (1, 5, 10, 1)",
       "at position 10: version 5 of room-a leads to it, which is not there", false},
      {"INSERT INTO stream_runs VALUES (1, -1, 4, 1)",
       "at position 4: no run of 1 events ends there, at version -1 of stream number 1"},
      {"INSERT INTO stream_runs VALUES (1, 77, 4, 5)",
       "at position 4: no run of 5 events ends there, at version 77 of stream number 1"},
      {"INSERT INTO stream_runs VALUES (1, 77, 4, 0)",
       "at position 4: no run of 0 events ends there, at version 77 of stream number 1"},
      // Categories, types, tags, correlation ids.
      {without(category, 5), "at position 1: category room does not lead to it"},
      {without(type, 8), "at position 1: type test.Happened does not lead to it"},
      {without(tag, 8), "at position 8: tag course=ä1 does not lead to it"},
      {without(correlation, 9), "at position 9: correlation id order-17 does not lead to it"},
      {terms("UPDATE term_runs SET first = 3", category, 5),
       "at position 1: category room does not lead to it"},
      {terms("UPDATE term_runs SET last = 4", category, 5),
       "at position 5: category room does not lead to it"},
      {terms("UPDATE term_runs SET first = 2, last = 2", tag, 8),
       "at position 8: tag course=ä1 does not lead to it"},
      {terms("UPDATE term_runs SET term = 5", correlation, 9),
       "at position 9: correlation id order-17 does not lead to it"},
      {terms("UPDATE term_runs SET first = 7", category, 8), leads(7, category)},
      {fmt::format("INSERT INTO term_runs VALUES ({}, 2, 2)", tag), leads(2, tag)},
      {"INSERT INTO term_runs VALUES (5, 3, 3)", leads(3, "5")},
      {fmt::format("INSERT INTO term_runs VALUES ({}, 7, 6)", category), leads(6, category)},
      {fmt::format("INSERT INTO term_runs VALUES ({}, 10, 10)", category), leads(10, category),
       false},
      {"INSERT INTO term_runs VALUES (5, 3, 4)",
       "at position 3: no run of term 5 ends there that begins at 4"},
      {"INSERT INTO term_runs VALUES (5, 3, 0)",
       "at position 3: no run of term 5 ends there that begins at 0"},
      // Commands.
      {"DELETE FROM command_ids WHERE command_id = 'c3'", "command c3 (number 3) is missing"},
      {"UPDATE command_ids SET command_id = 'c0' WHERE command_id = 'c5'",
       "command c5 (number 5) is missing"},
      {"UPDATE command_ids SET number = 5 WHERE command_id = 'c6'",
       "command c6 leads to number 5, not 6"},
      {"INSERT INTO command_ids VALUES ('never', 2)",
       "command never leads to number 2, which is not its record"},
      {"INSERT INTO command_ids VALUES ('', 2)",
       "command  leads to number 2, which is not its record"},
      {"INSERT INTO command_ids VALUES ('never', 7)",
       "command never leads to number 7, which is not its record", false},
      // How far it reaches.
      {"UPDATE progress SET chain = zeroblob(32)",
       "it says to hold position 9 and command number 6 of another log"},
      {"UPDATE progress SET position = 10",
       "it says to hold position 10 and command number 6 of another log"},
      {"UPDATE progress SET command = 7",
       "it says to hold position 9 and command number 7 of another log"},
      {"DELETE FROM progress", "at position 1: version 0 of room-a leads to it, which is not there",
       false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.sql);
    const std::string folder = CopyWithIndex(c.sql);
    EXPECT_EQ(FaultOfIndex(folder), c.fault);
    EXPECT_EQ(FaultOfIndex(folder, false), c.beside_a_writer ? c.fault : "");
  }
}

TEST_F(VerifyIndex, OneThatIsSoundMissingOrBehindHasNoFault) {
  EXPECT_EQ(FaultOfIndex(CopyWithIndex("UPDATE progress SET id = 1")), "");
  EXPECT_EQ(FaultOfIndex(Copy()), "");
  EXPECT_EQ(FaultOfIndex(CopyWithIndex(BehindSql())), "");
  EXPECT_EQ(FaultOfIndex(CopyWithIndex("DELETE FROM command_ids; PRAGMA user_version = 1")), "");
}

TEST_F(VerifyIndex, AFileThatIsNoIndexIsNamedAndTheFaultOfTheLogComesFirst) {
  const std::string folder = Copy();
  std::ofstream(folder + "/index.db") << "no database, but long enough to be taken for one";
  EXPECT_THAT(FaultOfIndex(folder), HasSubstr("damaged"));
  EXPECT_THAT(FaultOfIndex(CopyWithIndex("CREATE TABLE t(x); DELETE FROM progress; DROP TABLE "
                                         "term_runs")),
              HasSubstr("no such table"));
  const std::string both = CopyWithIndex("DELETE FROM stream_runs WHERE last_position = 2");
  Tamper(both, "DELETE FROM events WHERE position = 9");
  EXPECT_THAT(std::string(Verify(both).message()), HasSubstr("at position 9: "));
}

TEST_F(VerifyIndex, TellsHowFarItWasComparedAndWhetherItIsThere) {
  auto log = VerifyLogFile(Copy(), {});
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_FALSE(log->has_index);
  log = VerifyLogFile(CopyWithIndex(BehindSql()), {});
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_TRUE(log->has_index);
  EXPECT_EQ(log->index_position, Position{3});
  EXPECT_EQ(log->index, absl::OkStatus());
}

TEST_F(VerifyIndex, TellsOfItsProgressAndBeforeEachLongRead) {
  std::vector<std::string> told;
  const auto progress = [&](std::int64_t done, std::int64_t total) {
    told.push_back(fmt::format("{}/{}", done, total));
  };
  const auto log = VerifyLogFile(
      CopyWithIndex("UPDATE progress SET id = 1"),
      {.index_progress = progress, .long_read = [&](auto what) { told.emplace_back(what); }});
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_THAT(told, ElementsAre("command ids", "pages of the log", MatchesRegex("0/[0-9]+"),
                                MatchesRegex("([0-9]+)/[0-9]+"), "pages of the index"));
  EXPECT_EQ(told[3], fmt::format("{0}/{0}", told[2].substr(2)));
}

// What comes of it when the n-th read of a file fails.
enum Outcome { kAllIsRead, kToldThatItCannotRead, kToldOfAFault };
int VerifyWithAFailingRead(const std::string& folder, std::int64_t n) {
  const int child = fork();
  if (child == 0) {
    testing::Arm({.disk = folder,
                  .fail_at = n,
                  .fails = testing::DiskCall::kRead,
                  .code = SQLITE_IOERR_READ});
    const auto log = VerifyLogFile(folder, {});
    const absl::Status found = log.ok() ? log->index : log.status();
    _exit(found.ok()                ? kAllIsRead
          : absl::IsDataLoss(found) ? kToldOfAFault
                                    : kToldThatItCannotRead);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

TEST_F(VerifyIndex, AReadThatFailsIsNoFaultOfTheLogNorOfTheIndex) {
  const std::string folder = CopyWithIndex("UPDATE progress SET id = 1");
  constexpr int kReadsMin = 20;
  int n = 1;
  for (int outcome = kToldThatItCannotRead; outcome != kAllIsRead; ++n) {
    outcome = VerifyWithAFailingRead(folder, n);
    ASSERT_NE(outcome, kToldOfAFault) << "read " << n;
  }
  EXPECT_GT(n, kReadsMin);
}

TEST_F(VerifyIndex, WhatComesMeanwhileIsNoFault) {
  log_.Reopen();
  int n = 0;
  const auto more = [&](auto, auto) {
    // The index has them in its file only after the log is opened again.
    for (int i = 0; i < 3; ++i)
      log_.Append(DecidedCommand("room-a", {"more"}, "m" + std::to_string(++n)));
    log_.Close();
    log_.Reopen();
  };
  const auto log =
      VerifyLogFile(log_.log(), {.at_rest = false, .payload = nullptr, .progress = more});
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_EQ(log->index, absl::OkStatus());
  EXPECT_GT(n, 3);
}

TEST_F(VerifyFile, AnIndexThatLeadsNowhereIsFound) {
  for (const std::string index : {"sqlite_autoindex_streams_1", "sqlite_autoindex_types_1",
                                  "sqlite_autoindex_categories_1"}) {
    const std::string folder = Copy();
    const std::int64_t root = testing::RootPage(folder + "/events.db", index);
    // An empty leaf page of an index, with a checksum that fits.
    std::string page(4096, '\0');
    page.replace(0, 8, std::string("\x0a\0\0\0\0\x0f\xf8\0", 8));
    const sql::WordSum sum =
        sql::PageChecksum({reinterpret_cast<const unsigned char*>(page.data()), page.size()},
                          static_cast<std::uint32_t>(root));
    std::memcpy(&page[page.size() - sizeof(sum)], &sum, sizeof(sum));
    Overwrite(folder + "/events.db", (root - 1) * 4096, page);
    for (const bool at_rest : {true, false}) {
      EXPECT_EQ(VerifyLogFile(folder, {.at_rest = at_rest}).status().code(),
                absl::StatusCode::kDataLoss)
          << index;
    }
  }
}

TEST_F(VerifyFile, BesideAWriterItChecksWhatWasThereAtTheStart) {
  log_.Reopen();
  int pages = 0;
  const auto log = VerifyLogFile(
      log_.log(), {.at_rest = false, .payload = nullptr, .progress = [&](auto, auto) {
                     ++pages;
                     log_.Append(DecidedCommand("room-a", {"more"}, "m1-" + std::to_string(pages)));
                     log_.Append(DecidedCommand("room-c", {"more"}, "m2-" + std::to_string(pages)));
                     log_.Append(DecidedCommand("room-c", {}, "m3-" + std::to_string(pages)));
                     log_.Append(AppendOf("zoo-1", {"more"}));
                   }});
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_EQ(log->index, absl::OkStatus());
  EXPECT_GT(pages, 1);
  EXPECT_EQ(log->extent.head.position, Position{8});
}

TEST_F(VerifyFile, PayloadsOfKnownTypesMustDecodeAndUnknownOnesAreCounted) {
  log_.Reopen();
  AppendRequest request = AppendOf("room-p", {""});
  request.streams.front().events.front().type = "leftfold.core.v1.Tag";
  log_.Append(request);
  request.streams.front().events.front().payload = "\xFF\xFF";
  request.streams.front().events.front().encoding = Encoding::kJson;
  log_.Append(request);
  tools::PayloadCheck sound;
  const auto check = [&](tools::PayloadCheck& payloads) {
    return VerifyLogFile(
               log_.log(),
               {.at_rest = false,
                .payload = [&](const RecordedEvent& event) { return payloads.Check(event); }})
        .status();
  };
  EXPECT_EQ(check(sound), absl::OkStatus());
  EXPECT_THAT(sound.unknown(), UnorderedElementsAre(::testing::Pair("test.Happened", 8)));
  request.streams.front().events.front().encoding = Encoding::kProtobuf;
  log_.Append(request);
  tools::PayloadCheck payloads;
  EXPECT_EQ(std::string(check(payloads).message()),
            "at position 11: its payload is no leftfold.core.v1.Tag");
}

}  // namespace
}  // namespace leftfold
