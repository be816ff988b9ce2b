#include <fmt/format.h>

#include "bench/rooms.h"
#include "bench/sweep.h"

namespace leftfold::bench {

void MeasureCheapCommands(const Options& options, Report& report) {
  testing::ChildProcess empty({options.self, "--empty-server"});
  CheapClient empty_client(empty.ValueAfter("commands listening on "), kRenameRoom, kConnections,
                           ComposeRename());
  testing::ChildProcess synced({options.self, "--empty-server", "--data", options.data});
  CheapClient synced_client(synced.ValueAfter("commands listening on "), kRenameRoom, kConnections,
                            ComposeRename());
  testing::ServerProcess server(options.leftfold, options.data + "/cheap-commands");
  RoomClient creating(server.write_address);
  for (int room = 0; room < kRooms; ++room) creating.Create(RoomId(room));
  CheapClient client(server.write_address, kRenameRoom, kConnections, ComposeRename());
  fmt::print("commands of the cheap client: 1 to 1024 in flight, then open loops …\n");
  const Driven ours{server.process, client}, ceiling{empty, empty_client};

  const Curves closed = SweepInFlight(options, ours, ceiling);
  const Repeats& many = closed.ours.at(kInFlight);
  const Repeats& empty_many = closed.empty.at(kInFlight);
  report.rows.push_back(RowOf("durable commands, 256 in flight, cheap client", "1/s",
                              many.per_second, empty_many.per_second,
                              AtLeast(0.6, "of the empty RPC"), {many.cpu_us, empty_many.cpu_us}));
  report.rows.push_back(RowOf("server CPU per command, 256 in flight, cheap client", "us",
                              many.cpu_us, empty_many.cpu_us, AtMost(1.6, "of the empty RPC"),
                              {many.cpu_us, empty_many.cpu_us}));
  Repeats synced_many;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    synced_many.Add(Measure(synced, [&] {
      return synced_client.ClosedLoop(kInFlight, options.WarmUp(), options.Duration());
    }));
  }
  report.rows.push_back(RowOf("empty RPC, its group written + synced, cheap client", "1/s",
                              synced_many.per_second, empty_many.per_second, {},
                              {synced_many.cpu_us, empty_many.cpu_us}));
  std::vector<double> own_us;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    const double before = OwnCpuSeconds(RUSAGE_THREAD);
    const LoadResult load =
        empty_client.ClosedLoop(kInFlight, absl::ZeroDuration(), options.WarmUp());
    own_us.push_back((OwnCpuSeconds(RUSAGE_THREAD) - before) * 1e6 /
                     static_cast<double>(load.calls));
  }
  report.rows.push_back(
      RowOf("the cheap client's own CPU per call, 256 in flight", "us", own_us, empty_many.cpu_us));
  const std::string in_flight = "calls in flight (closed loop, cheap client)";
  PlotThroughput(closed, "commands", "Durable commands: throughput", in_flight, report);
  PlotLatency(closed, "commands", "Durable commands: latency", in_flight, report);

  const Curves open = SweepRates(options, ours, ceiling, Median(many.per_second));
  for (const auto& [rate, repeats] : open.ours) {
    report.rows.push_back(RowOf(fmt::format("command p99 at {:.0f}/s, open loop", rate), "us",
                                repeats.p99_us, open.empty.at(rate).p99_us, {},
                                {repeats.cpu_us, open.empty.at(rate).cpu_us}));
  }
  PlotLatency(open, "commands-open-loop", "Durable commands: latency from the scheduled time",
              "calls a second (open loop, cheap client)", report);
}

}  // namespace leftfold::bench
