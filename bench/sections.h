#ifndef BENCH_SECTIONS_H_
#define BENCH_SECTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "bench/report.h"

namespace leftfold::bench {

struct Options {
  std::string out = "bench/results";
  double seconds = 3;
  int repeats = 3;
  int rebuild_events = 200'000;
  std::int64_t growth_events = 10'000'000;
  std::string only;      // The section to run; "" is all of them.
  std::string self;      // This program, for the empty server.
  std::string leftfold;  // The server's binary.
  std::string data;      // A folder of this run.
};

// Prints the table and writes latest.json. 1 when a goal does not hold, else 0.
int RunAll(const Options& options);

// Each adds its rows. They start and stop their own servers.
void MeasureCommands(const Options& options, std::vector<Row>& rows);
void MeasureHot(const Options& options, std::vector<Row>& rows);
void MeasureStore(const Options& options, std::vector<Row>& rows);
void MeasureGrowth(const Options& options, std::vector<Row>& rows);
void MeasureLoad(const Options& options, std::vector<Row>& rows);
void MeasureRebuild(const Options& options, std::vector<Row>& rows);
void MeasureWatch(const Options& options, std::vector<Row>& rows);
void MeasureWatchers(const Options& options, std::vector<Row>& rows);
void MeasureQueries(const Options& options, std::vector<Row>& rows);
void MeasureViews(const Options& options, std::vector<Row>& rows);
void MeasureReactions(const Options& options, std::vector<Row>& rows);
void MeasureConsumers(const Options& options, std::vector<Row>& rows);
void MeasureOrders(const Options& options, std::vector<Row>& rows);
void MeasureIdle(const Options& options, std::vector<Row>& rows);

// Serves leftfold.rooms.v1 with handlers that do nothing, until it is ended: the ceiling of every
// RPC. Its watches are told of a rename from memory.
int ServeEmpty();

// Runs so many views over a log in the folder `data`, into which it appends `per_second` events
// that no view knows, until it is ended.
int RunViews(const std::string& data, int views, int per_second);

}  // namespace leftfold::bench
#endif  // BENCH_SECTIONS_H_
