// Where options come from: flags, then the environment, then the file, then defaults.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <climits>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "testing/child_process.h"
#include "testing/temporary_folder.h"

namespace leftfold {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::Ran;

Ran LeftfoldWith(const std::string& environment, const std::string& arguments) {
  return testing::RunShell("unset LEFTFOLD_DATA LEFTFOLD_CONFIG; " + environment +
                           " " LEFTFOLD_BINARY " " + arguments);
}

// `leftfold tail` names the data folder that it was given when there is no log in it.
std::string FolderOf(const std::string& environment, const std::string& arguments) {
  return LeftfoldWith(environment, "tail " + arguments).output;
}

class Configuration : public ::testing::Test {
 protected:
  std::string WriteFile(const std::string& text) {
    const std::string path = folder_.path() + "/leftfold.toml";
    std::ofstream(path) << text;
    return path;
  }
  testing::TemporaryFolder folder_;
};

TEST_F(Configuration, AFlagBeatsTheEnvironmentWhichBeatsTheFileWhichBeatsTheDefault) {
  const std::string config = "--config " + WriteFile("data = \"/nowhere/file\"\n");
  const std::string environment = "LEFTFOLD_DATA=/nowhere/environment";
  EXPECT_THAT(FolderOf(environment, "--data /nowhere/flag " + config), HasSubstr("/nowhere/flag/"));
  EXPECT_THAT(FolderOf(environment, config), HasSubstr("/nowhere/environment/"));
  EXPECT_THAT(FolderOf("", config), HasSubstr("/nowhere/file/"));
  EXPECT_THAT(FolderOf("cd " + folder_.path() + ";", ""), HasSubstr("./data/"));
}

TEST_F(Configuration, TheFileIsNamedByAFlagBeforeOrAfterTheSubcommandOrByTheEnvironment) {
  const std::string file = WriteFile("data = \"/nowhere/file\"\n");
  EXPECT_THAT(LeftfoldWith("", "--config=" + file + " tail").output, HasSubstr("/nowhere/file/"));
  EXPECT_THAT(LeftfoldWith("", "tail --config=" + file).output, HasSubstr("/nowhere/file/"));
  EXPECT_THAT(FolderOf("LEFTFOLD_CONFIG=" + file, ""), HasSubstr("/nowhere/file/"));
  EXPECT_THAT(FolderOf("LEFTFOLD_CONFIG=/nowhere.toml", "--config " + file),
              HasSubstr("/nowhere/file/"));
}

TEST_F(Configuration, ASectionIsForItsSubcommandAndBeatsThePlainKey) {
  const std::string config =
      "--config " + WriteFile(
                        "data = \"/nowhere/all\"\n[tail]\ndata = \"/nowhere/tail\"\n[serve]\n"
                        "write_listen = \"127.0.0.1:0\"\n");
  EXPECT_THAT(LeftfoldWith("", "tail " + config).output, HasSubstr("/nowhere/tail/"));
  EXPECT_THAT(LeftfoldWith("", "verify " + config).output, HasSubstr("/nowhere/all/"));
  EXPECT_THAT(LeftfoldWith("", "serve --help " + config).output, HasSubstr("=127.0.0.1:0"));
}

TEST_F(Configuration, WhatTheFileSaysIsCheckedAndNamed) {
  const auto fault = [this](const std::string& text) {
    const Ran ran = LeftfoldWith("", "tail --config " + WriteFile(text));
    EXPECT_EQ(ran.exit_code, 2) << text << ran.output;
    return ran.output;
  };
  EXPECT_THAT(fault("datta = \"/nowhere\"\n"), HasSubstr("unknown key datta"));
  EXPECT_THAT(fault("[tail]\ndatta = \"/nowhere\"\n"), HasSubstr("unknown key tail.datta"));
  EXPECT_THAT(fault("[tale]\ndata = \"/nowhere\"\n"), HasSubstr("unknown section [tale]"));
  EXPECT_THAT(fault("config = \"/nowhere\"\n"), HasSubstr("unknown key config"));
  EXPECT_THAT(fault("[tail]\nfrom = -1\n"), HasSubstr("tail.from"));
  EXPECT_THAT(fault("data = [\"a\", \"b\"]\n"), HasSubstr("one value"));
  for (const char* line : {"= 5", "\\", "]", "[]", "data"})
    EXPECT_THAT(fault("# where\n" + std::string(line) + "\n"), HasSubstr("line 2 is no `key"));
  EXPECT_THAT(fault("#" + std::string(1 << 20, 'x')), HasSubstr("more than 1048576 bytes"));
  const std::string loop = folder_.path() + "/loop";
  std::filesystem::create_symlink("loop", loop);
  for (const std::string& unreadable : {std::string("/nowhere.toml"), std::string("/dev/zero"),
                                        folder_.path(), loop, "/" + std::string(PATH_MAX, 'a')}) {
    const Ran ran = LeftfoldWith("LEFTFOLD_CONFIG=" + unreadable, "tail");
    EXPECT_EQ(ran.exit_code, 2) << unreadable;
    EXPECT_THAT(ran.output, HasSubstr(unreadable));
  }
}

TEST_F(Configuration, EverySubcommandHasHelpWithAnExample) {
  std::istringstream help(LeftfoldWith("", "--help").output);
  std::size_t commands = 0;
  bool listed = false;  // The lines of the list have begun: two spaces, name, what it does.
  for (std::string line, command; std::getline(help, line); listed |= line == "Subcommands:") {
    if (!listed || !(std::istringstream(line) >> command)) continue;
    ++commands;
    const Ran ran = LeftfoldWith("", command + " --help");
    EXPECT_EQ(ran.exit_code, 0) << command;
    EXPECT_THAT(ran.output, HasSubstr("Example")) << command;
  }
  EXPECT_GE(commands, 12u);
}

TEST_F(Configuration, AWrongCommandLineIsExitCodeTwo) {
  for (const char* arguments :
       {"", "sreve", "tail --form 1", "tail --from 0", "call", "call localhost:1 Nonsense",
        "replay", "replay a --all", "replay a --verify --until 1", "new-domain Bad x"}) {
    EXPECT_EQ(LeftfoldWith("", arguments).exit_code, 2) << arguments;
  }
}

// Of the commands that only read: one that writes would do so at the root of the file system when
// this test is red. All have the option from the same function.
TEST_F(Configuration, AnEmptyDataFolderIsRefused) {
  const std::string config = " --config " + WriteFile("data = \"\"\n");
  for (const std::string command : {"tail", "verify", "views"}) {
    for (const std::string& arguments : {command + " --data ''", command + config}) {
      const Ran ran = LeftfoldWith("", arguments);
      EXPECT_EQ(ran.exit_code, 2) << arguments;
      EXPECT_THAT(ran.output, HasSubstr("must not be empty")) << arguments;
    }
  }
}

TEST_F(Configuration, ANumberOutOfRangeIsToldInPlainWords) {
  EXPECT_EQ(LeftfoldWith("", "tail --from 0").output,
            "--from: must be 1 or more\nRun with --help for more information.\n");
  EXPECT_THAT(LeftfoldWith("", "replay a --until -1").output,
              HasSubstr("--until: must be 1 or more\n"));
  EXPECT_THAT(LeftfoldWith("", "call a:1 list --timeout -1").output,
              HasSubstr("--timeout: must be 0 or more\n"));
}

TEST_F(Configuration, TheVersionIsThatOfTheProject) {
  std::ifstream file(LEFTFOLD_SOURCE_DIR "/CMakeLists.txt");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const Ran ran = LeftfoldWith("", "--version");
  EXPECT_EQ(ran.exit_code, 0);
  ASSERT_THAT(ran.output, ::testing::StartsWith("leftfold "));
  const std::string version = ran.output.substr(9, ran.output.size() - 10);
  EXPECT_THAT(text, HasSubstr("project(leftfold VERSION " + version + " "));
}

}  // namespace
}  // namespace leftfold
