#ifndef PROJECTOR_PROJECTOR_H_
#define PROJECTOR_PROJECTOR_H_

#include <absl/status/statusor.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/executor.h"
#include "core/mutex.h"
#include "core/registry.h"
#include "core/view_listener.h"
#include "event_store/ahead_reader.h"
#include "event_store/batch_reader.h"
#include "event_store/event_store.h"
#include "projector/rebuild.h"
#include "projector/view_slot.h"

namespace leftfold {

enum class ViewState {
  kCatchingUp,  // Being built, or served far behind the head.
  kLive,        // Served, less than kBatchEventsMax behind the head.
  kStopped,     // It stays at its checkpoint, because of `reason`.
  kRebuilding,  // As kCatchingUp or kLive, and another generation is built beside it.
  kPaused,      // It stays at its checkpoint, because an operator said so.
  kServed,      // Served by a process that cannot see the log: whether it is behind is not known.
};

struct ViewStatus {
  std::string name;
  int version = 0;
  std::int64_t generation = 0;
  ViewState state = ViewState::kCatchingUp;
  Position checkpoint;
  std::int64_t lag_events = 0;
  bool lag_unknown = false;  // The process cannot see the log.
  std::string reason;        // With the position of the event; "" unless stopped or paused.
  std::int64_t duplicates_ignored = 0;
  absl::Time oldest_unapplied = absl::InfiniteFuture();  // When it was recorded; of lag_events > 0.
  std::int64_t bytes = 0;                                // Of the served file on the disk.
  std::int64_t parked_events = 0;
  std::vector<std::int64_t> other_generations;  // That NewSwitch can serve.
  std::int64_t previous_generation = 0;         // That NewRollback serves; 0: none.
};

// Of a view that is served and goes on: kLive or kCatchingUp.
ViewState ServedState(const ViewStatus& view);
// When the first of the events that each view lags behind was recorded; no time where the log
// cannot be read.
void AddOldestUnapplied(EventStore& log, std::vector<ViewStatus>& views);

// Runs every view of the registry, each by itself: a slow or stopped one delays no other. A view
// whose version has no served file yet is built, and served once it has reached the head that the
// log had when the build began. Step-driven: each view has at most one task on the executor, and
// none while there is nothing to fold. Thread-safe. The caller holds the "project" lock of the data
// folder.
class Projector {
 public:
  // `views` is the folder of all views. `listener` may be nullptr. Registry, store, clock and
  // listener must outlive the projector; store, clock and executor also every task and wake-up of
  // theirs that is still to come, which does nothing after Stop. A view that cannot be opened is
  // stopped, and ListViews says why. `batches` are shared with who else reads the store.
  static absl::StatusOr<std::unique_ptr<Projector>> Open(
      const Registry& registry, EventStore& store, Executor& executor, const Clock& clock,
      ViewListener* listener, const std::string& views,
      std::shared_ptr<SharedBatches> batches = std::make_shared<SharedBatches>());
  ~Projector();

  // Begins to fold, and tells the listener how to hurry it.
  void Start();
  // Tasks that are still on the executor do nothing from now on; returns when none is folding.
  // Rebuilds that run on the executor end with STOPPING, those of NewRebuild at their switch.
  void Stop();

  // Reads the next event of each view that lags; no time where the store cannot be read.
  std::vector<ViewStatus> ListViews();

  // A rebuild to be stepped by the caller. VIEW_NOT_FOUND names the views that there are;
  // REBUILD_RUNNING. It may outlive the projector, but switches nothing after Stop.
  absl::StatusOr<std::unique_ptr<Rebuild>> NewRebuild(std::string_view view, RebuildAction action,
                                                      Position until);

  // The same for a generation that is there: it catches up, then it is served.
  // GENERATION_NOT_FOUND.
  absl::StatusOr<std::unique_ptr<Rebuild>> NewSwitch(std::string_view view,
                                                     std::int64_t generation);
  // The same for the generation that was served before.
  absl::StatusOr<std::unique_ptr<Rebuild>> NewRollback(std::string_view view);

  // The view stays at its checkpoint, and is served, until ResumeView, over restarts too. Rebuilds
  // and switches go on. Each waits for a batch that is being folded.
  absl::Status PauseView(std::string_view view, std::string_view why);
  // Ends a pause, and lets a stopped view try again.
  absl::Status ResumeView(std::string_view view);

  // Events after `after` that the view could not fold: parked, or skipped by somebody. In order.
  absl::StatusOr<std::vector<sql::ParkedEvent>> ListParked(std::string_view view, Position after,
                                                           std::size_t limit);
  // See ViewRunner. REBUILD_RUNNING in the moment of a comparison or a switch.
  absl::StatusOr<ViewRunner::Retried> RetryParked(std::string_view view, std::string_view stream);
  absl::Status SkipParked(std::string_view view, Position position, const sql::Skip& skip);

  struct RebuildListener {
    std::function<void(const RebuildProgress&)> progress;              // After each step.
    std::function<void(const absl::StatusOr<RebuildProgress>&)> done;  // Once, at last.
  };
  // The same, stepped by tasks on the executor, which run the callbacks too (Stop and cancel run
  // `done` themselves, if no step is under way). Returns a function that cancels it, from any
  // thread and any number of times, also after the projector is gone: `done` gets CANCELLED unless
  // it has had its answer.
  absl::StatusOr<std::function<void()>> StartRebuild(std::string_view view, RebuildAction action,
                                                     Position until, RebuildListener listener);

 private:
  // What tasks need; they may outlive the projector.
  struct Context {
    Context(EventStore& events, Executor& tasks, const Clock& time,
            std::shared_ptr<SharedBatches> batches)
        : store(events), executor(tasks), clock(time), reader(events, std::move(batches)) {}
    EventStore& store;
    Executor& executor;
    const Clock& clock;
    BatchReader reader;
    std::atomic<bool> stopped = false;
    // Rebuilds that run at the same time read each batch once.
    AheadReader ReaderOfRebuild();
    Mutex mu;
    std::weak_ptr<BatchReader> of_rebuilds ABSL_GUARDED_BY(mu);
  };
  class RebuildTask;

  absl::StatusOr<std::shared_ptr<ViewSlot>> Find(std::string_view view) const;
  std::function<void()> WakeOf(const std::shared_ptr<ViewSlot>& slot) const;
  // Runs `work` on the view's open file, while nobody folds.
  template <class Work>
  auto OnRunner(std::string_view view, Work work) -> decltype(work(std::declval<ViewRunner&>()));

  Projector(EventStore& store, Executor& executor, const Clock& clock,
            std::shared_ptr<SharedBatches> batches)
      : context_(std::make_shared<Context>(store, executor, clock, std::move(batches))) {}
  static void Post(std::shared_ptr<Context> context, std::shared_ptr<ViewSlot> slot,
                   absl::Duration delay);
  static void Run(const std::shared_ptr<Context>& context, const std::shared_ptr<ViewSlot>& slot);
  static void Rest(const std::shared_ptr<Context>& context, const std::shared_ptr<ViewSlot>& slot,
                   const ViewSlot::Turn& turn);
  static void EndRest(const std::shared_ptr<Context>& context,
                      const std::shared_ptr<ViewSlot>& slot);
  ViewListener::Hurry NewHurry() const;

  const std::shared_ptr<Context> context_;
  ViewListener* listener_ = nullptr;
  std::vector<std::shared_ptr<ViewSlot>> slots_;
  Mutex mu_;
  std::vector<std::weak_ptr<RebuildTask>> rebuilds_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leftfold
#endif  // PROJECTOR_PROJECTOR_H_
