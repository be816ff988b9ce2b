#ifndef PROJECTOR_VIEW_RUNNER_H_
#define PROJECTOR_VIEW_RUNNER_H_

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/registry.h"
#include "event_store/ahead_reader.h"
#include "event_store/batch_reader.h"
#include "event_store/event_store.h"
#include "sql/connection.h"
#include "sql/parked.h"
#include "sql/view_file.h"

namespace leftfold {

// Events that one transaction folds at the most: live, and while a file is built that nobody reads
// yet.
inline constexpr std::size_t kBatchEventsMax = 5'000;
inline constexpr std::size_t kBuildBatchEventsMax = 10'000;
inline constexpr std::size_t kBatchBytesMax = 16 << 20;
// How long a live transaction folds; what is left of the batch is the next one's. A slow view tells
// of what it has folded at least so often, gives its thread to the others, and ends soon. What was
// folded before an event that is parked is folded again, for at most as long.
inline constexpr absl::Duration kBatchTimeMax = absl::Milliseconds(100);
// Pages that the write-ahead log has grown by when CopyBack copies them. While a view is behind it
// does not rest: then a commit does, from sql::kViewCommitCheckpointPages on.
inline constexpr int kCopyBackPages = 1'000;
// Events beyond a gap that wait for it to be closed; more are dropped, for the store has them.
inline constexpr std::size_t kHeldBackMax = 10'000;

// Events that a view may have parked, of all streams together; at one more it stops.
inline constexpr std::int64_t kParkedEventsMax = 10'000;
// Events of a stream that one RetryParked folds at the most.
inline constexpr std::size_t kRetryEventsMax = 1'000;

inline constexpr Position kNoLimit{std::numeric_limits<std::int64_t>::max()};

// A failure that may pass by itself: a full disk, a store that cannot be reached.
bool MayPass(const absl::Status& failure);

// Folds the log into one file of one view, in order, each event once: position <= checkpoint is a
// duplicate, checkpoint + 1 is folded, beyond is held back while the gap is read from the store.
// Rows, checkpoint and chain value commit together. Whatever cannot be folded stops the runner
// where it is, with all before it committed: nothing is skipped. A view that parks (core/view.h,
// Poison) is stopped by the file and the log only: an event that it cannot fold, and those behind
// it in the stream, are written down in the transaction that passes them. No thread, clock or wait
// inside. Not thread-safe.
class ViewRunner {
 public:
  enum class Mode {
    kServing,   // Others read the file.
    kBuilding,  // Nobody reads it; a crash may leave it damaged, until FinishBuilding.
  };
  enum class Progress { kFolded, kIdle, kStopped };

  // Opens or makes the file; `view` and `store` must outlive the runner. DATA_LOSS with the reason
  // DATA_LOSS when its checkpoint is not on the store's chain (it belongs to another log, or the
  // log lost its end): "rebuild the view". DATA_LOSS without a reason when the file is damaged.
  static absl::StatusOr<std::unique_ptr<ViewRunner>> Open(const ViewEntry& view, EventStore& store,
                                                          const std::string& path, Mode mode);

  // Reads the next batch from the store, not beyond `limit`, and folds it. While a file is built,
  // `limit` says how far it is folded at least before it is read by others; changes older than
  // kChangesKept before it are not recorded.
  Progress Step(Position limit = kNoLimit);
  // The same, through a reader that has the next batch read meanwhile.
  Progress Step(AheadReader& reader, Position limit);
  // The same to the head, through a reader that views share; for kBatchTimeMax of `clock`.
  Progress Step(BatchReader& reader, const Clock& clock);
  // Takes events in any order, with duplicates and gaps, and folds what follows the checkpoint; a
  // gap is closed from the store. DATA_LOSS when the store does not have the missing event.
  Progress Offer(std::vector<RecordedEvent> events);
  // Copies pages of the write-ahead log back, if there are enough of them: for the moment when all
  // that was folded has been told. It stops where that fails.
  void CopyBack();
  // Makes a built file as durable as a serving one: when it returns OK, all of it is on the disk.
  absl::Status FinishBuilding();

  Position checkpoint() const { return checkpoint_.position; }
  // Why it stopped, with the details of the failure; OK while it goes on.
  const absl::Status& stopped() const { return stopped_; }
  // The event that it stopped at; means nothing while it goes on.
  Position stopped_at() const { return stopped_at_; }
  // TryAgain where it stopped because of what MayPass; nothing otherwise.
  void Resume();
  // Goes on where the file is, whatever it was: a commit that failed may be there all the same, and
  // then its keys count as touched.
  void TryAgain();

  // How a retry went.
  struct Retried {
    std::int64_t folded = 0;
    std::int64_t parked = 0;  // Those that are left of the stream.
    std::string reason = "";  // Why the first of these is; "" when none is left.
  };
  // Folds the parked events of a stream in order, in one transaction, up to the first one that
  // still fails, or kRetryEventsMax. The rows are there at once; watchers are told with the next
  // position, for they have been told of this one. NOT_PARKED.
  absl::StatusOr<Retried> RetryParked(std::string_view stream);
  // Takes the first parked event of a stream out, for good: it is passed over, also when this
  // version is rebuilt, and listed as skipped. NOT_PARKED; NOT_FIRST_PARKED names the first.
  absl::Status SkipParked(Position position, const sql::Skip& skip);
  // Skips here too what was skipped in another file of the view, as far as it is the same event.
  absl::Status TakeSkips(const std::vector<sql::ParkedEvent>& skipped);
  using ParkedStreams = std::map<std::string, sql::ParkedStream, std::less<>>;
  const ParkedStreams& parked() const { return parked_; }
  std::int64_t parked_events() const { return parked_events_; }

  // From now on others read the file: who resumes from what another file said at or before the
  // checkpoint is sent everything anew.
  absl::Status ForgetOtherFiles();
  std::int64_t duplicates_ignored() const { return duplicates_ignored_; }
  // Keys touched since the last call; none while the file is built, for nobody watches it.
  std::vector<std::string> TakeTouched();
  const std::string& path() const { return path_; }
  sql::Connection& connection() { return *connection_; }

 private:
  // How a transaction went. A failure that is no event's fault (the file's) has no culprit. Only
  // what the view's own fold refuses can be parked.
  struct Attempt {
    absl::Status status;
    std::optional<std::size_t> culprit;
    bool can_be_parked = false;
  };

  // When live events are to be committed; those that are left are the next step's.
  struct Until {
    const Clock& clock;
    absl::Time end;
    bool Passed() const { return clock.Now() >= end; }
  };

  ViewRunner(const ViewEntry& view, EventStore& store, std::string path, Mode mode)
      : view_(view), store_(store), path_(std::move(path)), mode_(mode) {}
  // Takes checkpoint and parking from the file.
  absl::Status ReadProgress();
  // How many events a step to `limit` may fold; it is told how far a file is built.
  std::size_t RoomTo(Position limit);
  EventRun RunOf(const BatchReader::Batch& batch);
  Progress Fold(EventRun run, const Clock* clock);
  // The last event is parked for `poison`, if that is given, instead of folded. With a time it may
  // fold the first events only, but one at the least.
  Attempt FoldTransaction(const EventRun& run, const Until* until,
                          const absl::Status* poison = nullptr);
  // Whether the view handles its type.
  absl::StatusOr<bool> FoldOne(const RecordedEvent& event, sql::ConnectionWriteTx& tx,
                               bool& refused);
  absl::Status Park(const RecordedEvent& event, std::string_view reason);
  bool IsSkipped(const RecordedEvent& event) const;
  absl::StatusOr<RecordedEvent> ReadParkedEvent(const sql::ParkedEvent& parked);
  Attempt RetryTransaction(std::span<const sql::ParkedEvent> events, const absl::Status* poison);
  void ReadParking();
  void Unpark();
  void WriteChanges(const sql::ConnectionWriteTx& tx, Position end);
  Progress FoldOrIdle(Position head, const EventRun& run, const Clock* clock);
  void HoldBack(std::vector<RecordedEvent> events);
  Progress FoldHeldBack();
  Progress CloseGap();
  Progress StopAt(Position position, const absl::Status& reason);

  const ViewEntry& view_;
  EventStore& store_;
  const std::string path_;
  Mode mode_;
  std::unique_ptr<sql::Connection> connection_;
  sql::Checkpoint checkpoint_;
  std::vector<std::uint8_t> wanted_;  // Of the last RunOf.
  Position built_to_;                 // Nobody reads the file before it has come this far.
  std::map<Position, RecordedEvent> held_back_;
  std::vector<std::string> touched_;
  std::int64_t duplicates_ignored_ = 0;
  Position changes_forgotten_;
  absl::Status stopped_;
  Position stopped_at_;
  ParkedStreams parked_;
  std::int64_t parked_events_ = 0;
  std::vector<std::string> parking_;         // Streams of the events parked in this transaction.
  std::map<Position, std::string> skipped_;  // With the event's id.
  std::vector<std::string> retried_;         // Keys whose watchers are told with the next position.
};

}  // namespace leftfold
#endif  // PROJECTOR_VIEW_RUNNER_H_
