#ifndef TOOLS_PROGRESS_BAR_H_
#define TOOLS_PROGRESS_BAR_H_

#include <absl/time/time.h>

#include <cstdint>
#include <cstdio>
#include <string>

#include "core/clock.h"

namespace leftfold::tools {

// "room_directory [#####-----] 5000/10000 12000 events/s 0s left": on a terminal one line that is written over, elsewhere plain
// lines, at most one a second, and the last.
class ProgressBar {
 public:
  ProgressBar(std::string title, const Clock& clock, std::FILE* out, bool terminal);
  void Show(std::int64_t done, std::int64_t total);
  // The last state, and a line feed.
  void Finish();

 private:
  std::string Line() const;

  const std::string title_;
  const Clock& clock_;
  std::FILE* const out_;
  const bool terminal_;
  const absl::Time start_;
  absl::Time shown_ = absl::InfinitePast();
  std::int64_t done_ = 0;
  std::int64_t total_ = 0;
};

}  // namespace leftfold::tools
#endif  // TOOLS_PROGRESS_BAR_H_
