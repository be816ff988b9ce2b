#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/reject.h"
#include "event_store/event_store.h"
#include "event_store/sqlite/sqlite_event_store.h"
#include "event_store/sqlite/sqlite_log.h"
#include "testing/damage.h"
#include "testing/environment.h"
#include "testing/event_store_contract.h"

namespace leftfold {
namespace {

namespace fs = std::filesystem;
using testing::AppendOf;
using testing::CommandOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::size_t kBatch = 16;

// Takes tasks and never runs them.
class NeverExecutor final : public Executor {
 public:
  void Post(std::function<void()>) override {}
  void PostAfter(absl::Duration, std::function<void()>) override {}
};

// Runs tasks when told to.
class LateExecutor final : public Executor {
 public:
  void Post(std::function<void()> task) override { tasks_.push_back(std::move(task)); }
  void PostAfter(absl::Duration, std::function<void()> task) override { Post(std::move(task)); }
  void Run() {
    while (RunOne()) {
    }
  }
  bool RunOne() {
    if (tasks_.empty()) return false;
    const std::function<void()> task = std::move(tasks_.front());
    tasks_.erase(tasks_.begin());
    task();
    return true;
  }

 private:
  std::vector<std::function<void()>> tasks_;
};

// A log whose index goes to its file after 16 events and commands.
class LogIndexTest : public ::testing::Test {
 protected:
  LogIndexTest() { Open(); }

  void Open(Executor* behind = nullptr, std::size_t streams_known_max = kStreamsKnownMax) {
    store_.reset();
    auto store = OpenSqliteEventStore(folder_.path(), {.writer = &scheduler_.Serial(),
                                                       .completions = &scheduler_.Pool(),
                                                       .clock = &clock_,
                                                       .behind = behind,
                                                       .index_batch = kBatch,
                                                       .streams_known_max = streams_known_max});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  std::string IndexPath() const { return folder_.path() + "/index.db"; }
  std::int64_t InIndex(const std::string& sql) const {
    SQLite::Database file(IndexPath(), SQLite::OPEN_READONLY);
    return file.execAndGet(sql).getInt64();
  }
  void Append(AppendRequest request) {
    absl::Status status = absl::UnknownError("not answered");
    store_->Append(std::move(request), [&](const auto& receipt) { status = receipt.status(); });
    scheduler_.RunUntilIdle();
    ASSERT_TRUE(status.ok()) << status;
  }
  // One event of a category and a command `<prefix><i>` each.
  void Fill(int count, const std::string& prefix) {
    for (int i = 0; i < count; ++i) {
      AppendRequest request = AppendOf(i % 10 == 3 ? "desk-d" : "room-a", {fmt::to_string(i)});
      request.streams[0].events[0].tags = {{"n", fmt::to_string(i % 7)}};
      Append(CommandOf(std::move(request), fmt::format("{}{}", prefix, i)));
    }
  }
  void ExpectAllFound(EventStore& store, int count, const std::string& prefix) {
    for (int i = 0; i < count; ++i) {
      const auto found = store.FindCommand(fmt::format("{}{}", prefix, i));
      ASSERT_TRUE(found.ok() && found->has_value()) << prefix << i;
    }
    EXPECT_FALSE(store.FindCommand(prefix + "none").value().has_value());
  }
  static std::vector<std::string> Desks(EventStore& store) {
    const auto read = store.ReadAll({.from = kBeforeFirst, .filter = {.categories = {"desk"}}});
    EXPECT_TRUE(read.ok()) << read.status();
    std::vector<std::string> payloads;
    for (const RecordedEvent& event : read->events) payloads.push_back(event.payload);
    return payloads;
  }

  testing::TemporaryFolder folder_;
  testing::FakeClock clock_;
  testing::VirtualScheduler scheduler_{1};
  std::unique_ptr<EventStore> store_;
};

TEST_F(LogIndexTest, WhatIsInTheFileAndWhatIsInMemoryAreFoundAlike) {
  Fill(42, "c");
  EXPECT_EQ(InIndex("SELECT position FROM progress"), 40);
  ExpectAllFound(*store_, 42, "c");
  EXPECT_THAT(Desks(*store_), ElementsAre("3", "13", "23", "33"));
}

TEST_F(LogIndexTest, CommandsWithoutEventsAreFoundWhenTheFileComesLate) {
  LateExecutor late;
  Open(&late);
  const int commands = static_cast<int>(4 * kBatch);
  Append(CommandOf(AppendOf("room-a", {"x"}), "first"));
  for (int i = 0; i < commands; ++i)
    Append(CommandOf(AppendOf("room-a", {}), fmt::format("c{}", i)));
  late.Run();
  ExpectAllFound(*store_, commands, "c");
}

TEST_F(LogIndexTest, OpeningBringsTheFileToTheEndOfTheLog) {
  Fill(5, "c");
  Open();
  EXPECT_EQ(InIndex("SELECT position FROM progress"), 5);
  EXPECT_EQ(InIndex("SELECT count(*) FROM command_ids"), 5);
  ExpectAllFound(*store_, 5, "c");
}

TEST_F(LogIndexTest, IdsInAnyOrderAreFoundAfterTheyHaveGoneToTheFile) {
  Fill(20, "019b");
  Fill(20, "f");
  Fill(20, "lf:");
  Fill(20, "0");
  Open();
  for (const std::string prefix : {"019b", "f", "lf:", "0"}) ExpectAllFound(*store_, 20, prefix);
}

TEST_F(LogIndexTest, AMissingFileIsMadeAgain) {
  Fill(40, "c");
  store_.reset();
  fs::remove(IndexPath());
  Open();
  ExpectAllFound(*store_, 40, "c");
  EXPECT_THAT(Desks(*store_), ElementsAre("3", "13", "23", "33"));
}

TEST_F(LogIndexTest, ADamagedFileIsMadeAgain) {
  Fill(40, "c");
  store_.reset();
  std::ofstream(IndexPath(), std::ios::in | std::ios::binary).write("damaged!damaged!", 16);
  Open();
  ExpectAllFound(*store_, 40, "c");
}

TEST_F(LogIndexTest, AFileWithADamagedPageIsMadeAgain) {
  Fill(40, "c");
  store_.reset();
  testing::DamageRootPage(IndexPath(), "command_ids");
  Open();
  ExpectAllFound(*store_, 40, "c");
}

TEST_F(LogIndexTest, AFileThatTurnsOutToBeDamagedEndsTheProcessAndIsMadeAgainByTheNext) {
  Fill(40, "c");
  Open();
  store_.reset();
  testing::DamageRootPage(IndexPath(), "stream_runs");
  EXPECT_DEATH(
      {
        Open();
        store_->ReadStream("room-a", {}).status().IgnoreError();
      },
      "page .* of .*/index.db is damaged: .* the next start makes it again from the log");
  EXPECT_FALSE(fs::exists(IndexPath()));
  Open();
  EXPECT_EQ(store_->ReadStream("room-a", {})->size(), 36u);
}

TEST_F(LogIndexTest, TheFileOfAnotherLogIsMadeAgain) {
  Fill(40, "c");
  Open();
  store_.reset();
  const std::string kept = folder_.path() + "/kept";
  fs::rename(IndexPath(), kept);
  for (const char* suffix : {"", "-wal", "-shm"})
    fs::remove(folder_.path() + "/events.db" + suffix);
  Open();
  Fill(50, "d");
  store_.reset();
  fs::rename(kept, IndexPath());
  Open();
  ExpectAllFound(*store_, 50, "d");
  EXPECT_FALSE(store_->FindCommand("c1").value().has_value());
}

TEST_F(LogIndexTest, AFileThatIsAheadOfARestoredLogIsMadeAgain) {
  Fill(20, "c");
  store_.reset();
  const std::string older = folder_.path() + "/older";
  fs::copy_file(folder_.path() + "/events.db", older);
  Open();
  Fill(20, "d");
  Open();
  store_.reset();
  fs::rename(older, folder_.path() + "/events.db");
  Open();
  ExpectAllFound(*store_, 20, "c");
  EXPECT_FALSE(store_->FindCommand("d1").value().has_value());
  Fill(20, "d");
  ExpectAllFound(*store_, 20, "d");
}

TEST_F(LogIndexTest, ALogThatHasLostAllItsBytesIsNotTakenForANewOne) {
  Fill(20, "c");
  store_.reset();
  fs::resize_file(folder_.path() + "/events.db", 0);
  const SqliteStoreOptions options = {
      .writer = &scheduler_.Serial(), .completions = &scheduler_.Pool(), .clock = &clock_};
  const absl::Status refused = OpenSqliteEventStore(folder_.path(), options).status();
  EXPECT_TRUE(absl::IsDataLoss(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), ::testing::HasSubstr("Restore a backup"));
  fs::remove(IndexPath());
  Open();
  EXPECT_EQ(store_->GetHead().position, kBeforeFirst);
}

TEST_F(LogIndexTest, AReaderBesideTheWriterFindsWhatIsNotInTheFileYet) {
  Fill(40, "c");
  auto reader = OpenSqliteEventStoreReadOnly(folder_.path());
  ASSERT_TRUE(reader.ok()) << reader.status();
  Fill(10, "later");
  ExpectAllFound(**reader, 40, "c");
  ExpectAllFound(**reader, 10, "later");
  EXPECT_THAT(Desks(**reader), ElementsAre("3", "13", "23", "33", "3"));
  const auto backward = (*reader)->ReadAll({.from = Position{100},
                                            .direction = Direction::kBackward,
                                            .events_max = 2,
                                            .filter = {.categories = {"desk"}}});
  EXPECT_EQ(backward->through, Position{34});
}

TEST_F(LogIndexTest, AReaderWithoutAFileFindsEverythingInTheLog) {
  Fill(20, "c");
  store_.reset();
  fs::remove(IndexPath());
  auto reader = OpenSqliteEventStoreReadOnly(folder_.path());
  ASSERT_TRUE(reader.ok()) << reader.status();
  ExpectAllFound(**reader, 20, "c");
  EXPECT_THAT(Desks(**reader), ElementsAre("3", "13"));
  EXPECT_FALSE(fs::exists(IndexPath()));
}

TEST_F(LogIndexTest, TheWriterBringsTooMuchMemoryIntoTheFileItself) {
  NeverExecutor never;
  Open(&never);
  const int events = static_cast<int>(kIndexTailBatchesMax * kBatch);
  Append(AppendOf("room-a", std::vector<std::string>(static_cast<std::size_t>(events - 1), "x")));
  EXPECT_EQ(InIndex("SELECT count(*) FROM progress"), 0);
  Append(AppendOf("room-a", {"x"}));
  EXPECT_EQ(InIndex("SELECT position FROM progress"), events);
}

// Rows that no command has show whether the file is asked.
TEST_F(LogIndexTest, AnIdThatIsNotThereIsNotLookedForInTheFileOnceTheFilterIsFull) {
  Fill(50, "c");
  LateExecutor late;
  Open(&late);
  const auto plant = [&](const char* id) {
    auto file = sql::Connection::Open(IndexPath(), {.role = sql::Role::kWriter});
    Ask(**file, "INSERT INTO command_ids VALUES (?, 1)", std::string_view(id)).Next();
    ASSERT_TRUE((*file)->status().ok());
  };
  plant("before");
  EXPECT_TRUE(store_->FindCommand("before").value().has_value());
  late.Run();
  plant("after");
  EXPECT_FALSE(store_->FindCommand("after").value().has_value());
  EXPECT_TRUE(store_->FindCommand("before").value().has_value()) << "found while it was filled";
}

TEST_F(LogIndexTest, CommandsAreFoundBeforeTheFilterIsFilledMeanwhileAndAfterwards) {
  const auto expect_duplicates = [&](int count, const std::string& prefix) {
    for (int i = 0; i < count; i += 4) {
      absl::StatusOr<Receipt> receipt = absl::UnknownError("not answered");
      store_->Append(CommandOf(AppendOf("room-a", {"again"}), fmt::format("{}{}", prefix, i)),
                     [&](const auto& answer) { receipt = answer; });
      scheduler_.RunUntilIdle();
      EXPECT_TRUE(receipt.ok() && receipt->duplicate) << prefix << i;
    }
  };
  Fill(100, "m");
  LateExecutor late;
  Open(&late);
  int round = 0;
  do {
    // Some before the ids that are filled next and some after them, in the file and in memory.
    for (const char* prefix : {"a", "m1", "z"}) Fill(4, fmt::format("{}round{}-", prefix, round));
    ++round;
    expect_duplicates(100, "m");
    for (int i = 0; i < round; ++i)
      for (const char* prefix : {"a", "m1", "z"})
        ExpectAllFound(*store_, 4, fmt::format("{}round{}-", prefix, i));
  } while (late.RunOne() && round < 30);
  EXPECT_GE(round, 7) << "the file has as many parts";
  Open();
  expect_duplicates(100, "m");
}

TEST_F(LogIndexTest, AFileThatCannotBeReadLeavesTheFilterUnused) {
  Fill(40, "c");
  LateExecutor late;
  Open(&late);
  fs::rename(IndexPath(), IndexPath() + ".away");
  late.Run();
  fs::rename(IndexPath() + ".away", IndexPath());
  ExpectAllFound(*store_, 40, "c");
}

TEST_F(LogIndexTest, StreamsAreReadFromTheFileAndFromMemoryAsOne) {
  Fill(42, "c");
  const auto read = [&](EventStore& store, ReadStreamOptions options) {
    std::vector<std::string> payloads;
    const auto events = store.ReadStream("desk-d", options);
    EXPECT_TRUE(events.ok()) << events.status();
    for (const RecordedEvent& event : *events) payloads.push_back(event.payload);
    return payloads;
  };
  auto reader = OpenSqliteEventStoreReadOnly(folder_.path());
  ASSERT_TRUE(reader.ok()) << reader.status();
  Append(AppendOf("desk-d", {"new", "newer"}));
  for (EventStore* store : {store_.get(), reader->get()}) {
    EXPECT_THAT(read(*store, {}), ElementsAre("3", "13", "23", "33", "new", "newer"));
    EXPECT_THAT(read(*store, {.from = Version{3}, .events_max = 2}), ElementsAre("33", "new"));
    EXPECT_THAT(read(*store, {.from = Version{5}}), ElementsAre("newer"));
    EXPECT_THAT(read(*store, {.from = Version{6}}), IsEmpty());
    EXPECT_THAT(read(*store, {.from = Version{99}, .direction = Direction::kBackward}),
                ElementsAre("newer", "new", "33", "23", "13", "3"));
    EXPECT_THAT(
        read(*store, {.from = Version{4}, .direction = Direction::kBackward, .events_max = 2}),
        ElementsAre("new", "33"));
    EXPECT_EQ(store->StreamVersion("desk-d").value(), Version{5});
    EXPECT_EQ(store->StreamVersion("desk-x").value(), kNoEventYet);
    EXPECT_THAT(*store->ListStreams({.category = "desk"}),
                ElementsAre(StreamInfo{"desk-d", Version{5}}));
  }
}

TEST_F(LogIndexTest, StreamsThatTheWriterHasForgottenAreAsTheyWere) {
  const std::uint64_t seed = testing::Seed();
  std::mt19937_64 random(seed);
  Open(nullptr, 6);
  std::map<std::string, std::int64_t> last;
  for (int i = 0; i < 300; ++i) {
    const std::string stream = fmt::format("room-{}", random() % 20);
    const auto known = last.find(stream);
    const std::int64_t actual = known == last.end() ? -1 : known->second;
    const std::int64_t expected = random() % 4 == 0 ? actual + 1 : actual;
    AppendRequest request = AppendOf(stream, std::vector<std::string>(1 + random() % 3, "x"),
                                     Exactly{Version{expected}});
    const auto events = std::ssize(request.streams[0].events);
    absl::StatusOr<Receipt> receipt = absl::UnknownError("not answered");
    store_->Append(std::move(request), [&](const auto& answer) { receipt = answer; });
    scheduler_.RunUntilIdle();
    if (expected != actual) {
      ASSERT_EQ(ReasonOf(receipt.status()), "VERSION_CONFLICT") << stream;
      ASSERT_EQ(MetadataOf(receipt.status(), "actual"), fmt::to_string(actual)) << stream;
      continue;
    }
    ASSERT_TRUE(receipt.ok()) << receipt.status();
    ASSERT_EQ(receipt->version.value, actual + events) << stream;
    last[stream] = actual + events;
  }
  for (const auto& [stream, version] : last)
    EXPECT_EQ(std::ssize(*store_->ReadStream(stream, {})), version + 1) << stream;
}

// Runs of versions and positions are cut by other streams, by batches of the file, and by where a
// read begins and ends.
TEST_F(LogIndexTest, AnyPartOfAnyStreamAndOfAnyFilterIsWhatWasAppended) {
  const std::uint64_t seed = testing::Seed();
  std::mt19937_64 random(seed);
  const std::vector<std::string> streams = {"room-a", "room-b", "desk-d"};
  std::vector<std::pair<std::string, std::string>> all;  // Stream and payload, in the log's order.
  const auto append_until = [&](std::size_t events) {
    while (all.size() < events) {
      const std::string& stream = streams[random() % streams.size()];
      std::vector<std::string> payloads;
      for (auto n = random() % 6; payloads.size() <= n;)
        payloads.push_back(fmt::to_string(all.size() + payloads.size()));
      Append(AppendOf(stream, payloads));
      for (const std::string& payload : payloads) all.emplace_back(stream, payload);
    }
  };
  append_until(3 * kBatch);
  auto reader = OpenSqliteEventStoreReadOnly(folder_.path());
  ASSERT_TRUE(reader.ok()) << reader.status();
  append_until(6 * kBatch);
  if (InIndex("SELECT position FROM progress") == std::ssize(all)) append_until(all.size() + 1);
  ASSERT_LT(InIndex("SELECT position FROM progress"), std::ssize(all)) << "some is in memory";
  const auto payloads_of = [](const auto& events) {
    std::vector<std::string> payloads;
    for (const RecordedEvent& event : events) payloads.push_back(event.payload);
    return payloads;
  };
  // Of what `wanted` says, from the index on, at most two.
  const auto expected = [&](const auto& wanted, std::int64_t from, Direction direction) {
    std::vector<std::string> payloads;
    const std::int64_t step = direction == Direction::kForward ? 1 : -1;
    for (std::int64_t i = from; i >= 0 && i < std::ssize(all) && payloads.size() < 2; i += step)
      if (wanted(all[static_cast<std::size_t>(i)].first))
        payloads.push_back(all[static_cast<std::size_t>(i)].second);
    return payloads;
  };
  for (EventStore* store : {store_.get(), reader->get()}) {
    for (const Direction direction : {Direction::kForward, Direction::kBackward}) {
      const bool forward = direction == Direction::kForward;
      std::map<std::string, std::int64_t> versions;
      for (std::int64_t i = 0; i < std::ssize(all); ++i) {
        const std::string& stream = all[static_cast<std::size_t>(i)].first;
        const auto read = store->ReadStream(
            stream, {.from = Version{versions[stream]++}, .direction = direction, .events_max = 2});
        ASSERT_TRUE(read.ok()) << read.status();
        const auto same = [&](const std::string& name) { return name == stream; };
        EXPECT_EQ(payloads_of(*read), expected(same, i, direction)) << stream << " " << i;
        const auto desks = store->ReadAll({.from = Position{forward ? i : i + 2},
                                           .direction = direction,
                                           .events_max = 2,
                                           .filter = {.categories = {"desk"}}});
        ASSERT_TRUE(desks.ok()) << desks.status();
        const auto desk = [](const std::string& name) { return name == "desk-d"; };
        EXPECT_EQ(payloads_of(desks->events), expected(desk, i, direction)) << i;
      }
    }
  }
}

TEST_F(LogIndexTest, WhatIsAppendedTogetherIsOneRow) {
  const std::vector<std::string> payloads(4 * kBatch, "x");
  Append(AppendOf("room-a", payloads));
  EXPECT_EQ(InIndex("SELECT count(*) FROM stream_runs"), 1);
  EXPECT_EQ(InIndex("SELECT count(*) FROM term_runs"), 2) << "category and type";
}

TEST_F(LogIndexTest, AFileOfTheFirstFormatIsFilledAnew) {
  Fill(40, "c");
  store_.reset();
  (*sql::Connection::Open(IndexPath(), {.role = sql::Role::kWriter}))
      ->database()
      .exec(
          "DROP TABLE term_runs; DROP TABLE stream_runs; PRAGMA user_version = 1;"
          "CREATE TABLE postings(term INTEGER NOT NULL, position INTEGER NOT NULL, "
          "PRIMARY KEY (term, position)) STRICT, WITHOUT ROWID;"
          "CREATE TABLE stream_events(stream INTEGER NOT NULL, version INTEGER NOT NULL, "
          "position INTEGER NOT NULL, PRIMARY KEY (stream, version)) STRICT, WITHOUT ROWID");
  const auto reader = OpenSqliteEventStoreReadOnly(folder_.path());
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_THAT(Desks(**reader), ElementsAre("3", "13", "23", "33")) << "from the log itself";
  Open();
  EXPECT_EQ(InIndex("SELECT position FROM progress"), 40);
  ExpectAllFound(*store_, 40, "c");
  EXPECT_EQ(store_->ReadStream("room-a", {})->size(), 36u);
  EXPECT_THAT(Desks(*store_), ElementsAre("3", "13", "23", "33"));
}

TEST_F(LogIndexTest, AConditionLooksIntoTheFileAndIntoMemory) {
  Fill(40, "c");
  const auto refused = [&](std::vector<QueryItem> items, std::int64_t after) {
    AppendRequest request = AppendOf("room-b", {"x"});
    request.condition = AppendCondition{std::move(items), Position{after}};
    absl::Status status;
    store_->Append(std::move(request), [&](const auto& receipt) { status = receipt.status(); });
    scheduler_.RunUntilIdle();
    return absl::IsAborted(status);
  };
  // n=3 last came with event 38 (i = 37 is n=2, i = 38 is n=3 at position 39).
  EXPECT_TRUE(refused({{.tags = {{"n", "3"}}}}, 0));
  EXPECT_TRUE(refused({{.tags = {{"n", "3"}}}}, 38));
  EXPECT_FALSE(refused({{.tags = {{"n", "3"}}}}, 39));
  EXPECT_FALSE(refused({{.types = {"Other"}, .tags = {{"n", "4"}}}}, 0));
}

// Two tags that many events have and none has both: each look-up leads to the next one only.
TEST_F(LogIndexTest, AConditionThatTakesTooLongSaysWhereToGoOnAndAReadComesInPieces) {
  constexpr int kEvents = 3 * static_cast<int>(kConditionLookupsMax);
  for (int i = 0; i < kEvents; i += 100) {
    AppendRequest request = AppendOf("room-a", std::vector<std::string>(100, "x"));
    for (std::size_t n = 0; n < 100; ++n)
      request.streams[0].events[n].tags = {{"parity", n % 2 == 0 ? "even" : "odd"}};
    store_->Append(std::move(request), [](const auto& receipt) { ASSERT_TRUE(receipt.ok()); });
    scheduler_.RunUntilIdle();
  }
  const std::vector<QueryItem> both = {{.tags = {{"parity", "even"}, {"parity", "odd"}}}};
  Position after;
  int refused = 0;
  for (bool stored = false; !stored;) {
    AppendRequest request = AppendOf("room-b", {"x"});
    request.condition = AppendCondition{both, after};
    absl::Status status;
    store_->Append(std::move(request), [&](const auto& receipt) { status = receipt.status(); });
    scheduler_.RunUntilIdle();
    stored = status.ok();
    if (stored) continue;
    ASSERT_EQ(ReasonOf(status), "LIMIT_EXCEEDED") << status;
    const std::int64_t next = std::stoll(MetadataOf(status, "after_position"));
    ASSERT_GE(next - after.value, kConditionLookupsMax / 2);
    after = Position{next};
    ++refused;
  }
  EXPECT_GE(refused, 2);
  for (const Direction direction : {Direction::kForward, Direction::kBackward}) {
    const bool forward = direction == Direction::kForward;
    Position from = forward ? kBeforeFirst : Position{kEvents + 2};
    const Position end = forward ? Position{kEvents + 1} : Position{1};
    while (from != end) {
      const auto read =
          store_->ReadAll({.from = from, .direction = direction, .filter = {.items = both}});
      ASSERT_TRUE(read.ok());
      EXPECT_TRUE(read->events.empty());
      ASSERT_EQ(forward, from < read->through);
      from = read->through;
    }
  }
}

}  // namespace
}  // namespace leftfold
