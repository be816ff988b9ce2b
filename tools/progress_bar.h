#ifndef TOOLS_PROGRESS_BAR_H_
#define TOOLS_PROGRESS_BAR_H_

#include <absl/time/time.h>

#include <cstdint>
#include <cstdio>
#include <string>

#include "core/clock.h"

namespace leftfold::tools {

// "room_directory [#####-----] 5000/10000 12000/s 0s left": on a terminal one line that is written
// over, at most ten times a second; elsewhere plain lines, at most one a second, and the last. The
// rate is that since the construction. Not thread-safe.
class ProgressBar {
 public:
  // Clock and file must outlive it.
  ProgressBar(std::string title, const Clock& clock, std::FILE* out, bool terminal);
  // Ends a line that was begun, so that what is printed next stands on its own.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void Show(std::int64_t done, std::int64_t total);
  // Shows the last state, unless it is shown already.
  void Finish();

 private:
  std::string Line() const;
  void Print();

  const std::string title_;
  const Clock& clock_;
  std::FILE* const out_;
  const bool terminal_;
  const absl::Time start_;
  absl::Time printed_at_ = absl::InfinitePast();
  bool printed_ = false;    // What is known is on the screen.
  bool line_open_ = false;  // On a terminal: without its line feed.
  std::int64_t done_ = 0;
  std::int64_t total_ = 0;
};

}  // namespace leftfold::tools
#endif  // TOOLS_PROGRESS_BAR_H_
