// How the sequencer makes groups; what it answers is in the contract suite.
#include <gtest/gtest.h>

#include <string>

#include "event_store/sequencer.h"
#include "testing/event_store_contract.h"

namespace leftfold {
namespace {

class AppendGroups : public ::testing::Test {
 protected:
  void Append(const std::string& payload, const std::string& metadata) {
    AppendRequest request = testing::AppendOf("room-a", {payload});
    request.metadata = metadata;
    log_.store().Append(std::move(request),
                        [](const auto& receipt) { EXPECT_TRUE(receipt.ok()) << receipt.status(); });
  }
  // Runs the next group alone, and says where the log ends after it.
  std::int64_t Next() {
    log_.scheduler().RunOne();
    return log_.store().GetHead().position.value;
  }

  testing::StoreOnScheduler log_{testing::MemoryStore()};
};

TEST_F(AppendGroups, AreBoundInAppends) {
  for (std::size_t i = 0; i <= kGroupAppendsMax; ++i) Append("x", "");
  EXPECT_EQ(Next(), std::int64_t{kGroupAppendsMax});
  log_.scheduler().RunUntilIdle();
  EXPECT_EQ(Next(), std::int64_t{kGroupAppendsMax} + 1);
}

TEST_F(AppendGroups, AreBoundInBytesAsStored) {
  // Half payload, half metadata.
  const std::string half(kMetadataBytesMax, 'x');
  constexpr std::int64_t kFits = kGroupBytesMax / (2 * kMetadataBytesMax);
  for (int i = 0; i <= kFits; ++i) Append(half, half);
  EXPECT_EQ(Next(), kFits);
  log_.scheduler().RunUntilIdle();
  EXPECT_EQ(Next(), kFits + 1);
}

TEST_F(AppendGroups, AnAppendBeyondTheirBytesIsOneByItself) {
  const std::string metadata(kMetadataBytesMax, 'x');
  AppendRequest large =
      testing::AppendOf("room-a", std::vector<std::string>(kAppendEventsMax, "x"));
  large.metadata = metadata;
  ASSERT_GT(kAppendEventsMax * kMetadataBytesMax, kGroupBytesMax);
  log_.store().Append(std::move(large),
                      [](const auto& receipt) { EXPECT_TRUE(receipt.ok()) << receipt.status(); });
  Append("x", "");
  EXPECT_EQ(Next(), std::int64_t{kAppendEventsMax});
  log_.scheduler().RunUntilIdle();
  EXPECT_EQ(Next(), std::int64_t{kAppendEventsMax} + 1);
}

}  // namespace
}  // namespace leftfold
