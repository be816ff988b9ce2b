#include <SQLiteCpp/Database.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "core/reject.h"
#include "event_store/sqlite/sqlite_event_store.h"
#include "event_store/sqlite/sqlite_log.h"
#include "event_store/verify.h"
#include "testing/damage.h"
#include "testing/event_store_contract.h"
#include "testing/virtual_scheduler.h"

namespace leftfold {
namespace {

using testing::AppendOf;
using testing::Brief;
using testing::CommandOf;
using testing::Describe;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::SqliteStore;
using testing::StoreOnScheduler;

absl::Status Verify(EventStore& store) {
  return VerifyLog(store, [](auto, auto) {});
}

// Three events in one stream; positions 1 to 3.
class SqliteEventStore : public ::testing::Test {
 protected:
  SqliteEventStore() {
    EXPECT_TRUE(log_.Append(AppendOf("room-a", {"one", "two"})).ok());
    EXPECT_TRUE(log_.Append(CommandOf(AppendOf("room-a", {"three"}), "c1")).ok());
  }
  // Changes the file behind the store's back.
  void Damage(const std::string& sql) {
    SQLite::Database file(log_.folder() + "/events.db", SQLite::OPEN_READWRITE);
    EXPECT_GT(file.exec(sql), 0);
  }
  absl::StatusOr<std::unique_ptr<EventStore>> TryOpen() {
    return OpenSqliteEventStore(log_.folder(), {.writer = &log_.scheduler().Serial(),
                                                .completions = &log_.scheduler().Pool(),
                                                .clock = &log_.clock()});
  }

  StoreOnScheduler log_{SqliteStore()};
};

TEST_F(SqliteEventStore, AReaderBesideTheWriterIsWokenByItsCommits) {
  testing::VirtualScheduler scheduler(1);
  EXPECT_FALSE(OpenSqliteEventStoreReadOnly(log_.folder() + "/nowhere", &scheduler.Pool()).ok());
  auto reader = OpenSqliteEventStoreReadOnly(log_.folder(), &scheduler.Pool());
  ASSERT_TRUE(reader.ok()) << reader.status();
  std::vector<int> woken;
  const auto wait = [&](std::int64_t position, int number) {
    (*reader)->WaitPast(Position{position}, [&woken, number] { woken.push_back(number); });
  };
  wait(2, 1);
  wait(3, 2);
  wait(4, 3);
  scheduler.RunFor(kLogPollInterval);
  EXPECT_THAT(woken, ElementsAre(1)) << "the head is beyond it";
  ASSERT_TRUE(log_.Append(AppendOf("room-a", {"four"})).ok());
  scheduler.RunFor(kLogPollInterval);
  EXPECT_THAT(woken, ElementsAre(1, 2));
  EXPECT_EQ((*reader)->GetHead().position, Position{4});
  ASSERT_TRUE(log_.Append(AppendOf("room-a", {"five"})).ok());
  scheduler.RunUntilIdle();
  EXPECT_THAT(woken, ElementsAre(1, 2, 3)) << "and nobody looks any more";
}

// A store that takes no more than 2 MiB of write-ahead log, less than it copies back by itself.
class SmallWriteAheadLog : public ::testing::Test {
 protected:
  static constexpr std::int64_t kWalBytes = 2 << 20;
  static testing::StoreKind Kind() {
    return {"sqlite", [](const testing::StoreParts& parts) {
              auto opened =
                  OpenSqliteEventStore(parts.folder, {.writer = &parts.writer,
                                                      .completions = &parts.completions,
                                                      .clock = &parts.clock,
                                                      .wal = {.bytes_refused = kWalBytes}});
              if (!opened.ok()) Die(opened.status().ToString());
              return *std::move(opened);
            }};
  }
  absl::StatusOr<Receipt> AppendOneMiB() {
    return log_.Append(AppendOf("room-a", {std::string(kEventBytesMax, 'x')}));
  }
  // Of a transaction outside that does not end: what an append is told in the end.
  absl::Status AppendUntilRefused() {
    for (int i = 0; i < 100; ++i) {
      if (const auto receipt = AppendOneMiB(); !receipt.ok()) return receipt.status();
    }
    return absl::OkStatus();
  }
  std::int64_t WalBytes() { return log_.store().GetStatus().wal_bytes; }

  StoreOnScheduler log_{Kind()};
};

TEST_F(SmallWriteAheadLog, IsEmptiedInTimeWhileNobodyReads) {
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(AppendOneMiB().ok()) << i;
    EXPECT_LT(WalBytes(), kWalBytes + 2 * std::int64_t{kEventBytesMax});
  }
}

TEST_F(SmallWriteAheadLog, ThatAProcessOutsideHoldsIsBoundedByARefusalUntilItLetsGo) {
  ASSERT_TRUE(log_.Append(CommandOf(AppendOf("room-a", {"one"}), "c1")).ok());
  SQLite::Database outside(log_.folder() + "/events.db", SQLite::OPEN_READONLY);
  for (int round = 0; round < 2; ++round) {
    SCOPED_TRACE(round);
    outside.exec("BEGIN; SELECT count(*) FROM events");
    const absl::Status refused = AppendUntilRefused();
    EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
    EXPECT_EQ(ReasonOf(refused), "WAL_FULL");
    EXPECT_EQ(MetadataOf(refused, "maximum"), std::to_string(kWalBytes));
    EXPECT_TRUE(refused.GetPayload(ToAbsl(kRetryInfoUrl)).has_value());
    const std::int64_t bytes = WalBytes();
    EXPECT_GT(bytes, kWalBytes);
    EXPECT_LT(bytes, kWalBytes + 2 * std::int64_t{kEventBytesMax});
    const Position head = log_.store().GetHead().position;
    EXPECT_EQ(ReasonOf(AppendOneMiB().status()), "WAL_FULL");
    EXPECT_EQ(WalBytes(), bytes);
    const auto read = log_.store().ReadAll({.from = Position{head.value - 1}});
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->events.size(), 1u) << "reads go on";
    EXPECT_EQ(Describe(log_.Append(CommandOf(AppendOf("room-a", {"one"}), "c1"))),
              "version=0 position=1 aggregate=oak created=created-1 duplicate=true")
        << "what needs no room is answered";
    const auto together = log_.AppendTogether({CommandOf(AppendOf("room-a", {"one"}), "c1"),
                                               CommandOf(AppendOf("room-a", {"new"}), "c2"),
                                               CommandOf(AppendOf("room-a", {"new"}), "c2")});
    EXPECT_TRUE(together[0].ok()) << "also with others that are refused";
    EXPECT_EQ(ReasonOf(together[1].status()), "WAL_FULL");
    EXPECT_EQ(ReasonOf(together[2].status()), "WAL_FULL") << "the command before it is not stored";
    outside.exec("COMMIT");
    const auto receipt = AppendOneMiB();
    ASSERT_TRUE(receipt.ok()) << receipt.status();
    EXPECT_EQ(receipt->position, head.Next()) << "of what was refused nothing was stored";
    EXPECT_LT(WalBytes(), 2 * std::int64_t{kEventBytesMax});
  }
  EXPECT_EQ(Verify(log_.store()), absl::OkStatus());
}

// Its transaction sees all there is: all is copied back, and yet the file cannot be begun again.
TEST_F(SmallWriteAheadLog, ThatIsHeldAtItsEndIsBoundedToo) {
  SQLite::Database outside(log_.folder() + "/events.db", SQLite::OPEN_READONLY);
  while (WalBytes() <= kWalBytes) ASSERT_TRUE(AppendOneMiB().ok());
  outside.exec("BEGIN; SELECT count(*) FROM events");
  EXPECT_EQ(ReasonOf(AppendUntilRefused()), "WAL_FULL");
  outside.exec("COMMIT");
  EXPECT_TRUE(AppendOneMiB().ok());
}

TEST_F(SqliteEventStore, CopiesPagesBackOnceTheGroupWasAnswered) {
  const std::string file = log_.folder() + "/events.db";
  const std::int64_t begin = testing::SizeOf(file);
  constexpr std::int64_t kPage = 4'096;
  for (int i = 0; i < 20; ++i) {
    const std::int64_t before = testing::SizeOf(file);
    log_.store().Append(AppendOf("room-a", {std::string(kEventBytesMax, 'x')}),
                        [&](const absl::StatusOr<Receipt>& receipt) {
                          EXPECT_TRUE(receipt.ok()) << receipt.status();
                          EXPECT_EQ(testing::SizeOf(file), before);
                        });
    log_.scheduler().RunUntilIdle();
  }
  EXPECT_GT(testing::SizeOf(file), begin + 15 * std::int64_t{kEventBytesMax});
  EXPECT_LT(log_.store().GetStatus().wal_bytes,
            kLogCheckpointPages * kPage + 2 * std::int64_t{kEventBytesMax})
      << "from then on it begins again at its start";
}

TEST_F(SqliteEventStore, ReopeningKeepsHeadChainEventsAndCommands) {
  const Head head = log_.store().GetHead();
  const std::string id = log_.store().StoreId();
  const auto events = log_.All();
  log_.Reopen();
  EXPECT_EQ(log_.store().StoreId(), id);
  EXPECT_EQ(log_.store().GetHead().position, head.position);
  EXPECT_EQ(log_.store().GetHead().chain, head.chain);
  ASSERT_EQ(log_.All().size(), events.size());
  for (std::size_t i = 0; i < events.size(); ++i)
    EXPECT_EQ(Describe(log_.All()[i]), Describe(events[i]));
  EXPECT_EQ(Describe(log_.Append(CommandOf(AppendOf("room-a", {"three"}), "c1"))),
            "version=2 position=3 aggregate=oak created=created-1 duplicate=true");
}

TEST_F(SqliteEventStore, WritingGoesOnWhereItWasAfterReopening) {
  const absl::Time before = log_.clock().Now();
  log_.clock().Advance(-absl::Hours(1));
  log_.Reopen();
  EXPECT_TRUE(log_.Append(AppendOf("room-a", {"four"}, Exactly{Version{2}})).ok());
  const RecordedEvent last = log_.All().back();
  EXPECT_EQ(Brief({last}), std::vector<std::string>{"4:room-a@3=four"});
  EXPECT_EQ(last.category_previous, Position{3});
  EXPECT_EQ(last.recorded_at, before);
  EXPECT_TRUE(Verify(log_.store()).ok());
}

TEST_F(SqliteEventStore, AChangedPayloadIsDataLossWhenItsStreamIsReadAndWhenTheLogIsVerified) {
  Damage("UPDATE events SET payload = CAST('twO' AS BLOB) WHERE position = 2");
  const absl::Status read = log_.store().ReadStream("room-a", {}).status();
  EXPECT_EQ(read.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(MetadataOf(read, "position"), "2");
  const absl::Status verified = Verify(log_.store());
  EXPECT_EQ(verified.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(verified.message()), HasSubstr("position 2"));
}

TEST_F(SqliteEventStore, ADamagedPageIsNeverServedAndSaysWhatToDo) {
  for (int i = 0; i < 40; ++i) {
    const std::string n = std::to_string(i);
    ASSERT_TRUE(
        log_.Append(CommandOf(AppendOf("room-" + n, {std::string(1'000, 'x')}), "c-" + n)).ok());
  }
  const auto sound = Brief(log_.All());
  log_.Close();
  const std::string file = log_.folder() + "/events.db";
  const std::int64_t pages = testing::SizeOf(file) / 4'096;
  EXPECT_GT(pages, 20);
  int found = 0;
  for (std::int64_t page = 0; page < pages; ++page) {
    SCOPED_TRACE(page);
    testing::FlipBit(file, page * 4'096 + 90 * (page % 40) + 50, 2);
    for (const bool as_server : {true, false}) {
      const auto store = as_server ? TryOpen() : OpenSqliteEventStoreReadOnly(log_.folder());
      absl::Status status = store.status();
      if (store.ok()) {
        const auto all = (*store)->ReadAll({.from = kBeforeFirst, .events_max = 1'000});
        status = all.status();
        if (all.ok()) {
          EXPECT_EQ(Brief(all->events), sound);
        }
        for (int i = 0; i < 40 && status.ok(); ++i)
          status = (*store)->ReadStream("room-" + std::to_string(i), {}).status();
        for (int i = 0; i < 40 && status.ok(); ++i)
          status = (*store)->FindCommand("c-" + std::to_string(i)).status();
      }
      if (status.ok()) continue;
      ++found;
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
      EXPECT_EQ(ReasonOf(status), "DATA_LOSS");
      EXPECT_THAT(std::string(status.message()),
                  AllOf(HasSubstr("/events.db is damaged"),
                        HasSubstr("run `leftfold verify`, restore a backup")));
    }
    testing::FlipBit(file, page * 4'096 + 90 * (page % 40) + 50, 2);
  }
  EXPECT_GT(found, pages);
  log_.Reopen();
  EXPECT_EQ(Brief(log_.All()), sound);
}

TEST_F(SqliteEventStore, AWriterThatMeetsADamagedPageEndsTheProcess) {
  log_.Close();
  testing::DamageRootPage(log_.folder() + "/events.db", "sqlite_autoindex_streams_1");
  EXPECT_DEATH(
      {
        log_.Reopen();
        log_.Append(AppendOf("room-a", {"four"})).status().IgnoreError();
      },
      "page .* of .*/events.db is damaged: .*; run `leftfold verify`, restore a backup");
}

TEST_F(SqliteEventStore, EveryChangedColumnIsFoundByVerifyWithThePosition) {
  const std::vector<std::string> changes = {
      "event_id = zeroblob(16)",       "encoding = 1",        "metadata = CAST('m' AS BLOB)",
      "recorded_at = recorded_at + 1", "leaf = zeroblob(32)", "chain = zeroblob(32)",
      "category_previous = 0",         "version = 7",         "tags = x'010000006b0100000076'"};
  for (const std::string& change : changes) {
    StoreOnScheduler log(SqliteStore());
    ASSERT_TRUE(log.Append(AppendOf("room-a", {"one", "two", "three"})).ok());
    SQLite::Database file(log.folder() + "/events.db", SQLite::OPEN_READWRITE);
    ASSERT_EQ(file.exec("UPDATE events SET " + change + " WHERE position = 2"), 1);
    const absl::Status verified = Verify(log.store());
    EXPECT_EQ(verified.code(), absl::StatusCode::kDataLoss) << change;
    EXPECT_THAT(std::string(verified.message()), HasSubstr("position 2")) << change;
  }
}

TEST_F(SqliteEventStore, AChangedEventIsNotReadInItsStream) {
  const auto reader = OpenSqliteEventStoreReadOnly(log_.folder());
  ASSERT_TRUE(reader.ok()) << reader.status();
  Damage("UPDATE events SET payload = CAST('x' AS BLOB) WHERE position = 2");
  for (EventStore* store : {&log_.store(), reader->get()}) {
    const auto read = store->ReadStream("room-a", {});
    EXPECT_EQ(read.status().code(), absl::StatusCode::kDataLoss) << read.status();
    EXPECT_EQ(MetadataOf(read.status(), "position"), "2");
    EXPECT_TRUE(store->ReadStream("room-a", {.from = Version{2}}).ok());
  }
}

TEST_F(SqliteEventStore, AStreamIsReadUpToAnEventThatIsGone) {
  Damage("DELETE FROM events WHERE position = 2");
  const auto read = log_.store().ReadStream("room-a", {});
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->size(), 1U);
  EXPECT_EQ(read->front().version, Version{0});
}

TEST_F(SqliteEventStore, AnEventWhoseTypeHasNoNameIsNotRead) {
  const auto reader = OpenSqliteEventStoreReadOnly(log_.folder());
  ASSERT_TRUE(reader.ok()) << reader.status();
  Damage("DELETE FROM types");
  for (const Direction direction : {Direction::kForward, Direction::kBackward}) {
    const auto all = (*reader)->ReadAll(
        {.from = Position{direction == Direction::kForward ? 0 : 4}, .direction = direction});
    EXPECT_EQ(ReasonOf(all.status()), "DATA_LOSS") << all.status();
  }
  EXPECT_EQ(ReasonOf((*reader)->ReadStream("room-a", {}).status()), "DATA_LOSS");
}

TEST_F(SqliteEventStore, ADeletedEventInTheMiddleIsFoundByVerify) {
  Damage("DELETE FROM events WHERE position = 2");
  const absl::Status verified = Verify(log_.store());
  EXPECT_EQ(verified.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(verified.message()), HasSubstr("position 2"));
}

TEST_F(SqliteEventStore, ALastEventDeletedUnderAnOpenStoreIsFoundByVerify) {
  Damage("DELETE FROM events WHERE position = 3");
  const absl::Status verified = Verify(log_.store());
  EXPECT_EQ(verified.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(verified.message()), HasSubstr("position 3"));
}

TEST_F(SqliteEventStore, ALogWhoseLastEventsWereDeletedIsNotOpened) {
  log_.Close();
  Damage("DELETE FROM events WHERE position = 3");
  EXPECT_EQ(TryOpen().status().code(), absl::StatusCode::kDataLoss);
  Damage("DELETE FROM events");
  EXPECT_EQ(TryOpen().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(SqliteEventStore, AnEndThatDoesNotFitItsChainIsNotOpened) {
  log_.Close();
  Damage("UPDATE events SET chain = zeroblob(32) WHERE position = 3");
  const auto opened = TryOpen();
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(MetadataOf(opened.status(), "position"), "3");
}

TEST_F(SqliteEventStore, AFileOfANewerBinaryIsNotOpened) {
  log_.Close();
  {
    SQLite::Database file(log_.folder() + "/events.db", SQLite::OPEN_READWRITE);
    file.exec("PRAGMA user_version = 1000");
  }
  EXPECT_EQ(TryOpen().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(SqliteEventStore, AReadOnlyStoreSeesWhatTheWriterBesideItCommits) {
  auto reader = OpenSqliteEventStoreReadOnly(log_.folder());
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ((*reader)->GetHead().position, Position{3});
  ASSERT_TRUE(log_.Append(AppendOf("room-b", {"four"})).ok());
  EXPECT_EQ((*reader)->GetHead().position, Position{4});
  EXPECT_EQ((*reader)->GetHead().chain, log_.store().GetHead().chain);
  EXPECT_EQ((*reader)->StoreId(), log_.store().StoreId());
  EXPECT_THAT(Brief((*reader)->ReadAll({.from = Position{3}})->events),
              ElementsAre("4:room-b@0=four"));
  EXPECT_TRUE((*reader)->FindCommand("c1")->has_value());
  EXPECT_EQ((*reader)->StreamVersion("room-b").value(), Version{0});
  EXPECT_TRUE(Verify(**reader).ok());
}

TEST_F(SqliteEventStore, AReadOnlyStoreRefusesToAppend) {
  auto reader = OpenSqliteEventStoreReadOnly(log_.folder());
  ASSERT_TRUE(reader.ok());
  std::optional<absl::Status> answer;
  (*reader)->Append(AppendOf("room-a", {"x"}),
                    [&](const absl::StatusOr<Receipt>& receipt) { answer = receipt.status(); });
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(log_.store().GetHead().position, Position{3});
}

TEST_F(SqliteEventStore, AReadOnlyStoreOverNoLogIsNotFound) {
  const testing::TemporaryFolder empty;
  EXPECT_EQ(OpenSqliteEventStoreReadOnly(empty.path()).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(SqliteEventStore, ATypeUsedBeforeAndAfterReopeningIsStoredOnce) {
  log_.Reopen();
  ASSERT_TRUE(log_.Append(AppendOf("room-a", {"four"})).ok());
  SQLite::Database file(log_.folder() + "/events.db", SQLite::OPEN_READONLY);
  EXPECT_EQ(file.execAndGet("SELECT count(*) FROM types").getInt(), 1);
  EXPECT_EQ(file.execAndGet("SELECT count(*) FROM streams").getInt(), 1);
}

}  // namespace
}  // namespace leftfold
