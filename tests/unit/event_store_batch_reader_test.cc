// Batches that readers of the log share.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "event_store/ahead_reader.h"
#include "event_store/batch_reader.h"
#include "tests/unit/projector_fixture.h"

namespace leftfold::projecting {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

constexpr std::size_t kBatch = 10;  // Events.

class BatchReaderTest : public ::testing::Test {
 protected:
  void AddBatches(std::size_t count, std::size_t payload_bytes = 1) {
    for (std::size_t i = 0; i < count * kBatch; ++i)
      store_.Add("room-a", "Noted", std::string(payload_bytes, 'x'));
  }
  static std::size_t LinkedIn(const BatchReader::Batch& batch) {
    std::vector<std::uint8_t> wanted;
    return batch.RunFor([](std::string_view) { return true; }, wanted).linked;
  }
  // Where it is after the batch that follows the position.
  Position Take(Position position) {
    const auto batch = reader_.After(position, kBatch);
    EXPECT_TRUE(batch.ok()) << batch.status();
    EXPECT_EQ(batch->events().front().position, position.Next());
    return batch->events().back().position;
  }
  // The same; how often that has read the store.
  int ReadsOf(Position position) {
    const int before = store_.reads;
    Take(position);
    return store_.reads - before;
  }

  FakeStore store_;
  const std::shared_ptr<SharedBatches> shared_ = std::make_shared<SharedBatches>();
  BatchReader reader_{store_, shared_, kBatch};
};

TEST_F(BatchReaderTest, IsReadOnceByThoseWhoAreAFewBatchesApart) {
  AddBatches(3 * kBatchesKept);
  constexpr std::int64_t kApart = (kBatchesKept / 2 - 1) * kBatch;
  Position first, second;
  while (first < store_.GetHead().position) {
    first = Take(first);
    if (first.value > kApart) second = Take(second);
  }
  EXPECT_EQ(store_.reads, 3 * static_cast<int>(kBatchesKept));
  EXPECT_GT(second, kBeforeFirst);
}

TEST_F(BatchReaderTest, KeepsTheBatchesThatWereTakenLast) {
  AddBatches(kBatchesKept + 2);
  Position end;
  for (std::size_t i = 0; i < kBatchesKept; ++i) end = Take(end);
  EXPECT_EQ(ReadsOf(kBeforeFirst), 0);
  end = Take(end);  // For it the second one goes: the first has just been taken.
  EXPECT_EQ(ReadsOf(kBeforeFirst), 0);
  EXPECT_EQ(ReadsOf(Position{kBatch}), 1);
}

TEST_F(BatchReaderTest, KeepsNoMoreBytesThanItsLimit) {
  AddBatches(4, kKeptBytesMax / kBatch / 2 - 100);
  const Position second = Take(kBeforeFirst);
  const Position third = Take(second);
  EXPECT_EQ(ReadsOf(kBeforeFirst), 0) << "two fit";
  Take(third);
  EXPECT_EQ(ReadsOf(kBeforeFirst), 0) << "taken last before the third";
  EXPECT_EQ(ReadsOf(second), 1);
}

TEST_F(BatchReaderTest, KeepsOneBatchHoweverLargeItIs) {
  AddBatches(1, kKeptBytesMax + 1);
  Take(kBeforeFirst);
  EXPECT_EQ(ReadsOf(kBeforeFirst), 0);
}

TEST_F(BatchReaderTest, KeepsAFewEventsThatAreLarge) {
  for (int i = 0; i < 3; ++i)
    store_.Add("room-a", "Noted", std::string(kSharedBatchBytes / 2 + 1, 'x'));
  EXPECT_EQ(Take(kBeforeFirst), Position{1}) << "the second has no room";
  EXPECT_EQ(ReadsOf(kBeforeFirst), 0);
}

TEST_F(BatchReaderTest, WhatIsDamagedBehindWhatIsAskedForHarmsNobody) {
  AddBatches(1);
  store_.damaged = Position{5};
  const auto batch = reader_.After(kBeforeFirst, 4);
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ(batch->events().back().position, Position{4});
  EXPECT_EQ(LinkedIn(*batch), 4U);
  EXPECT_TRUE(absl::IsDataLoss(reader_.After(Position{4}, 1).status()));
}

TEST_F(BatchReaderTest, ReadersShareLargeBatchesAndEachHasItsOwnAtTheHead) {
  AddBatches(1);
  store_.Add("room-a", "Noted", "");
  const Position end = Take(kBeforeFirst);
  Take(end);
  BatchReader other(store_, shared_, kBatch);
  const int reads = store_.reads;
  EXPECT_EQ(other.After(kBeforeFirst, kBatch)->events().size(), kBatch);
  EXPECT_EQ(store_.reads, reads);
  store_.Add("room-a", "Noted", "");
  EXPECT_EQ(other.After(end, kBatch)->events().size(), 2U) << "all that is there by now";
  EXPECT_EQ(store_.reads, reads + 1);
  EXPECT_EQ(ReadsOf(end), 0);
}

TEST_F(BatchReaderTest, GivesWhatGoesFurthest) {
  AddBatches(3);
  const Position further = Take(Position{5});
  Take(kBeforeFirst);
  EXPECT_EQ(Take(Position{7}), further);
}

TEST_F(BatchReaderTest, TakesFromTheMiddleOfABatch) {
  AddBatches(1);
  Take(kBeforeFirst);
  EXPECT_EQ(ReadsOf(Position{1}), 0);
}

TEST_F(BatchReaderTest, SaysWhichEventsAreOfAWantedType) {
  for (const char* type : {"A", "B", "B", "A", "C", "B"}) store_.Add("room-a", type, "x");
  std::vector<std::uint8_t> wanted;
  std::vector<std::string> asked;
  const auto wants = [&](std::string_view type) {
    asked.emplace_back(type);
    return type == "B";
  };
  const auto batch = reader_.After(Position{1}, 4);
  const EventRun run = batch->RunFor(wants, wanted);
  EXPECT_THAT(asked, UnorderedElementsAre("A", "B", "C")) << "each once";
  ASSERT_EQ(run.events.size(), 4U);
  EXPECT_THAT(run.wanted, ElementsAre(1, 1, 0, 0));
  EXPECT_FALSE(run.IsUnwanted(1));
  EXPECT_TRUE(run.IsUnwanted(2));
  const EventRun rest = run.From(2);
  EXPECT_FALSE(rest.IsUnwanted(0)) << "what it follows is to be checked";
  EXPECT_TRUE(rest.IsUnwanted(1));
  EXPECT_EQ(rest.linked, 2U);
  EXPECT_EQ(run.First(3).events.back().position, Position{4});
  EXPECT_TRUE(run.First(3).IsUnwanted(2));
  EXPECT_FALSE((EventRun{run.events, 4, {}}.IsUnwanted(2))) << "nothing is known of its types";
  EXPECT_FALSE((EventRun{run.events, 2, run.wanted}.IsUnwanted(2))) << "it may not follow";
}

TEST_F(BatchReaderTest, WhatTheStoreHasLinkedIsNotCheckedAgain) {
  AddBatches(1);
  store_.events[3].leaf[0] ^= 1;
  EXPECT_EQ(LinkedIn(*BatchReader(store_).After(kBeforeFirst, kBatch)), 3U);
  store_.linked = true;
  EXPECT_EQ(LinkedIn(*BatchReader(store_).After(kBeforeFirst, kBatch)), kBatch);
}

TEST_F(BatchReaderTest, GivesNoMoreThanItIsAskedFor) {
  AddBatches(1);
  const auto batch = reader_.After(kBeforeFirst, 1);
  EXPECT_EQ(batch->events().size(), 1U);
  EXPECT_EQ(LinkedIn(*batch), 1U);
  EXPECT_EQ(LinkedIn(*reader_.After(kBeforeFirst, kBatch)), kBatch);
  EXPECT_EQ(store_.reads, 1);
}

TEST_F(BatchReaderTest, FindsABatchWhileAnotherOneIsRead) {
  AddBatches(1);
  Take(kBeforeFirst);
  AddBatches(1);
  Position found;
  store_.on_read = [&] { found = Take(kBeforeFirst); };
  Take(Position{kBatch});
  EXPECT_EQ(found, Position{kBatch});
}

class AheadReaderTest : public BatchReaderTest {
 protected:
  AheadReader NewAhead() {
    return {std::make_shared<BatchReader>(store_, shared_, kBatch), executor_};
  }
  static Position Take(AheadReader& ahead, Position position) {
    const auto batch = ahead.After(position, kBatch);
    EXPECT_TRUE(batch.ok()) << batch.status();
    return batch->events().back().position;
  }
  ManualExecutor executor_;
};

TEST_F(AheadReaderTest, ATaskReadsTheNextBatchMeanwhile) {
  AddBatches(3);
  AheadReader ahead = NewAhead();
  Position end = Take(ahead, kBeforeFirst);
  EXPECT_EQ(store_.reads, 1);
  executor_.Advance(absl::ZeroDuration());
  EXPECT_EQ(store_.reads, 2);
  end = Take(ahead, end);
  EXPECT_EQ(store_.reads, 2);
  executor_.Advance(absl::ZeroDuration());
  EXPECT_EQ(Take(ahead, end), Position{3 * kBatch});
  EXPECT_EQ(store_.reads, 3);
  EXPECT_EQ(executor_.size(), 0U) << "nothing follows";
}

TEST_F(AheadReaderTest, WithoutAFreeThreadItReadsForItselfAndLeavesOneTaskBehind) {
  AddBatches(4);
  AheadReader ahead = NewAhead();
  Position end;
  for (int i = 0; i < 3; ++i) end = Take(ahead, end);
  EXPECT_EQ(store_.reads, 3);
  EXPECT_EQ(executor_.size(), 1U);
  executor_.Advance(absl::ZeroDuration());
  EXPECT_EQ(store_.reads, 3) << "it has been read";
}

TEST_F(AheadReaderTest, ATaskDoesNotWaitForWhoReads) {
  AddBatches(3);
  AheadReader ahead = NewAhead();
  const Position end = Take(ahead, kBeforeFirst);
  store_.on_read = [&] { executor_.Advance(absl::ZeroDuration()); };
  BatchReader(store_, shared_, kBatch).After(Position{2 * kBatch}, 1).IgnoreError();
  EXPECT_EQ(store_.reads, 2);
  EXPECT_EQ(Take(ahead, end), Position{2 * kBatch});
}

TEST_F(AheadReaderTest, WhoAsksIsToldWhatATaskCouldNotRead) {
  AddBatches(3);
  AheadReader ahead = NewAhead();
  const Position end = Take(ahead, kBeforeFirst);
  store_.failure = absl::UnavailableError("away");
  executor_.Advance(absl::ZeroDuration());
  EXPECT_EQ(ahead.After(end, kBatch).status(), store_.failure);
  store_.failure = absl::OkStatus();
  EXPECT_EQ(Take(ahead, end), Position{2 * kBatch});
}

}  // namespace
}  // namespace leftfold::projecting
