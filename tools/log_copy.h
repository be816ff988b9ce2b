#ifndef TOOLS_LOG_COPY_H_
#define TOOLS_LOG_COPY_H_

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "event_store/sqlite/log_file.h"

namespace leftfold::tools {

// Told between two things that a subcommand does to files, with the name of what comes next or goes
// on: for progress bars, and for tests that end the process there.
using Steps = std::function<void(std::string_view step, std::int64_t done, std::int64_t total)>;

// Shows a progress bar for each step that has more than one part.
Steps BarsOn(std::FILE* out);

// Small in tests, so that a small log has many pages and transactions.
struct CopySizes {
  std::size_t page_events = kPageEvents;
  std::size_t group_bytes = kCopyGroupBytes;
};

// The part of a log to copy: its events up to a position and its commands up to a number.
struct CopyEnd {
  Position position;
  std::int64_t command_number = 0;
};

// Whether all of the log in `folder` is also in `source`, at or before `end`. FAILED_PRECONDITION
// says why not; NOT_FOUND when there is no log in `folder`.
absl::Status CheckIsBeginning(LogFileReader& source, const CopyEnd& end, const std::string& folder);

// Copies what the log in `folder` does not have yet: all of it where there is no log. Steps "copy".
// Each of its reads is a short transaction, so that it can run beside a server. DATA_LOSS when the
// source is faulty: "the log is faulty …". The caller holds the lock of `folder`.
absl::StatusOr<Head> CopyLog(LogFileReader& source, const CopyEnd& end, const std::string& folder,
                             bool seal, const CopySizes& sizes, const Steps& steps);

// The same into a folder where an interrupted copy may lie: goes on with it if it is a beginning of
// the source, else begins anew.
absl::StatusOr<Head> CopyLogAgain(LogFileReader& source, const CopyEnd& end,
                                  const std::string& folder, bool seal, const CopySizes& sizes,
                                  const Steps& steps);

// Verifies a copy on which nobody works, all but whether payloads decode, and that it ends at
// `head`; syncs its folder. Steps "verify".
absl::Status VerifyCopy(const std::string& folder, const Head& head, const Steps& steps);

}  // namespace leftfold::tools
#endif  // TOOLS_LOG_COPY_H_
