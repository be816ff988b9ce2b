#include "tools/files.h"

#include <fcntl.h>

#include <cstdio>
#include <filesystem>

#include "core/status.h"
#include "sql/durable_file.h"

namespace leftfold::tools {
namespace fs = std::filesystem;

absl::Status SyncFolderOf(const std::string& path) {
  const std::string parent = fs::path(path).parent_path();
  return sql::SyncFolder(parent.empty() ? "." : parent);
}

absl::Status RenameFolder(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0)
    return sql::FromErrno("cannot rename " + from + " to", to);
  return SyncFolderOf(to);
}

absl::Status ExchangeFolders(const std::string& a, const std::string& b) {
  if (renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) != 0)
    return sql::FromErrno("cannot exchange " + a + " with", b);
  return absl::OkStatus();
}

absl::Status RemoveFolder(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error)
    return Error(absl::StatusCode::kInternal, "cannot remove {}: {}", path, error.message());
  return absl::OkStatus();
}

absl::StatusOr<bool> IsEmptyFolder(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return true;
  const bool empty = fs::is_directory(path, error) && fs::is_empty(path, error);
  if (error) return Error(absl::StatusCode::kInternal, "cannot read {}: {}", path, error.message());
  return empty;
}

std::string WithoutSlash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

}  // namespace leftfold::tools
