// `leftfold simulate-payments` from outside, with curl: what its page and its help tell a reader to
// type prints what they show.
#include <absl/strings/str_replace.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "testing/child_process.h"
#include "tools/payment_simulator.h"

namespace leftfold {
namespace {

using testing::ChildProcess;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::RunShell;

constexpr char kAddress[] = "127.0.0.1:50060";

std::string Page() {
  std::ifstream stream(LEFTFOLD_SOURCE_DIR "/docs/reference/payments-simulator.md");
  EXPECT_TRUE(stream);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// Of the fenced blocks.
std::vector<std::string> FencedLines(const std::string& page) {
  std::vector<std::string> lines;
  bool fenced = false;
  std::istringstream in(page);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("```")) {
      fenced = !fenced;
    } else if (fenced) {
      lines.push_back(line);
    }
  }
  return lines;
}

// A simulator on a free port, started as the line says.
class Simulator {
 public:
  explicit Simulator(const std::string& line)
      : process_({"/bin/bash", "-c",
                  "exec " + absl::StrReplaceAll(line, {{"leftfold ", LEFTFOLD_BINARY " "},
                                                       {kAddress, "127.0.0.1:0"}})}),
        address_(process_.ValueAfter("payments listening on ")) {}
  const std::string& address() const { return address_; }
  int Stop() {
    process_.Kill(SIGTERM);
    return process_.Wait();
  }

 private:
  ChildProcess process_;
  std::string address_;
};

TEST(SimulatePayments, TheLinesOfItsPagePrintWhatItShows) {
  const std::vector<std::string> lines = FencedLines(Page());
  std::vector<std::string> started;
  for (const std::string& line : lines)
    if (line.starts_with("leftfold ")) started.push_back(line);
  ASSERT_EQ(started.size(), 2u);
  Simulator simulator(started[0]);
  ASSERT_THAT(simulator.address(), HasSubstr("127.0.0.1:"));
  int run = 0;
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
    if (!lines[i].starts_with("curl ")) continue;
    EXPECT_EQ(RunShell(absl::StrReplaceAll(lines[i], {{kAddress, simulator.address()}})).output,
              lines[i + 1])
        << lines[i];
    ++run;
  }
  EXPECT_EQ(run, 8);
  EXPECT_EQ(simulator.Stop(), 0);
  Simulator other(started[1]);
  EXPECT_THAT(other.address(), Not(HasSubstr(":0")));
  EXPECT_EQ(other.Stop(), 0);
}

TEST(SimulatePayments, PageAndHelpListTheTestCards) {
  const std::string page = Page();
  const std::string help = RunShell(LEFTFOLD_BINARY " simulate-payments --help").output;
  std::istringstream cards(tools::TestCards());
  int listed = 0;
  for (std::string card; std::getline(cards, card); ++listed) {
    const std::size_t token = card.find("tok_"), blank = card.find(' ', token);
    EXPECT_THAT(help, HasSubstr(card));
    EXPECT_THAT(page, HasSubstr("| `" + card.substr(token, blank - token) + "` | " +
                                card.substr(card.find_first_not_of(' ', blank)) + " |\n"));
  }
  EXPECT_EQ(listed, 19);
}

TEST(SimulatePayments, TheExampleOfItsHelpRunsAndMistakesAreTold) {
  const std::string help = RunShell(LEFTFOLD_BINARY " simulate-payments --help").output;
  const std::string example = help.substr(help.find("leftfold simulate-payments --listen"));
  Simulator simulator(example.substr(0, example.find('\n')));
  EXPECT_THAT(simulator.address(), HasSubstr("127.0.0.1:"));
  const auto run = [](const std::string& options) {
    return RunShell("timeout 60 " LEFTFOLD_BINARY " simulate-payments " + options);
  };
  const testing::Ran taken = run("--listen " + simulator.address());
  EXPECT_EQ(taken.exit_code, 1);
  EXPECT_THAT(taken.output, HasSubstr(simulator.address()));
  EXPECT_THAT(run("--listen 0.0.0.0:0").output, HasSubstr("loopback"));
  EXPECT_EQ(run("--hold -1").exit_code, 2);
  EXPECT_EQ(run("--webhook-attempts 0").exit_code, 2);
  EXPECT_EQ(run("--api-key ''").exit_code, 2);
}

}  // namespace
}  // namespace leftfold
