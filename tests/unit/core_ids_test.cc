#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <iterator>
#include <set>
#include <string>

#include "core/ids.h"

namespace leftfold {
namespace {

TEST(NewUuid, IsOfVersion7WithTheMillisecondsFirst) {
  const std::string id = ToString(NewUuidV7(absl::FromUnixMillis(0x0123456789AB)));
  EXPECT_EQ(id.substr(0, 15), "01234567-89ab-7");
  EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos) << id;
}

TEST(NewUuid, IsAnotherOneEachTime) {
  constexpr std::size_t kMany = 1'000;
  std::set<std::string> ids;
  for (std::size_t i = 0; i < kMany; ++i) ids.insert(ToString(NewUuidV7(absl::UnixEpoch())));
  EXPECT_EQ(ids.size(), kMany);
}

TEST(NewUuid, OfAForkedProcessIsAnotherOne) {
  NewUuidV7(absl::UnixEpoch());  // Random bytes for the next ones are there.
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const int child = fork();
  if (child == 0) {
    const std::string id = ToString(NewUuidV7(absl::UnixEpoch()));
    _exit(write(pipe_ends[1], id.data(), id.size()) == std::ssize(id) ? 0 : 1);
  }
  std::string of_child(kUuidTextSize, '\0');
  ASSERT_EQ(read(pipe_ends[0], of_child.data(), of_child.size()), std::ssize(of_child));
  waitpid(child, nullptr, 0);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
  EXPECT_NE(of_child, ToString(NewUuidV7(absl::UnixEpoch())));
}

}  // namespace
}  // namespace leftfold
