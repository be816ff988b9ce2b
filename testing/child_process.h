#ifndef TESTING_CHILD_PROCESS_H_
#define TESTING_CHILD_PROCESS_H_

#include <absl/time/time.h>
#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace leftfold::testing {

struct Ran {
  std::string output;
  int exit_code = 0;  // Or 128 + the signal that ended it.
};

// A real process whose standard output is read line by line. Ends the caller when it cannot be
// started.
class ChildProcess {
 public:
  explicit ChildProcess(const std::vector<std::string>& command);
  // SIGTERM and wait, unless it was waited for.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // nullopt when the output has ended.
  std::optional<std::string> ReadLine();
  // What follows `prefix` in the next line that begins with it; "" when the output ends before.
  std::string ValueAfter(const std::string& prefix);
  // The rest of the output.
  std::string ReadAll();
  void Kill(int signal) const;
  // Its exit code, or 128 + the signal that ended it.
  int Wait();
  // The same of one that ends by itself; it is killed when it does not in this time.
  int WaitAtMost(absl::Duration time);
  // The rest of the output, then the exit code.
  Ran Finish();
  // User and system time so far.
  double CpuSeconds() const;
  double ResidentMegabytes() const;
  // The most that it had at any time.
  double PeakResidentMegabytes() const;
  pid_t pid() const { return pid_; }

 private:
  bool ReadMore();
  double StatusMegabytes(const char* field) const;

  pid_t pid_ = 0;
  int output_ = -1;
  std::string buffer_;
  bool waited_ = false;
};

// Runs a line of bash to its end; the output is that of both streams.
Ran RunShell(const std::string& line);

// A `leftfold serve`: what it says that it listens on; "" for what its roles do not have.
struct ServerProcess {
  // On `data` with free ports.
  ServerProcess(const std::string& binary, const std::string& data);
  // Ends the caller when it does not start.
  explicit ServerProcess(const std::vector<std::string>& command);
  static std::vector<std::string> CommandOf(const std::string& binary, const std::string& data,
                                            const std::string& roles = "project,write,read,react",
                                            const std::string& write_listen = "127.0.0.1:0");
  // nullptr when it does not start; what Wait says of it then is in `exit_code`.
  static std::unique_ptr<ServerProcess> TryStart(const std::vector<std::string>& command,
                                                 int* exit_code = nullptr);

  ChildProcess process;
  std::string write_address;
  std::string read_address;
  std::string admin_address;
  std::string metrics_address;
  std::string inbound_address;  // Only where the command asks for it.

 private:
  struct MayFail {};
  ServerProcess(const std::vector<std::string>& command, MayFail);
  bool started_ = false;
};

}  // namespace leftfold::testing
#endif  // TESTING_CHILD_PROCESS_H_
