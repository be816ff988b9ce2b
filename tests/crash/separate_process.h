#ifndef TESTS_CRASH_SEPARATE_PROCESS_H_
#define TESTS_CRASH_SEPARATE_PROCESS_H_

#include <absl/time/clock.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>

#include "core/ids.h"
#include "testing/temporary_folder.h"

namespace leftfold::testing {

// How a process ended that was to answer with a text.
struct Ended {
  int code = 0;  // 128 + signal when it was ended by one.
  std::string text;
  std::string errors;  // What it wrote to stderr.

  // "" when it said nothing is wrong, or ended itself with a line that says why.
  std::string Wrong() const {
    if (code == 0) return text;
    if (code == 128 + SIGABRT && errors.find("leftfold: fatal: ") != std::string::npos) return "";
    if (code == 128 + SIGALRM) return "it hangs";
    return fmt::format("it ends with {}: {}", code, errors);
  }
};

inline int CodeOf(int child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// With OpenSSL ready, which each of thousands of processes would make anew otherwise.
inline int Fork() {
  static const Uuid made = NewUuidV7(absl::Now());
  static_cast<void>(made);
  return fork();
}

// Runs it in a process of its own, which has a minute. No database may be open meanwhile: SQLite
// does not survive a fork.
inline Ended InSeparateProcess(const std::function<std::string()>& work) {
  constexpr unsigned kSecondsMax = 60;
  const TemporaryFolder folder(FolderInMemory());
  const std::string text = folder.path() + "/text";
  const std::string errors = folder.path() + "/errors";
  const int child = Fork();
  if (child == 0) {
    if (freopen(errors.c_str(), "w", stderr) == nullptr) _exit(1);
    setvbuf(stderr, nullptr, _IONBF, 0);
    alarm(kSecondsMax);
    std::ofstream(text) << work();
    _exit(0);
  }
  const int code = CodeOf(child);
  const auto content = [](const std::string& path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  return {code, content(text), content(errors)};
}

}  // namespace leftfold::testing
#endif  // TESTS_CRASH_SEPARATE_PROCESS_H_
