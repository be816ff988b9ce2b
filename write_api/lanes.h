#ifndef WRITE_API_LANES_H_
#define WRITE_API_LANES_H_

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>
#include <google/protobuf/message.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/mutex.h"
#include "core/registry.h"
#include "event_store/event_store.h"

namespace leftfold {

// Aggregates whose state is kept in memory; the least recently used idle ones go first.
inline constexpr std::size_t kCachedAggregatesMax = 65'536;

// A command on its way.
struct Job {
  const CommandEntry* entry = nullptr;
  std::shared_ptr<const google::protobuf::Message> command;
  CommandContext context;
  std::optional<Version> expected;
  std::optional<CommandRecord> record;  // Set when the client gave a command id.
  std::string metadata;                 // Bytes of the EventMetadata.
  int attempts = 0;
  std::int64_t order = 0;  // Among the commands of its lane, by their calls.
  std::function<void(absl::StatusOr<Receipt>)> done;
};

// Replies to give once no lock is held.
using Replies =
    std::vector<std::pair<std::function<void(absl::StatusOr<Receipt>)>, absl::StatusOr<Receipt>>>;

// One aggregate: its state after all that was decided, durable or not, and the commands that wait
// for something.
struct Lane {
  // An answer that was decided on tentative state.
  struct Held {
    Job job;
    absl::StatusOr<Receipt> answer;
  };
  // An append on its way to the disk, and the answers that need it to be durable.
  struct Pending {
    Job job;
    std::vector<Held> held;
  };

  explicit Lane(std::string name) : stream(std::move(name)) {}

  const std::string stream;
  Mutex mu;
  ErasedState state ABSL_GUARDED_BY(mu){nullptr, [](void*) {}};  // nullptr: to be loaded.
  Version version ABSL_GUARDED_BY(mu) = kNoEventYet;
  // Of the snapshot that the state was loaded from, or that was asked for since.
  Version snapshot ABSL_GUARDED_BY(mu) = kNoEventYet;
  bool loading ABSL_GUARDED_BY(mu) = false;
  // Of the appends that were decided on this state (AppendRequest::broken).
  std::shared_ptr<std::atomic<bool>> broken ABSL_GUARDED_BY(mu);
  std::int64_t next_order ABSL_GUARDED_BY(mu) = 0;
  // Commands; apart, for each counts itself off when it is answered, and none may hold the lane.
  const std::shared_ptr<std::atomic<std::size_t>> unanswered =
      std::make_shared<std::atomic<std::size_t>>(0);
  std::deque<Job> queue ABSL_GUARDED_BY(mu);  // Waits for the state, in order.
  std::int64_t next_ticket ABSL_GUARDED_BY(mu) = 0;
  std::map<std::int64_t, Pending> pending
      ABSL_GUARDED_BY(mu);  // By ticket, in the order of their decisions.
};

// Finds the lane of a stream and keeps a bounded number of them. Thread-safe.
class Lanes {
 public:
  std::shared_ptr<Lane> Get(const std::string& stream);

 private:
  static constexpr std::size_t kShards = 64;
  struct Shard {
    using Used = std::list<std::shared_ptr<Lane>>;
    Mutex mu;
    Used used ABSL_GUARDED_BY(mu);  // Most recently used first.
    absl::flat_hash_map<std::string_view, Used::iterator> by_stream ABSL_GUARDED_BY(mu);
  };
  std::array<Shard, kShards> shards_;
};

}  // namespace leftfold
#endif  // WRITE_API_LANES_H_
