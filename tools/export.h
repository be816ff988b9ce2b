#ifndef TOOLS_EXPORT_H_
#define TOOLS_EXPORT_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>

#include "event_store/sqlite/log_file.h"
#include "tools/log_copy.h"

namespace leftfold::tools {

struct ExportOptions {
  std::string data;
  std::string to;         // A file; empty: standard output.
  std::int64_t from = 0;  // The first position; 0: from where `to` ends, else from the beginning.
  CopySizes sizes = {};
};

struct ImportOptions {
  std::string data;
  std::string from;  // A file; "-": standard input.
  CopySizes sizes = {};
};

struct TransferResult {
  Position begun_after;  // What was there already.
  Head head;
};

// Writes the log, as far as it reaches now, as lines (log_line.h): a header, then events and
// commands in order. Beside a server or alone. A file that is there is continued after its last
// whole line. Steps "export". Leaf and chain of each event are checked. FAILED_PRECONDITION when
// the file is no export of this log, or begins elsewhere.
absl::StatusOr<TransferResult> ExportLog(const ExportOptions& options, const Steps& steps);

// Writes such lines into the log of `data`, whose "write" lock it takes, and makes the log where
// there is none. Events that the log has already are compared with it; then it goes on after the
// last one. Everything is checked; the first line that does not fit ends it with "line 7: …":
// DATA_LOSS when it does not fit into the log, INVALID_ARGUMENT when it is no line of an export,
// FAILED_PRECONDITION when it is of another store or leaves a gap. What was stored before stays,
// and ends where an append ends. Steps "import", by lines.
absl::StatusOr<TransferResult> ImportLog(const ImportOptions& options, const Steps& steps);

// `leftfold export` and `leftfold import`.
int Export(const ExportOptions& options);
int Import(const ImportOptions& options);

}  // namespace leftfold::tools
#endif  // TOOLS_EXPORT_H_
