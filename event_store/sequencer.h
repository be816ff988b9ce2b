#ifndef EVENT_STORE_SEQUENCER_H_
#define EVENT_STORE_SEQUENCER_H_

#include <absl/container/flat_hash_map.h>
#include <absl/container/inlined_vector.h>

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/cache_line.h"
#include "core/clock.h"
#include "core/executor.h"
#include "core/mutex.h"
#include "event_store/event_store.h"
#include "event_store/log.h"
#include "event_store/log_metrics.h"
#include "event_store/recent_events.h"

namespace leftfold {

// Appends that one transaction commits at the most.
inline constexpr std::size_t kGroupAppendsMax = 512;
// Their bytes as stored; one append more than that is a group by itself.
inline constexpr std::size_t kGroupBytesMax = 16 << 20;
// Answers that the writer's step gives itself, because handing them over would take longer than
// giving them.
inline constexpr std::size_t kInlineAnswersMax = 2;

// An EventStore over a Log: judges checks, assigns positions, versions, times and chain values, and
// commits many appends in one transaction (group commit). A group is what has come in since the
// last one began: it never waits to fill. Steps run on `writer`, one at a time; answers and
// wake-ups on `completions`, but the answers of a small group on `writer`. Thread-safe. Both
// executors must have run or dropped their tasks before the store goes.
class SequencedStore final : public EventStore {
 public:
  // `recent_events`: how many who follows the head is shown from memory.
  SequencedStore(std::unique_ptr<Log> log, Executor& writer, Executor& completions,
                 const Clock& clock, std::size_t recent_events = 0);

  void Append(AppendRequest request, AppendDone done) override;
  absl::StatusOr<std::optional<StoredCommand>> FindCommand(std::string_view command_id) override;
  absl::StatusOr<std::vector<RecordedEvent>> ReadStream(std::string_view stream,
                                                        const ReadStreamOptions& options) override;
  absl::StatusOr<ReadAllResult> ReadAll(const ReadAllOptions& options) override;
  absl::StatusOr<Position> VisitAll(const ReadAllOptions& options, TakeEvent take) override;
  absl::StatusOr<Version> StreamVersion(std::string_view stream) override;
  absl::StatusOr<std::vector<StreamInfo>> ListStreams(const ListStreamsOptions& options) override;
  absl::StatusOr<Position> PositionBefore(absl::Time time) override;
  Head GetHead() override;
  std::string StoreId() override { return store_id_; }
  StoreStatus GetStatus() override;
  void WaitPast(Position position, std::function<void()> wake) override;
  const LogMetrics* metrics() const override { return &metrics_; }

 private:
  // An append on its way, with what could be computed before the writer's turn.
  struct Queued {
    AppendRequest request;
    absl::InlinedVector<Digest, 1> leaves;  // One for each event, in order.
    AppendDone done;
    absl::Time since;       // Of the call.
    std::size_t bytes = 0;  // As stored.
  };
  struct Answered {
    AppendDone done;
    absl::StatusOr<Receipt> receipt;
    bool stored = false;  // The log had it before: it stands whatever becomes of the group.
  };
  class GroupBuilder;
  class Visitor;

  void Step();
  using QueuedPtr = std::unique_ptr<Queued>;
  std::vector<QueuedPtr> TakeQueued();
  void Count(const std::vector<QueuedPtr>& taken, const Group& group);
  void Publish(const Head& head, std::vector<Answered> answered, std::size_t bytes);

  const std::unique_ptr<Log> log_;
  Executor& writer_;
  Executor& completions_;
  const Clock& clock_;
  const std::string store_id_;
  LogMetrics metrics_;
  RecentEvents recent_;
  std::atomic<bool> committing_ = false;  // What readers of the log see may not be in recent_ yet.

  // The writer's own: touched by Step alone.
  Head tail_;
  std::int64_t last_recorded_us_;
  absl::flat_hash_map<std::string, Position> category_heads_;

  alignas(kCacheLine) Mutex mu_;
  std::deque<QueuedPtr> queue_ ABSL_GUARDED_BY(mu_);
  // Of what is queued, and of the group that is being committed.
  std::size_t unanswered_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  bool step_posted_ ABSL_GUARDED_BY(mu_) = false;
  Head head_ ABSL_GUARDED_BY(mu_);
  std::multimap<Position, std::function<void()>> waiting_
      ABSL_GUARDED_BY(mu_);  // By the position to get past.
};

}  // namespace leftfold
#endif  // EVENT_STORE_SEQUENCER_H_
