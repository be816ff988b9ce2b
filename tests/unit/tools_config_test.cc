// Where options come from: flags, then the environment, then the file, then defaults.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "testing/child_process.h"
#include "testing/temporary_folder.h"

namespace leftfold {
namespace {

using testing::ChildProcess;

// What `leftfold tail` says of the data folder that it was given: it names the folder when there is no log in it.
std::string FolderOf(const std::string& environment, const std::string& arguments) {
  ChildProcess process({"/bin/bash", "-c", environment + " " LEFTFOLD_BINARY " tail " + arguments + " 2>&1"});
  const std::string output = process.ReadAll();
  process.Wait();
  return output;
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

TEST_F(Configuration, AFlagBeatsTheEnvironmentWhichBeatsTheFile) {
  const std::string file = WriteFile("[tail]\ndata = \"/nowhere/file\"\n");
  EXPECT_NE(FolderOf("", "--config " + file).find("/nowhere/file/"), std::string::npos);
  EXPECT_NE(FolderOf("LEFTFOLD_DATA=/nowhere/environment", "--config " + file).find("/nowhere/environment/"), std::string::npos);
  EXPECT_NE(FolderOf("LEFTFOLD_DATA=/nowhere/environment", "--data /nowhere/flag --config " + file).find("/nowhere/flag/"),
            std::string::npos);
}

TEST_F(Configuration, AnUnknownKeyInTheFileIsAnError) {
  const std::string file = WriteFile("[tail]\ndatta = \"/nowhere\"\n");
  EXPECT_NE(FolderOf("", "--config " + file).find("datta"), std::string::npos);
}

TEST_F(Configuration, EverySubcommandHasHelpWithAnExample) {
  for (const char* command : {"serve", "replay", "call", "tail", "verify", "views", "new-domain"}) {
    ChildProcess process({LEFTFOLD_BINARY, command, "--help"});
    const std::string help = process.ReadAll();
    EXPECT_EQ(process.Wait(), 0) << command;
    EXPECT_NE(help.find("Example"), std::string::npos) << command << ":\n" << help;
  }
}

}  // namespace
}  // namespace leftfold
