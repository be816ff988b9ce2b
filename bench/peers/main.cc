// `make bench-peers`: the same workloads on Leftfold and on other stores, in one run.
#include <absl/time/clock.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <future>
#include <map>

#include "bench/load.h"
#include "bench/peers/peer.h"
#include "bench/peers/peer_report.h"
#include "bench/report.h"
#include "core/status.h"

namespace leftfold::bench {
namespace {

constexpr int kCategories = 64;
constexpr int kManyStreams = 1'024;
// What is read: streams of a thousand events each, which take turns in the log.
constexpr int kLoadedStreams = 100;
constexpr int kLoadedAppends = 10;
constexpr int kLoadedEvents = 100;
constexpr int kInFlight[] = {1, 64, 256};

struct PeerOptions {
  std::string out = "bench/results";
  std::string data;
  PeerPlaces places;
  double seconds = 1;
  int repeats = 3;
  std::vector<std::string> only;
};

// The streams of all workloads are spread over categories: message-db has a lock of each.
std::string StreamOf(std::string_view what, std::int64_t n) {
  return fmt::format("{}{}-{}", what, n % kCategories, n);
}

enum class Streams { kMany, kOne, kExpected };

struct AppendWorkload {
  std::string name;
  int events = 1;
  Streams streams = Streams::kMany;
};

const std::vector<AppendWorkload> kAppends = {
    {"1 event an append, many streams", 1, Streams::kMany},
    {"10 events an append, many streams", 10, Streams::kMany},
    {"100 events an append, many streams", 100, Streams::kMany},
    {"1 event an append, one hot stream", 1, Streams::kOne},
    {"1 event an append, with the expected version", 1, Streams::kExpected},
};

struct ReadWorkload {
  std::string name;
  std::int64_t events = 0;
  std::function<std::int64_t(Peer&, std::int64_t n)> read;
};

constexpr std::int64_t kStreamEvents = std::int64_t{kLoadedAppends} * kLoadedEvents;
const std::vector<ReadWorkload> kReads = {
    {"read all", kStreamEvents* kLoadedStreams, [](Peer& peer, auto) { return peer.ReadAll(); }},
    {"catch-up of a subscriber", kStreamEvents* kLoadedStreams,
     [](Peer& peer, auto) { return peer.CatchUp(); }},
    {"load a stream of 1,000 events", kStreamEvents,
     [](Peer& peer, std::int64_t n) {
       return peer.LoadStream(StreamOf("loaded", n % kLoadedStreams));
     }},
};

// Until the peer has done what it does behind its answers, or for so long.
void AwaitPeerRest(const Peer& peer) {
  constexpr absl::Duration kLook = absl::Milliseconds(100);
  constexpr int kLooksMax = 20;
  constexpr double kIdleSeconds = 0.01;
  double before = TreeCpuSeconds(peer.process().pid());
  for (int look = 0; look < kLooksMax; ++look) {
    absl::SleepFor(kLook);
    const double now = TreeCpuSeconds(peer.process().pid());
    if (now - before <= kIdleSeconds) return;
    before = now;
  }
}

// A peer that runs, and what it did: a value for each repeat.
class MeasuredPeer {
 public:
  MeasuredPeer(PeerKind kind, const PeerOptions& options)
      : options_(options), kind_(std::move(kind)) {
    const std::string folder = options.data + "/" + kind_.name;
    std::filesystem::create_directories(folder);
    peer_ = kind_.start(folder);
  }

  const std::string& name() const { return kind_.name; }

  // What will be read.
  void Fill() {
    for (int append = 0; append < kLoadedAppends; ++append) {
      for (int stream = 0; stream < kLoadedStreams; ++stream)
        AppendAndWait(StreamOf("loaded", stream), kLoadedEvents);
    }
    AwaitPeerRest(*peer_);
  }

  void Append(const AppendWorkload& workload, int in_flight) {
    const int point = ++points_;
    std::vector<std::optional<std::int64_t>> last(static_cast<std::size_t>(in_flight));
    std::atomic<std::int64_t> appends = 0;
    const auto stream = [&](int caller, std::int64_t append) {
      if (workload.streams == Streams::kOne) return StreamOf("hot", point);
      if (workload.streams == Streams::kMany) return StreamOf("many", append % kManyStreams);
      return StreamOf("expected", std::int64_t{point} * kCallersMax + caller);
    };
    const double cpu = CpuSeconds();
    const LoadResult load = ClosedLoop(
        in_flight, absl::Seconds(options_.seconds / 5), absl::Seconds(options_.seconds),
        [&](int caller, std::function<void(bool)> done) {
          std::optional<std::int64_t>& mine = last[static_cast<std::size_t>(caller)];
          const auto after = workload.streams == Streams::kExpected ? mine : std::nullopt;
          peer_->Append(caller, stream(caller, ++appends), after, workload.events,
                        [&mine, done = std::move(done)](std::optional<std::int64_t> now) {
                          mine = now;
                          done(now.has_value());
                        });
        });
    AwaitPeerRest(*peer_);
    if (load.failures > 0 || load.latencies_us.empty()) {
      fmt::print("{}: {}, {} in flight: {} refused, {} accepted in time: not counted\n", name(),
                 workload.name, in_flight, load.failures, load.latencies_us.size());
      return;
    }
    Add(workload.name, in_flight, "events/s", load.per_second * workload.events, load.latencies_us,
        (CpuSeconds() - cpu) * 1e6 / static_cast<double>(appends * workload.events));
  }

  void Read(const ReadWorkload& workload) {
    std::vector<double> latencies_us;
    const double cpu = CpuSeconds();
    const absl::Time start = absl::Now();
    for (absl::Time now = start; now - start < absl::Seconds(options_.seconds);) {
      const std::int64_t events =
          workload.read(*peer_, static_cast<std::int64_t>(latencies_us.size()));
      if (events != workload.events)
        Die(fmt::format("{}: {}: {} events", name(), workload.name, events));
      latencies_us.push_back(absl::ToDoubleMicroseconds(absl::Now() - now));
      now = absl::Now();
    }
    const auto events =
        static_cast<double>(latencies_us.size()) * static_cast<double>(workload.events);
    Add(workload.name, 1, "events/s", events / absl::ToDoubleSeconds(absl::Now() - start),
        latencies_us, (CpuSeconds() - cpu) * 1e6 / events);
  }

  std::vector<PeerRow> Rows(const std::string& workload, int in_flight) const {
    const auto found = seen_.find({workload, in_flight});
    if (found == seen_.end()) return {};
    const Seen& seen = found->second;
    return {{.peer = kind_.name,
             .version = kind_.title,
             .durable = kind_.durable,
             .workload = workload,
             .in_flight = in_flight,
             .unit = seen.unit,
             .value = Median(seen.value),
             .p50_us = Median(seen.p50_us),
             .p99_us = Median(seen.p99_us),
             .cpu_us_per_event = Median(seen.cpu_us)}};
  }

 private:
  struct Seen {
    std::string unit;
    std::vector<double> value, p50_us, p99_us, cpu_us;
  };

  void AppendAndWait(const std::string& stream, int events) {
    const auto answer = std::make_shared<std::promise<bool>>();
    peer_->Append(0, stream, std::nullopt, events,
                  [answer](auto last) { answer->set_value(last.has_value()); });
    if (!answer->get_future().get()) Die(name() + " cannot be filled");
  }
  double CpuSeconds() const { return TreeCpuSeconds(peer_->process().pid()); }
  void Add(const std::string& workload, int in_flight, const std::string& unit, double value,
           const std::vector<double>& latencies_us, double cpu_us) {
    Seen& seen = seen_[{workload, in_flight}];
    seen.unit = unit;
    seen.value.push_back(value);
    seen.p50_us.push_back(Percentile(latencies_us, 0.5));
    seen.p99_us.push_back(Percentile(latencies_us, 0.99));
    seen.cpu_us.push_back(cpu_us);
    fmt::print(
        "{:<18} {:<46} {:>4} {:>10.0f} {}  p50 {:>8.0f} us  p99 {:>8.0f} us  CPU {:.2f} us\n",
        name(), workload, in_flight, value, unit, seen.p50_us.back(), seen.p99_us.back(), cpu_us);
    std::fflush(stdout);
  }

  const PeerOptions& options_;
  PeerKind kind_;
  std::unique_ptr<Peer> peer_;
  int points_ = 0;
  std::map<std::pair<std::string, int>, Seen> seen_;
};

std::vector<PeerKind> Kinds(const PeerOptions& options) {
  std::vector<std::optional<PeerKind>> all = {LeftfoldKind(options.places, false),
                                              LeftfoldKind(options.places, true)};
#ifdef LEFTFOLD_PEER_MESSAGE_DB
  all.push_back(MessageDbKind(options.places));
#endif
#ifdef LEFTFOLD_PEER_NATS
  all.push_back(NatsKind(options.places, true));
  all.push_back(NatsKind(options.places, false));
#endif
#ifdef LEFTFOLD_PEER_UMADB
  all.push_back(UmaDbKind(options.places));
#endif
  std::vector<PeerKind> kinds;
  for (std::optional<PeerKind>& kind : all) {
    if (kind && (options.only.empty() || std::find(options.only.begin(), options.only.end(),
                                                   kind->name) != options.only.end()))
      kinds.push_back(*std::move(kind));
  }
  return kinds;
}

std::vector<PeerRow> RunPeers(const PeerOptions& options) {
  std::vector<std::unique_ptr<MeasuredPeer>> peers;
  for (PeerKind& kind : Kinds(options))
    peers.push_back(std::make_unique<MeasuredPeer>(std::move(kind), options));
  for (const auto& peer : peers) peer->Fill();
  // Peers take turns at each workload: what else the machine does meets all of them.
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    for (const ReadWorkload& workload : kReads) {
      for (const auto& peer : peers) peer->Read(workload);
    }
  }
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    for (const AppendWorkload& workload : kAppends) {
      for (const int in_flight : kInFlight) {
        for (const auto& peer : peers) peer->Append(workload, in_flight);
      }
    }
  }
  std::vector<PeerRow> rows;
  for (const auto& peer : peers) {
    const auto add = [&](const std::string& workload, int in_flight) {
      for (PeerRow& row : peer->Rows(workload, in_flight)) rows.push_back(std::move(row));
    };
    for (const AppendWorkload& workload : kAppends) {
      for (const int in_flight : kInFlight) add(workload.name, in_flight);
    }
    for (const ReadWorkload& workload : kReads) add(workload.name, 1);
  }
  return rows;
}

// Rows of peers that this run did not measure stay.
bool Save(const PeerOptions& options, std::vector<PeerRow> rows) {
  const std::string path = options.out + "/peers.json";
  std::vector<PeerRow> all;
  for (PeerRow& row : options.only.empty() ? std::vector<PeerRow>() : ReadPeerRows(path)) {
    if (std::find(options.only.begin(), options.only.end(), row.peer) == options.only.end())
      all.push_back(std::move(row));
  }
  for (PeerRow& row : rows) all.push_back(std::move(row));
  std::filesystem::create_directories(options.out);
  return WritePeerRows(all, path) && WritePeerPage(all, options.out + "/peers.md");
}

}  // namespace
}  // namespace leftfold::bench

int main(int argc, char** argv) {
  using namespace leftfold::bench;
  CLI::App app("Measures Leftfold and other stores with the same workloads.");
  PeerOptions options;
  const std::filesystem::path binaries = std::filesystem::canonical("/proc/self/exe").parent_path();
  options.places.leftfold = (binaries / "leftfold").string();
  options.places.peers = (binaries.parent_path() / "peers").string();
  std::string parent = std::filesystem::temp_directory_path().string();
  app.add_option("--out", options.out, "folder for peers.json and peers.md")->capture_default_str();
  app.add_option("--data", parent, "where the folder of this run is made; on a real disk")
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "length of one measurement")->capture_default_str();
  app.add_option("--repeats", options.repeats, "measurements of each kind; medians are reported")
      ->capture_default_str();
  app.add_option("--only", options.only, "peers by their names; rows of others stay as they are")
      ->check(CLI::IsMember(
          {"leftfold", "leftfold-session", "message-db", "nats", "nats-default", "umadb"}));
  CLI11_PARSE(app, argc, argv);
  struct statfs disk {};
  if (statfs(parent.c_str(), &disk) != 0 || disk.f_type == TMPFS_MAGIC)
    leftfold::Die(parent + " is no folder on a disk; choose one with --data");
  options.data = parent + "/leftfold-peers-XXXXXX";
  if (mkdtemp(options.data.data()) == nullptr) leftfold::Die("cannot make a folder in " + parent);
  // For peers that run as another user.
  std::filesystem::permissions(options.data, std::filesystem::perms(0755));
  const bool saved = Save(options, RunPeers(options));
  std::filesystem::remove_all(options.data);
  if (saved) fmt::print("\nsaved as {}/peers.json and peers.md\n", options.out);
  return saved ? 0 : 1;
}
