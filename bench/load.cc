#include "bench/load.h"

#include <absl/time/clock.h>
#include <fmt/format.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "bench/now.h"
#include "bench/report.h"
#include "core/status.h"

namespace leftfold::bench {
namespace {

// The callers of one closed loop, and what they saw.
class Loop {
 public:
  Loop(int in_flight, const Call& call)
      : call_(call), seen_(static_cast<std::size_t>(in_flight)), running_(in_flight) {
    for (int caller = 0; caller < in_flight; ++caller) Next(caller);
  }

  void BeginCounting() { counting_ = true; }

  void Finish() {
    stopping_ = true;
    std::unique_lock lock(mu_);
    ended_.wait(lock, [this] { return running_ == 0; });
  }

  LoadResult Result(double seconds) const {
    LoadResult result;
    for (const Seen& seen : seen_) {
      result.latencies_us.insert(result.latencies_us.end(), seen.latencies_us.begin(),
                                 seen.latencies_us.end());
      result.calls += seen.calls;
      result.failures += seen.failures;
    }
    result.per_second = static_cast<double>(result.latencies_us.size()) / seconds;
    return result;
  }
  void StopCounting() { counting_ = false; }

 private:
  struct alignas(64) Seen {
    std::vector<double> latencies_us;
    std::int64_t calls = 0;
    std::int64_t failures = 0;
  };

  void Next(int caller) {
    if (stopping_) {
      const std::lock_guard lock(mu_);
      if (--running_ == 0) ended_.notify_all();
      return;
    }
    const double start = NowMicros();
    call_(caller, [this, caller, start](bool ok) {
      Seen& seen = seen_[static_cast<std::size_t>(caller)];
      ++seen.calls;
      if (!ok) ++seen.failures;
      if (ok && counting_) seen.latencies_us.push_back(NowMicros() - start);
      Next(caller);
    });
  }

  const Call& call_;
  std::vector<Seen> seen_;
  std::atomic<bool> counting_ = false;
  std::atomic<bool> stopping_ = false;
  std::mutex mu_;
  std::condition_variable ended_;
  int running_;
};

}  // namespace

std::vector<std::shared_ptr<grpc::Channel>> Connect(const std::string& address, int connections) {
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (int i = 0; i < connections; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt("leftfold.bench.connection",
                     i);  // Different arguments: connections are not shared.
    channels.push_back(
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  }
  return channels;
}

LoadResult ClosedLoop(int in_flight, absl::Duration warm_up, absl::Duration duration,
                      const Call& call) {
  Loop loop(in_flight, call);
  absl::SleepFor(warm_up);
  const absl::Time start = absl::Now();
  loop.BeginCounting();
  absl::SleepFor(duration);
  loop.StopCounting();
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  loop.Finish();
  return loop.Result(seconds);
}

Measured Measure(const testing::ChildProcess& server, const std::function<LoadResult()>& run) {
  AwaitRest(server);
  const double before = server.CpuSeconds();
  Measured measured;
  measured.load = run();
  const LoadResult& load = measured.load;
  if (load.failures > 0) Die(fmt::format("{} of {} calls failed", load.failures, load.calls));
  AwaitRest(server);  // What a call leaves behind for views and index is part of what it costs.
  measured.cpu_us = (server.CpuSeconds() - before) * 1e6 / static_cast<double>(load.calls);
  return measured;
}

void Repeats::Add(const Measured& measured) {
  per_second.push_back(measured.load.per_second);
  p50_us.push_back(Percentile(measured.load.latencies_us, 0.5));
  p99_us.push_back(Percentile(measured.load.latencies_us, 0.99));
  p999_us.push_back(Percentile(measured.load.latencies_us, 0.999));
  cpu_us.push_back(measured.cpu_us);
}

double OwnCpuSeconds(__rusage_who who) {
  rusage usage;
  getrusage(who, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void AwaitRest(const testing::ChildProcess& server) {
  constexpr absl::Duration kLook = absl::Milliseconds(200);
  double before = 0;
  for (double now = server.CpuSeconds(); now - before > 0.01; now = server.CpuSeconds()) {
    before = now;
    absl::SleepFor(kLook);
  }
}

}  // namespace leftfold::bench
