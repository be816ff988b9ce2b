#ifndef TOOLS_RESTORE_H_
#define TOOLS_RESTORE_H_

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "event_store/sqlite/log_file.h"
#include "tools/log_copy.h"

namespace leftfold::tools {

struct RestoreOptions {
  std::string from;  // A data folder: a backup, or another one.
  std::string data;
  std::string until = {};  // A position, or a time of RFC 3339; empty: all.
  bool replace = false;    // Set the log that is in `data` aside.
  CopySizes sizes = {};
};

struct RestoreResult {
  std::string store_id;
  Head head;
  std::string set_aside;           // Where the old log is; empty when there was none.
  std::vector<std::string> views;  // Files of views that are not served any more, and why.
};

// Makes the log of `from`, up to `until`, the log of `data`, whose "write" and "project" locks it
// takes. An append is never cut: where `until` lies within one, or may, the log ends before it.
// The new log is made in `<data>/log.partial` and verified; then the views whose checkpoint is not
// on it are taken out of CURRENT, so that they are built anew at the next start; then the logs are
// exchanged at one moment. Interrupted, the old log and its place are as they were. Nothing of the
// old log is deleted. Steps "copy", "verify", "views", "switch".
absl::StatusOr<RestoreResult> RestoreLog(const RestoreOptions& options, const Steps& steps);

// `leftfold restore`. 2 when `until` is neither position nor time.
int Restore(const RestoreOptions& options);

}  // namespace leftfold::tools
#endif  // TOOLS_RESTORE_H_
