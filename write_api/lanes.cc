#include "write_api/lanes.h"

#include <absl/hash/hash.h>

namespace leftfold {
namespace {

// How many lanes at the cold end are looked at for one that nobody uses, when the shard is full.
constexpr int kEvictionAttempts = 8;

}  // namespace

std::shared_ptr<Lane> Lanes::Get(const std::string& stream) {
  Shard& shard = shards_[absl::Hash<std::string>()(stream) % kShards];
  MutexLock lock(shard.mu);
  if (const auto found = shard.by_stream.find(stream); found != shard.by_stream.end()) {
    shard.used.splice(shard.used.begin(), shard.used, found->second);
    return *found->second;
  }
  shard.used.push_front(std::make_shared<Lane>(stream));
  shard.by_stream.emplace(shard.used.front()->stream, shard.used.begin());
  auto coldest = std::prev(shard.used.end());
  for (int i = 0; i < kEvictionAttempts && shard.used.size() > kCachedAggregatesMax / kShards;
       ++i) {
    const auto lane = coldest--;
    // Commands in flight hold their lane: one that only the cache holds has nothing waiting and
    // nothing tentative.
    if (lane->use_count() > 1) continue;
    shard.by_stream.erase((*lane)->stream);
    shard.used.erase(lane);
  }
  return shard.used.front();
}

}  // namespace leftfold
