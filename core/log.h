#ifndef CORE_LOG_H_
#define CORE_LOG_H_

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "core/clock.h"

namespace leftfold {

// What the process says to people. A full disk or a closed terminal ends nothing: what cannot be
// written is dropped (fmt::print would throw). Thread-safe, but for StartServerLog.

// Of one line of a server's log; the rest is cut. A pipe takes so much in one piece (PIPE_BUF).
inline constexpr std::size_t kServerLogLineBytesMax = 4'096;

enum class LogFormat { kText, kJson };
enum class LogLevel { kInfo, kWarning, kError };

struct LogField {
  std::string_view key;  // snake_case.
  std::string value;
};

// From now on this process is a server: its lines on stderr have a time and this format, and one
// that stderr does not take at once (a pipe that nobody reads) is dropped instead of waited for.
// `clock` must outlive the process's last line. Once, before the first thread.
void StartServerLog(LogFormat format, const Clock& clock);
// Lines of this process that stderr did not take.
std::int64_t DroppedLogLines();

// One line on stderr about what happens in a server:
//   text  2026-11-21T12:00:00.123456Z warning view stopped view=room_facts reason="no such table"
//   JSON  {"time":"…","level":"warning","message":"view stopped","view":"room_facts", …}
// A field with an empty value is left out. In a tool the text without the time.
void LogEvent(LogLevel level, std::string_view message,
              std::initializer_list<LogField> fields = {});

// One line on stderr for who started the process; as JSON, at the level error, where a server logs
// so.
void WriteLogLine(std::string_view line);
template <class... Args>
void LogLine(fmt::format_string<Args...> format, Args&&... args) {
  WriteLogLine(fmt::format(format, std::forward<Args>(args)...));
}

// Text on standard output, for main programs; whether it arrived is what FlushOutput says.
void WriteText(std::FILE* file, std::string_view text);
template <class... Args>
void Print(fmt::format_string<Args...> format, Args&&... args) {
  WriteText(stdout, fmt::format(format, std::forward<Args>(args)...));
}

// False when something that was printed so far could not be written.
bool FlushOutput();

// Puts /dev/null where standard input, output or error are closed: a file opened later would get
// their numbers, and what is printed. First thing in a process.
void OpenStandardFiles();

}  // namespace leftfold
#endif  // CORE_LOG_H_
