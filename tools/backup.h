#ifndef TOOLS_BACKUP_H_
#define TOOLS_BACKUP_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "event_store/sqlite/log_file.h"
#include "tools/log_copy.h"

namespace leftfold::tools {

struct BackupOptions {
  std::string data;
  std::string to;
  bool update = false;  // `to` is an earlier backup of the same log: bring it up to date.
  CopySizes sizes = {};
};

struct BackupResult {
  std::string store_id;
  Head head;
  std::int64_t commands = 0;
  Position begun_after;  // What was there already.
  std::int64_t reactors = 0;
  std::vector<std::string> left_out;  // Reactors whose files are not in it, and why.
};

// Copies the log of a data folder, as far as it reaches now, into a data folder of its own, beside
// a server or alone, and before it the reactors' files, so that none is ahead of the log. What is
// copied is checked, and the copy is verified. A new backup is made in
// `<to>.partial` and renamed when it is whole; interrupted, it goes on from there the next time. An
// update is in place: whenever it is interrupted, `to` is a backup up to some position. Steps
// "reactors", "copy", "verify", "rename". FAILED_PRECONDITION when `to` is not empty, or is no
// earlier backup.
absl::StatusOr<BackupResult> BackupLog(const BackupOptions& options, const Steps& steps);

// `leftfold backup`.
int Backup(const BackupOptions& options);

}  // namespace leftfold::tools
#endif  // TOOLS_BACKUP_H_
