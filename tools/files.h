#ifndef TOOLS_FILES_H_
#define TOOLS_FILES_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>

namespace leftfold::tools {

// `to` must not be there, or be an empty folder. Syncs the folder of `to`.
absl::Status RenameFolder(const std::string& from, const std::string& to);
// Each takes the other's name at one moment, or none does when it fails. Not synced.
absl::Status ExchangeFolders(const std::string& a, const std::string& b);
// Syncs the folder that `path` is in.
absl::Status SyncFolderOf(const std::string& path);
absl::Status RemoveFolder(const std::string& path);
// True too when it is not there.
absl::StatusOr<bool> IsEmptyFolder(const std::string& path);
// Without slashes at the end, so that a suffix can be added to the name.
std::string WithoutSlash(std::string path);

}  // namespace leftfold::tools
#endif  // TOOLS_FILES_H_
