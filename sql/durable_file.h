#ifndef SQL_DURABLE_FILE_H_
#define SQL_DURABLE_FILE_H_

#include <absl/status/status.h>
#include <sys/types.h>

#include <string>
#include <string_view>

// Small files that are there whole after a power loss. RESOURCE_EXHAUSTED when the disk is full.
namespace leftfold::sql {

// What the C library says about a call that has just failed.
absl::Status FromErrno(std::string_view what, const std::string& path);

absl::Status MakeFolder(const std::string& path);

inline constexpr mode_t kFileMode = 0644;

// Writes `text` to `path`, of which half may be there when it fails. SyncFolder makes its name
// last.
absl::Status WriteDurably(const std::string& path, std::string_view text, mode_t mode = kFileMode);
// Also of what was renamed or removed in it.
absl::Status SyncFolder(const std::string& path);
// `path` has `text`, or what it had before. Writes `path`.new first.
absl::Status ReplaceDurably(const std::string& path, std::string_view text,
                            mode_t mode = kFileMode);

// Removes a database of SQLite with what is beside it, as far as it is there.
void RemoveDatabase(const std::string& path);

}  // namespace leftfold::sql
#endif  // SQL_DURABLE_FILE_H_
