#ifndef BENCH_PEERS_PEER_REPORT_H_
#define BENCH_PEERS_PEER_REPORT_H_

#include <string>
#include <vector>

namespace leftfold::bench {

// What one peer did at one workload.
struct PeerRow {
  std::string peer;  // Its name, for --only.
  std::string version;
  std::string durable;
  std::string workload;
  int in_flight = 1;
  std::string unit;
  double value = 0;
  double p50_us = 0;
  double p99_us = 0;
  double cpu_us_per_event = 0;
};

// Rows of an earlier run; none where there is no such file.
std::vector<PeerRow> ReadPeerRows(const std::string& path);
// A list of objects, one a line.
bool WritePeerRows(const std::vector<PeerRow>& rows, const std::string& path);
// A page: what the peers are, and a table of each workload.
bool WritePeerPage(const std::vector<PeerRow>& rows, const std::string& path);

}  // namespace leftfold::bench
#endif  // BENCH_PEERS_PEER_REPORT_H_
