// An id that was added is never told to be absent; few that were not are told to be there.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "event_store/sqlite/command_filter.h"
#include "testing/environment.h"

namespace leftfold {
namespace {

constexpr std::uint64_t kFilterSeed = 20'261'122;

// Ids as clients and reactors make them, and of any bytes.
std::string CommandIdOf(std::mt19937_64& random) {
  const std::uint64_t high = random(), low = random();
  switch (high % 4) {
    case 0:
      return fmt::format("{:016x}{:016x}", high, low);
    case 1:
      return fmt::format("lf:mails:{}", low % 1'000'000'000);
    case 2:
      return fmt::format("019b0000-{:016x}/{}", low, high % 100);
    default:
      std::string bytes(1 + low % 128, '\0');
      for (char& byte : bytes) byte = static_cast<char>(random());
      return bytes;
  }
}

void ExpectAll(const CommandFilter& filter, const std::vector<std::string>& ids) {
  std::size_t absent = 0;
  for (const std::string& id : ids) absent += filter.MayHave(id) ? 0 : 1;
  EXPECT_EQ(absent, 0u) << "of " << ids.size();
}

TEST(CommandFilter, NoIdThatWasAddedIsToldToBeAbsent) {
  const std::uint64_t seed = testing::Seed();
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20; ++round) {
    CommandFilter filter(
        {.ids = random() % 3 * 10'000, .bytes_max = kCommandFilterBytesMin * (1 + random() % 4)});
    std::vector<std::string> added;
    // In the file before, and brought into the filter while others are committed; some of these are
    // found in the file then, and are added twice.
    std::vector<std::string> before;
    for (auto n = random() % 20'000; before.size() < n;) before.push_back(CommandIdOf(random));
    for (std::size_t filled = 0; filled < before.size();) {
      const bool fills = random() % 2 == 0;
      added.push_back(fills ? before[filled++] : CommandIdOf(random));
      filter.Add(added.back());
      if (random() % 16 == 0) filter.Add(added[random() % added.size()]);
      EXPECT_TRUE(filter.MayHave(CommandIdOf(random))) << "it is not complete";
    }
    filter.SetComplete();
    ExpectAll(filter, added);
    for (int n = 0; n < 100; ++n) {
      added.push_back(CommandIdOf(random));
      filter.Add(added.back());
      EXPECT_TRUE(filter.MayHave(added.back()));
    }
    ExpectAll(filter, added);
  }
}

// At any number of ids: after each growth of the chain, and with one filter of the right size.
TEST(CommandFilter, OfAbsentIdsAFilterTakesOneInTwoHundredForOneThatMayBeThere) {
  constexpr int kIds = 200'000;
  constexpr int kAsked = 20'000;
  constexpr int kFiltersInChain = 4;
  const std::uint64_t seed = testing::SeedOr(kFilterSeed);
  for (const int expected : {0, kIds}) {
    const int filters = expected == 0 ? kFiltersInChain : 1;
    std::mt19937_64 random(seed);
    CommandFilter filter({.ids = static_cast<std::size_t>(expected)});
    filter.SetComplete();
    for (int i = 1; i <= kIds; ++i) {
      filter.Add(fmt::format("{:016x}{}", random(), i));
      if (i % (kIds / 5) != 0) continue;
      int there = 0;
      for (int n = 0; n < kAsked; ++n)
        there += filter.MayHave(fmt::format("{:016x}-{}", random(), n)) ? 1 : 0;
      EXPECT_LE(there, filters * kAsked / 200)
          << "with " << i << " ids, " << filter.bytes() << " bytes";
    }
  }
}

TEST(CommandFilter, TakesMemoryAsItsIdsComeAndNotMoreThanItMay) {
  constexpr std::size_t kMax = 400'000;
  CommandFilter filter({.bytes_max = kMax});
  filter.SetComplete();
  EXPECT_EQ(filter.bytes(), 0u);
  EXPECT_FALSE(filter.MayHave("c"));
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < 600'000; ++i) {
    filter.Add(ids.emplace_back(fmt::format("c{}", i)));
    const std::size_t needed = (i + 1) * kCommandFilterBitsPerId / 8;
    ASSERT_LE(filter.bytes(), std::max(kCommandFilterBytesMin, 2 * needed)) << i;
    ASSERT_LE(filter.bytes(), kMax) << i;
  }
  EXPECT_GT(filter.bytes(), kMax - 64);
  ExpectAll(filter, ids);
}

TEST(CommandFilter, WhoAsksWhileOthersAddFindsWhatWasAddedBefore) {
  constexpr std::size_t kEach = 60'000;
  CommandFilter filter({});
  filter.SetComplete();
  std::array<std::atomic<std::size_t>, 2> added = {0, 0};
  const auto id_of = [](std::size_t who, std::size_t i) { return fmt::format("{}-{}", who, i); };
  std::vector<std::jthread> threads;
  for (std::size_t who = 0; who < added.size(); ++who) {
    threads.emplace_back([&, who] {
      for (std::size_t i = 0; i < kEach; ++i) {
        filter.Add(id_of(who, i));
        added[who].store(i + 1, std::memory_order_release);
      }
    });
  }
  std::size_t absent = 0;
  for (std::size_t seen = 0; seen < kEach;) {
    for (std::size_t who = 0; who < added.size(); ++who) {
      seen = added[who].load(std::memory_order_acquire);
      if (seen > 0) absent += filter.MayHave(id_of(who, seen - 1)) ? 0 : 1;
    }
  }
  EXPECT_EQ(absent, 0u);
}

}  // namespace
}  // namespace leftfold
