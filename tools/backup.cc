#include "tools/backup.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "core/log.h"
#include "core/status.h"
#include "server/role_lock.h"
#include "sql/durable_file.h"
#include "tools/files.h"
#include "tools/open_log.h"
#include "tools/reactor_files.h"

namespace leftfold::tools {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWriteRole = "write";

// Only what a backup that was interrupted leaves may lie in its folder, for it may be removed.
absl::Status CheckPartial(const std::string& partial) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(partial, error)) {
    const std::string name = entry.path().filename();
    if (name == "log" || name == "write.lock" || name.starts_with("reactors")) continue;
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{} is where the backup is made, and holds {}, which is none of it: remove it",
                 partial, name);
  }
  return absl::OkStatus();
}

// Puts a folder that was made in the place of one that may be there.
absl::Status Replace(const std::string& made, const std::string& place) {
  std::error_code error;
  if (!fs::exists(made, error)) return RemoveFolder(place);
  if (!fs::exists(place, error)) return RenameFolder(made, place);
  LEFTFOLD_RETURN_IF_ERROR(ExchangeFolders(made, place));
  LEFTFOLD_RETURN_IF_ERROR(SyncFolderOf(place));
  return RemoveFolder(made);
}

// Copies of `reactors` that are in the backup already are taken over where there is no newer one:
// they are on the log, which only grew since.
absl::Status KeepEarlier(const std::vector<ReactorCopy>& reactors, const std::string& earlier,
                         const std::string& made) {
  for (const ReactorCopy& reactor : reactors) {
    const std::string file = "/" + reactor.name + ".db";
    std::error_code error;
    if (fs::exists(made + file, error) || !fs::exists(earlier + file, error)) continue;
    LEFTFOLD_RETURN_IF_ERROR(sql::MakeFolder(made));
    if (link((earlier + file).c_str(), (made + file).c_str()) != 0)
      return sql::FromErrno("cannot keep", earlier + file);
  }
  return absl::OkStatus();
}

// Copies into `folder` and verifies what is there then.
absl::Status CopyInto(const std::string& folder, LogFileReader& source,
                      const BackupOptions& options, const Steps& steps, BackupResult& result) {
  const std::string log = folder + "/log";
  const std::string made = folder + "/reactors.partial";
  const auto reactors = CopyReactors(options.data, made, steps);
  if (!reactors.ok()) return reactors.status();
  const auto extent = source.ReadExtent();  // After the reactors: none is ahead of it.
  if (!extent.ok()) return extent.status();
  result.store_id = extent->store_id;
  result.commands = extent->command_number;
  const CopyEnd end{extent->head.position, extent->command_number};
  const auto head = options.update
                        ? CopyLog(source, end, log, /*seal=*/true, options.sizes, steps)
                        : CopyLogAgain(source, end, log, /*seal=*/true, options.sizes, steps);
  if (!head.ok()) return head.status();
  result.head = *head;
  LEFTFOLD_RETURN_IF_ERROR(VerifyCopy(log, *head, steps));
  auto left_out = RemoveOffTheLog(source, *reactors, made);
  if (!left_out.ok()) return left_out.status();
  result.left_out = *std::move(left_out);
  result.reactors = std::ssize(*reactors) - std::ssize(result.left_out);
  LEFTFOLD_RETURN_IF_ERROR(KeepEarlier(*reactors, folder + "/reactors", made));
  steps("reactors", 0, 1);
  LEFTFOLD_RETURN_IF_ERROR(Replace(made, folder + "/reactors"));
  return sql::SyncFolder(folder);
}

}  // namespace

absl::StatusOr<BackupResult> BackupLog(const BackupOptions& options, const Steps& steps) {
  LEFTFOLD_RETURN_IF_ERROR(CheckLogExists(options.data));
  auto source = LogFileReader::Open(options.data + "/log");
  if (!source.ok()) return source.status();
  BackupResult result;
  const std::string to = WithoutSlash(options.to);
  if (options.update) {
    LEFTFOLD_RETURN_IF_ERROR(CheckLogExists(to));
    const auto lock = RoleLock::Take(to, kWriteRole);
    if (!lock.ok()) return lock.status();
    const auto extent = (*source)->ReadExtent();
    if (!extent.ok()) return extent.status();
    LEFTFOLD_RETURN_IF_ERROR(
        CheckIsBeginning(**source, {extent->head.position, extent->command_number}, to + "/log"));
    auto before = LogFileReader::Open(to + "/log");
    if (!before.ok()) return before.status();
    const auto earlier = (*before)->ReadExtent();
    if (!earlier.ok()) return earlier.status();
    result.begun_after = earlier->head.position;
    before->reset();  // Nobody reads it when it is sealed.
    LEFTFOLD_RETURN_IF_ERROR(CopyInto(to, **source, options, steps, result));
    return result;
  }
  const auto empty = IsEmptyFolder(to);
  if (!empty.ok()) return empty.status();
  if (!*empty) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{} is not empty; name a new folder, or --update an earlier backup", to);
  }
  const std::string partial = to + ".partial";
  const auto lock = RoleLock::Take(partial, kWriteRole);
  if (!lock.ok()) return lock.status();
  LEFTFOLD_RETURN_IF_ERROR(CheckPartial(partial));
  LEFTFOLD_RETURN_IF_ERROR(CopyInto(partial, **source, options, steps, result));
  steps("rename", 0, 1);
  LEFTFOLD_RETURN_IF_ERROR(RenameFolder(partial, to));
  steps("rename", 1, 1);
  return result;
}

int Backup(const BackupOptions& options) {
  const auto result = BackupLog(options, BarsOn(stdout));
  if (!result.ok()) {
    LogLine("leftfold backup: {}", ToStd(result.status().message()));
    return 1;
  }
  Print(
      "{}: {} events and {} commands of store {} and the files of {} reactors, verified\n"
      "chain at position {}: {}\n",
      WithoutSlash(options.to), result->head.position.value, result->commands, result->store_id,
      result->reactors, result->head.position.value, ToHex(AsBytes(result->head.chain)));
  for (const std::string& reactor : result->left_out) {
    LogLine("leftfold backup: reactor {}; its file is left out", reactor);
  }
  return 0;
}

}  // namespace leftfold::tools
