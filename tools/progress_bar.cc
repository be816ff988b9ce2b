#include "tools/progress_bar.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace leftfold::tools {
namespace {

constexpr int kBarWidth = 30;
constexpr absl::Duration kTerminalInterval = absl::Milliseconds(100);
constexpr absl::Duration kPlainInterval = absl::Seconds(1);

}  // namespace

ProgressBar::ProgressBar(std::string title, const Clock& clock, std::FILE* out, bool terminal)
    : title_(std::move(title)), clock_(clock), out_(out), terminal_(terminal), start_(clock.Now()) {}

std::string ProgressBar::Line() const {
  const double share = total_ == 0 ? 1 : std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
  const int full = static_cast<int>(share * kBarWidth);
  const double seconds = absl::ToDoubleSeconds(clock_.Now() - start_);
  const double rate = seconds > 0 ? static_cast<double>(done_) / seconds : 0;
  const double left = rate > 0 ? static_cast<double>(total_ - done_) / rate : 0;
  return fmt::format("{} [{}{}] {}/{} {:.0f} events/s {:.0f}s left", title_, std::string(static_cast<std::size_t>(full), '#'),
                     std::string(static_cast<std::size_t>(kBarWidth - full), '-'), done_, total_, rate, left);
}

void ProgressBar::Show(std::int64_t done, std::int64_t total) {
  done_ = done;
  total_ = total;
  const absl::Time now = clock_.Now();
  if (now - shown_ < (terminal_ ? kTerminalInterval : kPlainInterval)) return;
  shown_ = now;
  fmt::print(out_, "{}{}{}", terminal_ ? "\r" : "", Line(), terminal_ ? "\x1b[K" : "\n");
  std::fflush(out_);
}

void ProgressBar::Finish() {
  fmt::print(out_, "{}{}{}\n", terminal_ ? "\r" : "", Line(), terminal_ ? "\x1b[K" : "");
  std::fflush(out_);
}

}  // namespace leftfold::tools
