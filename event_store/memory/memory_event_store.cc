#include "event_store/memory/memory_event_store.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "core/mutex.h"
#include "core/status.h"
#include "event_store/log.h"
#include "event_store/read_page.h"
#include "event_store/sequencer.h"

namespace leftfold {
namespace {

class MemoryLog final : public Log {
 public:
  Tail GetTail() override {
    MutexLock lock(mu_);
    Tail tail;
    tail.store_id = "memory";
    tail.head.chain = FirstChain(tail.store_id);
    if (!events_.empty()) {
      tail.head = {events_.back().position, events_.back().chain};
      tail.recorded_at = events_.back().recorded_at;
    }
    tail.category_heads = category_heads_;
    return tail;
  }
  absl::Status BeginGroup() override { return absl::OkStatus(); }
  absl::StatusOr<std::optional<StoredCommand>> CommandBefore(std::string_view command_id) override {
    return FindCommand(command_id);
  }
  absl::StatusOr<Version> StreamHead(std::string_view stream) override {
    return StreamVersion(stream);
  }

  absl::Status Commit(const Group& group) override {
    MutexLock lock(mu_);
    for (const RecordedEvent& event : group.events) {
      streams_[event.stream].push_back(events_.size());
      events_.push_back(event);
    }
    for (const LoggedCommand& command : group.commands) {
      const CommandRecord& record = command.record;
      commands_[record.command_id] = {
          record.request_hash,
          {command.version, command.position, record.aggregate_id, record.created_id, true}};
    }
    for (const auto& [category, position] : group.category_heads)
      category_heads_[category] = position;
    return absl::OkStatus();
  }

  absl::StatusOr<std::optional<StoredCommand>> FindCommand(std::string_view command_id) override {
    MutexLock lock(mu_);
    const auto it = commands_.find(ToAbsl(command_id));
    return it == commands_.end() ? std::nullopt : std::optional<StoredCommand>(it->second);
  }

  absl::StatusOr<std::vector<RecordedEvent>> ReadStream(std::string_view stream,
                                                        const ReadStreamOptions& options) override {
    MutexLock lock(mu_);
    Batch batch(options.events_max, options.bytes_max);
    const auto it = streams_.find(stream);
    if (it == streams_.end()) return batch.events;
    const auto count = static_cast<std::int64_t>(it->second.size());
    const bool forward = options.direction == Direction::kForward;
    std::int64_t version = forward ? std::max<std::int64_t>(options.from.value, 0)
                                   : std::min(options.from.value, count - 1);
    for (; version >= 0 && version < count; version += forward ? 1 : -1) {
      if (!batch.Take(events_[it->second[static_cast<std::size_t>(version)]])) break;
    }
    return batch.events;
  }

  absl::StatusOr<Position> VisitAll(const ReadAllOptions& options, TakeEvent take) override {
    MutexLock lock(mu_);
    ReadPage page(options, take);
    const auto count = static_cast<std::int64_t>(events_.size());
    // Position p lies at index p - 1.
    std::int64_t index = page.forward() ? std::max<std::int64_t>(options.from.value, 0)
                                        : std::min(options.from.value - 2, count - 1);
    for (; !page.full() && index >= 0 && index < count; index += page.forward() ? 1 : -1)
      page.Offer(ViewOf(events_[static_cast<std::size_t>(index)]));
    return page.through();
  }

  absl::StatusOr<Version> StreamVersion(std::string_view stream) override {
    MutexLock lock(mu_);
    const auto it = streams_.find(stream);
    return it == streams_.end() ? kNoEventYet
                                : Version{static_cast<std::int64_t>(it->second.size()) - 1};
  }

  absl::StatusOr<std::vector<StreamInfo>> ListStreams(const ListStreamsOptions& options) override {
    MutexLock lock(mu_);
    std::vector<StreamInfo> found;
    for (auto it = streams_.upper_bound(options.after);
         it != streams_.end() && found.size() < options.streams_max; ++it) {
      if (!options.category.empty() && CategoryOf(it->first) != options.category) continue;
      found.push_back({it->first, Version{static_cast<std::int64_t>(it->second.size()) - 1}});
    }
    return found;
  }

  absl::StatusOr<Position> PositionBefore(absl::Time time) override {
    MutexLock lock(mu_);
    const auto it =
        std::partition_point(events_.begin(), events_.end(),
                             [&](const RecordedEvent& event) { return event.recorded_at < time; });
    return Position{it - events_.begin()};
  }

  absl::StatusOr<Position> FindMatch(const AppendCondition& condition) override {
    MutexLock lock(mu_);
    for (const RecordedEvent& event : events_) {
      if (event.position > condition.after &&
          MatchesAny(condition.fail_if_events_match, event.type, event.tags)) {
        return event.position;
      }
    }
    return kBeforeFirst;
  }

 private:
  struct Batch {
    Batch(std::size_t most_events, std::size_t most_bytes)
        : events_max(most_events), bytes_max(most_bytes) {}
    bool Take(const RecordedEvent& event) {
      bytes += event.payload.size();
      if (events.size() >= events_max || (bytes > bytes_max && !events.empty())) return false;
      events.push_back(event);
      return true;
    }
    const std::size_t events_max;
    const std::size_t bytes_max;
    std::size_t bytes = 0;
    std::vector<RecordedEvent> events;
  };

  Mutex mu_;
  std::vector<RecordedEvent> events_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::vector<std::size_t>, std::less<>> streams_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, StoredCommand> commands_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, Position> category_heads_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

std::unique_ptr<EventStore> NewMemoryEventStore(Executor& writer, Executor& completions,
                                                const Clock& clock) {
  return std::make_unique<SequencedStore>(std::make_unique<MemoryLog>(), writer, completions,
                                          clock);
}

}  // namespace leftfold
