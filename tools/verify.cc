#include "tools/verify.h"

#include <absl/time/clock.h>

#include <cstdio>
#include <fstream>
#include <memory>

#include "core/log.h"
#include "core/status.h"
#include "event_store/sqlite/verify_log_file.h"
#include "server/metrics.h"
#include "server/role_lock.h"
#include "sql/view_file.h"
#include "tools/log_copy.h"
#include "tools/open_log.h"
#include "tools/payload_check.h"

namespace leftfold::tools {
namespace {

constexpr std::string_view kWhatToDo =
    "There is no repair: an event that was changed or lost cannot be made up. Stop the server, "
    "keep this folder for an\n"
    "inquiry, and put a backup from before the fault in its place: leftfold restore --from BACKUP "
    "--data DIR --replace.\n"
    "Views that had gone further are then built anew.";

constexpr std::string_view kWhatToDoWithIndex =
    "The log itself has no fault. Stop the server and delete log/index.db: the next start makes it "
    "again from the log.";

absl::Status VerifyView(const ViewEntry& view, const std::string& views, LogFileReader& log) {
  const auto current = sql::ReadCurrent(views, view.name, view.version);
  if (!current.ok()) return current.status();
  if (!*current) {
    Print("{}: not built yet\n", view.name);
    return absl::OkStatus();
  }
  auto reader = sql::OpenViewReader(sql::ViewPath(views, view.name, **current));
  if (!reader.ok()) return reader.status();
  const auto checkpoint = sql::ReadCheckpoint(**reader);
  if (!checkpoint.ok()) return checkpoint.status();
  const std::int64_t at = checkpoint->position.value;
  const auto chain = log.ChainAt(checkpoint->position);
  if (!chain.ok()) return chain.status();
  if (!*chain) return Error(absl::StatusCode::kDataLoss, "its checkpoint {} is beyond the log", at);
  if (**chain != checkpoint->chain)
    return Error(absl::StatusCode::kDataLoss, "its checkpoint {} is not on the log's chain", at);
  Print("{}: checkpoint {} is on the chain\n", view.name, at);
  return absl::OkStatus();
}

// The exit code, after printing what was found.
int VerifyViews(const Registry& registry, const std::string& data) {
  auto log = LogFileReader::Open(data + "/log");
  if (!log.ok()) {
    LogLine("leftfold verify: {}", ToStd(log.status().message()));
    return 1;
  }
  int faults = 0;
  for (const ViewEntry& view : registry.views()) {
    const absl::Status status = VerifyView(view, data + "/views", **log);
    if (status.ok()) continue;
    Print("FAULT: {}: {}\nRebuild it: leftfold replay {}\n", view.name, ToStd(status.message()),
          view.name);
    faults = 1;
  }
  return faults;
}

// How far the index was compared, and what was found. Whether all of it could be read.
bool ReportIndex(const VerifiedLog& log) {
  if (!log.has_index) {
    Print("there is no log/index.db: the next start of the server makes it from the log\n");
    return true;
  }
  if (absl::IsDataLoss(log.index)) {
    Print("FAULT: the index: {}\n{}\n", ToStd(log.index.message()), kWhatToDoWithIndex);
    return true;
  }
  if (!log.index.ok()) {
    Print("log/index.db could not be read, which tells of no fault: {}\nVerify again.\n",
          ToStd(log.index.message()));
    return false;
  }
  Print("log/index.db compared up to position {} of {}\n", log.index_position.value,
        log.extent.head.position.value);
  return true;
}

void Report(const std::string& log, const LogExtent& extent, const PayloadCheck& payloads,
            bool at_rest) {
  Print("{} events and {} commands of store {}\nchain at position {}: {}\n",
        extent.head.position.value, extent.command_number, extent.store_id,
        extent.head.position.value, ToHex(AsBytes(extent.head.chain)));
  for (const auto& [type, count] : payloads.unknown())
    Print("{} events of {}: this binary does not know the type, so not decoded\n", count, type);
  const auto reader = LogFileReader::Open(log);
  if (reader.ok() && !(*reader)->connection().HasPageChecksums()) {
    Print(
        "pages carry no checksums: made by an earlier version; leftfold backup and restore write "
        "them\n");
  }
  if (!at_rest) {
    Print(
        "a server writes here: pages, and command ids recorded twice, are checked when none does, "
        "or in a backup\n");
  }
}

enum class Outcome { kNoFault, kFault, kNoAnswer };

Outcome Check(const Registry& registry, const std::string& data) {
  if (const absl::Status there = CheckLogExists(data); !there.ok()) {
    LogLine("leftfold verify: {}", ToStd(there.message()));
    return Outcome::kNoAnswer;
  }
  const bool at_rest = !RoleLock::FindHolder(data, "write").ok();
  PayloadCheck payloads;
  absl::StatusOr<VerifiedLog> log;
  {
    const Steps bars = BarsOn(stdout);
    log = VerifyLogFile(
        data + "/log",
        {.at_rest = at_rest,
         .payload = [&](const RecordedEvent& event) { return payloads.Check(event); },
         .progress = [&](std::int64_t done, std::int64_t total) { bars("log", done, total); },
         .index_progress = [&](std::int64_t done,
                               std::int64_t total) { bars("index rows", done, total); },
         .long_read =
             [&](std::string_view what) {
               bars(what, 0, 1);
               Print("{} …\n", what);
               std::fflush(stdout);
             }});
  }
  if (absl::IsDataLoss(log.status())) {
    Print("FAULT: {}\n{}\n", ToStd(log.status().message()), kWhatToDo);
    return Outcome::kFault;
  }
  if (!log.ok()) {
    LogLine("leftfold verify: {}", ToStd(log.status().message()));
    return Outcome::kNoAnswer;
  }
  if (at_rest && !log->index.ok() && RoleLock::FindHolder(data, "write").ok()) {
    LogLine("leftfold verify: a server has begun to write meanwhile; verify again");
    return Outcome::kNoAnswer;
  }
  Report(data + "/log", log->extent, payloads, at_rest);
  const bool index_read = ReportIndex(*log);
  if (VerifyViews(registry, data) != 0 || absl::IsDataLoss(log->index)) return Outcome::kFault;
  if (!index_read) return Outcome::kNoAnswer;
  Print("no fault found\n");
  return Outcome::kNoFault;
}

// For who watches the server's metrics. Where the folder cannot be written (a backup on a medium of
// its own) nobody watches.
void Remember(const std::string& data, Outcome outcome) {
  const std::string file = fmt::format("{}/{}", data, kVerifiedFile);
  std::ofstream(file + ".new") << absl::ToUnixSeconds(absl::Now()) << ' '
                               << (outcome == Outcome::kFault ? 1 : 0) << '\n';
  std::rename((file + ".new").c_str(), file.c_str());
}

}  // namespace

int Verify(const Registry& registry, const std::string& data) {
  const Outcome outcome = Check(registry, data);
  if (outcome != Outcome::kNoAnswer) Remember(data, outcome);
  return outcome == Outcome::kNoFault ? 0 : 1;
}

}  // namespace leftfold::tools
