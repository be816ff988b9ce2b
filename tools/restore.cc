#include "tools/restore.h"

#include <absl/strings/numbers.h>
#include <absl/time/clock.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <vector>

#include "core/log.h"
#include "core/status.h"
#include "server/role_lock.h"
#include "server/roles.h"
#include "sql/view_file.h"
#include "tools/exit_codes.h"
#include "tools/files.h"
#include "tools/open_log.h"
#include "tools/reactor_files.h"

namespace leftfold::tools {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<Position> UntilOf(LogFileReader& source, const LogExtent& extent,
                                 const std::string& until) {
  if (until.empty()) return extent.head.position;
  std::int64_t number = 0;
  if (absl::SimpleAtoi(until, &number)) {
    if (number >= 1 && number <= extent.head.position.value) return Position{number};
    return Error(absl::StatusCode::kOutOfRange, "--until must be from 1 to {}, where that log ends",
                 extent.head.position.value);
  }
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, until, &time, &error)) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "--until must be a position or a time like 2026-11-21T07:24:42Z ({})", error);
  }
  const auto position = source.PositionUpTo(time);
  if (!position.ok() || *position > kBeforeFirst) return position;
  return Error(absl::StatusCode::kOutOfRange, "nothing was recorded up to {}", until);
}

absl::StatusOr<CopyEnd> EndOf(LogFileReader& source, const LogExtent& extent,
                              const std::string& until) {
  const auto position = UntilOf(source, extent, until);
  if (!position.ok()) return position.status();
  if (*position == extent.head.position) return CopyEnd{*position, extent.command_number};
  const auto end = source.AppendEnd(*position);
  if (!end.ok()) return end.status();
  if (*end == kBeforeFirst) {
    return Error(absl::StatusCode::kOutOfRange,
                 "position {} lies within the first append, which is not cut", position->value);
  }
  const auto commands = source.CommandsUpTo(*end);
  if (!commands.ok()) return commands.status();
  return CopyEnd{*end, *commands};
}

// "" also when the server itself will see that the file is of no use: it is damaged, or not there.
absl::StatusOr<std::string> ViewOffTheLog(LogFileReader& log, const std::string& file) {
  std::error_code error;
  if (!fs::exists(file, error) && !error) return "";
  const auto reader = sql::OpenViewReader(file);
  const auto checkpoint = reader.ok() ? sql::ReadCheckpoint(**reader) : reader.status();
  if (absl::IsDataLoss(checkpoint.status())) return "";
  return checkpoint.ok() ? OffTheLog(log, *checkpoint) : checkpoint.status();
}

// The files that shall be in `data`, in `folder`; those that had gone further are in
// `result.reactors_anew`.
absl::Status PrepareReactors(const RestoreOptions& options, LogFileReader& log,
                             const std::string& folder, const Steps& steps, RestoreResult& result) {
  const auto none = IsEmptyFolder(options.from + "/reactors");
  if (!none.ok()) return none.status();
  const auto copies = CopyReactors(*none ? options.data : options.from, folder, steps);
  if (!copies.ok()) return copies.status();
  auto ahead = RemoveOffTheLog(log, *copies, folder);
  if (!ahead.ok()) return ahead.status();
  if (!*none) {
    const auto here = ReactorsIn(options.data + "/reactors");
    if (!here.ok()) return here.status();
    for (const std::string& name : *here) {
      const bool comes = std::any_of(copies->begin(), copies->end(),
                                     [&](const ReactorCopy& copy) { return copy.name == name; });
      if (!comes) ahead->push_back(name + ": the backup has no file of it");
    }
  }
  if (!ahead->empty() && !options.reactors_anew) {
    LEFTFOLD_RETURN_IF_ERROR(RemoveFolder(folder));
    return Error(absl::StatusCode::kFailedPrecondition,
                 "these reactors do not belong to the log up to position {}, and what they did "
                 "cannot be taken back: {}. Restore an older backup, or with --reactors-anew: they "
                 "begin at the log's beginning and send all once more, under the same ids, or at "
                 "its end where they declare that",
                 result.head.position.value, fmt::join(*ahead, "; "));
  }
  result.reactors_anew = *std::move(ahead);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> TakeViewsOut(LogFileReader& log,
                                                      const std::string& views) {
  std::vector<std::string> taken;
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(views, error)) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const auto served = sql::ListCurrent(views, name);
    if (!served.ok()) return served.status();
    for (const sql::Generation& generation : *served) {
      const auto wrong = ViewOffTheLog(log, sql::ViewPath(views, name, generation));
      if (!wrong.ok()) return wrong.status();
      if (wrong->empty()) continue;
      LEFTFOLD_RETURN_IF_ERROR(sql::RemoveFromCurrent(views, name, generation));
      taken.push_back(fmt::format("{} ({}): {}", name, generation.FileName(), *wrong));
    }
  }
  return taken;
}

// A name beside `place` that is free.
std::string NameForOld(const std::string& place) {
  const std::string name =
      fmt::format("{}.replaced-{}", place,
                  absl::FormatTime("%Y%m%dT%H%M%SZ", absl::Now(), absl::UTCTimeZone()));
  std::string free = name;
  std::error_code error;
  for (int n = 2; fs::exists(free, error); ++n) free = fmt::format("{}-{}", name, n);
  return free;
}

// Puts the new log, or the new folder of reactors, in its place. The old one takes the new one's
// name, which was made the one that it shall have: so it is at no time where an interrupted restore
// is cleared away. Returns that name, "" when there was none.
absl::StatusOr<std::string> Switch(const std::string& partial, const std::string& place,
                                   const Steps& steps) {
  const auto empty = IsEmptyFolder(place);
  if (!empty.ok()) return empty.status();
  steps("switch", 0, 1);
  std::string aside;
  if (*empty) {
    LEFTFOLD_RETURN_IF_ERROR(RenameFolder(partial, place));
  } else {
    aside = NameForOld(place);
    LEFTFOLD_RETURN_IF_ERROR(RenameFolder(partial, aside));
    steps("switch", 0, 1);
    if (const absl::Status exchanged = ExchangeFolders(aside, place); !exchanged.ok()) {
      LEFTFOLD_RETURN_IF_ERROR(RenameFolder(aside, partial));
      return exchanged;
    }
    LEFTFOLD_RETURN_IF_ERROR(SyncFolderOf(place));
  }
  steps("switch", 1, 1);
  return aside;
}

}  // namespace

absl::StatusOr<RestoreResult> RestoreLog(const RestoreOptions& options, const Steps& steps) {
  LEFTFOLD_RETURN_IF_ERROR(CheckLogExists(options.from));
  auto source = LogFileReader::Open(options.from + "/log");
  if (!source.ok()) return source.status();
  const auto extent = (*source)->ReadExtent();
  if (!extent.ok()) return extent.status();
  const auto end = EndOf(**source, *extent, options.until);
  if (!end.ok()) return end.status();
  std::vector<std::unique_ptr<RoleLock>> locks;
  for (const RoleEntry& role : AllRoles()) {
    auto lock = RoleLock::Take(options.data, std::string(role.name));
    if (!lock.ok()) return lock.status();
    locks.push_back(*std::move(lock));
  }
  const auto empty = IsEmptyFolder(options.data + "/log");
  if (!empty.ok()) return empty.status();
  if (!*empty && !options.replace) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "there is a log in {}/log; --replace sets it aside", options.data);
  }
  const std::string partial = options.data + "/log.partial";
  const auto head = CopyLogAgain(**source, *end, partial, /*seal=*/false, options.sizes, steps);
  if (!head.ok()) return head.status();
  LEFTFOLD_RETURN_IF_ERROR(VerifyCopy(partial, *head, steps));
  RestoreResult result;
  result.store_id = extent->store_id;
  result.head = *head;
  const std::string reactors = options.data + "/reactors.partial";
  {
    auto restored = LogFileReader::Open(partial);
    if (!restored.ok()) return restored.status();
    LEFTFOLD_RETURN_IF_ERROR(PrepareReactors(options, **restored, reactors, steps, result));
    steps("views", 0, 1);
    auto views = TakeViewsOut(**restored, options.data + "/views");
    if (!views.ok()) return views.status();
    result.views = *std::move(views);
  }
  // First the reactors: killed in between, they are behind their log, and never without progress.
  std::error_code error;
  if (fs::exists(reactors, error)) {
    auto reactors_aside = Switch(reactors, options.data + "/reactors", steps);
    if (!reactors_aside.ok()) return reactors_aside.status();
    result.reactors_set_aside = *std::move(reactors_aside);
  }
  auto aside = Switch(partial, options.data + "/log", steps);
  if (!aside.ok()) return aside.status();
  result.set_aside = *std::move(aside);
  return result;
}

int Restore(const RestoreOptions& options) {
  const auto result = RestoreLog(options, BarsOn(stdout));
  if (!result.ok()) {
    LogLine("leftfold restore: {}", ToStd(result.status().message()));
    return absl::IsInvalidArgument(result.status()) ? kUsage : 1;
  }
  Print("{}/log: restored up to position {}, store {}, verified\nchain there: {}\n", options.data,
        result->head.position.value, result->store_id, ToHex(AsBytes(result->head.chain)));
  if (!result->set_aside.empty()) Print("the log that was there is in {}\n", result->set_aside);
  if (!result->reactors_set_aside.empty())
    Print("the reactors' files that were there are in {}\n", result->reactors_set_aside);
  for (const std::string& reactor : result->reactors_anew)
    Print("reactor {}; it begins at the log's beginning\n", reactor);
  for (const std::string& view : result->views)
    Print("view {}; it is built anew at the next start\n", view);
  return 0;
}

}  // namespace leftfold::tools
