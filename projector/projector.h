#ifndef PROJECTOR_PROJECTOR_H_
#define PROJECTOR_PROJECTOR_H_

#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/executor.h"
#include "core/registry.h"
#include "core/view_listener.h"
#include "event_store/event_store.h"
#include "projector/batch_reader.h"
#include "projector/rebuild.h"
#include "projector/view_slot.h"

namespace leftfold {

// A view that follows the head rests after each batch for kBatchRestPerEvent times its events,
// between these two limits: with few events watchers hear of them soon; beyond 1 /
// kBatchRestPerEvent events a second the batches grow, and with them the number of events that one
// written page serves. The first event after a pause is folded at once.
inline constexpr absl::Duration kBatchRestMin = absl::Milliseconds(1);
inline constexpr absl::Duration kBatchRestMax = absl::Milliseconds(25);
inline constexpr absl::Duration kBatchRestPerEvent = absl::Microseconds(150);

enum class ViewState { kCatchingUp, kLive, kStopped };

struct ViewStatus {
  std::string name;
  int version = 0;
  std::int64_t generation = 0;
  ViewState state = ViewState::kCatchingUp;
  Position checkpoint;
  std::int64_t lag_events = 0;
  std::string reason;
  std::int64_t duplicates_ignored = 0;
};

// Runs every view of the registry, each by itself: a slow or stopped one delays no other. A view
// whose version has no served file yet is built, and served once it has reached the head.
// Step-driven: each view has at most one task on the executor, and none while there is nothing to
// fold. Thread-safe. The caller holds the "project" lock of the data folder.
class Projector {
 public:
  // `views` is the folder of all views. `listener` may be nullptr. All must outlive the projector,
  // or its Stop.
  static absl::StatusOr<std::unique_ptr<Projector>> Open(const Registry& registry,
                                                         EventStore& store, Executor& executor,
                                                         ViewListener* listener,
                                                         const std::string& views);
  ~Projector();

  // Begins to fold.
  void Start();
  // Tasks that are still on the executor do nothing from now on; returns when none is folding.
  void Stop();

  std::vector<ViewStatus> ListViews();

  // A rebuild to be stepped by the caller. VIEW_NOT_FOUND names the views that there are;
  // REBUILD_RUNNING.
  absl::StatusOr<std::unique_ptr<Rebuild>> NewRebuild(std::string_view view, RebuildAction action,
                                                      Position until);

 private:
  Projector(EventStore& store, Executor& executor)
      : context_(std::make_shared<Context>(store, executor)) {}
  // What tasks need; they may outlive the projector.
  struct Context {
    Context(EventStore& events, Executor& tasks) : store(events), executor(tasks), reader(events) {}
    EventStore& store;
    Executor& executor;
    BatchReader reader;
  };
  static void Post(std::shared_ptr<Context> context, std::shared_ptr<ViewSlot> slot,
                   absl::Duration delay);
  static void Run(const std::shared_ptr<Context>& context, const std::shared_ptr<ViewSlot>& slot);

  const std::shared_ptr<Context> context_;
  std::vector<std::shared_ptr<ViewSlot>> slots_;
};

}  // namespace leftfold
#endif  // PROJECTOR_PROJECTOR_H_
