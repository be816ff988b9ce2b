#include "tools/reactor_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "core/status.h"
#include "sql/durable_file.h"
#include "sql/reactor_file.h"
#include "tools/files.h"

namespace leftfold::tools {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffix = ".db";

absl::Status SyncFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  const bool synced = file >= 0 && fsync(file) == 0;
  const absl::Status status = synced ? absl::OkStatus() : sql::FromErrno("sync", path);
  if (file >= 0) close(file);
  return status;
}

// Without name.
absl::StatusOr<ReactorCopy> CopyFile(const std::string& from, const std::string& to) {
  {
    const auto source = sql::OpenReactorReader(from);
    if (!source.ok()) return source.status();
    LEFTFOLD_RETURN_IF_ERROR((*source)->CopyTo(to));
  }
  LEFTFOLD_RETURN_IF_ERROR(SyncFile(to));
  const auto copy = sql::OpenReactorReader(to);
  if (!copy.ok()) return copy.status();
  if ((*copy)->Value("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'") !=
      0) {
    // All of the source could be read: this is no fault of the reactor's.
    return Error(absl::StatusCode::kInternal, "{} was damaged while it was written", to);
  }
  const auto checkpoint = sql::ReadCheckpoint(**copy);
  if (!checkpoint.ok()) return checkpoint.status();
  return ReactorCopy{.checkpoint = *checkpoint, .seen = sql::ReadSeen(**copy)};
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ReactorsIn(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    if (entries->path().extension() == kSuffix) names.push_back(entries->path().stem());
  }
  if (error && error != std::errc::no_such_file_or_directory)
    return Error(absl::StatusCode::kInternal, "cannot read {}: {}", folder, error.message());
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<std::string> OffTheLog(LogFileReader& log, const sql::Checkpoint& checkpoint) {
  const auto chain = log.ChainAt(checkpoint.position);
  if (!chain.ok()) return chain.status();
  if (!*chain) return fmt::format("its checkpoint {} is beyond the log", checkpoint.position.value);
  if (**chain == checkpoint.chain) return "";
  return fmt::format("its checkpoint {} is not on the log's chain", checkpoint.position.value);
}

absl::StatusOr<std::string> OffTheLog(LogFileReader& log, const ReactorCopy& copy) {
  if (!copy.fault.empty()) return copy.fault;
  auto wrong = OffTheLog(log, copy.checkpoint);
  if (!wrong.ok() || !wrong->empty() || copy.seen == kBeforeFirst) return wrong;
  const auto end = log.ChainAt(copy.seen);
  if (!end.ok()) return end.status();
  if (*end) return "";
  return fmt::format(
      "its checkpoint {} is on the log, but its commands have led to events up to "
      "position {}, beyond it",
      copy.checkpoint.position.value, copy.seen.value);
}

absl::StatusOr<std::vector<ReactorCopy>> CopyReactors(const std::string& data,
                                                      const std::string& folder,
                                                      const Steps& steps) {
  LEFTFOLD_RETURN_IF_ERROR(RemoveFolder(folder));
  const auto names = ReactorsIn(data + "/reactors");
  if (!names.ok()) return names.status();
  std::vector<ReactorCopy> copies;
  if (names->empty()) return copies;
  LEFTFOLD_RETURN_IF_ERROR(sql::MakeFolder(folder));
  for (const std::string& name : *names) {
    steps("reactors", std::ssize(copies), std::ssize(*names));
    const std::string file = fmt::format("{}/reactors/{}{}", data, name, kSuffix);
    const std::string copy = fmt::format("{}/{}{}", folder, name, kSuffix);
    auto copied = CopyFile(file, copy);
    if (!copied.ok() && !fs::exists(file)) continue;  // A webhook that was deleted meanwhile.
    if (!copied.ok() && !absl::IsDataLoss(copied.status())) return copied.status();
    if (!copied.ok()) {
      sql::RemoveDatabase(copy);
      copied = ReactorCopy{.fault = std::string(copied.status().message())};
    }
    copied->name = name;
    copies.push_back(*std::move(copied));
  }
  steps("reactors", std::ssize(*names), std::ssize(*names));
  LEFTFOLD_RETURN_IF_ERROR(sql::SyncFolder(folder));
  return copies;
}

absl::StatusOr<std::vector<std::string>> RemoveOffTheLog(LogFileReader& log,
                                                         const std::vector<ReactorCopy>& copies,
                                                         const std::string& folder) {
  std::vector<std::string> removed;
  for (const ReactorCopy& copy : copies) {
    const auto wrong = OffTheLog(log, copy);
    if (!wrong.ok()) return wrong.status();
    if (wrong->empty()) continue;
    sql::RemoveDatabase(fmt::format("{}/{}{}", folder, copy.name, kSuffix));
    removed.push_back(fmt::format("{}: {}", copy.name, *wrong));
  }
  if (!removed.empty()) LEFTFOLD_RETURN_IF_ERROR(sql::SyncFolder(folder));
  return removed;
}

}  // namespace leftfold::tools
