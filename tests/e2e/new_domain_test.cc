// `leftfold new-domain` in a copy of the source tree: the made-up domain builds, its tests pass,
// and it is served and reflected, with no other file touched. A build of the whole tree, which the
// compiler's cache makes short where this tree was just built: CMakeLists.txt makes its keys
// independent of the folder.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>

#include "testing/child_process.h"
#include "testing/temporary_folder.h"

namespace leftfold {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::Ran;
using testing::RunShell;

// Folders of the source tree that are no sources.
bool IsMade(const std::string& name) {
  static const std::set<std::string> kMade = {"build", ".git", "data"};
  return kMade.contains(name);
}

void CopySources(const std::string& to) {
  fs::create_directory(to);
  for (const auto& entry : fs::directory_iterator(LEFTFOLD_SOURCE_DIR)) {
    const std::string name = entry.path().filename();
    if (!IsMade(name)) fs::copy(entry.path(), fs::path(to) / name, fs::copy_options::recursive);
  }
}

class NewDomain : public ::testing::Test {
 protected:
  NewDomain() { CopySources(tree()); }
  std::string tree() const { return folder_.path() + "/tree"; }
  std::string build() const { return tree() + "/build/release"; }

  testing::TemporaryFolder folder_;
};

TEST_F(NewDomain, TwoFoldersAreAllItTakes) {
  const Ran written =
      RunShell(std::string(LEFTFOLD_BINARY) + " new-domain parking Lot --root " + tree());
  ASSERT_EQ(written.exit_code, 0) << written.output;
  const Ran built = RunShell("cd " + tree() +
                             " && cmake --preset release && cmake --build --preset release"
                             " --target leftfold leftfold_domain_parking_test"
                             " leftfold_contract_test");
  ASSERT_EQ(built.exit_code, 0) << built.output;
  const Ran tested = RunShell(build() + "/tests/leftfold_domain_parking_test");
  EXPECT_EQ(tested.exit_code, 0) << tested.output;
  // The rules of its protos, and its golden files.
  const Ran rules =
      RunShell("cd " + tree() + " && " + build() +
               "/tests/leftfold_contract_test --gtest_filter='Descriptors.*:GoldenEvents.*'");
  EXPECT_EQ(rules.exit_code, 0) << rules.output;
  // Only what was asked for: all else is as it was.
  const Ran changed = RunShell(
      "diff -rq --exclude=build --exclude=.git --exclude=data " LEFTFOLD_SOURCE_DIR " " + tree());
  EXPECT_THAT(changed.output, HasSubstr("/domains: parking\n"));
  EXPECT_EQ(changed.output.find("differ"), std::string::npos) << changed.output;

  const testing::ServerProcess server(build() + "/leftfold", folder_.path() + "/data");
  const std::string call = build() + "/leftfold call ";
  const std::string write = call + server.write_address + " ";
  const std::string read = call + server.read_address + " ";
  EXPECT_THAT(RunShell(write + "list").output, HasSubstr("leftfold.parking.v1.LotCommandService"));
  EXPECT_THAT(RunShell(read + "list").output, HasSubstr("leftfold.parking.v1.LotQueryService"));
  const Ran created = RunShell(write + R"(leftfold.parking.v1.LotCommandService/CreateLot )"
                                       R"('{"lotId": "p1", "name": "North"}')");
  EXPECT_EQ(created.exit_code, 0) << created.output;
  EXPECT_THAT(created.output, HasSubstr("\"position\": \"1\""));
  const Ran again = RunShell(write + R"(leftfold.parking.v1.LotCommandService/CreateLot )"
                                     R"('{"lotId": "p1", "name": "South"}')");
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_THAT(again.output, HasSubstr("LOT_EXISTS"));
  const Ran got = RunShell(read + R"(leftfold.parking.v1.LotQueryService/GetLot )"
                                  R"('{"lotId": "p1", "minPosition": "1"}')");
  EXPECT_EQ(got.exit_code, 0) << got.output;
  EXPECT_THAT(got.output, HasSubstr("North"));
  EXPECT_THAT(RunShell(read + "leftfold.parking.v1.LotQueryService/ListLots").output,
              HasSubstr("\"lots\": ["));
  EXPECT_THAT(RunShell(read + R"(leftfold.parking.v1.LotQueryService/WatchLot )"
                              R"('{"lotId": "p1"}' --timeout 1)")
                  .output,
              HasSubstr("\"name\":\"North\""));
}

TEST_F(NewDomain, WhatIsThereIsNotOverwritten) {
  const Ran refused =
      RunShell(std::string(LEFTFOLD_BINARY) + " new-domain rooms Lot --root " + tree());
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.output, HasSubstr("nothing was written"));
}

}  // namespace
}  // namespace leftfold
