#include <absl/time/clock.h>

#include <filesystem>
#include <map>
#include <memory>

#include "bench/append_sessions.h"
#include "bench/business.h"
#include "bench/cheap_client.h"
#include "bench/load.h"
#include "bench/sections.h"
#include "core/status.h"
#include "testing/child_process.h"

namespace leftfold::bench {
namespace {

namespace v1 = store::v1;

constexpr std::int64_t kYoungEvents = 100'000;
constexpr std::int64_t kLogSizes[] = {1'000'000, 3'000'000};
constexpr int kOrdersPerAppend = 10;
constexpr int kOrderAppendsInFlight = 64;
constexpr int kOneEventInFlight = 256;
constexpr int kOrderConnections = 8;
constexpr const char* kAppend = "/leftfold.store.v1.EventStoreService/Append";

void GrowTo(std::int64_t events, const std::string& address, Business& business) {
  const auto stub = v1::EventStoreService::NewStub(Connect(address, 1).front());
  grpc::ClientContext context;
  v1::GetHeadResponse head;
  if (!stub->GetHead(&context, v1::GetHeadRequest(), &head).ok()) Die("the head cannot be read");
  if (head.position() >= events) return;
  AppendThroughSessions(
      address,
      [&] { return business.NextAppend(Ids::kRandom, Streams::kBusiness, kOrdersPerAppend); },
      absl::ZeroDuration(), absl::ZeroDuration(), (events - head.position()) / kOrdersPerAppend);
}

// Appends of one kind; the numbers are of events.
class Appends {
 public:
  Appends(const testing::ServerProcess& server, Business& business, Ids ids, Streams streams,
          int events)
      : server_(server),
        events_(events),
        client_(server.write_address, kAppend, kOrderConnections,
                [&business, ids, streams, events](std::int64_t, std::string& message) {
                  business.NextAppend(ids, streams, events).SerializeToString(&message);
                }) {}
  Measured Run(const Options& options, int in_flight) {
    Measured measured = Measure(server_.process, [&] {
      return client_.ClosedLoop(in_flight, options.WarmUp(), options.Duration());
    });
    measured.load.per_second *= events_;
    measured.cpu_us /= events_;
    return measured;
  }

 private:
  const testing::ServerProcess& server_;
  const int events_;
  CheapClient client_;
};

// Grows the log to this size, then appends for a while.
void MeasureAt(std::int64_t size, const Options& options, const testing::ServerProcess& server,
               Business& business, int repeats, Repeats& measured) {
  GrowTo(size, server.write_address, business);
  Appends appends(server, business, Ids::kRandom, Streams::kBusiness, kOrdersPerAppend);
  for (int repeat = 0; repeat < repeats; ++repeat)
    measured.Add(appends.Run(options, kOrderAppendsInFlight));
}

// Each repeat in a log of its own and for half as long: it would not stay young.
Repeats MeasureYoung(Options options) {
  options.seconds /= 2;
  Repeats measured;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    const testing::ServerProcess server(options.leftfold,
                                        fmt::format("{}/young-{}", options.data, repeat));
    Business business;
    MeasureAt(kYoungEvents, options, server, business, 1, measured);
  }
  return measured;
}

double StartMillis(const Options& options, const std::string& data) {
  const absl::Time start = absl::Now();
  const testing::ServerProcess server(options.leftfold, data);
  return absl::ToDoubleMilliseconds(absl::Now() - start);
}

void AddGrowth(const std::map<std::int64_t, Repeats>& by_size, Report& report) {
  const auto& [young_size, young] = *by_size.begin();
  const auto& [old_size, old] = *by_size.rbegin();
  report.rows.push_back(RowOf(fmt::format("append at {} events", old_size), "events/s",
                              old.per_second, young.per_second,
                              AtLeast(0.95, "of the rate at 100,000"), {old.cpu_us, young.cpu_us}));
  Plot plot{"growth.svg",
            "Appends of 10 events as the log grows",
            "events in the log",
            "events a second",
            false,
            {}};
  Line& line = plot.lines.emplace_back();
  line.name = "random command ids";
  for (const auto& [size, repeats] : by_size)
    line.points.push_back(PointAt(static_cast<double>(size), repeats.per_second));
  report.plots.push_back(plot);
}

void AddScattered(const Options& options, const testing::ServerProcess& server, Business& business,
                  Report& report) {
  Appends scattered(server, business, Ids::kRandom, Streams::kAny, 1);
  Appends recent(server, business, Ids::kTimeOrdered, Streams::kNewest, 1);
  Repeats far, near;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    near.Add(recent.Run(options, kOneEventInFlight));
    far.Add(scattered.Run(options, kOneEventInFlight));
  }
  report.rows.push_back(RowOf(
      "appends with random ids to old, scattered streams", "events/s", far.per_second,
      near.per_second, AtLeast(0.7, "of ordered ids, recent streams"), {far.cpu_us, near.cpu_us}));
}

}  // namespace

void MeasureGrowth(const Options& options, Report& report) {
  const std::string data = options.data + "/growth";
  auto server = std::make_unique<testing::ServerProcess>(options.leftfold, data);
  fmt::print("growth: to {} events …\n", options.growth_events);
  Business business;
  std::map<std::int64_t, Repeats> by_size;
  by_size[kYoungEvents] = MeasureYoung(options);
  const auto measure_at = [&](std::int64_t size) {
    MeasureAt(size, options, *server, business, options.repeats, by_size[size]);
  };
  for (const std::int64_t size : kLogSizes)
    if (size < options.growth_events) measure_at(size);
  measure_at(options.growth_events);
  AddGrowth(by_size, report);
  AddScattered(options, *server, business, report);
  server.reset();
  std::vector<double> grown, empty;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    grown.push_back(StartMillis(options, data));
    empty.push_back(StartMillis(options, fmt::format("{}/start-{}", options.data, repeat)));
  }
  report.rows.push_back(RowOf(fmt::format("start with {} events", options.growth_events), "ms",
                              grown, empty, Below(300, "ms")));
  std::filesystem::remove_all(data);
}

}  // namespace leftfold::bench
