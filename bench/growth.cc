#include <absl/time/clock.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <random>

#include "bench/load.h"
#include "bench/sections.h"
#include "core/ids.h"
#include "core/mutex.h"
#include "core/status.h"
#include "leftfold/store/v1/event_store.grpc.pb.h"
#include "testing/child_process.h"

namespace leftfold::bench {
namespace {

namespace v1 = store::v1;

constexpr std::int64_t kYoungEvents = 100'000;
constexpr int kOrdersPerAppend = 10;
constexpr int kOrderAppendsInFlight = 64;
constexpr int kOrderConnections = 4;
constexpr std::int64_t kNewestStreams = 4'096;
constexpr std::uint64_t kSeed = 20'261'121;
constexpr std::string_view kOrderPayload =
    R"({"basket": "10045", "item": "margherita", "cents": 1450, "note": "no olives"})";

enum class Ids { kRandom, kTimeOrdered };

// Appends as a business makes them: of eight, four begin a stream, three go to one of the newest
// streams, one to any stream of the log.
class Business {
 public:
  v1::AppendRequest NextAppend(Ids ids) {
    v1::AppendRequest request;
    std::string stream;
    {
      MutexLock lock(mu_);
      stream = fmt::format("basket-{}", NextStream());
      request.set_command_id(ids == Ids::kRandom ? RandomUuid() : ToString(NewUuidV7(absl::Now())));
    }
    for (int i = 0; i < kOrdersPerAppend; ++i) {
      v1::AppendRecord& record = *request.add_records();
      record.set_stream(stream);
      record.set_type("Noted");
      record.set_json(std::string(kOrderPayload));
    }
    return request;
  }

 private:
  std::int64_t Below(std::int64_t end) {
    return static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(end));
  }
  std::int64_t NextStream() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const std::int64_t turn = Below(8);
    if (streams_ == 0 || turn < 4) return streams_++;
    if (turn < 7) return streams_ - 1 - Below(std::min(streams_, kNewestStreams));
    return Below(streams_);
  }
  std::string RandomUuid() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const std::array<std::uint64_t, 2> bits = {random_(), random_()};
    Uuid uuid;
    std::memcpy(uuid.data(), bits.data(), uuid.size());
    uuid[6] = static_cast<std::uint8_t>(0x40 | (uuid[6] & 0x0F));
    uuid[8] = static_cast<std::uint8_t>(0x80 | (uuid[8] & 0x3F));
    return ToString(uuid);
  }

  Mutex mu_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mu_){kSeed};
  std::int64_t streams_ ABSL_GUARDED_BY(mu_) = 0;
};

double EventsPerSecond(v1::EventStoreService::Stub& stub, Business& business, Ids ids,
                       absl::Duration warm_up, absl::Duration duration) {
  const LoadResult load = ClosedLoop(
      kOrderAppendsInFlight, warm_up, duration, [&](int, std::function<void(bool)> done) {
        struct Call {
          grpc::ClientContext context;
          v1::AppendRequest request;
          v1::AppendResponse response;
        };
        auto call = std::make_shared<Call>();
        call->request = business.NextAppend(ids);
        stub.async()->Append(
            &call->context, &call->request, &call->response,
            [call, done = std::move(done)](const grpc::Status& status) { done(status.ok()); });
      });
  if (load.failures > 0) Die(fmt::format("{} appends failed", load.failures));
  return load.per_second * kOrdersPerAppend;
}

void GrowTo(std::int64_t events, v1::EventStoreService::Stub& stub, Business& business) {
  while (true) {
    grpc::ClientContext context;
    v1::GetHeadResponse head;
    if (!stub.GetHead(&context, v1::GetHeadRequest(), &head).ok()) Die("the head cannot be read");
    if (head.position() >= events) return;
    EventsPerSecond(stub, business, Ids::kRandom, absl::ZeroDuration(), absl::Milliseconds(200));
  }
}

}  // namespace

void MeasureGrowth(const Options& options, std::vector<Row>& rows) {
  testing::ServerProcess server(options.leftfold, options.data + "/growth");
  const auto channels = Connect(server.write_address, kOrderConnections);
  const auto stub = v1::EventStoreService::NewStub(channels.front());
  fmt::print("growth: appends of {} events to a log of {} and of {} events …\n", kOrdersPerAppend,
             kYoungEvents, options.growth_events);
  Business business;
  const auto medians = [&](Ids ids) {
    AwaitRest(server.process);
    std::vector<double> rates;
    for (int repeat = 0; repeat < options.repeats; ++repeat) {
      rates.push_back(EventsPerSecond(*stub, business, ids, absl::Seconds(options.seconds / 3),
                                      absl::Seconds(options.seconds)));
    }
    return Median(rates);
  };
  GrowTo(kYoungEvents, *stub, business);
  const double young = medians(Ids::kRandom);
  GrowTo(options.growth_events, *stub, business);
  const double old = medians(Ids::kRandom);
  const double ordered = medians(Ids::kTimeOrdered);
  rows.push_back({fmt::format("append at {} events", options.growth_events), "events/s", old, young,
                  ">= 0.9 of the rate at 100,000", old >= 0.9 * young});
  rows.push_back({"append with random ids (UUIDv4)", "events/s", old, ordered, "", true});
}

}  // namespace leftfold::bench
