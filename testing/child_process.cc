#include "testing/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>

#include "core/status.h"

namespace leftfold::testing {

ChildProcess::ChildProcess(const std::vector<std::string>& command) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) Die("no pipe for a child process");
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  pid_ = fork();
  if (pid_ < 0) Die("no child process");
  if (pid_ == 0) {
    dup2(ends[1], STDOUT_FILENO);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  close(ends[1]);
  output_ = ends[0];
}

ChildProcess::~ChildProcess() {
  if (!waited_) {
    Kill(SIGTERM);
    Wait();
  }
  close(output_);
}

bool ChildProcess::ReadMore() {
  char chunk[4096];
  const ssize_t got = read(output_, chunk, sizeof chunk);
  if (got <= 0) return false;
  buffer_.append(chunk, static_cast<std::size_t>(got));
  return true;
}

std::optional<std::string> ChildProcess::ReadLine() {
  std::size_t end = 0;
  while ((end = buffer_.find('\n')) == std::string::npos) {
    if (!ReadMore()) return std::nullopt;
  }
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  return line;
}

std::string ChildProcess::ValueAfter(const std::string& prefix) {
  while (const auto line = ReadLine()) {
    if (line->starts_with(prefix)) return line->substr(prefix.size());
  }
  return "";
}

std::string ChildProcess::ReadAll() {
  while (ReadMore()) {
  }
  return std::move(buffer_);
}

void ChildProcess::Kill(int signal) const { kill(pid_, signal); }

int ChildProcess::Wait() {
  int status = 0;
  waitpid(pid_, &status, 0);
  waited_ = true;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int ChildProcess::WaitAtMost(absl::Duration time) {
  const auto process = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  pollfd ended{process, POLLIN, 0};
  if (poll(&ended, 1, static_cast<int>(absl::ToInt64Milliseconds(time))) != 1) Kill(SIGKILL);
  close(process);
  return Wait();
}

Ran ChildProcess::Finish() {
  Ran ran;
  ran.output = ReadAll();
  ran.exit_code = Wait();
  return ran;
}

double ChildProcess::CpuSeconds() const {
  std::ifstream file(fmt::format("/proc/{}/stat", pid_));
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  constexpr int kFirstFieldAfterName = 3, kUserTime = 14;
  std::string skipped;
  for (int field = kFirstFieldAfterName; field < kUserTime; ++field) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double ChildProcess::ResidentMegabytes() const { return StatusMegabytes("VmRSS:"); }
double ChildProcess::PeakResidentMegabytes() const { return StatusMegabytes("VmHWM:"); }

double ChildProcess::StatusMegabytes(const char* field) const {
  std::ifstream file(fmt::format("/proc/{}/status", pid_));
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(field))
      return std::stod(line.substr(std::string_view(field).size())) / 1024;
  }
  return 0;
}

Ran RunShell(const std::string& line) {
  return ChildProcess({"/bin/bash", "-c", "exec 2>&1; " + line}).Finish();
}

std::vector<std::string> ServerProcess::CommandOf(const std::string& binary,
                                                  const std::string& data, const std::string& roles,
                                                  const std::string& write_listen) {
  std::vector<std::string> command = {binary, "serve", "--data", data, "--roles", roles};
  const auto listen = [&](const char* flag, const std::string& address = "127.0.0.1:0") {
    command.insert(command.end(), {flag, address});
  };
  if (roles.find("write") != std::string::npos) listen("--write-listen", write_listen);
  if (roles.find("read") != std::string::npos) listen("--read-listen");
  listen("--admin-listen");
  listen("--metrics-listen");
  return command;
}

ServerProcess::ServerProcess(const std::string& binary, const std::string& data)
    : ServerProcess(CommandOf(binary, data)) {}

ServerProcess::ServerProcess(const std::vector<std::string>& command)
    : ServerProcess(command, MayFail()) {
  if (!started_) Die(fmt::format("{} does not start", fmt::join(command, " ")));
}

ServerProcess::ServerProcess(const std::vector<std::string>& command, MayFail) : process(command) {
  const std::pair<std::string, std::string*> addresses[] = {
      {"commands listening on ", &write_address},
      {"queries listening on ", &read_address},
      {"admin listening on ", &admin_address},
      {"metrics listening on ", &metrics_address},
      {"inbound listening on ", &inbound_address}};
  for (auto line = process.ReadLine(); line; line = process.ReadLine()) {
    for (const auto& [prefix, address] : addresses) {
      if (line->starts_with(prefix)) *address = line->substr(prefix.size());
    }
    started_ = line->starts_with("roles ");
    if (started_) return;
  }
}

std::unique_ptr<ServerProcess> ServerProcess::TryStart(const std::vector<std::string>& command,
                                                       int* exit_code) {
  std::unique_ptr<ServerProcess> server(new ServerProcess(command, MayFail()));
  if (server->started_) return server;
  const int code = server->process.Wait();
  if (exit_code != nullptr) *exit_code = code;
  return nullptr;
}

}  // namespace leftfold::testing
