#include "tools/backup.h"

#include <cstdio>
#include <filesystem>

#include "core/log.h"
#include "core/status.h"
#include "server/role_lock.h"
#include "sql/durable_file.h"
#include "tools/files.h"
#include "tools/open_log.h"

namespace leftfold::tools {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWriteRole = "write";

// Only what a backup that was interrupted leaves may lie in its folder, for it may be removed.
absl::Status CheckPartial(const std::string& partial) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(partial, error)) {
    const std::string name = entry.path().filename();
    if (name == "log" || name == "write.lock") continue;
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{} is where the backup is made, and holds {}, which is none of it: remove it",
                 partial, name);
  }
  return absl::OkStatus();
}

// Copies into `folder` and verifies what is there then. Here the reactors' progress joins in once
// there is one: `<data>/reactors.db`, after the log, so that it is never ahead of it.
absl::StatusOr<Head> CopyInto(const std::string& folder, LogFileReader& source, const CopyEnd& end,
                              const BackupOptions& options, const Steps& steps) {
  const std::string log = folder + "/log";
  const auto head = options.update
                        ? CopyLog(source, end, log, /*seal=*/true, options.sizes, steps)
                        : CopyLogAgain(source, end, log, /*seal=*/true, options.sizes, steps);
  if (!head.ok()) return head.status();
  LEFTFOLD_RETURN_IF_ERROR(VerifyCopy(log, *head, steps));
  LEFTFOLD_RETURN_IF_ERROR(sql::SyncFolder(folder));
  return head;
}

}  // namespace

absl::StatusOr<BackupResult> BackupLog(const BackupOptions& options, const Steps& steps) {
  LEFTFOLD_RETURN_IF_ERROR(CheckLogExists(options.data));
  auto source = LogFileReader::Open(options.data + "/log");
  if (!source.ok()) return source.status();
  const auto extent = (*source)->ReadExtent();
  if (!extent.ok()) return extent.status();
  const CopyEnd end{extent->head.position, extent->command_number};
  BackupResult result{extent->store_id, {}, extent->command_number, kBeforeFirst};
  const std::string to = WithoutSlash(options.to);
  if (options.update) {
    LEFTFOLD_RETURN_IF_ERROR(CheckLogExists(to));
    const auto lock = RoleLock::Take(to, kWriteRole);
    if (!lock.ok()) return lock.status();
    LEFTFOLD_RETURN_IF_ERROR(CheckIsBeginning(**source, end, to + "/log"));
    auto before = LogFileReader::Open(to + "/log");
    if (!before.ok()) return before.status();
    const auto earlier = (*before)->ReadExtent();
    if (!earlier.ok()) return earlier.status();
    result.begun_after = earlier->head.position;
    before->reset();  // Nobody reads it when it is sealed.
    const auto head = CopyInto(to, **source, end, options, steps);
    if (!head.ok()) return head.status();
    result.head = *head;
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
  const auto head = CopyInto(partial, **source, end, options, steps);
  if (!head.ok()) return head.status();
  result.head = *head;
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
  Print("{}: {} events and {} commands of store {}, verified\nchain at position {}: {}\n",
        WithoutSlash(options.to), result->head.position.value, result->commands, result->store_id,
        result->head.position.value, ToHex(AsBytes(result->head.chain)));
  return 0;
}

}  // namespace leftfold::tools
