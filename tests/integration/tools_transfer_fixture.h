#ifndef TESTS_INTEGRATION_TOOLS_TRANSFER_FIXTURE_H_
#define TESTS_INTEGRATION_TOOLS_TRANSFER_FIXTURE_H_

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "event_store/sqlite/verify_log_file.h"
#include "testing/log_on_disk.h"
#include "tools/log_copy.h"

// What tests of backup, restore, export and import need.
namespace leftfold::tools {

using Lines = std::vector<std::string>;

// One event a page and one append a transaction, so that there are many places to stop at.
inline constexpr CopySizes kSmall{.page_events = 1, .group_bytes = 1};

inline const Steps kNoSteps = [](std::string_view, std::int64_t, std::int64_t) {};

// Ends the process with SIGKILL at the n-th step.
inline Steps KillAt(int n) {
  return [left = n](std::string_view, std::int64_t, std::int64_t) mutable {
    if (--left == 0) raise(SIGKILL);
  };
}

// Runs `work` in a process that is killed at its first step, then at its second, and so on until it
// ends before; `check` comes after each of them. Returns how often it was killed. No database may
// be open meanwhile: SQLite does not survive a fork.
inline int KillEverywhere(const std::function<absl::Status(const Steps&)>& work,
                          const std::function<void(int n)>& check) {
  constexpr int kStepsMax = 200;
  for (int n = 1; n < kStepsMax; ++n) {
    const pid_t child = fork();
    if (child == 0) _exit(work(KillAt(n)).ok() ? 0 : 1);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
      return n - 1;
    }
    check(n);
  }
  ADD_FAILURE() << "it does not end";
  return 0;
}

inline absl::Status Verified(const std::string& data) {
  return VerifyLogFile(data + "/log", {}).status();
}

inline bool IsPrefix(const Lines& part, const Lines& whole) {
  return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
}

// A log with an empty folder beside it.
class Transfer : public ::testing::Test {
 protected:
  Transfer() { log_.Fill(); }
  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }
  Lines Content() const { return testing::ContentOf(log_.log()); }
  static std::string Message(const absl::Status& status) { return std::string(status.message()); }
  template <class T>
  static std::string Message(const absl::StatusOr<T>& result) {
    return Message(result.status());
  }

  testing::LogOnDisk log_;
  testing::TemporaryFolder folder_;
};

}  // namespace leftfold::tools
#endif  // TESTS_INTEGRATION_TOOLS_TRANSFER_FIXTURE_H_
