// Stores as each released format left them, in tests/contract/golden_store/<n>: the tables and rows
// of each file as SQL, and what is in the log as text. Today's binary opens them and finds it all;
// a file of a newer format it refuses, and leaves alone. Folders are added with a new format, never
// changed; LEFTFOLD_GOLDEN_WRITE=1 writes the files of today that are missing.
#include "testing/golden_store.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "event_store/sqlite/verify_log_file.h"
#include "sql/parked.h"
#include "sql/reactor_file.h"
#include "sql/view_file.h"
#include "testing/event_store_contract.h"
#include "testing/log_on_disk.h"

namespace leftfold::testing {
namespace {

namespace fs = std::filesystem;

std::string Joined(const std::vector<std::string>& lines) {
  return fmt::format("{}\n", fmt::join(lines, "\n"));
}

std::vector<std::string> Column(sql::Connection& file, const std::string& sql) {
  std::vector<std::string> found;
  SQLite::Statement rows(file.database(), sql);
  while (rows.executeStep()) found.push_back(rows.getColumn(0).getString());
  return found;
}
std::vector<std::string> SchemaOf(sql::Connection& file) {
  return Column(file, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid");
}

// The whole file as SQL, but for the application's id.
std::string Dump(const std::string& path) {
  auto file = sql::Connection::Open(path, {});
  if (!file.ok()) return file.status().ToString();
  std::string text =
      fmt::format("PRAGMA user_version={};\n", (*file)->Value("PRAGMA user_version"));
  for (const std::string& table : SchemaOf(**file)) text += table + ";\n";
  for (const std::string& table :
       Column(**file, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid")) {
    const std::string row = fmt::format(
        "{}", fmt::join(Column(**file, "SELECT 'quote(' || name || ')' FROM pragma_table_info('" +
                                           table + "')"),
                        " || ',' || "));
    for (const std::string& values : Column(**file, "SELECT " + row + " FROM " + table))
      text += fmt::format("INSERT INTO {} VALUES ({});\n", table, values);
  }
  return text;
}

sql::ParkedEvent ParkedNote() {
  return {Position{4}, "room-a", "an id", "test.Happened", "no note", std::nullopt};
}
sql::OutboxRow Mail() {
  sql::OutboxRow row;
  row.id = sql::RowId(Position{5}, 2);
  row.key = "ada";
  row.type = "mail";
  row.payload = std::string("to\0ada", 6);
  row.timer = "reminder";
  row.due = absl::FromUnixMicros(1'700'000'000'000'000);
  row.attempts = 3;
  row.state = sql::RowState::kParked;
  row.error = "no such address";
  row.event_id = "an event";
  row.correlation_id = "a correlation";
  row.traceparent = "a trace";
  return row;
}

// A store as this binary makes it.
void MakeToday(LogOnDisk& log) {
  log.Fill();
  log.Reopen();  // All of it is in the index.
  log.Close();
  const auto view = OpenGoldenNotes(log.data());
  ASSERT_TRUE(view.ok()) << view.status();
  ASSERT_TRUE((*view)->Begin().ok());
  ASSERT_TRUE((*view)->Run("INSERT INTO note VALUES (1, 'one'), (2, 'ä''two')").ok());
  sql::WriteCheckpoint(**view, {Position{7}, Digest{7}});
  sql::WriteChange(**view, Position{7}, "a key");
  sql::WriteParked(**view, ParkedNote());
  ASSERT_TRUE((*view)->Commit().ok());
  const auto reactor = OpenGoldenMails(log.data());
  ASSERT_TRUE(reactor.ok()) << reactor.status();
  ASSERT_TRUE((*reactor)->Begin().ok());
  ASSERT_TRUE((*reactor)->Run("INSERT INTO mailed VALUES (1, 'ada')").ok());
  sql::InsertRow(**reactor, Mail());
  sql::WriteNextNumber(**reactor, Position{5}, 3);
  sql::WriteCheckpoint(**reactor, {Position{6}, Digest{6}});
  sql::WriteSeen(**reactor, Position{8});
  ASSERT_TRUE((*reactor)->Commit().ok());
}

void WriteWhereMissing(const std::string& path, const std::string& text) {
  if (fs::exists(path)) return;
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path) << text;
  ADD_FAILURE() << "written: " << path;
}

class GoldenStore : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override { MakeGolden(folder_.path(), GetParam()); }
  const std::string& data() const { return folder_.path(); }
  std::string Content() const { return Joined(ContentOf(data() + "/log")); }

  TemporaryFolder folder_;
};

TEST_P(GoldenStore, HasALogWithItsEventsAndCommandsThatGoesOn) {
  const std::string expected = TextOf(GoldenPath(GetParam(), "log.txt"));
  EXPECT_EQ(Content(), expected);
  VirtualScheduler scheduler(1);
  const FakeClock clock;
  auto store = OpenSqliteEventStore(
      data() + "/log",
      {.writer = &scheduler.Serial(), .completions = &scheduler.Pool(), .clock = &clock});
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ((*store)->FindCommand("c4")->value().receipt.position, Position{6});
  EXPECT_EQ(*(*store)->StreamVersion("room-a"), Version{4});
  absl::StatusOr<Receipt> receipt;
  (*store)->Append(DecidedCommand("room-a", {"nine"}, "c7"),
                   [&](const absl::StatusOr<Receipt>& told) { receipt = told; });
  scheduler.RunUntilIdle();
  ASSERT_TRUE(receipt.ok()) << receipt.status();
  EXPECT_EQ(receipt->position, Position{9});
  EXPECT_EQ(receipt->version, Version{5});
  store->reset();
  EXPECT_TRUE(Content().starts_with(expected.substr(0, expected.rfind("command"))));
  const auto verified = VerifyLogFile(data() + "/log", {.at_rest = true});
  ASSERT_TRUE(verified.ok()) << verified.status();
  EXPECT_EQ(verified->index, absl::OkStatus());
}

TEST_P(GoldenStore, HasAnIndexThatIsNotMadeAgain) {
  const std::string link = data() + "/same";
  fs::create_hard_link(data() + kGoldenIndex.path, link);
  VirtualScheduler scheduler(1);
  const FakeClock clock;
  ASSERT_TRUE(OpenSqliteEventStore(data() + "/log", {.writer = &scheduler.Serial(),
                                                     .completions = &scheduler.Pool(),
                                                     .clock = &clock})
                  .ok());
  EXPECT_TRUE(fs::equivalent(data() + kGoldenIndex.path, link));
}

TEST_P(GoldenStore, HasAViewWithItsRowsAndCheckpoint) {
  const auto view = OpenGoldenNotes(data());
  ASSERT_TRUE(view.ok()) << view.status();
  const auto checkpoint = sql::ReadCheckpoint(**view);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(checkpoint->position, Position{7});
  EXPECT_EQ(checkpoint->chain, Digest{7});
  EXPECT_EQ(Column(**view, "SELECT id || body FROM note ORDER BY id"),
            (std::vector<std::string>{"1one", "2ä'two"}));
  EXPECT_EQ(sql::ChangesAfter(**view, Position{6}, 9)->value(), std::vector<std::string>{"a key"});
  const auto parked = sql::ReadParked(**view, "room-a", 9);
  ASSERT_EQ(parked.size(), 1u);
  EXPECT_EQ(parked.front().reason, ParkedNote().reason);
}

TEST_P(GoldenStore, HasAReactorWithWhatItHasToSend) {
  const auto reactor = OpenGoldenMails(data());
  ASSERT_TRUE(reactor.ok()) << reactor.status();
  EXPECT_EQ(sql::ReadCheckpoint(**reactor)->position, Position{6});
  EXPECT_EQ(sql::ReadSeen(**reactor), Position{8});
  EXPECT_EQ(Column(**reactor, "SELECT to_whom FROM mailed"), std::vector<std::string>{"ada"});
  const auto row = sql::ReadRow(**reactor, Mail().id);
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->key, Mail().key);
  EXPECT_EQ(row->payload, Mail().payload);
  EXPECT_EQ(row->due, Mail().due);
  EXPECT_EQ(row->attempts, Mail().attempts);
  EXPECT_EQ(row->state, Mail().state);
  EXPECT_EQ(row->error, Mail().error);
  EXPECT_EQ(row->traceparent, Mail().traceparent);
  sql::ForEachNextNumber(**reactor, [](Position position, std::int64_t next) {
    EXPECT_EQ(position, Position{5});
    EXPECT_EQ(next, 3);
  });
}

TEST_P(GoldenStore, IsRefusedAndLeftAloneWhenItIsNewerThanTheBinary) {
  const auto raise = [this](const GoldenFile& file, const std::string& sql) {
    auto writer = sql::Connection::Open(data() + file.path, {.role = sql::Role::kWriter});
    ASSERT_TRUE(writer.ok()) << writer.status();
    ASSERT_EQ((*writer)->Run(sql), absl::OkStatus());
  };
  raise(kGoldenLog, "PRAGMA user_version=99");
  raise(kGoldenReactor, "PRAGMA user_version=99");
  raise(kGoldenView, "UPDATE leftfold_format SET format = 99");
  std::vector<std::string> before;
  for (const GoldenFile& file : kGoldenFiles) before.push_back(Dump(data() + file.path));
  VirtualScheduler scheduler(1);
  const FakeClock clock;
  EXPECT_TRUE(absl::IsFailedPrecondition(
      OpenSqliteEventStore(
          data() + "/log",
          {.writer = &scheduler.Serial(), .completions = &scheduler.Pool(), .clock = &clock})
          .status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(LogFileReader::Open(data() + "/log").status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(OpenGoldenNotes(data()).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(OpenGoldenMails(data()).status()));
  std::vector<std::string> after;
  for (const GoldenFile& file : kGoldenFiles) after.push_back(Dump(data() + file.path));
  EXPECT_EQ(after, before);
}

INSTANTIATE_TEST_SUITE_P(Format, GoldenStore, ::testing::Range(1, kTodaysFormat + 1));

// Whoever changes a released migration, or adds one without a golden store of its own, is told.
TEST(GoldenStoreOfToday, HasTheTablesThatThisBinaryMakes) {
  LogOnDisk log;
  MakeToday(log);
  const std::string text = Joined(ContentOf(log.log()));
  for (const GoldenFile& which : kGoldenFiles) {
    const std::string golden = GoldenPath(kTodaysFormat, which.name + ".sql");
    const std::string dump = Dump(log.data() + which.path);
    if (std::getenv("LEFTFOLD_GOLDEN_WRITE") != nullptr) WriteWhereMissing(golden, dump);
    const auto tables = [](const std::string& sql) { return sql.substr(0, sql.find("INSERT ")); };
    EXPECT_EQ(tables(dump), tables(TextOf(golden)))
        << "a new format needs a folder of its own: raise kTodaysFormat";
  }
  if (std::getenv("LEFTFOLD_GOLDEN_WRITE") != nullptr)
    WriteWhereMissing(GoldenPath(kTodaysFormat, "log.txt"), text);
}

}  // namespace
}  // namespace leftfold::testing
