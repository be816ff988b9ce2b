// Folders that cannot be made are errors; that they are there after a lost power is tried in
// tests/crash/durable_file_test.cc.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "sql/durable_file.h"
#include "testing/temporary_folder.h"

namespace leftfold {
namespace {

TEST(MakeFolder, MakesThoseAboveToo) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/a/b/c/";
  EXPECT_EQ(sql::MakeFolder(path), absl::OkStatus());
  EXPECT_EQ(sql::MakeFolder(path), absl::OkStatus());
  struct stat found {};
  ASSERT_EQ(stat(path.c_str(), &found), 0);
  EXPECT_TRUE(S_ISDIR(found.st_mode));
}

TEST(MakeFolder, WhereAFileIsIsAnError) {
  const testing::TemporaryFolder folder;
  const std::string file = folder.path() + "/file";
  std::ofstream(file) << "x";
  for (const std::string& path : {file, file + "/below"}) {
    EXPECT_EQ(sql::MakeFolder(path).code(), absl::StatusCode::kInternal) << path;
  }
}

// As where a service is started by root, in root's home.
TEST(MakeFolder, BelowACurrentFolderThatMayNotBeSearchedIsAnError) {
  const testing::TemporaryFolder folder;
  const std::string closed = folder.path() + "/closed";
  ASSERT_EQ(mkdir(closed.c_str(), 0700), 0);
  const int child = fork();
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    const bool entered = chdir(closed.c_str()) == 0;
    const bool shut = geteuid() == 0 ? setuid(kNobody) == 0 : chmod(".", 0) == 0;
    _exit(entered && shut && !sql::MakeFolder("data/log").ok() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  chmod(closed.c_str(), 0700);
}

}  // namespace
}  // namespace leftfold
