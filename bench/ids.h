#ifndef BENCH_IDS_H_
#define BENCH_IDS_H_

#include <absl/time/clock.h>

#include <cstring>
#include <random>
#include <string>

#include "core/ids.h"

namespace leftfold::bench {

enum class Ids { kRandom, kTimeOrdered };  // UUIDv4, UUIDv7.

// Makes ids for a tenth of what secure ones cost: the client is to be cheap.
class IdMaker {
 public:
  std::string Next(Ids kind) {
    const std::uint64_t high = random_(), low = random_();
    Uuid uuid;
    std::memcpy(uuid.data(), &high, sizeof high);
    std::memcpy(uuid.data() + sizeof high, &low, sizeof low);
    if (kind == Ids::kTimeOrdered) {
      const std::int64_t millis = absl::GetCurrentTimeNanos() / 1'000'000;
      for (int i = 0; i < 6; ++i)
        uuid[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(millis >> (8 * (5 - i)));
    }
    uuid[6] = static_cast<std::uint8_t>((kind == Ids::kRandom ? 0x40 : 0x70) | (uuid[6] & 0x0F));
    uuid[8] = static_cast<std::uint8_t>(0x80 | (uuid[8] & 0x3F));
    return ToString(uuid);
  }

 private:
  std::mt19937_64 random_{std::random_device()()};
};

}  // namespace leftfold::bench
#endif  // BENCH_IDS_H_
