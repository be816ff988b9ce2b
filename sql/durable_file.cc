#include "sql/durable_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "core/kill_points.h"
#include "core/status.h"

namespace leftfold::sql {

namespace fs = std::filesystem;

absl::Status FromErrno(std::string_view what, const std::string& path) {
  const int code = errno;
  const auto status =
      code == ENOSPC ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kInternal;
  return Error(status, "{} {}: {}", what, path, std::strerror(code));
}

absl::Status MakeFolder(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return absl::OkStatus();
  fs::path folder(path);
  if (!folder.has_filename()) folder = folder.parent_path();  // It ended with a slash.
  if (folder.has_parent_path()) LEFTFOLD_RETURN_IF_ERROR(MakeFolder(folder.parent_path()));
  if (mkdir(folder.c_str(), 0777) != 0) {
    const bool is_there = errno == EEXIST;
    const bool made_since = is_there && fs::is_directory(path, error);
    if (is_there) errno = ENOTDIR;
    if (!made_since) return FromErrno("cannot create the folder", path);
  }
  return SyncFolder(folder.has_parent_path() ? folder.parent_path() : ".");
}

absl::Status SyncFolder(const std::string& path) {
  const int folder = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return FromErrno("cannot open folder", path);
  const absl::Status status =
      fsync(folder) == 0 ? absl::OkStatus() : FromErrno("cannot fsync folder", path);
  close(folder);
  return status;
}

namespace {

// A disk that is nearly full takes a part of it.
bool WriteAll(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace

absl::Status WriteDurably(const std::string& path, std::string_view text, mode_t mode) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (file < 0) return FromErrno("cannot write", path);
  const bool written = WriteAll(file, text) && fsync(file) == 0;
  const absl::Status status = written ? absl::OkStatus() : FromErrno("cannot write", path);
  close(file);
  return status;
}

absl::Status ReplaceDurably(const std::string& path, std::string_view text, mode_t mode) {
  const std::string temporary = path + ".new";
  LEFTFOLD_RETURN_IF_ERROR(WriteDurably(temporary, text, mode));
  Reach(KillPoint::kFileWritten, fs::path(path).filename().string());
  if (rename(temporary.c_str(), path.c_str()) != 0) return FromErrno("cannot switch", path);
  return SyncFolder(fs::path(path).parent_path());
}

absl::StatusOr<std::optional<std::string>> ReadIfThere(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0 && errno == ENOENT) return std::nullopt;
  std::string text;
  char part[4'096];
  ssize_t size = file < 0 ? -1 : 0;
  while (file >= 0 && (size = read(file, part, sizeof(part))) > 0)
    text.append(part, static_cast<std::size_t>(size));
  const absl::Status failure = FromErrno("cannot read", path);
  if (file >= 0) close(file);
  if (size < 0) return failure;
  return text;
}

void RemoveDatabase(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm"}) {
    std::error_code ignored;
    fs::remove(path + suffix, ignored);
  }
}

}  // namespace leftfold::sql
