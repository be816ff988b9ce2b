#include "bench/peers/peer_report.h"

#include <absl/time/clock.h>
#include <fmt/format.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <thread>
#include <utility>

#include "core/status.h"

namespace leftfold::bench {
namespace {

PeerRow RowOf(const google::protobuf::Struct& object) {
  const auto text = [&](const char* name) { return object.fields().at(name).string_value(); };
  const auto number = [&](const char* name) { return object.fields().at(name).number_value(); };
  return {.peer = text("peer"),
          .version = text("version"),
          .durable = text("durable"),
          .workload = text("workload"),
          .in_flight = static_cast<int>(number("in_flight")),
          .unit = text("unit"),
          .value = number("value"),
          .p50_us = number("p50_us"),
          .p99_us = number("p99_us"),
          .cpu_us_per_event = number("cpu_us_per_event")};
}

// The different values, in the order in which they come first.
template <class Value>
std::vector<Value> Different(const std::vector<PeerRow>& rows, Value PeerRow::*field) {
  std::vector<Value> values;
  for (const PeerRow& row : rows) {
    if (std::find(values.begin(), values.end(), row.*field) == values.end())
      values.push_back(row.*field);
  }
  return values;
}

}  // namespace

std::vector<PeerRow> ReadPeerRows(const std::string& path) {
  std::ifstream file(path);
  if (!file) return {};
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  google::protobuf::ListValue list;
  if (!google::protobuf::util::JsonStringToMessage(text, &list).ok())
    Die(path + " is no list of rows");
  std::vector<PeerRow> rows;
  for (const auto& value : list.values()) rows.push_back(RowOf(value.struct_value()));
  return rows;
}

bool WritePeerRows(const std::vector<PeerRow>& rows, const std::string& path) {
  std::ofstream file(path);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const PeerRow& row = rows[i];
    file << fmt::format(
        "{}{{\"peer\": \"{}\", \"version\": \"{}\", \"durable\": \"{}\", \"workload\": \"{}\", "
        "\"in_flight\": {}, \"unit\": \"{}\", \"value\": {:.6g}, \"p50_us\": {:.5g}, \"p99_us\": "
        "{:.5g}, \"cpu_us_per_event\": {:.4g}}}",
        i == 0 ? "[\n  " : ",\n  ", row.peer, row.version, row.durable, row.workload, row.in_flight,
        row.unit, row.value, row.p50_us, row.p99_us, row.cpu_us_per_event);
  }
  file << "\n]\n";
  return file.good();
}

bool WritePeerPage(const std::vector<PeerRow>& rows, const std::string& path) {
  std::ofstream file(path);
  file << fmt::format(
      "# Leftfold and others, measured\n\nWritten by `make bench-peers`, last on {}, on {} cores; "
      "what was measured and how: "
      "[bench-peers.md](../../docs/bench-peers.md).\n\n| Peer | Version | Before an "
      "acknowledgement |\n|---|---|---|\n",
      absl::FormatTime("%Y-%m-%d", absl::Now(), absl::UTCTimeZone()),
      std::thread::hardware_concurrency());
  for (const std::string& peer : Different(rows, &PeerRow::peer)) {
    const auto row = std::find_if(rows.begin(), rows.end(),
                                  [&](const PeerRow& other) { return other.peer == peer; });
    file << fmt::format("| {} | {} | {} |\n", peer, row->version, row->durable);
  }
  for (const std::string& workload : Different(rows, &PeerRow::workload)) {
    file << fmt::format(
        "\n## {}\n\n| Peer | In flight | Rate | p50 | p99 | Server CPU an event |\n"
        "|---|---:|---:|---:|---:|---:|\n",
        workload);
    std::vector<PeerRow> of_workload;
    std::copy_if(rows.begin(), rows.end(), std::back_inserter(of_workload),
                 [&](const PeerRow& row) { return row.workload == workload; });
    std::stable_sort(of_workload.begin(), of_workload.end(),
                     [](const PeerRow& a, const PeerRow& b) { return a.in_flight < b.in_flight; });
    for (const PeerRow& row : of_workload) {
      file << fmt::format("| {} | {} | {:.0f} {} | {:.0f} µs | {:.0f} µs | {:.3g} µs |\n", row.peer,
                          row.in_flight, row.value, row.unit, row.p50_us, row.p99_us,
                          row.cpu_us_per_event);
    }
  }
  return file.good();
}

}  // namespace leftfold::bench
