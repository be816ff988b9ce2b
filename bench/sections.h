#ifndef BENCH_SECTIONS_H_
#define BENCH_SECTIONS_H_

#include <absl/time/time.h>

#include <cstdint>
#include <string>
#include <vector>

#include "bench/report.h"

namespace leftfold::bench {

struct Options {
  std::string out = "bench/results";  // "" saves nothing.
  double seconds = 1;
  int repeats = 3;
  int rebuild_events = 200'000;
  std::int64_t growth_events = 10'000'000;
  std::string only;      // The section to run; "" is all of them.
  std::string self;      // This program, for the empty server.
  std::string leftfold;  // The server's binary.
  std::string data;      // A folder of this run.

  absl::Duration WarmUp() const { return absl::Seconds(seconds / 3); }
  absl::Duration Duration() const { return absl::Seconds(seconds); }
};

// Prints the table and writes latest.json, the page and its plots. 1 when a goal does not hold,
// else 0.
int RunAll(const Options& options);

// Of those below, in their order.
std::vector<std::string> SectionNames();

// Each adds its rows. They start and stop their own servers.
// How near to each other the machine's cores are, which moves all that goes from thread to thread.
void MeasureCores(const Options& options, Report& report);
void MeasureCommands(const Options& options, Report& report);
void MeasureCheapCommands(const Options& options, Report& report);
void MeasureHot(const Options& options, Report& report);
void MeasureStore(const Options& options, Report& report);
void MeasureSessions(const Options& options, Report& report);
void MeasureGrowth(const Options& options, Report& report);
void MeasureLoad(const Options& options, Report& report);
void MeasureRebuild(const Options& options, Report& report);
void MeasureWatch(const Options& options, Report& report);
void MeasureWatchers(const Options& options, Report& report);
void MeasureQueries(const Options& options, Report& report);
void MeasureViews(const Options& options, Report& report);
void MeasureReactions(const Options& options, Report& report);
void MeasureConsumers(const Options& options, Report& report);
void MeasureOrders(const Options& options, Report& report);
void MeasureIdle(const Options& options, Report& report);

// Serves leftfold.rooms.v1 with handlers that do nothing, until it is ended: the ceiling of every
// RPC. Its watches are told of a rename from memory. With a folder `synced_in` its commands are
// answered after a write + fdatasync there, as many at a time as have come: the floor of every
// durable command.
int ServeEmpty(const std::string& synced_in);

// Runs so many views over a log in the folder `data`, into which it appends `per_second` events
// that no view knows, until it is ended.
int RunViews(const std::string& data, int views, int per_second);

}  // namespace leftfold::bench
#endif  // BENCH_SECTIONS_H_
