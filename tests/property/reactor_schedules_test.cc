// Random schedules of the reactor engine: commands come in, deliveries fail before or after they
// are made, the process crashes between any two tasks, operators retry or skip what is parked, the
// log is away or does not answer. Whatever happens, every effect is there once, but for what was
// skipped, the effects on one key are in order, and the log tells what became of all that parked.
// LEFTFOLD_SEED gives one seed back, LEFTFOLD_SCHEDULES how many there are.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>

#include "tests/unit/reactor_fixture.h"

namespace leftfold::reacting {
namespace {

class ReactorSchedule {
 public:
  explicit ReactorSchedule(std::uint64_t seed) : random_(seed), f_(seed) {}

  void Run() {
    for (int step = 0; step < 12; ++step) Step();
    Calm();
    for (const auto& [id, names] : expected_) {
      if (skipped_.contains("counter-" + id)) {
        ExpectSome(id, names);
      } else if (timed_.contains(id)) {  // The timers say when.
        EXPECT_THAT(f_.Names(id), ::testing::UnorderedElementsAreArray(names)) << id;
      } else {
        EXPECT_THAT(f_.Names(id), ::testing::ElementsAreArray(names)) << id;
      }
    }
    EXPECT_EQ(f_.Outbox(), 0);
    EXPECT_EQ(f_.Status().parked_keys, 0);
    ExpectAllToldOfParkings();
  }

 private:
  // No effect twice.
  void ExpectSome(const std::string& id, const std::vector<std::string>& names) {
    std::vector<std::string> left = f_.Names(id);
    for (const std::string& name : names) {
      const auto found = std::find(left.begin(), left.end(), name);
      if (found != left.end()) left.erase(found);
    }
    EXPECT_THAT(left, ::testing::IsEmpty()) << id;
  }

  // What the log tells of a delivery that parked.
  struct Told {
    std::string key;
    int parkings = 0;
    char state = ' ';  // O(pen), R(etried), S(kipped), D(elivered).
  };
  // An operator's decision is about what is open where it stands in the log.
  std::map<std::string, Told> AllTold() {
    std::map<std::string, Told> all;
    const auto events = f_.store().ReadStream("reaction-worker", {});
    for (const RecordedEvent& event : *events) Tell(event, all);
    return all;
  }
  static void Tell(const RecordedEvent& event, std::map<std::string, Told>& all) {
    auto tell = [&]<class E>(const E& e) {
      if constexpr (std::is_same_v<E, core::v1::RetryRequested>) {
        for (auto& [id, told] : all) {
          if (told.key == e.key() && told.state == 'O') told.state = 'R';
        }
      } else {
        Told& told = all[e.delivery_id()];
        if constexpr (std::is_same_v<E, core::v1::DeliveryParked>) {
          EXPECT_THAT(told.state, ::testing::AnyOf(' ', 'R')) << e.delivery_id();
          told = {e.key(), told.parkings + 1, 'O'};
        }
        if constexpr (std::is_same_v<E, core::v1::SkipRequested>) {
          EXPECT_NE(told.state, ' ') << e.delivery_id();
          if (told.state == 'O') told.state = 'S';
        }
        if constexpr (std::is_same_v<E, core::v1::DeliveredAfterParking>) {
          EXPECT_EQ(told.state, 'R') << e.delivery_id();
          told.state = 'D';
        }
      }
    };
    using All = Types<core::v1::DeliveryParked, core::v1::RetryRequested, core::v1::SkipRequested,
                      core::v1::DeliveredAfterParking>;
    EXPECT_TRUE(internal::Dispatch<All>(event, tell).ok());
  }

  // Each parking is in the log, and after the last one of a delivery what became of it.
  void ExpectAllToldOfParkings() {
    std::map<std::string, int> parkings;
    for (const std::string& result : f_.Results()) {
      constexpr std::string_view kParked = "parked ";
      if (result.starts_with(kParked)) ++parkings[result.substr(kParked.size())];
    }
    std::map<std::string, int> in_log;
    for (const auto& [id, told] : AllTold()) {
      EXPECT_THAT(told.state, ::testing::AnyOf('S', 'D')) << id;
      in_log[id] = told.parkings;
    }
    EXPECT_EQ(in_log, parkings);
  }

  int Below(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }

  void Step() {
    switch (Below(9)) {
      case 0:
        return Create();
      case 1:
        f_.deliverer().fail_before[RandomKey()] += Below(5);
        return;
      case 2:
        f_.deliverer().fail_after[RandomKey()] += Below(5);
        return;
      case 3:
        for (int tasks = Below(30); tasks > 0 && f_.scheduler().RunOne(); --tasks) {
        }
        return;
      case 4:
        return Decide();
      case 5:
        return Decide();
      case 6:
        f_.log().away = Below(2) == 0;
        return;
      case 7:
        f_.log().hold = Below(2) == 0;
        return Answer();
      default:
        f_.Restart();
    }
  }

  // An operator decides on what is parked just now, or twice.
  void Decide() {
    const auto parked = f_.reactors().ListParked("worker", 0, 100);
    ASSERT_TRUE(parked.ok()) << parked.status();
    for (const ParkedDelivery& delivery : *parked) {
      const std::string& key = delivery.parked.key();
      for (int times = Below(3); times > 0; --times) {
        if (Below(4) > 0) {
          f_.reactors().Retry("worker", key, "ann", [](const auto&) {});
        } else {
          skipped_.insert(key);
          f_.reactors().Skip("worker", delivery.parked.delivery_id(), "lost", "ann",
                             [](const auto&) {});
        }
      }
    }
  }

  // The log's answers come now.
  void Answer() {
    for (const auto& answer : std::exchange(f_.log().held, {})) answer();
  }

  // A counter whose name asks for renames, some of which lead to others.
  void Create() {
    const std::string id = fmt::format("c{}", expected_.size());
    std::deque<std::string> todo;
    std::string name = "note=" + id;
    for (int n = Below(4); n > 0; --n) {
      todo.push_back(fmt::format("{}.{}{}", id, n, Below(2) == 0 ? ">x" + std::to_string(n) : ""));
      name += (Below(3) == 0 ? fmt::format(" later=t{}.{}={}=", id, n, Below(100)) : " rename=") +
              todo.back();
      if (name.find("later") != std::string::npos) timed_.insert(id);
    }
    std::vector<std::string> names = {name};
    for (; !todo.empty(); todo.pop_front()) {
      names.push_back(todo.front());
      const std::size_t chain = todo.front().find('>');
      if (chain != std::string::npos) todo.push_back(todo.front().substr(chain + 1));
    }
    expected_[id] = names;
    f_.Create(id, name);
  }

  std::string RandomKey() { return fmt::format("counter-c{}", Below(4)); }

  // Nothing fails any more, and operators have all that is parked retried.
  void Calm() {
    f_.deliverer().fail_before.clear();
    f_.deliverer().fail_after.clear();
    f_.log().away = f_.log().hold = false;
    Answer();
    for (int round = 0; round < 10; ++round) {
      f_.RunFor(absl::Hours(1));
      const auto parked = f_.reactors().ListParked("worker", 0, 100);
      ASSERT_TRUE(parked.ok()) << parked.status();
      for (const ParkedDelivery& delivery : *parked) {
        f_.reactors().Retry("worker", delivery.parked.key(), "ann", [](const auto&) {});
      }
    }
  }

  std::mt19937_64 random_;
  ReactorFixture f_;
  std::map<std::string, std::vector<std::string>> expected_;
  std::set<std::string> timed_;
  std::set<std::string> skipped_;  // Keys.
};

TEST(ReactorSchedules, EveryEffectIsThereOnceAndInOrder) {
  ForEachSchedule(300, [](std::uint64_t seed) { ReactorSchedule(seed).Run(); });
}

}  // namespace
}  // namespace leftfold::reacting
