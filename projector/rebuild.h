#ifndef PROJECTOR_REBUILD_H_
#define PROJECTOR_REBUILD_H_

#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <string>

#include "event_store/event_store.h"
#include "projector/view_slot.h"

namespace leftfold {

enum class RebuildAction {
  kSwitch,  // Serve the new generation in place of the old one.
  kVerify,  // Compare it with the live view at one position; switch nothing.
  kKeep,    // Stop at a position and keep the file; switch nothing.
};

struct RebuildProgress {
  std::int64_t done = 0;   // Events folded.
  std::int64_t total = 0;  // Events to fold; grows while others write.
  bool finished = false;
  // The rest once finished.
  Position position = kBeforeFirst;
  std::int64_t generation = 0;
  bool equal = true;
  std::string difference = "";  // The first row that differs, in words.
  std::string file = "";        // Of kKeep.
};

// Builds a new generation of a view beside the one that is served. The caller steps it; what it
// holds while it folds is nothing of the live view, which is stopped only for the last events, for
// the comparison, and for the switch. One that goes before it has finished removes its file. Not
// thread-safe.
class Rebuild {
 public:
  // REBUILD_RUNNING while there is another one of the view. `wake` is called after a switch of a
  // view that had stopped.
  static absl::StatusOr<std::unique_ptr<Rebuild>> New(std::shared_ptr<ViewSlot> slot,
                                                      EventStore& store, RebuildAction action,
                                                      Position until, std::function<void()> wake);
  ~Rebuild();

  // Folds a bounded batch. Not after it has finished or failed.
  absl::StatusOr<RebuildProgress> Step();

 private:
  Rebuild(std::shared_ptr<ViewSlot> slot, EventStore& store, RebuildAction action, Position until,
          std::function<void()> wake)
      : slot_(std::move(slot)),
        store_(store),
        action_(action),
        until_(until),
        wake_(std::move(wake)) {}
  Position Limit();
  absl::StatusOr<RebuildProgress> Finish();
  absl::Status FoldTo(Position position);

  std::shared_ptr<ViewSlot> slot_;
  EventStore& store_;
  const RebuildAction action_;
  const Position until_;
  const std::function<void()> wake_;
  sql::Generation generation_;
  std::unique_ptr<ViewRunner> runner_;
  bool keep_file_ = false;
};

}  // namespace leftfold
#endif  // PROJECTOR_REBUILD_H_
