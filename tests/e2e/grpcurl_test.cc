// The real grpcurl against a real server: what the documents and the server tell a reader to type
// prints what they show, and every RPC of the rooms can be used from a shell.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "testing/child_process.h"
#include "testing/temporary_folder.h"

namespace leftfold {
namespace {

namespace fs = std::filesystem;
using testing::ChildProcess;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ServerProcess;

constexpr char kTools[] = LEFTFOLD_SOURCE_DIR "/build/tools";

struct Ran {
  std::string output;  // Both streams.
  int exit_code = 0;
};

struct Shown {
  std::string command;
  std::string output;  // "" where the document shows none.
};

std::string TextOf(const fs::path& file) {
  std::ifstream stream(file);
  EXPECT_TRUE(stream) << file;
  return {std::istreambuf_iterator<char>(stream), {}};
}

int Count(const std::string& text, const std::string& what) {
  int count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
    ++count;
  return count;
}

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

// The commands in a document's fenced blocks: what follows "$ ", with the lines up to the next one
// as its output, and in blocks without "$ " the lines that begin with grpcurl.
std::vector<Shown> CommandsIn(const std::string& document) {
  std::vector<Shown> commands;
  bool fenced = false, prompted = false;
  std::istringstream lines(document);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      fenced = !fenced;
      prompted = false;
    } else if (fenced && line.starts_with("$ ")) {
      prompted = true;
      commands.push_back({line.substr(2), ""});
    } else if (fenced && prompted) {
      commands.back().output += line + "\n";
    } else if (fenced && line.starts_with("grpcurl ")) {
      commands.push_back({line, ""});
    }
  }
  return commands;
}

// Without what differs from run to run.
std::string Normalised(const std::string& text) {
  static const std::regex kTime(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z)");
  static const std::regex kUuid("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}");
  return std::regex_replace(std::regex_replace(text, kTime, "TIME"), kUuid, "UUID");
}

class Grpcurl : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(fs::exists(fs::path(kTools) / "grpcurl"))
        << kTools << "/grpcurl is missing: run scripts/setup.sh";
    Serve();
  }

  // A server on fresh data, in the folder `data` of the folder in which commands run.
  void Serve() {
    server_.reset();
    folder_.emplace();
    server_.emplace(LEFTFOLD_BINARY, data());
  }
  std::string data() const { return folder_->path() + "/data"; }

  // A started command, as a reader would type it; `timeout` is for a test that would hang.
  ChildProcess Start(const std::string& command) const {
    std::string line = Replaced(command, "127.0.0.1:50051", server_->write_address);
    line = Replaced(line, "127.0.0.1:50052", server_->read_address);
    line = Replaced(line, "127.0.0.1:50053", server_->admin_address);
    const std::string path = kTools + (":" + fs::path(LEFTFOLD_BINARY).parent_path().string());
    return ChildProcess({"/bin/bash", "-c",
                         "exec 2>&1; export PATH=" + path + ":$PATH; cd " + folder_->path() +
                             " && exec timeout 60 " + line});
  }
  Ran Run(const std::string& command) const {
    ChildProcess process = Start(command);
    Ran ran;
    ran.output = process.ReadAll();
    ran.exit_code = process.Wait();
    return ran;
  }
  // The next JSON object that a stream prints; what there is when the output ends before.
  static std::string NextMessage(ChildProcess& stream) {
    std::string message;
    for (std::string line = stream.ValueAfter(""); !line.empty(); line = stream.ValueAfter("")) {
      message += line + "\n";
      if (line == "}") break;
    }
    return message;
  }

  void ExpectAsShown(const Shown& shown) const {
    SCOPED_TRACE(shown.command);
    Ran ran;
    if (shown.command.find("/Watch") != std::string::npos) {  // Has no end.
      ChildProcess stream = Start(shown.command);
      ran.output = NextMessage(stream);
      EXPECT_THAT(ran.output, HasSubstr("\n}\n"));
    } else {
      ran = Run(shown.command);
    }
    EXPECT_EQ(ran.exit_code != 0, shown.output.starts_with("ERROR:")) << ran.output;
    if (shown.command.starts_with("leftfold ")) {
      ExpectLinesOf(shown.output, ran.output);
    } else if (!shown.output.empty()) {
      EXPECT_EQ(Normalised(ran.output), Normalised(shown.output));
    }
  }
  // The operator's tools: each line but progress bars, and "…" for lines left out.
  static void ExpectLinesOf(const std::string& shown, const std::string& output) {
    std::istringstream lines(shown);
    for (std::string line; std::getline(lines, line);) {
      if (line == "…" || line.find(" events/s ") != std::string::npos) continue;
      EXPECT_THAT(output, HasSubstr(line + "\n"));
    }
  }

  std::optional<testing::TemporaryFolder> folder_;
  std::optional<ServerProcess> server_;
};

class GrpcurlInDocuments : public Grpcurl {};

TEST_F(GrpcurlInDocuments, TheTourOfTheReadmePrintsWhatItShows) {
  const std::vector<Shown> tour = CommandsIn(TextOf(LEFTFOLD_SOURCE_DIR "/README.md"));
  EXPECT_GE(tour.size(), 9u);
  for (const Shown& shown : tour) ExpectAsShown(shown);
}

TEST_F(GrpcurlInDocuments, LinesInOtherDocumentsRun) {
  std::vector<fs::path> documents;
  for (const auto& entry : fs::directory_iterator(LEFTFOLD_SOURCE_DIR))
    documents.push_back(entry.path());
  for (const auto& entry : fs::recursive_directory_iterator(LEFTFOLD_SOURCE_DIR "/docs"))
    documents.push_back(entry.path());
  int lines = 0;
  for (const fs::path& document : documents) {
    if (document.extension() != ".md") continue;
    SCOPED_TRACE(document);
    const std::string text = TextOf(document);
    const std::vector<Shown> commands = CommandsIn(text);
    const auto run = std::count_if(commands.begin(), commands.end(), [](const Shown& shown) {
      return shown.command.starts_with("grpcurl ");
    });
    EXPECT_EQ(run, Count(text, "grpcurl -")) << "a line outside of fenced blocks is not run";
    if (document.filename() == "README.md" || commands.empty()) continue;
    Serve();
    for (const Shown& shown : commands) ExpectAsShown(shown);
    lines += static_cast<int>(run);
  }
  EXPECT_GE(lines, 1);
}

TEST_F(GrpcurlInDocuments, TheThreeLinesThatServePrintsRun) {
  constexpr int kLines = 3;
  for (int i = 0; i < kLines; ++i) {
    const std::string rest = server_->process.ValueAfter("  grpcurl ");
    ASSERT_NE(rest, "") << "line " << i;
    const Ran ran = Run("grpcurl " + rest);
    EXPECT_EQ(ran.exit_code, 0) << rest << "\n" << ran.output;
    EXPECT_THAT(ran.output, Not(HasSubstr("ERROR")));
  }
}

}  // namespace
}  // namespace leftfold
