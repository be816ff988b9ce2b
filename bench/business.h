#ifndef BENCH_BUSINESS_H_
#define BENCH_BUSINESS_H_

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <string>

#include "bench/ids.h"
#include "core/mutex.h"
#include "leftfold/store/v1/event_store.pb.h"

namespace leftfold::bench {

// Where appends go: as a business makes them (of eight, four begin a stream, three go to one of
// the newest streams, one to any stream of the log); to the newest only; to any.
enum class Streams { kBusiness, kNewest, kAny };

class Business {
 public:
  store::v1::AppendRequest NextAppend(Ids ids, Streams streams, int events) {
    store::v1::AppendRequest request;
    std::string stream;
    {
      MutexLock lock(mu_);
      stream = fmt::format("basket-{}", NextStream(streams));
      request.set_command_id(ids_.Next(ids));
    }
    for (int i = 0; i < events; ++i) {
      store::v1::AppendRecord& record = *request.add_records();
      record.set_stream(stream);
      record.set_type("Noted");
      record.set_json(
          R"({"basket": "10045", "item": "margherita", "cents": 1450, "note": "no olives"})");
    }
    return request;
  }

 private:
  static constexpr std::int64_t kNewestStreams = 4'096;
  static constexpr std::uint64_t kSeed = 20'261'121;

  std::int64_t Below(std::int64_t end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(end));
  }
  std::int64_t NextStream(Streams streams) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const std::int64_t turn = streams == Streams::kBusiness ? Below(8)
                              : streams == Streams::kNewest ? 4
                                                            : 7;
    if (streams_ == 0 || turn < 4) return streams_++;
    if (turn < 7) return streams_ - 1 - Below(std::min(streams_, kNewestStreams));
    return Below(streams_);
  }

  Mutex mu_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mu_){kSeed};
  IdMaker ids_ ABSL_GUARDED_BY(mu_);
  std::int64_t streams_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace leftfold::bench
#endif  // BENCH_BUSINESS_H_
