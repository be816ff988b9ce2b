#include "tools/progress_bar.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/log.h"

namespace leftfold::tools {
namespace {

constexpr int kBarWidth = 30;
constexpr absl::Duration kTerminalInterval = absl::Milliseconds(100);
constexpr absl::Duration kPlainInterval = absl::Seconds(1);

}  // namespace

ProgressBar::ProgressBar(std::string title, const Clock& clock, std::FILE* out, bool terminal)
    : title_(std::move(title)),
      clock_(clock),
      out_(out),
      terminal_(terminal),
      start_(clock.Now()) {}

ProgressBar::~ProgressBar() {
  if (line_open_) WriteText(out_, "\n");
  std::fflush(out_);
}

std::string ProgressBar::Line() const {
  const double share =
      total_ == 0 ? 1 : std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
  const int full = static_cast<int>(share * kBarWidth);
  const double seconds = absl::ToDoubleSeconds(clock_.Now() - start_);
  const double rate = seconds > 0 ? static_cast<double>(done_) / seconds : 0;
  const double left = rate > 0 ? static_cast<double>(total_ - done_) / rate : 0;
  return fmt::format("{} [{}{}] {}/{} {:.0f}/s {:.0f}s left", title_,
                     std::string(static_cast<std::size_t>(full), '#'),
                     std::string(static_cast<std::size_t>(kBarWidth - full), '-'), done_, total_,
                     rate, left);
}

void ProgressBar::Print() {
  if (terminal_) {
    WriteText(out_, "\r" + Line() + "\x1b[K");
  } else {
    WriteText(out_, Line() + "\n");
  }
  std::fflush(out_);
  printed_at_ = clock_.Now();
  printed_ = true;
  line_open_ = terminal_;
}

void ProgressBar::Show(std::int64_t done, std::int64_t total) {
  printed_ = printed_ && done == done_ && total == total_;
  done_ = done;
  total_ = total;
  if (printed_) return;
  if (clock_.Now() - printed_at_ >= (terminal_ ? kTerminalInterval : kPlainInterval)) Print();
}

void ProgressBar::Finish() {
  if (!printed_) Print();
}

}  // namespace leftfold::tools
