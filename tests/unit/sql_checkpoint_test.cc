// When a writer copies its write-ahead log back: between transactions, and in a commit at the
// latest.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "sql/connection.h"
#include "testing/damage.h"
#include "testing/temporary_folder.h"

namespace leftfold::sql {
namespace {

using testing::FlipBit;
using testing::SizeOf;

constexpr int kPagesApart = 20;
constexpr int kInACommit = 60;
constexpr std::int64_t kBytesOfAFrame = 4'096 + 24;

class CheckpointsOfAWriter : public ::testing::Test {
 protected:
  CheckpointsOfAWriter() {
    auto opened =
        Connection::Open(path_, {.role = Role::kWriter, .autocheckpoint_pages = kInACommit});
    EXPECT_TRUE(opened.ok()) << opened.status();
    writer_ = *std::move(opened);
    writer_->Run("CREATE TABLE note(body BLOB) STRICT").IgnoreError();
    EXPECT_TRUE(writer_->Checkpoint().ok());
  }
  // A transaction of two pages or three.
  void Write() {
    EXPECT_TRUE(writer_->Run("INSERT INTO note VALUES (zeroblob(3000))").ok());
    most_ = std::max(most_, SizeOf(path_ + "-wal"));
  }
  std::int64_t FileBytes() { return SizeOf(path_); }

  const testing::TemporaryFolder folder_;
  const std::string path_ = folder_.path() + "/file.db";
  std::unique_ptr<Connection> writer_;
  std::int64_t most_ = 0;  // Bytes of the write-ahead log.
};

TEST_F(CheckpointsOfAWriter, ComeBetweenTransactionsWhenEnoughPagesWereWritten) {
  const std::int64_t before = FileBytes();
  for (int i = 0; i < kPagesApart / 5; ++i) Write();
  EXPECT_TRUE(writer_->CheckpointEvery(kPagesApart).ok());
  EXPECT_EQ(FileBytes(), before) << "a few pages are not worth it";
  for (int i = 0; i < kPagesApart / 2; ++i) Write();
  EXPECT_EQ(FileBytes(), before) << "a commit leaves it to others";
  EXPECT_TRUE(writer_->CheckpointEvery(kPagesApart).ok());
  EXPECT_GT(FileBytes(), before);
}

TEST_F(CheckpointsOfAWriter, KeepTheWriteAheadLogShort) {
  for (int i = 0; i < 400; ++i) {
    Write();
    EXPECT_TRUE(writer_->CheckpointEvery(kPagesApart).ok());
  }
  EXPECT_LT(most_, (kPagesApart + 10) * kBytesOfAFrame);
}

TEST_F(CheckpointsOfAWriter, ComeInACommitWhereNobodyFindsTheTime) {
  for (int i = 0; i < 400; ++i) Write();
  EXPECT_LT(most_, (kInACommit + 10) * kBytesOfAFrame);
}

TEST_F(CheckpointsOfAWriter, TryAgainAndAgainWhileAReaderKeepsPagesAndSucceedOnceItIsGone) {
  auto reader = Connection::Open(path_, {});
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_TRUE((*reader)->Begin().ok());
  EXPECT_EQ((*reader)->Value("SELECT count(*) FROM note"), 0);
  const std::int64_t before = FileBytes();
  for (int i = 0; i < 200; ++i) {
    Write();
    EXPECT_TRUE(writer_->CheckpointEvery(kPagesApart).ok());
  }
  EXPECT_EQ(FileBytes(), before) << "the reader still needs the old pages";
  EXPECT_TRUE((*reader)->Commit().ok());
  const std::int64_t pinned = most_;
  for (int i = 0; i < 400; ++i) {
    Write();
    EXPECT_TRUE(writer_->CheckpointEvery(kPagesApart).ok());
  }
  EXPECT_GT(FileBytes(), before);
  EXPECT_LT(most_, pinned + (kPagesApart + 10) * kBytesOfAFrame) << "it begins again at its start";
}

TEST_F(CheckpointsOfAWriter, AFailureStaysInTheConnection) {
  for (int i = 0; i < kPagesApart; ++i) Write();
  FlipBit(path_ + "-wal", SizeOf(path_ + "-wal") - 100, 5);
  EXPECT_TRUE(absl::IsDataLoss(writer_->CheckpointEvery(kPagesApart)));
  EXPECT_TRUE(absl::IsDataLoss(writer_->Begin()));
}

}  // namespace
}  // namespace leftfold::sql
