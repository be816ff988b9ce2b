#ifndef PROJECTOR_VIEW_SLOT_H_
#define PROJECTOR_VIEW_SLOT_H_

#include <absl/time/time.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/mutex.h"
#include "core/registry.h"
#include "core/view_listener.h"
#include "event_store/batch_reader.h"
#include "projector/view_runner.h"
#include "sql/view_file.h"

namespace leftfold {

// A view that follows the head rests after each batch for kBatchRestPerEvent times its events,
// between these two limits: beyond 1 / kBatchRestPerEvent events a second the batches grow, and
// with them the number of events that one written page serves. The first event after a pause is
// folded at once. A view that somebody watches rests as long as its batch has taken, between limits
// of its own; where many come, for no longer than kRestEventsMax take to come, so that they are
// still in memory afterwards; one whose position somebody waits for not at all while the log has
// what is waited for.
inline constexpr absl::Duration kBatchRestWatchedMin = absl::Microseconds(100);
inline constexpr absl::Duration kBatchRestWatchedMax = absl::Microseconds(500);
inline constexpr absl::Duration kBatchRestMin = absl::Milliseconds(20);
inline constexpr absl::Duration kBatchRestMax = absl::Milliseconds(100);
inline constexpr absl::Duration kBatchRestPerEvent = absl::Microseconds(400);
// Half of what a server keeps in memory, where they are small.
inline constexpr std::int64_t kRestEventsMax = 8'192;
// After this a view that stopped for lack of space, or of the store, tries again; and to write
// down why it has stopped.
inline constexpr absl::Duration kResumeDelay = absl::Seconds(5);
// After this a view whose store is away for the moment asks it again. It has not stopped: it is
// behind, and its listener is told nothing.
inline constexpr absl::Duration kStoreAwayDelay = absl::Milliseconds(200);

// user_version of a file that a rebuild was asked to keep, and of one that was prepared for a
// version that is not served yet. Never change: they are stored.
inline constexpr int kKeptMark = 1;
inline constexpr int kPreparedMark = 2;

// One view of a projector: the runner of the file that is served, or that is being built to be
// served. Thread-safe as annotated: who holds `mu` may fold and switch; who has taken `runner` out
// has the view paused and may fold and compare without the lock.
struct ViewSlot {
  ViewSlot(const ViewEntry& view_entry, std::string views_folder, ViewListener* view_listener)
      : view(view_entry), views(std::move(views_folder)), listener(view_listener) {}

  const ViewEntry& view;
  const std::string views;
  ViewListener* const listener;

  Mutex mu;
  // Nobody else writes generations of this version; a rebuild has it too, and may outlive us.
  std::shared_ptr<sql::VersionLock> version_lock ABSL_GUARDED_BY(mu);
  // None while a rebuild has taken it out, and when no file could be opened.
  std::unique_ptr<ViewRunner> runner ABSL_GUARDED_BY(mu);
  sql::Generation generation ABSL_GUARDED_BY(mu);
  bool serving ABSL_GUARDED_BY(mu) = false;
  bool taken ABSL_GUARDED_BY(mu) = false;   // A rebuild has taken the runner out.
  bool paused ABSL_GUARDED_BY(mu) = false;  // By an operator; it stays so over a restart.
  Position build_to ABSL_GUARDED_BY(mu);    // The head when the build began: then it is served.
  bool ended ABSL_GUARDED_BY(mu) = false;
  bool resting ABSL_GUARDED_BY(mu) = false;      // It has no task, and only a rebuild wakes it.
  bool opens_again ABSL_GUARDED_BY(mu) = false;  // No file could be opened, but that may pass.
  // Where and when its last rest began.
  Position rested_at ABSL_GUARDED_BY(mu);
  absl::Time rested_from ABSL_GUARDED_BY(mu) = absl::InfinitePast();
  std::string told ABSL_GUARDED_BY(mu);  // The reason that was last printed.
  // What the folder says of why it stays where it is; not known at first.
  std::optional<absl::Status> recorded ABSL_GUARDED_BY(mu);
  // Why it stays where it is for good, where the folder could not be told.
  absl::Status unrecorded ABSL_GUARDED_BY(mu);

  // Who waits for events that are in the log ends a rest, without waiting for a fold: of the view's
  // task and of who hurries it, who takes the number out runs it.
  std::atomic<std::uint64_t> rest = 0;         // Of the rest that it is in; 0: none.
  std::atomic<std::uint64_t> rests_begun = 0;  // The last number.
  std::atomic<std::int64_t> awaited = 0;       // The farthest of these events.

  // What others may know without waiting for a fold.
  Mutex status_mu;
  Position checkpoint ABSL_GUARDED_BY(status_mu);
  absl::Status stopped ABSL_GUARDED_BY(status_mu);
  bool log_is_away ABSL_GUARDED_BY(status_mu) = false;  // That is why it `stopped`.
  std::int64_t duplicates_ignored ABSL_GUARDED_BY(status_mu) = 0;
  std::int64_t generation_number ABSL_GUARDED_BY(status_mu) = 0;
  bool served ABSL_GUARDED_BY(status_mu) = false;
  bool rebuilding ABSL_GUARDED_BY(status_mu) = false;
  std::int64_t parked ABSL_GUARDED_BY(status_mu) = 0;
  absl::Status paused_for ABSL_GUARDED_BY(status_mu);  // OK while it is not paused.

  // What the caller of Step does next.
  struct Turn {
    enum class Next {
      kNothing,  // It rests or has ended.
      kStep,     // Step again, after `delay`.
      kWait,     // Step again when the store is past `checkpoint`.
    };
    Next next = Next::kNothing;
    absl::Duration delay = absl::ZeroDuration();
    Position checkpoint = kBeforeFirst;
    bool rests = false;  // The delay is a rest, which ends when somebody waits for more.
  };

  // Opens the served file, or the prepared one, or begins to build one where there is none or where
  // it is damaged. A served file that is not on the store's chain is neither served nor replaced:
  // the view stops until somebody has it rebuilt. Other failures stop the view too, and no other
  // one. While another process writes generations of this version, it waits for that. Removes
  // what interrupted builds have left.
  void Open(EventStore& store) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Folds one batch. Where the served file turns out to be damaged, begins to build one anew.
  Turn Step(EventStore& store, BatchReader& reader, const Clock& clock)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Stays where it is, and says why, until Resume.
  absl::Status Pause(std::string_view why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Ends a pause, and tries again what stopped the view. True when the caller must post its task.
  absl::StatusOr<bool> Resume() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // The generation that a start of this version would serve: the one of CURRENT, else the newest
  // prepared one. Removes what interrupted builds have left.
  absl::StatusOr<std::optional<sql::Generation>> FindGeneration() const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Generations of this version that lie beside the served one and are whole.
  std::vector<std::int64_t> OtherGenerations() const;
  // While it lives the served file may be written, and readers keep no transaction open.
  class Writing {
   public:
    explicit Writing(ViewSlot& slot) : slot_(slot) {
      if (slot_.listener != nullptr) slot_.listener->OnWriting(slot_.view.name);
    }
    ~Writing() {
      if (slot_.listener != nullptr) slot_.listener->OnWritten(slot_.view.name);
    }
    Writing(const Writing&) = delete;
    Writing& operator=(const Writing&) = delete;

   private:
    ViewSlot& slot_;
  };
  // Tells the status, and nobody else, what the runner has done.
  void PublishStatus() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Serves `next` in place of `live`, which was taken out and is closed; the generation before is
  // kept, older ones are removed. When it fails, all is as before.
  absl::Status SwitchTo(std::unique_ptr<ViewRunner>& live, std::unique_ptr<ViewRunner>& next,
                        const sql::Generation& next_generation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

 private:
  absl::Status OpenFile(EventStore& store) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  absl::Status BeginBuilding(EventStore& store) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // The open file is that of CURRENT.
  absl::Status Serve() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // The built, or prepared, file has come far enough: serve it.
  absl::Status BeginServing() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  Turn OpenAgain(EventStore& store) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  Turn AfterStop(EventStore& store) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // It goes on when somebody says so; until then the folder is told, where it was not.
  Turn StayFor(const absl::Status& reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void Tell(const absl::Status& reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  bool CountsAsStopped();
  // For processes that only read; OK: it goes on.
  void RecordStopped(const absl::Status& reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void TellIfPaused() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void TellPaused(std::string_view why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Tells the listener and the status what the runner has done.
  void Publish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
};

}  // namespace leftfold
#endif  // PROJECTOR_VIEW_SLOT_H_
