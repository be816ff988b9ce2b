#ifndef BENCH_SWEEP_H_
#define BENCH_SWEEP_H_

#include <map>
#include <string>

#include "bench/cheap_client.h"
#include "bench/load.h"
#include "bench/sections.h"

namespace leftfold::bench {

// A server and the client that drives it.
struct Driven {
  const testing::ChildProcess& server;
  CheapClient& client;
};

// By what varies: calls in flight, or calls a second.
struct Curves {
  std::map<double, Repeats> ours, empty;
  std::string ours_name = "Leftfold", empty_name = "empty RPC";
};

// Closed loops with 1 to 1,024 calls in flight, in turn with the empty RPC.
Curves SweepInFlight(const Options& options, const Driven& ours, const Driven& empty);
// Open loops at shares of the rate that `ours` reached in closed loops.
Curves SweepRates(const Options& options, const Driven& ours, const Driven& empty, double rate);

// <name>-throughput.svg.
void PlotThroughput(const Curves& curves, const std::string& name, const std::string& title,
                    const std::string& x_label, Report& report);
// <name>-latency.svg: p50, p99 and p99.9.
void PlotLatency(const Curves& curves, const std::string& name, const std::string& title,
                 const std::string& x_label, Report& report);

}  // namespace leftfold::bench
#endif  // BENCH_SWEEP_H_
