#include <gtest/gtest.h>
#include <unistd.h>

#include <stop_token>
#include <thread>

#include "server/role_lock.h"
#include "testing/temporary_folder.h"

namespace leftfold {
namespace {

TEST(RoleLock, HasOneHolderWhomLookersFind) {
  const testing::TemporaryFolder folder;
  EXPECT_EQ(RoleLock::FindHolder(folder.path(), "write").status().code(),
            absl::StatusCode::kNotFound);
  auto lock = RoleLock::Take(folder.path(), "write");
  ASSERT_TRUE(lock.ok()) << lock.status();
  ASSERT_TRUE((*lock)->Announce("127.0.0.1:7").ok());
  const auto holder = RoleLock::FindHolder(folder.path(), "write");
  ASSERT_TRUE(holder.ok()) << holder.status();
  EXPECT_EQ(holder->pid, getpid());
  EXPECT_EQ(holder->address, "127.0.0.1:7");
  EXPECT_EQ(RoleLock::Take(folder.path(), "write").status().code(),
            absl::StatusCode::kFailedPrecondition);
  lock->reset();
  EXPECT_FALSE(RoleLock::FindHolder(folder.path(), "write").ok());
  EXPECT_TRUE(RoleLock::Take(folder.path(), "write").ok());
}

// A looker has the lock for a moment, again and again.
TEST(RoleLock, IsTakenBesideThoseWhoLook) {
  const testing::TemporaryFolder folder;
  ASSERT_TRUE(RoleLock::Take(folder.path(), "write").ok());  // The file is there.
  const std::jthread looker([&](const std::stop_token& ended) {
    while (!ended.stop_requested())
      RoleLock::FindHolder(folder.path(), "write").status().IgnoreError();
  });
  for (int i = 0; i < 200; ++i) {
    const auto lock = RoleLock::Take(folder.path(), "write");
    ASSERT_TRUE(lock.ok()) << lock.status() << " at " << i;
  }
}

}  // namespace
}  // namespace leftfold
