#include "tools/verify.h"

#include <unistd.h>

#include <cstdio>

#include "core/log.h"
#include "core/status.h"
#include "event_store/verify.h"
#include "server/thread_pool.h"
#include "sql/view_file.h"
#include "tools/open_log.h"
#include "tools/progress_bar.h"

namespace leftfold::tools {
namespace {

constexpr std::string_view kWhatToDo =
    "There is no repair: an event that was changed or lost cannot be made up. Stop the server, "
    "keep this folder for an\n"
    "inquiry, restore a backup from before the fault, and let the views be built anew from it.";

absl::Status VerifyView(const ViewEntry& view, const std::string& views, EventStore& store) {
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
  const Position at = checkpoint->position;
  Digest chain = FirstChain(store.StoreId());
  if (at != kBeforeFirst) {
    const auto read = store.ReadAll({.from = Position{at.value - 1}, .events_max = 1});
    if (!read.ok()) return read.status();
    if (read->events.empty() || read->events.front().position != at) {
      return Error(absl::StatusCode::kDataLoss, "its checkpoint {} is beyond the log", at.value);
    }
    chain = read->events.front().chain;
  }
  if (chain != checkpoint->chain)
    return Error(absl::StatusCode::kDataLoss, "its checkpoint {} is not on the log's chain",
                 at.value);
  Print("{}: checkpoint {} is on the chain\n", view.name, at.value);
  return absl::OkStatus();
}

absl::Status VerifyWithProgress(EventStore& store) {
  const SystemClock clock;
  ProgressBar bar("log", clock, stdout, isatty(STDOUT_FILENO) == 1);
  const absl::Status log =
      VerifyLog(store, [&](std::int64_t done, std::int64_t total) { bar.Show(done, total); });
  bar.Finish();
  return log;
}

}  // namespace

int Verify(const Registry& registry, const std::string& data) {
  auto store = OpenLogForReading(data);
  if (!store.ok()) {
    Log("leftfold verify: {}", ToStd(store.status().message()));
    return 1;
  }
  if (const absl::Status log = VerifyWithProgress(**store); !log.ok()) {
    Print("FAULT: {}\n{}\n", ToStd(log.message()), kWhatToDo);
    return 1;
  }
  int faults = 0;
  for (const ViewEntry& view : registry.views()) {
    const absl::Status status = VerifyView(view, data + "/views", **store);
    if (status.ok()) continue;
    Print("FAULT: {}: {}\nRebuild it: leftfold replay {}\n", view.name, ToStd(status.message()),
          view.name);
    faults = 1;
  }
  if (faults == 0) Print("no fault found\n");
  return faults;
}

}  // namespace leftfold::tools
