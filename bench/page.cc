#include "bench/page.h"

#include <absl/strings/str_replace.h>
#include <absl/time/clock.h>
#include <absl/time/time.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace leftfold::bench {
namespace {

constexpr std::string_view kHow = R"(
Every ceiling was measured in the same run, in turn with the value: an RPC that does nothing with the same messages, a
bare SQLite loop with the same rows and as many fsyncs, a bare write and fdatasync. Each value is the median of repeats
after a warm-up; "low to high" is where they all lie. CPU is the server's, user and system, for each event or
call; behind it that of the ceiling. A ratio without a goal is there to be looked at.

"Cheap client" makes HTTP/2 frames of its own for about a microsecond a call, beside what the kernel takes for its
sockets, so that nearly all of the machine is the server's; other clients are gRPC's for C++. In a closed loop a client
sends its next call when the last was answered. In an open loop calls have scheduled times, and a latency counts from
there, whatever the calls before it did.
)";

std::string Short(std::optional<double> value) {
  if (!value) return "";
  if (*value >= 1'000) return fmt::format("{:.0f}", *value);
  return fmt::format("{:.3g}", *value);
}

std::string Escaped(std::string_view text) {
  return absl::StrReplaceAll(absl::string_view(text.data(), text.size()),
                             {{"->", "→"}, {">=", "≥"}, {"<=", "≤"}, {"<", "&lt;"}, {"|", "\\|"}});
}

std::string Spread(const Row& row) {
  return row.low ? Short(row.low) + " to " + Short(row.high) : "";
}

std::string CpuOf(const Row& row) {
  return Short(row.cpu_us) + (row.ceiling_cpu_us ? " / " + Short(row.ceiling_cpu_us) : "");
}

std::string Processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown processor";
}

bool Write(const std::filesystem::path& path, std::string_view text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file.good();
}

}  // namespace

std::string ThisMachine() {
  utsname system{};
  uname(&system);
  return fmt::format("{}, {} cores, {}, Linux {}",
                     absl::FormatTime("%Y-%m-%d", absl::Now(), absl::UTCTimeZone()),
                     sysconf(_SC_NPROCESSORS_ONLN), Processor(), system.release);
}

std::string ToPage(const Report& report, std::string_view measured) {
  std::string page = fmt::format("# What `make bench` measured\n\n{}.\n{}\n", measured, kHow);
  page += "| What | Unit | Value | Low to high | Ceiling | Ratio | Goal | Holds | CPU µs |\n";
  page += "|---|---|--:|--:|--:|--:|---|---|--:|\n";
  for (const Row& row : report.rows) {
    page += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} | {} |\n", Escaped(row.name),
                        row.unit, Short(row.value), Spread(row), Short(row.ceiling),
                        row.ratio() ? fmt::format("{:.2f}", *row.ratio()) : "", Escaped(row.goal),
                        row.goal.empty() ? ""
                        : row.holds      ? "yes"
                                         : "**no**",
                        CpuOf(row));
  }
  for (const Plot& plot : report.plots) page += fmt::format("\n![{}]({})\n", plot.title, plot.file);
  return page;
}

bool Save(const Report& report, std::string_view measured, const std::string& folder) {
  const std::filesystem::path to = folder;
  std::error_code failed;
  std::filesystem::create_directories(to, failed);
  bool good = Write(to / "latest.json", ToJson(report.rows)) &&
              Write(to / "README.md", ToPage(report, measured));
  for (const Plot& plot : report.plots) good = good && Write(to / plot.file, ToSvg(plot));
  return good;
}

}  // namespace leftfold::bench
