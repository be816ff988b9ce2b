// The views of rooms: any permutation with duplicates of a room's events, delivered in any batches,
// ends in the same rows as in order.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "sql/compare.h"
#include "testing/environment.h"
#include "testing/temporary_folder.h"
#include "tests/unit/projector_fixture.h"

namespace leftfold::projecting {
namespace {

class ProjectorRoomsOrder : public ::testing::Test {
 protected:
  ProjectorRoomsOrder() { RegisterAllDomains(registry_); }

  // The life of one room, of which every view shows something.
  void AddLife(int events) {
    rooms::v1::RoomCreated created;
    created.set_name("Oak");
    created.set_description("By the river");
    rooms::v1::RoomRenamed renamed;
    renamed.set_name("Elm");
    rooms::v1::EntityInvited invited;
    rooms::v1::Invitee& invitee = *invited.add_invitees();
    invitee.set_type("user");
    invitee.set_id("ann");
    rooms::v1::SessionScheduled scheduled;
    scheduled.set_schedule_id("s1");
    scheduled.set_cron("0 9 * * *");
    scheduled.set_duration_minutes(30);
    rooms::v1::RoomRenamed again;
    again.set_name("Ash");
    store_.Add("room-oak", created);
    store_.Add("room-oak", renamed);
    store_.Add("room-oak", invited);
    store_.Add("room-oak", scheduled);
    store_.Add("room-oak", "leftfold.rooms.v9.Unheard", "not for these views");
    store_.Add("room-oak", again);
    if (events > 6) store_.Add("room-oak", rooms::v1::RoomDeleted());
    if (events > 7) store_.Add("room-oak", rooms::v1::RoomRestored());
  }

  std::unique_ptr<ViewRunner> Open(const ViewEntry& view, const std::string& file) {
    auto runner =
        ViewRunner::Open(view, store_, folder_.path() + "/" + file, ViewRunner::Mode::kServing);
    EXPECT_TRUE(runner.ok()) << runner.status();
    return *std::move(runner);
  }

  // Delivers the events in this order, in random batches, some of them again, with restarts.
  void Deliver(const ViewEntry& view, const std::vector<std::size_t>& order,
               std::mt19937_64& random) {
    const std::string file = fmt::format("{}.db", ++files_);
    auto runner = Open(view, file);
    std::vector<RecordedEvent> batch;
    for (std::size_t i = 0; i < order.size(); ++i) {
      batch.push_back(store_.events[order[i]]);
      while (random() % 3 == 0) batch.push_back(store_.events[order[random() % (i + 1)]]);
      if (random() % 3 != 0 && i + 1 != order.size()) continue;
      runner->Offer(std::exchange(batch, {}));
      ASSERT_TRUE(runner->stopped().ok()) << runner->stopped();
      if (random() % 8 == 0) {
        runner.reset();
        runner = Open(view, file);
      }
    }
    ASSERT_EQ(runner->checkpoint(), store_.GetHead().position);
    ASSERT_EQ(DifferenceFromInOrder(view, *runner), "")
        << view.name << " after " << fmt::format("{}", fmt::join(order, " "));
    runner.reset();
    std::filesystem::remove(folder_.path() + "/" + file);
  }

  std::string DifferenceFromInOrder(const ViewEntry& view, ViewRunner& runner) {
    auto& in_order = in_order_[view.name];
    if (in_order == nullptr) {
      in_order = Open(view, fmt::format("{}.db", ++files_));
      EXPECT_EQ(in_order->Step(), ViewRunner::Progress::kFolded) << in_order->stopped();
    }
    const auto difference = sql::FirstDifference(in_order->connection(), runner.connection());
    return difference.ok() ? *difference : difference.status().ToString();
  }

  std::vector<std::size_t> Sorted() {
    std::vector<std::size_t> order(store_.events.size());
    std::iota(order.begin(), order.end(), 0);
    return order;
  }

  const testing::TemporaryFolder folder_;
  Registry registry_;
  FakeStore store_;
  std::map<std::string_view, std::unique_ptr<ViewRunner>> in_order_;
  int files_ = 0;
};

TEST_F(ProjectorRoomsOrder, EveryPermutationOfSixEventsEndsInTheSameRows) {
  const std::uint64_t seed = testing::Seed();
  SCOPED_TRACE("LEFTFOLD_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  AddLife(6);
  const ViewEntry& view = *registry_.FindView("room_directory");
  std::vector<std::size_t> order = Sorted();
  int permutations = 0;
  do {
    Deliver(view, order, random);
    ++permutations;
  } while (!HasFailure() && std::next_permutation(order.begin(), order.end()));
  EXPECT_EQ(permutations, 720);
}

TEST_F(ProjectorRoomsOrder, RandomOrdersEndInTheSameRowsOfEveryView) {
  const std::uint64_t seed = testing::Seed();
  SCOPED_TRACE("LEFTFOLD_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  AddLife(8);
  for (const ViewEntry& view : registry_.views()) {
    for (int round = 0; round < 40 && !HasFailure(); ++round) {
      std::vector<std::size_t> order = Sorted();
      std::shuffle(order.begin(), order.end(), random);
      Deliver(view, order, random);
    }
  }
}

TEST_F(ProjectorRoomsOrder, LostDeliveriesAreMadeUpForByTheStore) {
  const std::uint64_t seed = testing::Seed();
  SCOPED_TRACE("LEFTFOLD_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  AddLife(8);
  const ViewEntry& view = *registry_.FindView("room_facts");
  for (int round = 0; round < 100 && !HasFailure(); ++round) {
    std::vector<std::size_t> order = Sorted();
    std::shuffle(order.begin(), order.end(), random);
    order.resize(random() % order.size());
    const auto runner = Open(view, fmt::format("{}.db", ++files_));
    for (const std::size_t index : order) {
      runner->Offer({store_.events[index]});
      ASSERT_GE(runner->checkpoint(), store_.events[index].position);
    }
    while (runner->Step() == ViewRunner::Progress::kFolded) {
    }
    ASSERT_EQ(DifferenceFromInOrder(view, *runner), "");
  }
}

}  // namespace
}  // namespace leftfold::projecting
