#include "core/log.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "core/json.h"
#include "core/metrics.h"
#include "core/mutex.h"

namespace leftfold {
namespace {

struct ServerLog {
  LogFormat format = LogFormat::kText;
  std::atomic<const Clock*> clock = nullptr;  // nullptr: this is no server.
  Counter dropped;
  Mutex mu;  // One line at a time.
};

ServerLog& TheLog() {
  static auto* const log = new ServerLog;  // Lives as long as the last thread that logs.
  return *log;
}

bool IsServer() { return TheLog().clock.load(std::memory_order_acquire) != nullptr; }
bool IsJsonLog() { return IsServer() && TheLog().format == LogFormat::kJson; }

// A JSON string that a line has room for, which is a quoted value of a text line too.
std::string Quoted(std::string_view text, std::size_t room = kServerLogLineBytesMax) {
  return JsonString(text, room);
}

std::string Plain(std::string_view value) {
  const bool plain = std::all_of(value.begin(), value.end(), [](char c) {
    return c > ' ' && c <= '~' && c != '"' && c != '=';
  });
  return plain ? std::string(value) : Quoted(value);
}

std::string TimeNow() {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", TheLog().clock.load()->Now(),
                          absl::UTCTimeZone());
}

std::string_view NameOf(LogLevel level) {
  switch (level) {
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "";
}

std::string JsonLine(LogLevel level, std::string_view message,
                     std::initializer_list<LogField> fields) {
  std::string line = fmt::format(R"({{"time":"{}","level":"{}","message":{})", TimeNow(),
                                 NameOf(level), Quoted(message, kServerLogLineBytesMax / 2));
  for (const LogField& field : fields) {
    const std::string name = fmt::format(R"(,"{}":)", field.key);
    const std::size_t used = line.size() + name.size() + 2;  // With what follows.
    if (field.value.empty() || used >= kServerLogLineBytesMax) continue;
    line += name + Quoted(field.value, kServerLogLineBytesMax - used);
  }
  return line + "}";
}

std::string TextLine(LogLevel level, std::string_view message,
                     std::initializer_list<LogField> fields) {
  std::string line = IsServer() ? TimeNow() + " " : "";
  line += fmt::format("{} {}", NameOf(level), message);
  for (const LogField& field : fields) {
    if (!field.value.empty()) line += fmt::format(" {}={}", field.key, Plain(field.value));
  }
  return line;
}

// Whether stderr takes a line now without making us wait.
bool TakesALine() {
  pollfd file = {STDERR_FILENO, POLLOUT, 0};
  return poll(&file, 1, 0) == 1 && (file.revents & POLLOUT) != 0;
}

void WriteToServerLog(std::string line) {
  line.resize(std::min(line.size(), kServerLogLineBytesMax - 1));
  line += '\n';
  ServerLog& log = TheLog();
  MutexLock lock(log.mu);
  ssize_t written = -1;
  while (TakesALine() && (written = write(STDERR_FILENO, line.data(), line.size())) < 0 &&
         errno == EINTR) {
  }
  if (written < 0) log.dropped.Add();
}

void Write(const std::string& line) {
  if (IsServer()) return WriteToServerLog(line);
  WriteText(stderr, line + "\n");
}

}  // namespace

void StartServerLog(LogFormat format, const Clock& clock) {
  TheLog().format = format;
  TheLog().clock.store(&clock, std::memory_order_release);
}

std::int64_t DroppedLogLines() { return TheLog().dropped.value(); }

void LogEvent(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  Write(IsJsonLog() ? JsonLine(level, message, fields) : TextLine(level, message, fields));
}

void WriteLogLine(std::string_view line) {
  Write(IsJsonLog() ? JsonLine(LogLevel::kError, line, {}) : std::string(line));
}

void WriteText(std::FILE* file, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), file);
}

bool FlushOutput() { return std::fflush(stdout) == 0 && std::ferror(stdout) == 0; }

void OpenStandardFiles() {
  int file = 0;
  while ((file = open("/dev/null", O_RDWR)) >= 0 && file <= STDERR_FILENO) {
  }
  if (file >= 0) close(file);
}

}  // namespace leftfold
