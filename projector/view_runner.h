#ifndef PROJECTOR_VIEW_RUNNER_H_
#define PROJECTOR_VIEW_RUNNER_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/registry.h"
#include "event_store/event_store.h"
#include "projector/batch_reader.h"
#include "sql/connection.h"
#include "sql/view_file.h"

namespace leftfold {

// Events that one transaction folds at the most: live, and while a file is built that nobody reads
// yet.
inline constexpr std::size_t kBatchEventsMax = 1'000;
inline constexpr std::size_t kBuildBatchEventsMax = 10'000;
inline constexpr std::size_t kBatchBytesMax = 16 << 20;
// Events beyond a gap that wait for it to be closed; more are dropped, for the store has them.
inline constexpr std::size_t kHeldBackMax = 10'000;

inline constexpr Position kNoLimit{std::numeric_limits<std::int64_t>::max()};

// Folds the log into one file of one view, in order, each event once: position <= checkpoint is a
// duplicate, checkpoint + 1 is folded, beyond is held back while the gap is read from the store.
// Rows, checkpoint and chain value commit together. Whatever cannot be folded stops the runner
// where it is: nothing is skipped. No thread, clock or wait inside. Not thread-safe.
class ViewRunner {
 public:
  enum class Mode { kServing, kBuilding };
  enum class Progress { kFolded, kIdle, kStopped };

  // Opens or makes the file. DATA_LOSS when its checkpoint is not on the store's chain.
  static absl::StatusOr<std::unique_ptr<ViewRunner>> Open(const ViewEntry& view, EventStore& store,
                                                          const std::string& path, Mode mode);

  // Reads the next batch from the store, not beyond `limit`, and folds it.
  Progress Step(Position limit = kNoLimit);
  // The same to the head, through a reader that views share.
  Progress Step(BatchReader& reader);
  // Takes events in any order, with duplicates and gaps, and folds what follows the checkpoint; a
  // gap is closed from the store.
  Progress Offer(std::vector<RecordedEvent> events);
  // Makes a built file as durable as a serving one.
  absl::Status FinishBuilding();

  Position checkpoint() const { return checkpoint_.position; }
  // Why it stopped; OK while it goes on.
  const absl::Status& stopped() const { return stopped_; }
  std::int64_t duplicates_ignored() const { return duplicates_ignored_; }
  // Keys touched since the last call.
  std::vector<std::string> TakeTouched();
  const std::string& path() const { return path_; }
  sql::Connection& connection() { return *connection_; }

 private:
  ViewRunner(const ViewEntry& view, EventStore& store, std::string path, Mode mode)
      : view_(view), store_(store), path_(std::move(path)), mode_(mode) {}
  absl::Status CheckChain();
  Progress Fold(std::span<const RecordedEvent> events);
  // Folds them in one transaction. Sets `failed` to the event that cannot be folded.
  absl::Status FoldTransaction(std::span<const RecordedEvent> events, std::size_t* failed);
  absl::Status FoldOne(const RecordedEvent& event, sql::ConnectionWriteTx& tx,
                       sql::Checkpoint& next);
  void WriteChanges(const sql::ConnectionWriteTx& tx);
  Progress FoldOrIdle(Position head, std::span<const RecordedEvent> events);
  Progress StopAt(Position position, const absl::Status& reason);

  const ViewEntry& view_;
  EventStore& store_;
  const std::string path_;
  Mode mode_;
  std::unique_ptr<sql::Connection> connection_;
  sql::Checkpoint checkpoint_;
  std::map<Position, RecordedEvent> held_back_;
  std::vector<std::string> touched_;
  std::int64_t duplicates_ignored_ = 0;
  Position changes_forgotten_;
  absl::Status stopped_;
};

}  // namespace leftfold
#endif  // PROJECTOR_VIEW_RUNNER_H_
