#include "bench/bare_log.h"

#include <absl/time/clock.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "bench/load.h"
#include "core/status.h"
#include "event_store/sqlite/sqlite_log.h"
#include "testing/scrape.h"

namespace leftfold::bench {

BareLog RunBareLog(const Options& options, const std::string& path, int events_per_append,
                   double appends_per_commit) {
  auto writer = sql::Connection::Open(
      path, {.role = sql::Role::kWriter, .full_sync = true, .autocheckpoint_pages = 4'000});
  if (!writer.ok() || !MigrateLog(**writer).ok()) Die("the bare loop has no file");
  (*writer)->Run("INSERT INTO categories VALUES (1, 'sensor', 0)").IgnoreError();
  for (int i = 0; i < kSensors; ++i)
    (*writer)
        ->Run(fmt::format("INSERT INTO streams VALUES ({}, 1, 'sensor-{}')", i + 1, i))
        .IgnoreError();
  const int events_per_commit =
      events_per_append * std::max(1, static_cast<int>(std::lround(appends_per_commit)));
  const std::string digest(32, 'x');
  const std::string metadata(20, 'm');
  const absl::Time start = absl::Now();
  const double cpu = OwnCpuSeconds(RUSAGE_THREAD);
  std::int64_t position = 0;
  while (absl::Now() - start < options.Duration()) {
    (*writer)->Begin().IgnoreError();
    for (int i = 0; i < events_per_commit; ++i) {
      const std::int64_t append = position / events_per_append;
      const std::int64_t version =
          append / kSensors * events_per_append + position % events_per_append;
      Cursor& insert =
          (*writer)->Prepare("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
      insert.Bind(1, ++position);
      insert.Bind(2, append % kSensors + 1);
      insert.Bind(3, version);
      insert.Bind(4, std::int64_t{1});
      insert.Bind(5, std::int64_t{1});
      insert.BindBlob(6, std::string_view(digest).substr(0, 16));
      insert.BindBlob(7, kMeasurement);
      insert.BindBlob(8, metadata);
      insert.BindNull(9);
      insert.Bind(10, std::int64_t{1'700'000'000'000'000});
      insert.Bind(11, position - 1);
      insert.BindBlob(12, digest);
      insert.BindBlob(13, digest);
      insert.Step();
    }
    if (!(*writer)->Commit().ok()) Die("the bare loop cannot commit");
  }
  const auto events = static_cast<double>(position);
  return {events / absl::ToDoubleSeconds(absl::Now() - start),
          (OwnCpuSeconds(RUSAGE_THREAD) - cpu) * 1e6 / events};
}

CommitCounter::CommitCounter(const testing::ServerProcess& server)
    : address_(server.metrics_address) {
  AppendsPerCommit();
}

double CommitCounter::AppendsPerCommit() {
  auto metrics = testing::Scrape(address_);
  const double appends = metrics["leftfold_append_group_size_sum"];
  const double commits = metrics["leftfold_append_group_size_count"];
  const double more_appends = appends - std::exchange(appends_, appends);
  const double more_commits = commits - std::exchange(commits_, commits);
  return more_commits > 0 ? more_appends / more_commits : 1;
}

}  // namespace leftfold::bench
