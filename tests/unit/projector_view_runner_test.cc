// One view, one file: order, duplicates, gaps, poison, chain, disk full, changes.
#include <gmock/gmock.h>
#include <sqlite3.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "core/reject.h"
#include "testing/environment.h"
#include "testing/fake_clock.h"
#include "testing/temporary_folder.h"
#include "tests/unit/projector_fixture.h"

namespace leftfold::projecting {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using Mode = ViewRunner::Mode;
using Progress = ViewRunner::Progress;

class ProjectorViewRunner : public ::testing::Test {
 protected:
  std::unique_ptr<ViewRunner> Open(EventStore& store, Mode mode = Mode::kServing) {
    auto runner = ViewRunner::Open(EntryOf<Names>(), store, path_, mode);
    EXPECT_TRUE(runner.ok()) << runner.status();
    return *std::move(runner);
  }
  absl::Status StatusOfOpen(EventStore& store) {
    return ViewRunner::Open(EntryOf<Names>(), store, path_, Mode::kServing).status();
  }
  // The events at these positions, as somebody delivers them.
  std::vector<RecordedEvent> At(const std::vector<int>& positions) {
    std::vector<RecordedEvent> events;
    for (const int position : positions) {
      events.push_back(store_.events[static_cast<std::size_t>(position) - 1]);
    }
    return events;
  }
  std::string Rows() { return RowsOf(path_); }

  const testing::TemporaryFolder folder_;
  const std::string path_ = folder_.path() + "/names/1-1.db";
  FakeStore store_;
  testing::FakeClock clock_;
};

// Names that takes a quarter of kBatchTimeMax for an event, and parks those named "poison".
struct SlowNames : Names {
  static constexpr std::string_view kName = "slow_names";
  static constexpr Poison kOnPoison = Poison::kParkStream;
  static inline testing::FakeClock clock;
  static void On(const rooms::v1::RoomCreated& event, const EventMeta& meta, WriteTx& tx) {
    clock.Advance(kBatchTimeMax / 4);
    Names::On(event, meta, tx);
  }
};

TEST_F(ProjectorViewRunner, CommitsWhatItHasFoldedWhenTheTimeOfABatchIsOver) {
  store_.AddNames({"a", "b", "c", "d", "poison", "e", "f", "g"});
  BatchReader reader(store_);
  auto runner = ViewRunner::Open(EntryOf<SlowNames>(), store_, path_, Mode::kServing);
  ASSERT_TRUE(runner.ok()) << runner.status();
  const int reads = store_.reads;
  const auto step = [&] {
    EXPECT_EQ((*runner)->Step(reader, SlowNames::clock), Progress::kFolded);
    return Rows();
  };
  EXPECT_EQ(step(), "4: a b c d");
  EXPECT_EQ(step(), "8: a b c d e f g") << "what is parked ends no batch before its time";
  EXPECT_EQ((*runner)->parked_events(), 1);
  EXPECT_EQ(store_.reads, reads + 1) << "what is left of the batch is read by nobody again";
  store_.AddNames({"h", "i", "j", "k"});
  EXPECT_EQ((*runner)->Step(), Progress::kFolded) << "a rebuild, which nobody waits for";
  EXPECT_EQ((*runner)->checkpoint(), Position{12});
}

TEST_F(ProjectorViewRunner, ABatchOfManyEventsThatAreParkedEndsInTimeToo) {
  constexpr int kPoison = 10;
  rooms::v1::RoomCreated poison;
  poison.set_name("poison");
  store_.AddNames({"a", "b"});
  for (int i = 0; i < kPoison; ++i) {
    store_.Add(fmt::format("room-poison{}", i), poison);
    if (i > kPoison / 2) store_.AddNames({fmt::format("c{}", i), fmt::format("d{}", i)});
  }
  BatchReader reader(store_);
  auto runner = ViewRunner::Open(EntryOf<SlowNames>(), store_, path_, Mode::kServing);
  ASSERT_TRUE(runner.ok()) << runner.status();
  while ((*runner)->checkpoint() < store_.GetHead().position) {
    const absl::Time begun = SlowNames::clock.Now();
    ASSERT_EQ((*runner)->Step(reader, SlowNames::clock), Progress::kFolded);
    EXPECT_LE(SlowNames::clock.Now() - begun, 2 * kBatchTimeMax)
        << "at position " << (*runner)->checkpoint().value;
  }
  EXPECT_EQ((*runner)->parked_events(), kPoison);
}

TEST_F(ProjectorViewRunner, FoldsInOrderAndRestsAtTheHead) {
  store_.AddNames({"a", "b", "c"});
  const auto runner = Open(store_);
  EXPECT_EQ(runner->Step(), Progress::kFolded);
  EXPECT_EQ(runner->Step(), Progress::kIdle);
  EXPECT_EQ(Rows(), "3: a b c");
  EXPECT_THAT(runner->TakeTouched(), UnorderedElementsAre("a", "b", "c"));
  EXPECT_THAT(runner->TakeTouched(), ElementsAre());
}

TEST_F(ProjectorViewRunner, IgnoresAndCountsDuplicates) {
  store_.AddNames({"a", "b"});
  const auto runner = Open(store_);
  EXPECT_EQ(runner->Offer(At({1, 1})), Progress::kFolded);
  EXPECT_EQ(runner->Offer(At({1, 2, 1})), Progress::kFolded);
  EXPECT_EQ(runner->Offer(At({2})), Progress::kIdle);
  EXPECT_EQ(runner->duplicates_ignored(), 4);
  EXPECT_EQ(Rows(), "2: a b");
}

TEST_F(ProjectorViewRunner, ClosesAGapFromTheStoreAndFoldsInOrder) {
  store_.AddNames({"a", "b", "c", "d", "e", "f", "g", "h"});
  const auto runner = Open(store_);
  EXPECT_EQ(runner->Offer(At({1, 2, 3, 4, 5})), Progress::kFolded);
  const int reads = store_.reads;
  EXPECT_EQ(runner->Offer(At({8})), Progress::kFolded);
  EXPECT_EQ(store_.reads, reads + 1) << "the gap was not read from the store";
  EXPECT_EQ(Rows(), "8: a b c d e f g h");
  EXPECT_EQ(runner->Offer(At({6, 7})), Progress::kIdle);
  EXPECT_EQ(runner->duplicates_ignored(), 2);
  EXPECT_EQ(Rows(), "8: a b c d e f g h");
}

TEST_F(ProjectorViewRunner, ReadsNothingWhereADeliveryOutOfOrderIsWhole) {
  store_.AddNames({"a", "b", "c", "d", "e", "f", "g", "h"});
  const auto runner = Open(store_);
  runner->Offer(At({1, 2, 3, 4}));
  const int reads = store_.reads;
  EXPECT_EQ(runner->Offer(At({5, 8, 6, 7})), Progress::kFolded);
  EXPECT_EQ(store_.reads, reads);
  EXPECT_EQ(Rows(), "8: a b c d e f g h");
}

TEST_F(ProjectorViewRunner, DropsWhatItCannotHoldBackAndReadsItLater) {
  for (std::size_t i = 0; i < kHeldBackMax + 20; ++i) store_.AddNames({fmt::format("n{}", i)});
  const auto runner = Open(store_);
  std::vector<RecordedEvent> late(store_.events.begin() + 5, store_.events.end());
  EXPECT_EQ(runner->Offer(late), Progress::kFolded);
  EXPECT_EQ(runner->checkpoint().value, static_cast<std::int64_t>(kHeldBackMax) + 5);
  EXPECT_EQ(runner->Step(), Progress::kFolded);
  EXPECT_EQ(runner->checkpoint(), store_.GetHead().position);
}

TEST_F(ProjectorViewRunner, StopsWhereTheStoreHasAHole) {
  store_.AddNames({"a", "b", "c", "d"});
  store_.Remove(Position{3});
  const auto runner = Open(store_);
  EXPECT_EQ(runner->Step(), Progress::kStopped);
  EXPECT_EQ(runner->stopped().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReasonOf(runner->stopped()), "DATA_LOSS");
  EXPECT_EQ(MetadataOf(runner->stopped(), "position"), "3");
  EXPECT_EQ(runner->stopped_at(), Position{3});
  EXPECT_EQ(Rows(), "2: a b");
  EXPECT_EQ(runner->Step(), Progress::kStopped);
  EXPECT_EQ(Rows(), "2: a b");
}

TEST_F(ProjectorViewRunner, StopsWhereAGapCannotBeClosed) {
  store_.AddNames({"a", "b", "c", "d"});
  const auto runner = Open(store_);
  const auto delivered = At({1, 4});
  store_.Remove(Position{3});
  EXPECT_EQ(runner->Offer(delivered), Progress::kStopped);
  EXPECT_EQ(runner->stopped().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(runner->stopped_at(), Position{3});
  EXPECT_EQ(Rows(), "2: a b");
}

TEST_F(ProjectorViewRunner, StopsWhereTheStoreEndsBeforeADeliveredEvent) {
  store_.AddNames({"a", "b", "c", "d"});
  const auto delivered = At({4});
  FakeStore shorter;
  shorter.AddNames({"a", "b"});
  const auto runner = Open(shorter);
  EXPECT_EQ(runner->Offer(delivered), Progress::kStopped);
  EXPECT_EQ(runner->stopped().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Rows(), "2: a b");
}

TEST_F(ProjectorViewRunner, AdvancesOverATypeThatTheViewDoesNotKnow) {
  store_.AddNames({"a"});
  store_.Add("other-x", "other.v1.Unknown", "what the view cannot read");
  store_.AddNames({"b"});
  store_.Add("other-x", "other.v1.Unknown", "");
  const auto runner = Open(store_);
  EXPECT_EQ(runner->Step(), Progress::kFolded);
  EXPECT_EQ(Rows(), "4: a b");
}

TEST_F(ProjectorViewRunner, KeepsAllBeforeAnEventWhoseSqlFailsAndNothingOfIt) {
  store_.AddNames({"a", "b", "poison", "d"});
  const auto runner = Open(store_);
  EXPECT_EQ(runner->Step(), Progress::kStopped);
  EXPECT_THAT(std::string(runner->stopped().message()), HasSubstr("stopped at position 3: "));
  EXPECT_THAT(std::string(runner->stopped().message()), HasSubstr("NOT NULL"));
  EXPECT_EQ(runner->stopped_at(), Position{3});
  EXPECT_EQ(Rows(), "2: a b");
  EXPECT_THAT(runner->TakeTouched(), UnorderedElementsAre("a", "b"));
  runner->Resume();  // Nothing that passes by itself.
  EXPECT_EQ(runner->Step(), Progress::kStopped);
}

TEST_F(ProjectorViewRunner, StopsAtAnEventThatDoesNotDecode) {
  store_.AddNames({"a"});
  store_.Add("room-x", rooms::v1::RoomCreated::descriptor()->full_name(), "\xff\xff\xff");
  const auto runner = Open(store_);
  EXPECT_EQ(runner->Step(), Progress::kStopped);
  EXPECT_EQ(runner->stopped().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(runner->stopped_at(), Position{2});
  EXPECT_EQ(Rows(), "1: a");
}

TEST_F(ProjectorViewRunner, RefusesSqlsOwnClock) {
  store_.AddNames({"a", "clock"});
  const auto runner = Open(store_);
  EXPECT_EQ(runner->Step(), Progress::kStopped);
  EXPECT_THAT(std::string(runner->stopped().message()), HasSubstr("refused in a fold"));
  EXPECT_EQ(Rows(), "1: a");
}

TEST_F(ProjectorViewRunner, StopsWhereTheChainDoesNotFit) {
  store_.AddNames({"a", "b", "c"});
  store_.events[1].stream = "room-x";
  const auto runner = Open(store_);
  EXPECT_EQ(runner->Step(), Progress::kStopped);
  EXPECT_EQ(ReasonOf(runner->stopped()), "DATA_LOSS");
  EXPECT_THAT(std::string(runner->stopped().message()), HasSubstr("chain"));
  EXPECT_EQ(MetadataOf(runner->stopped(), "position"), "2");
  EXPECT_EQ(Rows(), "1: a");
}

TEST_F(ProjectorViewRunner, StopsAtAnEventThatIsNotWhatWasRecorded) {
  store_.AddNames({"a", "b", "c"});
  for (const bool change_type : {false, true}) {
    const RecordedEvent recorded = store_.events[1];
    if (change_type) {
      store_.events[1].type += "X";
    } else {
      store_.events[1].payload.back() ^= 1;
    }
    BatchReader reader(store_);
    // Read alone, shared from its begin and from the event itself on, and delivered.
    for (int way = 0; way < 4; ++way) {
      SCOPED_TRACE(fmt::format("{} {}", change_type, way));
      std::filesystem::remove(path_);
      const auto runner = Open(store_);
      if (way == 2) runner->Step(Position{1});
      const Progress progress = way == 0   ? runner->Step()
                                : way == 3 ? runner->Offer(At({1, 2, 3}))
                                           : runner->Step(reader, clock_);
      EXPECT_EQ(progress, Progress::kStopped);
      EXPECT_EQ(ReasonOf(runner->stopped()), "DATA_LOSS");
      EXPECT_EQ(MetadataOf(runner->stopped(), "position"), "2");
      EXPECT_EQ(Rows(), "1: a");
    }
    store_.events[1] = recorded;
  }
}

TEST_F(ProjectorViewRunner, ReopenedContinuesAtItsCheckpoint) {
  store_.AddNames({"a", "b", "c"});
  EXPECT_EQ(Open(store_)->Step(Position{2}), Progress::kFolded);
  EXPECT_EQ(Rows(), "2: a b");
  store_.AddNames({"d"});
  const auto runner = Open(store_);
  EXPECT_EQ(runner->checkpoint(), Position{2});
  EXPECT_EQ(runner->Step(), Progress::kFolded);
  EXPECT_EQ(Rows(), "4: a b c d");
}

TEST_F(ProjectorViewRunner, IsNotOpenedWhereTheStoreIsAnotherOneOrHasLostItsEnd) {
  store_.AddNames({"a", "b", "c"});
  Open(store_)->Step();
  FakeStore shorter, other("other"), empty("other");
  shorter.AddNames({"a", "b"});
  other.AddNames({"a", "b", "c", "d"});
  for (FakeStore* store : {&shorter, &other, &empty}) {
    const absl::Status opened = StatusOfOpen(*store);
    EXPECT_EQ(ReasonOf(opened), "DATA_LOSS") << opened;
    EXPECT_THAT(std::string(opened.message()), HasSubstr("rebuild the view"));
    EXPECT_EQ(Rows(), "3: a b c");
  }
}

TEST_F(ProjectorViewRunner, AFileWithoutEventsKnowsItsStore) {
  { Open(store_); }
  FakeStore other("other");
  EXPECT_EQ(ReasonOf(StatusOfOpen(other)), "DATA_LOSS");
  EXPECT_TRUE(StatusOfOpen(store_).ok());
}

TEST_F(ProjectorViewRunner, ResumesWhenTheDiskHasSpaceAgain) {
  store_.AddNames({"a"});
  const auto runner = Open(store_);
  runner->Step();
  const std::int64_t pages = runner->connection().Value("PRAGMA page_count");
  EXPECT_EQ(runner->connection().Value(fmt::format("PRAGMA max_page_count={}", pages)), pages);
  for (int i = 0; i < 500; ++i) store_.AddNames({fmt::format("{}-{}", i, std::string(100, 'x'))});
  EXPECT_EQ(runner->Step(), Progress::kStopped);
  EXPECT_EQ(runner->stopped().code(), absl::StatusCode::kResourceExhausted) << runner->stopped();
  EXPECT_EQ(runner->stopped_at(), runner->checkpoint().Next());
  EXPECT_EQ(runner->Step(), Progress::kStopped);
  runner->connection().Value("PRAGMA max_page_count=1000000");
  runner->Resume();
  EXPECT_EQ(runner->Step(), Progress::kFolded);
  EXPECT_EQ(runner->checkpoint(), Position{501});
  EXPECT_EQ(runner->connection().Value("SELECT count(*) FROM name"), 501);
}

// As when copying the write-ahead log back fails: the commit is there, and its statement failed.
int FailAfterCommit(void*, sqlite3*, const char*, int) { return SQLITE_IOERR; }

TEST_F(ProjectorViewRunner, FoldsNothingTwiceAfterACommitThatFailedAndIsThere) {
  store_.AddNames({"a"});
  const auto runner = Open(store_);
  runner->Step();
  runner->TakeTouched();
  store_.AddNames({"b", "c"});
  sqlite3* const file = runner->connection().database().getHandle();
  sqlite3_wal_hook(file, FailAfterCommit, nullptr);
  EXPECT_EQ(runner->Step(), Progress::kStopped);
  EXPECT_EQ(Rows(), "3: a b c") << "the commit is there";
  EXPECT_EQ(runner->checkpoint(), Position{1});
  sqlite3_wal_hook(file, nullptr, nullptr);
  runner->TryAgain();
  EXPECT_TRUE(runner->stopped().ok()) << runner->stopped();
  EXPECT_EQ(runner->checkpoint(), Position{3});
  EXPECT_THAT(runner->TakeTouched(), UnorderedElementsAre("b", "c"));
  EXPECT_EQ(runner->Step(), Progress::kIdle);
  store_.AddNames({"d"});
  EXPECT_EQ(runner->Step(), Progress::kFolded) << runner->stopped();
  EXPECT_EQ(Rows(), "4: a b c d");
}

TEST_F(ProjectorViewRunner, SaysWhatToDoWhereItsFileIsDamaged) {
  store_.AddNames({"a"});
  std::int64_t page = 0, page_size = 0;
  {
    const auto runner = Open(store_);
    runner->Step();
    page = runner->connection().Value("SELECT rootpage FROM sqlite_schema WHERE name = 'name'");
    page_size = runner->connection().Value("PRAGMA page_size");
  }
  {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp((page - 1) * page_size);
    file << std::string(static_cast<std::size_t>(page_size), '\x55');
  }
  const auto runner = Open(store_);
  store_.AddNames({"b"});
  EXPECT_EQ(runner->Step(), Progress::kStopped);
  EXPECT_THAT(std::string(runner->stopped().message()),
              AllOf(HasSubstr("damaged"), HasSubstr("rebuild it: leftfold replay names")));
}

// Events that a view does not handle are passed by without a look where they come in a batch.
TEST_F(ProjectorViewRunner, EndsInABatchWhereItEndsEventByEvent) {
  const std::uint64_t seed = testing::Seed();
  std::mt19937_64 random(seed);
  for (int run = 0; run < 50; ++run) {
    FakeStore store(fmt::format("store{}", run));
    for (std::uint64_t left = 1 + random() % 20; left > 0; --left) {
      if (random() % 3 == 0) {
        store.AddNames({fmt::format("n{}", left)});
      } else {
        store.Add("other-a", fmt::format("test.Other{}", random() % 3), "x");
      }
    }
    const testing::TemporaryFolder folder;
    BatchReader reader(store);
    auto in_batches =
        ViewRunner::Open(EntryOf<Names>(), store, folder.path() + "/batches.db", Mode::kServing);
    auto one_by_one =
        ViewRunner::Open(EntryOf<Names>(), store, folder.path() + "/one.db", Mode::kServing);
    ASSERT_TRUE(in_batches.ok() && one_by_one.ok());
    (*in_batches)->Step(Position{static_cast<std::int64_t>(random() % 10)});
    while ((*in_batches)->Step(reader, clock_) == Progress::kFolded) {
    }
    while ((*one_by_one)->Step((*one_by_one)->checkpoint().Next()) == Progress::kFolded) {
    }
    EXPECT_EQ((*in_batches)->checkpoint(), store.GetHead().position) << "seed " << seed;
    EXPECT_EQ(RowsOf(folder.path() + "/batches.db"), RowsOf(folder.path() + "/one.db"));
    EXPECT_EQ((*in_batches)->Step(reader, clock_), Progress::kIdle);
    store.AddNames({"last"});
    EXPECT_EQ((*in_batches)->Step(reader, clock_), Progress::kFolded)
        << "from the chain's value where it ended; seed " << seed;
  }
}

TEST_F(ProjectorViewRunner, StepsNoFurtherThanItsLimit) {
  store_.AddNames({"a", "b", "c"});
  const auto runner = Open(store_, Mode::kBuilding);
  EXPECT_EQ(runner->Step(Position{2}), Progress::kFolded);
  EXPECT_EQ(runner->Step(Position{2}), Progress::kIdle);
  EXPECT_EQ(Rows(), "2: a b");
}

TEST_F(ProjectorViewRunner, SharesOneReadOfTheNewestBatch) {
  store_.AddNames({"a", "b"});
  BatchReader reader(store_);
  const auto one = Open(store_);
  auto other =
      ViewRunner::Open(EntryOf<Count>(), store_, folder_.path() + "/count.db", Mode::kServing);
  ASSERT_TRUE(other.ok());
  const int reads = store_.reads;
  EXPECT_EQ(one->Step(reader, clock_), Progress::kFolded);
  EXPECT_EQ((*other)->Step(reader, clock_), Progress::kFolded);
  EXPECT_EQ(store_.reads, reads + 1);
  EXPECT_EQ((*other)->checkpoint(), Position{2});
}

TEST_F(ProjectorViewRunner, FindsItsPlaceInASharedBatchThatHasAHole) {
  store_.AddNames({"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"});
  Open(store_)->Step(Position{9});
  for (std::int64_t lost = 2; lost <= 8; ++lost) store_.Remove(Position{lost});
  BatchReader reader(store_);
  ASSERT_TRUE(reader.After(kBeforeFirst, 100).ok());
  const auto runner = Open(store_);
  EXPECT_EQ(runner->Step(reader, clock_), Progress::kFolded) << runner->stopped();
  EXPECT_EQ(runner->checkpoint(), Position{10});
}

// Keys that ChangesAfter gives, "unknown" when it does not reach back.
std::string Changes(const std::string& path, Position after) {
  auto reader = sql::OpenViewReader(path);
  auto keys = sql::ChangesAfter(**reader, after, 1'000'000);
  if (!keys.ok()) return std::string(keys.status().message());
  if (!*keys) return "unknown";
  std::sort((*keys)->begin(), (*keys)->end());
  return fmt::format("{}", fmt::join(**keys, " "));
}

TEST_F(ProjectorViewRunner, RecordsEachTouchedKeyOnceABatchAtItsLastPosition) {
  store_.AddNames({"a", "b", "a"});
  const auto runner = Open(store_);
  runner->Step();
  EXPECT_EQ(runner->connection().Value("SELECT count(*) FROM leftfold_changes"), 2);
  EXPECT_EQ(Changes(path_, Position{2}), "a");
  EXPECT_EQ(Changes(path_, Position{1}), "a b");
}

TEST_F(ProjectorViewRunner, KnowsItsNewestChangesAlsoWhileItLagsFarBehind) {
  for (int i = 0; i < 3 * sql::kChangesKept; ++i) store_.AddNames({fmt::format("n{:05}", i)});
  const auto runner = Open(store_);
  runner->Step();
  const Position checkpoint = runner->checkpoint();
  ASSERT_LT(checkpoint.value, sql::kChangesKept);
  EXPECT_EQ(Changes(path_, Position{checkpoint.value - 2}),
            fmt::format("n{:05} n{:05}", checkpoint.value - 2, checkpoint.value - 1));
}

TEST_F(ProjectorViewRunner, ForgetsOldChangesAndSaysSo) {
  for (int i = 0; i < 2 * sql::kChangesKept; ++i) store_.AddNames({fmt::format("n{:05}", i)});
  const auto runner = Open(store_);
  while (runner->Step() == Progress::kFolded) {
  }
  EXPECT_LE(runner->connection().Value("SELECT count(*) FROM leftfold_changes"),
            sql::kChangesKept + 1'000);
  EXPECT_EQ(Changes(path_, Position{2}), "unknown");
}

TEST_F(ProjectorViewRunner, ABuiltFileRecordsOnlyTheChangesThatItsReadersMayAskFor) {
  const std::int64_t events = sql::kChangesKept + 5'000;
  for (int i = 0; i < events; ++i) store_.AddNames({fmt::format("n{:05}", i)});
  const auto runner = Open(store_, Mode::kBuilding);
  while (runner->Step(Position{events}) == Progress::kFolded) {
  }
  EXPECT_TRUE(runner->FinishBuilding().ok());
  EXPECT_EQ(runner->connection().Value("SELECT count(*) FROM leftfold_changes"), sql::kChangesKept);
  EXPECT_EQ(runner->connection().Value("SELECT min(position) FROM leftfold_changes"), 5'001);
  EXPECT_THAT(runner->TakeTouched(), ElementsAre());
}

TEST_F(ProjectorViewRunner, ABuiltFileIsWholeInOneFileWhenFinished) {
  store_.AddNames({"a", "b"});
  const auto runner = Open(store_, Mode::kBuilding);
  runner->Step(Position{2});
  ASSERT_TRUE(runner->FinishBuilding().ok());
  EXPECT_EQ(runner->connection().Value("PRAGMA synchronous"), 1);  // NORMAL
  // What a crash leaves when the write-ahead log is lost.
  const std::string copy = folder_.path() + "/copy.db";
  std::filesystem::copy_file(path_, copy);
  EXPECT_EQ(RowsOf(copy), "2: a b");
}

}  // namespace
}  // namespace leftfold::projecting
