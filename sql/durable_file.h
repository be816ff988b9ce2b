#ifndef SQL_DURABLE_FILE_H_
#define SQL_DURABLE_FILE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

namespace leftfold::sql {

// Small files beside databases that are there whole or not at all, also after a power loss.
// RESOURCE_EXHAUSTED when the disk is full.

// "what path: why", from errno.
absl::Status FromErrno(std::string_view what, const std::string& path);
// With those above it, where there is none; what was made is there after a power loss.
absl::Status MakeFolder(const std::string& path);
// What was made, renamed or removed in the folder is so after a power loss.
absl::Status SyncFolder(const std::string& path);
inline constexpr mode_t kFileMode = 0644;
// Writes and syncs the file; half of it may be there after a crash.
absl::Status WriteDurably(const std::string& path, std::string_view text, mode_t mode = kFileMode);
// The file has the old content, or none, until it has the new one: writes `path`.new, renames it,
// syncs the folder.
absl::Status ReplaceDurably(const std::string& path, std::string_view text,
                            mode_t mode = kFileMode);
// The content; nullopt when there is no such file, an error when there may be one.
absl::StatusOr<std::optional<std::string>> ReadIfThere(const std::string& path);
// Removes a database of SQLite with what is beside it, as far as it is there.
void RemoveDatabase(const std::string& path);

}  // namespace leftfold::sql
#endif  // SQL_DURABLE_FILE_H_
