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
  std::string until = {};      // A position, or a time of RFC 3339; empty: all.
  bool replace = false;        // Set the log that is in `data` aside.
  bool reactors_anew = false;  // Reactors that had gone further may begin at the log's beginning.
  CopySizes sizes = {};
};

struct RestoreResult {
  std::string store_id;
  Head head;
  std::string set_aside;                   // Where the old log is; empty when there was none.
  std::vector<std::string> views;          // Files of views that are not served any more, and why.
  std::vector<std::string> reactors_anew;  // Reactors that have no file any more, and why.
  std::string reactors_set_aside;          // Where the old files are; empty when there were none.
};

// Makes the log of `from`, up to `until`, the log of `data`, whose "write" and "project" locks it
// takes. An append is never cut: where `until` lies within one, or may, the log ends before it.
// The new log is made in `<data>/log.partial` and verified; then the views whose checkpoint is not
// on it are taken out of CURRENT, so that they are built anew at the next start; then the reactors'
// files of `from` (of `data`, where `from` has none) replace those in `data`, and the logs are
// exchanged, each at one moment. FAILED_PRECONDITION when a reactor had gone further than the new
// log, unless `reactors_anew`. Interrupted, the old log and its place are as they were. Nothing of
// the old log is deleted. Steps "copy", "verify", "reactors", "views", "switch".
absl::StatusOr<RestoreResult> RestoreLog(const RestoreOptions& options, const Steps& steps);

// `leftfold restore`. 2 when `until` is neither position nor time.
int Restore(const RestoreOptions& options);

}  // namespace leftfold::tools
#endif  // TOOLS_RESTORE_H_
