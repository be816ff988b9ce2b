// Random schedules of the reactor engine: commands come in, deliveries fail before or after they
// are made, the process crashes between any two tasks, operators retry what is parked. Whatever
// happens, every effect is there once, and the effects on one key are in order.
// LEFTFOLD_SEED gives one seed back, LEFTFOLD_SCHEDULES how many there are.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
      if (timed_.contains(id)) {  // The timers say when.
        EXPECT_THAT(f_.Names(id), ::testing::UnorderedElementsAreArray(names)) << id;
      } else {
        EXPECT_THAT(f_.Names(id), ::testing::ElementsAreArray(names)) << id;
      }
    }
    EXPECT_EQ(f_.Outbox(), 0);
    EXPECT_EQ(f_.Status().parked_keys, 0);
  }

 private:
  int Below(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }

  void Step() {
    switch (Below(5)) {
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
      default:
        f_.Restart();
    }
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
};

TEST(ReactorSchedules, EveryEffectIsThereOnceAndInOrder) {
  ForEachSchedule(300, [](std::uint64_t seed) { ReactorSchedule(seed).Run(); });
}

}  // namespace
}  // namespace leftfold::reacting
