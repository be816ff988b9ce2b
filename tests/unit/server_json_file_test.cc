#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "leftfold/core/v1/event.pb.h"
#include "server/json_file.h"
#include "testing/temporary_folder.h"

namespace leftfold {
namespace {

TEST(ReadJsonFile, ThatIsNotThereLeavesTheMessage) {
  const testing::TemporaryFolder folder;
  core::v1::Tag tag;
  tag.set_key("as before");
  EXPECT_TRUE(ReadJsonFile(folder.path() + "/none", tag).ok());
  EXPECT_EQ(tag.key(), "as before");
}

TEST(ReadJsonFile, ThatCannotBeReachedIsAnError) {
  const testing::TemporaryFolder folder;
  const std::string loop = folder.path() + "/loop";
  std::filesystem::create_symlink("loop", loop);
  core::v1::Tag tag;
  const absl::Status read = ReadJsonFile(loop, tag);
  EXPECT_EQ(read.code(), absl::StatusCode::kFailedPrecondition) << read;
  EXPECT_NE(read.message().find(loop), absl::string_view::npos) << read;
}

}  // namespace
}  // namespace leftfold
