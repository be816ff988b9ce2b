#include "bench/peers/peer.h"

#include <absl/strings/numbers.h>
#include <absl/time/clock.h>
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

#include "core/ids.h"
#include "core/status.h"

namespace leftfold::bench {
namespace {

struct ProcessTimes {
  pid_t parent = 0;
  double ticks = 0;  // With those of its children that were waited for.
};

std::optional<ProcessTimes> TimesOf(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(name_end + 2));
  std::string state, skipped;
  ProcessTimes times;
  fields >> state >> times.parent;
  constexpr int kSkipped = 9;
  for (int i = 0; i < kSkipped; ++i) fields >> skipped;
  for (int i = 0; i < 4; ++i) {
    double ticks = 0;
    fields >> ticks;
    times.ticks += ticks;
  }
  return times;
}

double TicksBelow(const std::map<pid_t, ProcessTimes>& processes, pid_t root) {
  double ticks = processes.at(root).ticks;
  for (const auto& [pid, times] : processes) {
    if (times.parent == root) ticks += TicksBelow(processes, pid);
  }
  return ticks;
}

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool Listens(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(port);
  const bool connected =
      connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return connected;
}

}  // namespace

std::string NewEventId() { return ToString(NewUuidV7(absl::Now())); }

double TreeCpuSeconds(pid_t root) {
  std::map<pid_t, ProcessTimes> processes;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    pid_t pid = 0;
    if (!absl::SimpleAtoi(name, &pid)) continue;
    if (const auto times = TimesOf(name)) processes.emplace(pid, *times);
  }
  if (!processes.contains(root)) Die("a peer has ended");
  return TicksBelow(processes, root) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    Die("no free port");
  close(fd);
  return ntohs(address.sin_port);
}

std::vector<std::string> EndingWithUs(std::vector<std::string> command) {
  command.insert(command.begin(), {"/usr/bin/setpriv", "--pdeathsig", "TERM"});
  return command;
}

std::unique_ptr<testing::ChildProcess> StartServer(const std::vector<std::string>& command,
                                                   const std::string& log, int port) {
  std::vector<std::string> to_log = {"/bin/bash", "-c",
                                     fmt::format("exec \"$0\" \"$@\" >'{}' 2>&1", log)};
  to_log.insert(to_log.end(), command.begin(), command.end());
  auto process = std::make_unique<testing::ChildProcess>(EndingWithUs(to_log));
  constexpr absl::Duration kLook = absl::Milliseconds(20);
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (!Listens(port)) {
    if (absl::Now() > deadline) Die(fmt::format("{} does not listen; see {}", command[0], log));
    absl::SleepFor(kLook);
  }
  return process;
}

std::optional<std::string> FirstLineOf(const std::string& command) {
  const testing::Ran ran = testing::RunShell(command);
  if (ran.exit_code != 0) return std::nullopt;
  return ran.output.substr(0, ran.output.find('\n'));
}

}  // namespace leftfold::bench
