#ifndef TOOLS_REACTOR_FILES_H_
#define TOOLS_REACTOR_FILES_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "event_store/sqlite/log_file.h"
#include "sql/view_file.h"
#include "tools/log_copy.h"

namespace leftfold::tools {

// The files of reactors go with their log: they know what was delivered, and cannot be rebuilt.

// Names of the reactors that have files in the folder, in order; none where it is not there.
absl::StatusOr<std::vector<std::string>> ReactorsIn(const std::string& folder);

// "" when the checkpoint is on the log, else why not.
absl::StatusOr<std::string> OffTheLog(LogFileReader& log, const sql::Checkpoint& checkpoint);

// A reactor's file that was copied.
struct ReactorCopy {
  std::string name = {};
  sql::Checkpoint checkpoint = {};
  Position seen = {};      // The highest that a receipt told it of.
  std::string fault = {};  // Not empty: there is no copy, for this is wrong with the file.
};
// The same of all that the reactor knows.
absl::StatusOr<std::string> OffTheLog(LogFileReader& log, const ReactorCopy& copy);

// Copies each file in `<data>/reactors`, as it is at one moment, into `folder`, which is made anew;
// where there are none, there is no folder afterwards. Beside a server or alone. What is copied is
// checked and durable. Damaged files (DATA_LOSS) are passed over, each with its fault; all other
// trouble ends it. Steps "reactors".
absl::StatusOr<std::vector<ReactorCopy>> CopyReactors(const std::string& data,
                                                      const std::string& folder,
                                                      const Steps& steps);
// Removes those from `folder` whose checkpoints are not on the log, and those that know of events
// behind its end from what their commands led to: they would never send these again. Returns them,
// each with why.
absl::StatusOr<std::vector<std::string>> RemoveOffTheLog(LogFileReader& log,
                                                         const std::vector<ReactorCopy>& copies,
                                                         const std::string& folder);

}  // namespace leftfold::tools
#endif  // TOOLS_REACTOR_FILES_H_
