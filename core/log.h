#ifndef CORE_LOG_H_
#define CORE_LOG_H_

#include <fmt/format.h>

#include <cstdio>
#include <string_view>
#include <utility>

namespace leftfold {

// What the process says to people. A full disk or a closed terminal ends nothing: what cannot be
// written is dropped (fmt::print would throw). Thread-safe.

void WriteText(std::FILE* file, std::string_view text);

// One line on stderr.
template <class... Args>
void LogLine(fmt::format_string<Args...> format, Args&&... args) {
  WriteText(stderr, fmt::format(format, std::forward<Args>(args)...) + "\n");
}

// Text on standard output, for main programs; whether it arrived is what FlushOutput says.
template <class... Args>
void Print(fmt::format_string<Args...> format, Args&&... args) {
  WriteText(stdout, fmt::format(format, std::forward<Args>(args)...));
}

// False when something that was printed so far could not be written.
bool FlushOutput();

}  // namespace leftfold
#endif  // CORE_LOG_H_
