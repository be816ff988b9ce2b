#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/reject.h"
#include "projector/view_runner.h"
#include "sql/compare.h"
#include "testing/counter_domain.h"
#include "testing/environment.h"
#include "testing/event_store_contract.h"
#include "testing/forwarding_store.h"

namespace leftfold {
namespace {

using testing::AppendOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::PoisonOf;
using testing::RenameOf;
using testing::StoreOnScheduler;
using Progress = ViewRunner::Progress;
using Events = std::vector<RecordedEvent>;

// Reads of another store, changed on their way.
class ChangedReads final : public testing::ForwardingStore {
 public:
  ChangedReads(EventStore& store, std::function<void(Events&)> change)
      : ForwardingStore(store), change_(std::move(change)) {}
  absl::StatusOr<ReadAllResult> ReadAll(const ReadAllOptions& options) override {
    auto read = store_.ReadAll(options);
    if (read.ok()) change_(read->events);
    return read;
  }

 private:
  const std::function<void(Events&)> change_;
};

class ProjectorOrder : public ::testing::Test {
 protected:
  ProjectorOrder() {
    registry_.Add<testing::Counts>();
    registry_.Add<testing::Totals>();
  }
  void Write(AppendRequest request) { ASSERT_TRUE(log_.Append(std::move(request)).ok()); }
  // Renames of two counters in turn: "e1", "e2", …
  void WriteRenames(int count) {
    for (int i = 1; i <= count; ++i) Write(RenameOf(i % 2 == 0 ? "a" : "b", fmt::format("e{}", i)));
  }
  std::unique_ptr<ViewRunner> Runner(EventStore& store, std::string_view view = "counts") {
    auto runner = ViewRunner::Open(*registry_.FindView(view), store,
                                   fmt::format("{}/{}.db", folder_.path(), ++files_),
                                   ViewRunner::Mode::kBuilding);
    if (!runner.ok()) Die(runner.status().ToString());
    return *std::move(runner);
  }
  std::unique_ptr<ViewRunner> Runner() { return Runner(log_.store()); }
  // One that has folded the log in order.
  std::unique_ptr<ViewRunner> InOrder() {
    auto runner = Runner();
    while (runner->Step() == Progress::kFolded) {
    }
    return runner;
  }
  // "id: trail" of each row.
  static std::vector<std::string> Rows(ViewRunner& runner) {
    std::vector<std::string> rows;
    leftfold::Rows found(runner.connection().Prepare("SELECT id, trail FROM counter ORDER BY id"));
    while (found.Next()) rows.push_back(found.Text(0) + ": " + found.Text(1));
    return rows;
  }
  static std::string Difference(ViewRunner& a, ViewRunner& b) {
    const auto difference = sql::FirstDifference(a.connection(), b.connection());
    return difference.ok() ? *difference : difference.status().ToString();
  }
  // The view stopped there with DATA_LOSS, having folded all before.
  static void ExpectStopped(const ViewRunner& runner, std::int64_t position) {
    EXPECT_EQ(runner.stopped().code(), absl::StatusCode::kDataLoss) << runner.stopped();
    EXPECT_THAT(std::string(runner.stopped().message()),
                HasSubstr(fmt::format("stopped at position {}:", position)));
    EXPECT_EQ(runner.checkpoint(), Position{position - 1});
  }

  StoreOnScheduler log_{testing::MemoryStore()};
  testing::TemporaryFolder folder_;
  Registry registry_;
  int files_ = 0;
};

TEST_F(ProjectorOrder, EveryPermutationWithDuplicatesInAnyBatchesEndsInTheSameRows) {
  const std::uint64_t seed = testing::SeedOr(20'260'102);
  SCOPED_TRACE(fmt::format("LEFTFOLD_SEED={}", seed));
  std::mt19937_64 random(seed);
  WriteRenames(6);
  const auto expected = InOrder();
  EXPECT_THAT(Rows(*expected), ElementsAre("a: e2,e4,e6", "b: e1,e3,e5"));
  const Events events = log_.All();
  std::vector<std::size_t> order = {0, 1, 2, 3, 4, 5};
  int permutations = 0;
  do {
    // Where a gap is, the store shows no more than what was delivered: nothing is folded early.
    std::vector<std::size_t> delivered = order;
    for (std::uint64_t n = random() % 4; n > 0; --n) {
      delivered.insert(delivered.begin() + static_cast<std::ptrdiff_t>(random() % 6), random() % 6);
    }
    const auto runner = Runner();
    for (auto it = delivered.begin(); it != delivered.end();) {
      Events batch;
      for (std::uint64_t n = 1 + random() % 4; n > 0 && it != delivered.end(); --n)
        batch.push_back(events[*it++]);
      ASSERT_NE(runner->Offer(std::move(batch)), Progress::kStopped) << runner->stopped();
    }
    ASSERT_EQ(runner->checkpoint(), Position{6});
    ASSERT_EQ(Difference(*expected, *runner), "");
    ++permutations;
  } while (std::next_permutation(order.begin(), order.end()));
  EXPECT_EQ(permutations, 720);
}

TEST_F(ProjectorOrder, EventsAfterAGapAreHeldBackAndTheGapIsReadFromTheStore) {
  WriteRenames(8);
  const Events events = log_.All();
  const auto runner = Runner();
  runner->Offer({events.begin(), events.begin() + 4});
  EXPECT_EQ(runner->checkpoint(), Position{4});
  // 5, 8, 6, 7: at 8 the store closes the gap, so that 6 and 7 are duplicates.
  runner->Offer({events[4]});
  EXPECT_EQ(runner->checkpoint(), Position{5});
  EXPECT_EQ(runner->Offer({events[7]}), Progress::kFolded);
  EXPECT_EQ(runner->checkpoint(), Position{8});
  EXPECT_EQ(runner->Offer({events[5], events[6]}), Progress::kIdle);
  EXPECT_EQ(runner->duplicates_ignored(), 2);
  EXPECT_EQ(Difference(*InOrder(), *runner), "");
}

TEST_F(ProjectorOrder, AGapInsideOneDeliveryNeedsNoRead) {
  WriteRenames(8);
  const Events events = log_.All();
  ChangedReads unreadable(log_.store(), [](Events& read) { read.clear(); });
  const auto runner = Runner(unreadable);
  EXPECT_EQ(runner->Offer(events), Progress::kFolded);
  const auto other = Runner(unreadable);
  EXPECT_EQ(other->Offer({events[4], events[7], events[5], events[6], events[1], events[0],
                          events[3], events[2]}),
            Progress::kFolded);
  EXPECT_EQ(other->checkpoint(), Position{8});
}

TEST_F(ProjectorOrder, AnEventDeliveredTwiceIsFoldedOnce) {
  WriteRenames(2);
  const auto runner = InOrder();
  EXPECT_EQ(runner->Offer(log_.All()), Progress::kIdle);
  EXPECT_EQ(runner->duplicates_ignored(), 2);
  EXPECT_THAT(Rows(*runner), ElementsAre("a: e2", "b: e1"));
}

TEST_F(ProjectorOrder, AnEventTypeThatTheViewDoesNotKnowAdvancesTheCheckpoint) {
  Write(RenameOf("a", "x"));
  Write(AppendOf("counter-a", {"whatever"}));
  Write(AppendOf("desk-a", {"whatever"}));
  const auto runner = InOrder();
  EXPECT_TRUE(runner->stopped().ok());
  EXPECT_EQ(runner->checkpoint(), Position{3});
  EXPECT_THAT(Rows(*runner), ElementsAre("a: x"));
}

TEST_F(ProjectorOrder, APoisonEventStopsItsViewAfterTheRowsBeforeIt) {
  WriteRenames(2);
  Write(PoisonOf("a"));
  Write(RenameOf("a", "after"));
  const auto runner = InOrder();
  ExpectStopped(*runner, 3);
  EXPECT_THAT(Rows(*runner), ElementsAre("a: e2", "b: e1"));
  EXPECT_EQ(runner->Step(), Progress::kStopped);
  EXPECT_EQ(runner->Offer(log_.All()), Progress::kStopped);
  EXPECT_EQ(runner->checkpoint(), Position{2});
}

TEST_F(ProjectorOrder, APoisonEventAmongOfferedOnesStopsTheViewToo) {
  WriteRenames(2);
  Write(PoisonOf("a"));
  const auto runner = Runner();
  EXPECT_EQ(runner->Offer(log_.All()), Progress::kStopped);
  ExpectStopped(*runner, 3);
  EXPECT_THAT(Rows(*runner), ElementsAre("a: e2", "b: e1"));
}

TEST_F(ProjectorOrder, AHoleInTheStoreStopsTheView) {
  WriteRenames(5);
  ChangedReads holed(log_.store(), [](Events& events) {
    std::erase_if(events, [](const RecordedEvent& e) { return e.position == Position{3}; });
  });
  const auto runner = Runner(holed);
  while (runner->Step() == Progress::kFolded) {
  }
  ExpectStopped(*runner, 3);
  EXPECT_THAT(Rows(*runner), ElementsAre("a: e2", "b: e1"));
}

TEST_F(ProjectorOrder, EventsMissingAtTheHeadStopTheView) {
  WriteRenames(5);
  ChangedReads cut(log_.store(), [](Events& events) {
    std::erase_if(events, [](const RecordedEvent& e) { return e.position > Position{3}; });
  });
  const auto runner = Runner(cut);
  while (runner->Step() == Progress::kFolded) {
  }
  ExpectStopped(*runner, 4);
}

TEST_F(ProjectorOrder, ABrokenChainStopsTheView) {
  WriteRenames(5);
  ChangedReads changed(log_.store(), [](Events& events) {
    for (RecordedEvent& event : events) {
      if (event.position == Position{4}) event.chain[0] ^= 1;
    }
  });
  const auto runner = Runner(changed);
  while (runner->Step() == Progress::kFolded) {
  }
  ExpectStopped(*runner, 4);
}

TEST_F(ProjectorOrder, AFileWhoseCheckpointIsOnAnotherChainIsNotOpened) {
  WriteRenames(3);
  const auto runner = InOrder();
  ChangedReads changed(log_.store(), [](Events& events) {
    for (RecordedEvent& event : events) event.chain[0] ^= 1;
  });
  const auto opened = ViewRunner::Open(*registry_.FindView("counts"), changed, runner->path(),
                                       ViewRunner::Mode::kServing);
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace leftfold
