#ifndef WRITE_API_COMMAND_HANDLER_H_
#define WRITE_API_COMMAND_HANDLER_H_

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <google/protobuf/message.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/executor.h"
#include "core/metrics.h"
#include "core/mutex.h"
#include "core/registry.h"
#include "event_store/event_store.h"
#include "leftfold/core/v1/receipt.pb.h"
#include "write_api/lanes.h"
#include "write_api/snapshotter.h"

namespace leftfold {

// Categories of reservation streams begin so. Never change: they are stored.
inline constexpr std::string_view kClaimCategoryPrefix = "claim_";
// Commands that wait for an aggregate to be loaded. Beyond, as with the limits below: QUEUE_FULL
// with RetryInfo.
inline constexpr std::size_t kLaneQueueMax = 1'024;
// Commands on one aggregate that are not answered yet: what waits for its state or for the disk.
inline constexpr std::size_t kLaneCommandsMax = 8'192;
// Command ids that are not answered yet, and calls with one id that wait for the first one's
// answer.
inline constexpr std::size_t kCommandIdsMax = 32'768;
inline constexpr std::size_t kJoinedCallsMax = 1'024;
// How often a command is decided again because another writer of the log was faster, before it gets
// the ABORTED.
inline constexpr int kDecideAttemptsMax = 8;

// Who takes commands: the handler of this process, or another process. Thread-safe.
class CommandSink {
 public:
  using Done = std::function<void(absl::StatusOr<core::v1::CommandReceipt>)>;
  virtual ~CommandSink() = default;
  // Calls `done` once, possibly before it returns. `command` is of the type `entry.request`.
  virtual void Handle(const CommandEntry& entry, std::unique_ptr<google::protobuf::Message> command,
                      Caller caller, Done done) = 0;
};

// Turns a command into an append: form, command id, state, expected version, decision, claims,
// commit, receipt.
//
// Commands on one aggregate are decided in the order of their calls, each on the state that the
// ones before it left, while those are still on their way to the disk; every answer, a rejection
// too, is given only when all that it was decided on is durable. A commit that fails drops the
// tentative state, and the commands that stood on it are decided again. Cold loads run on `work`.
// Aggregates whose state is a message are loaded from their snapshots where there are any, and have
// new ones taken after kSnapshotEvery durable events. No thread, no clock, no wait inside.
// Thread-safe; must outlive its calls.
class CommandHandler final : public CommandSink {
 public:
  // Commands whose aggregate was in memory, and those that had to wait for it to be loaded.
  struct Metrics {
    BusyCounter cache_hits;
    BusyCounter cache_misses;
  };

  // Without a snapshotter every load folds all events.
  CommandHandler(const Registry& registry, EventStore& store, const Clock& clock, Executor& work,
                 Snapshotter* snapshotter = nullptr);
  ~CommandHandler() override;

  // Errors besides the domain's:
  //   INVALID_ARGUMENT    INVALID_FIELDS and the domain's reasons of form, all violations at once;
  //                       COMMAND_ID_RESERVED
  //   PERMISSION_DENIED   TOKEN_REQUIRED
  //   ABORTED             VERSION_CONFLICT {stream, expected, actual}
  //   ALREADY_EXISTS      COMMAND_ID_REUSED
  //   RESOURCE_EXHAUSTED  QUEUE_FULL, DISK_FULL, WAL_FULL
  //   DATA_LOSS           an event of the aggregate does not decode
  // What a domain throws ends the process: gRPC would catch it, with calls left open.
  void Handle(const CommandEntry& entry, std::unique_ptr<google::protobuf::Message> command,
              Caller caller, Done done) noexcept override;

  const Metrics& metrics() const { return metrics_; }

 private:
  struct Fields;
  struct Joined;

  absl::Status Check(const CommandEntry& entry, const Fields& fields,
                     const google::protobuf::Message& command, const Caller& caller) const;
  // Registers the id as in flight and gives the job back; nullptr: answered, or joined to the one
  // in flight.
  JobPtr EnterOnce(JobPtr job);
  void Answer(JobPtr job, absl::StatusOr<Receipt> answer);
  // Those that have joined the one in flight get its answer, too.
  void AnswerJoined(const std::string& command_id, const absl::StatusOr<Receipt>& answer);
  void Submit(const std::shared_ptr<Lane>& lane, JobPtr job);
  void Load(const std::shared_ptr<Lane>& lane);
  void DecideQueued(const std::shared_ptr<Lane>& lane, Replies& replies)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lane->mu);
  // True when another writer has appended to the stream since it was at `decided`, and the job has
  // attempts left, of which this takes one. Not of tentative state: its commit finds out.
  bool MustDecideAgain(const Lane& lane, Version decided, Job& job)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lane.mu);
  void Decide(const std::shared_ptr<Lane>& lane, JobPtr job, Replies& replies)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lane->mu);
  void Append(const std::shared_ptr<Lane>& lane, JobPtr job, ErasedDecision decision,
              Version before, Replies& replies) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lane->mu);
  void Committed(const std::shared_ptr<Lane>& lane, std::int64_t ticket,
                 absl::StatusOr<Receipt> result);
  // Adds the appends to reservation streams that the claims ask for, one for each stream; the
  // claim's own rejection when a value is taken.
  absl::Status AddClaims(const std::string& owner, std::vector<Claim> claims,
                         AppendRequest& request);
  void Give(Replies& replies);
  // Whether the lane, durable up to `durable`, is to have a new snapshot now.
  bool SnapshotIsDue(Lane& lane, const AggregateEntry& aggregate, Version durable)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lane.mu);

  EventStore& store_;
  const Clock& clock_;
  Executor& work_;
  Snapshotter* const snapshotter_;
  Lanes lanes_;
  Metrics metrics_;
  absl::flat_hash_map<const CommandEntry*, std::unique_ptr<Fields>> fields_;
  alignas(kCacheLine) Mutex mu_;
  // By command id, which is the job's: it lives until its answer.
  absl::flat_hash_map<std::string_view, Joined> in_flight_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leftfold
#endif  // WRITE_API_COMMAND_HANDLER_H_
