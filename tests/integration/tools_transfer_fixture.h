#ifndef TESTS_INTEGRATION_TOOLS_TRANSFER_FIXTURE_H_
#define TESTS_INTEGRATION_TOOLS_TRANSFER_FIXTURE_H_

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/status.h"
#include "event_store/sqlite/verify_log_file.h"
#include "sql/reactor_file.h"
#include "sql/view_file.h"
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

// A reactor's file in `data`, with a row of its own and a checkpoint on the log.
inline void MakeReactor(const std::string& data, const std::string& name, Position position,
                        Position seen = kBeforeFirst) {
  ReactorEntry reactor;
  reactor.name = name;
  reactor.schema = {"CREATE TABLE IF NOT EXISTS done(position INTEGER) STRICT"};
  auto log = LogFileReader::Open(data + "/log");
  ASSERT_TRUE(log.ok()) << log.status();
  auto file = sql::OpenReactorWriter(fmt::format("{}/reactors/{}.db", data, name), reactor,
                                     {kBeforeFirst, **(*log)->ChainAt(kBeforeFirst)});
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE((*file)->Begin().ok());
  sql::ConnectionWriteTx(**file).Exec("INSERT INTO done VALUES (?)", position);
  const auto chain = (*log)->ChainAt(position);
  sql::WriteCheckpoint(**file, {position, *chain ? **chain : Digest{}});
  sql::WriteSeen(**file, seen);
  ASSERT_TRUE((*file)->Commit().ok());
}
// What MakeReactor wrote; -1 when there is no file. Dies of a damaged one.
inline std::int64_t DoneBy(const std::string& data, const std::string& name) {
  const std::string path = fmt::format("{}/reactors/{}.db", data, name);
  if (!std::filesystem::exists(path)) return -1;
  auto file = sql::OpenReactorReader(path);
  if (!file.ok()) Die(file.status().ToString());
  const std::int64_t done = (*file)->Value("SELECT max(position) FROM done");
  const auto checkpoint = sql::ReadCheckpoint(**file);
  if (!checkpoint.ok()) Die(checkpoint.status().ToString());
  if (checkpoint->position.value != done) Die("it is not at its checkpoint");
  return done;
}

// A view file that is served, with a checkpoint at a position of the log in `data`.
inline void MakeView(const std::string& data, const std::string& name, Position position) {
  ViewEntry view;
  view.name = name;
  view.version = 1;
  view.schema = "CREATE TABLE t(x INTEGER) STRICT";
  auto log = LogFileReader::Open(data + "/log");
  ASSERT_TRUE(log.ok()) << log.status();
  const std::string views = data + "/views";
  auto writer =
      sql::OpenViewWriter(sql::ViewPath(views, name, {1, 1}), view, **(*log)->ChainAt({}));
  ASSERT_TRUE(writer.ok()) << writer.status();
  ASSERT_TRUE((*writer)->Begin().ok());
  sql::WriteCheckpoint(**writer, {position, **(*log)->ChainAt(position)});
  ASSERT_TRUE((*writer)->Commit().ok());
  ASSERT_TRUE(sql::WriteCurrent(views, name, {1, 1}).ok());
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
