#include "tools/log_copy.h"

#include <unistd.h>

#include <memory>
#include <utility>

#include "core/status.h"
#include "event_store/sqlite/verify_log_file.h"
#include "server/thread_pool.h"
#include "sql/durable_file.h"
#include "tools/files.h"
#include "tools/progress_bar.h"

namespace leftfold::tools {
namespace {

absl::Status NotABeginning(const std::string& folder, const LogExtent& extent) {
  return Error(absl::StatusCode::kFailedPrecondition,
               "the log in {}, of store {} and up to position {}, is not a beginning of what is "
               "copied",
               folder, extent.store_id, extent.head.position.value);
}

struct Bars {
  SystemClock clock;
  std::string step;
  std::unique_ptr<ProgressBar> bar;
  ~Bars() {
    if (bar != nullptr) bar->Finish();
  }
};

}  // namespace

Steps BarsOn(std::FILE* out) {
  return [out, bars = std::make_shared<Bars>()](std::string_view step, std::int64_t done,
                                                std::int64_t total) {
    if (step != bars->step) {
      if (bars->bar != nullptr) bars->bar->Finish();
      bars->step = step;
      bars->bar = nullptr;
      if (total > 1) {
        bars->bar =
            std::make_unique<ProgressBar>(bars->step, bars->clock, out, isatty(fileno(out)) == 1);
      }
    }
    if (bars->bar != nullptr && done > 0) bars->bar->Show(done, total);
  };
}

absl::Status CheckIsBeginning(LogFileReader& source, const CopyEnd& end,
                              const std::string& folder) {
  auto reader = LogFileReader::Open(folder);
  if (!reader.ok()) return reader.status();
  const auto extent = (*reader)->ReadExtent();
  if (!extent.ok()) return extent.status();
  const auto there = source.ChainAt(extent->head.position);
  if (!there.ok()) return there.status();
  if (extent->head.position > end.position || extent->command_number > end.command_number ||
      *there != extent->head.chain) {
    return NotABeginning(folder, *extent);
  }
  if (extent->command_number == 0) return absl::OkStatus();
  const auto ours = (*reader)->CommandAt(extent->command_number);
  if (!ours.ok()) return ours.status();
  const auto theirs = source.CommandAt(extent->command_number);
  if (!theirs.ok()) return theirs.status();
  const bool same = *ours && *theirs && SameCommand(**ours, **theirs);
  return same ? absl::OkStatus() : NotABeginning(folder, *extent);
}

absl::StatusOr<Head> CopyLog(LogFileReader& source, const CopyEnd& end, const std::string& folder,
                             bool seal, const CopySizes& sizes, const Steps& steps) {
  const auto extent = source.ReadExtent();
  if (!extent.ok()) return extent.status();
  auto writer = LogFileWriter::Open(folder, extent->store_id, sizes.group_bytes);
  if (!writer.ok()) return writer.status();
  const LogExtent& begin = (*writer)->begin();
  const LogRange range{.after = begin.head.position,
                       .commands_after = begin.command_number,
                       .through = end.position,
                       .commands_through = end.command_number,
                       .page_events = sizes.page_events};
  steps("copy", begin.head.position.value, end.position.value);
  absl::Status copied =
      WalkLog(source, range,
              {.event = [&](const RecordedEvent& event) { return (*writer)->Add(event); },
               .command = [&](const NumberedCommand& command) { return (*writer)->Add(command); },
               .page =
                   [&](Position done) {
                     steps("copy", done.value, end.position.value);
                     return absl::OkStatus();
                   }});
  if (copied.ok()) copied = (*writer)->Finish();
  if (absl::IsDataLoss(copied)) {
    return Error(absl::StatusCode::kDataLoss, "the log is faulty {}; run `leftfold verify`",
                 ToStd(copied.message()));
  }
  LEFTFOLD_RETURN_IF_ERROR(copied);
  if (seal) LEFTFOLD_RETURN_IF_ERROR((*writer)->Seal());
  return (*writer)->head();
}

absl::StatusOr<Head> CopyLogAgain(LogFileReader& source, const CopyEnd& end,
                                  const std::string& folder, bool seal, const CopySizes& sizes,
                                  const Steps& steps) {
  if (!CheckIsBeginning(source, end, folder).ok()) {
    LEFTFOLD_RETURN_IF_ERROR(RemoveFolder(folder));
  }
  return CopyLog(source, end, folder, seal, sizes, steps);
}

absl::Status VerifyCopy(const std::string& folder, const Head& head, const Steps& steps) {
  const auto verified = VerifyLogFile(
      folder,
      {.at_rest = true, .payload = nullptr, .progress = [&](std::int64_t done, std::int64_t total) {
         steps("verify", done, total);
       }});
  if (!verified.ok()) {
    return Error(verified.status().code(), "the copy in {} is faulty {}", folder,
                 ToStd(verified.status().message()));
  }
  const Head& end = verified->extent.head;
  if (end.position != head.position || end.chain != head.chain) {
    return Error(absl::StatusCode::kDataLoss, "the copy in {} ends at position {}, not {}", folder,
                 end.position.value, head.position.value);
  }
  return sql::SyncFolder(folder);
}

}  // namespace leftfold::tools
