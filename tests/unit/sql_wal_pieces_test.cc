#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "sql/connection.h"
#include "sql/wal_pieces.h"
#include "testing/temporary_folder.h"

namespace leftfold::sql {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr std::int64_t kFrame = 4'096 + 24;

// Frames from the start of the file on: where pieces begin and end.
std::vector<std::pair<std::int64_t, std::int64_t>> Write(WalPieces& pieces, int frames) {
  std::vector<std::pair<std::int64_t, std::int64_t>> found;
  const auto write = [&](std::int64_t at, std::int64_t size) {
    if (const auto piece = pieces.Written(at, size)) found.emplace_back(piece->begin, piece->end);
  };
  write(0, 32);
  for (int i = 0; i < frames; ++i) {
    write(32 + i * kFrame, 24);
    write(32 + i * kFrame + 24, 4'096);
  }
  return found;
}

TEST(WalPieces, WhatIsNeverSyncedHasNone) {
  WalPieces pieces;
  EXPECT_THAT(Write(pieces, 1'000), IsEmpty());
}

TEST(WalPieces, FollowEachOtherUpToTheLastWholePage) {
  WalPieces pieces;
  pieces.Synced();
  EXPECT_THAT(Write(pieces, 80), ElementsAre(Pair(0, 131'072), Pair(131'072, 262'144)));
}

TEST(WalPieces, WhatASyncHasTakenIsInNone) {
  WalPieces pieces;
  pieces.Synced();
  EXPECT_THAT(Write(pieces, 31), IsEmpty());
  pieces.Synced();
  EXPECT_EQ(pieces.Written(32 + 31 * kFrame, WalPieces::kPieceBytes - kFrame), std::nullopt);
  const auto piece = pieces.Written(32 + 30 * kFrame + WalPieces::kPieceBytes, kFrame);
  ASSERT_TRUE(piece);
  EXPECT_EQ(piece->begin, 31 * kFrame / 4'096 * 4'096);
}

TEST(WalPieces, BeginAgainWithTheFile) {
  WalPieces pieces;
  pieces.Synced();
  EXPECT_THAT(Write(pieces, 32), ElementsAre(Pair(0, 131'072)));
  EXPECT_THAT(Write(pieces, 32), ElementsAre(Pair(0, 131'072)));
}

int OpenDescriptors() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}

TEST(WalPieces, ADescriptorOfOursIsClosedWithTheFile) {
  const testing::TemporaryFolder folder;
  const int before = OpenDescriptors();
  for (int i = 0; i < 3; ++i) {
    auto file =
        Connection::Open(folder.path() + "/file.db", {.role = Role::kWriter, .full_sync = false});
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE((*file)->Run("CREATE TABLE IF NOT EXISTS t (x); INSERT INTO t VALUES (1)").ok());
    ASSERT_TRUE((*file)->Checkpoint().ok());
    const int opened = OpenDescriptors();
    ASSERT_TRUE((*file)->Run("INSERT INTO t VALUES (zeroblob(500000))").ok());
    EXPECT_EQ(OpenDescriptors(), opened + 1);
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace leftfold::sql
