// `leftfold new-domain` in a copy of the source tree: the made-up domain builds, its tests pass, and it is served and reflected, with
// no other file touched.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "testing/child_process.h"
#include "testing/temporary_folder.h"

namespace leftfold {
namespace {

namespace fs = std::filesystem;
using testing::ChildProcess;

std::string Output(const std::string& shell, int* exit_code) {
  ChildProcess process({"/bin/bash", "-c", shell + " 2>&1"});
  const std::string output = process.ReadAll();
  *exit_code = process.Wait();
  return output;
}

void MustRun(const std::string& shell) {
  int code = 0;
  const std::string output = Output(shell, &code);
  ASSERT_EQ(code, 0) << shell << "\n" << output;
}

TEST(NewDomain, TwoFoldersAreAllItTakes) {
  const testing::TemporaryFolder folder;
  const std::string tree = folder.path() + "/tree";
  fs::create_directory(tree);
  for (const auto& entry : fs::directory_iterator(LEFTFOLD_SOURCE_DIR)) {
    const std::string name = entry.path().filename();
    if (name == "build" || name == ".git" || name == "data") continue;
    fs::copy(entry.path(), fs::path(tree) / name, fs::copy_options::recursive);
  }
  MustRun(std::string(LEFTFOLD_BINARY) + " new-domain parking Lot --root " + tree);
  // The compiler's cache makes this a build of the new domain alone where the tree itself was just built.
  MustRun("cd " + tree + " && cmake --preset release && cmake --build --preset release --target leftfold leftfold_domain_parking_test");
  MustRun(tree + "/build/release/domains/parking/leftfold_domain_parking_test || " +
          tree + "/build/release/tests/leftfold_domain_parking_test");

  const std::string binary = tree + "/build/release/leftfold";
  testing::ServerProcess server(binary, folder.path() + "/data");
  int code = 0;
  const std::string listed = Output(binary + " call " + server.write_address + " list", &code);
  EXPECT_NE(listed.find("leftfold.parking.v1.LotCommandService"), std::string::npos) << listed;
  const std::string created = Output(binary + " call " + server.write_address +
                                         " leftfold.parking.v1.LotCommandService/CreateLot '{\"lotId\": \"p1\", \"name\": \"North\"}'",
                                     &code);
  EXPECT_EQ(code, 0) << created;
  const std::string got = Output(binary + " call " + server.read_address +
                                     " leftfold.parking.v1.LotQueryService/GetLot '{\"lotId\": \"p1\", \"minPosition\": \"1\"}'",
                                 &code);
  EXPECT_EQ(code, 0) << got;
  EXPECT_NE(got.find("North"), std::string::npos) << got;
}

TEST(NewDomain, WhatIsThereIsNotOverwritten) {
  int code = 0;
  const std::string output =
      Output(std::string(LEFTFOLD_BINARY) + " new-domain rooms Room --root " LEFTFOLD_SOURCE_DIR, &code);
  EXPECT_EQ(code, 1);
  EXPECT_NE(output.find("nothing was written"), std::string::npos) << output;
}

}  // namespace
}  // namespace leftfold
