#ifndef PROJECTOR_REBUILD_H_
#define PROJECTOR_REBUILD_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "event_store/event_store.h"
#include "projector/view_slot.h"

namespace leftfold {

enum class RebuildAction {
  kSwitch,   // Serve the new generation in place of the old one.
  kVerify,   // Compare it with the live view at one position; switch nothing.
  kKeep,     // Stop at a position and keep the file; switch nothing.
  kPrepare,  // Catch up and leave the file to the start of a binary with this version of the view.
};

struct RebuildProgress {
  std::int64_t done = 0;   // Events folded.
  std::int64_t total = 0;  // Events to fold; grows while others write.
  bool finished = false;
  // The rest once finished.
  Position position = kBeforeFirst;
  std::int64_t generation = 0;
  bool equal = true;
  std::string difference = "";    // The first row that differs, in words.
  std::string content_hash = "";  // Of kVerify: of what was built; see sql/compare.h.
  std::string file = "";          // Of kKeep; nobody removes it but its owner.
};

// Builds a new generation of a view beside the one that is served, or lets an old one catch up. The
// caller steps it; while it folds it holds nothing of the live view, which pauses between two
// batches only for the last events, for the comparison, and for the switch, and answers queries
// meanwhile. What operators skipped in the live view is skipped, and what they had retried there is
// retried. One that goes before it has finished removes the file that it has built. Not
// thread-safe; the store must outlive it.
class Rebuild {
 public:
  // INVALID_FIELDS for a position that is not in the log; REBUILD_RUNNING while there is another
  // one of the view; VIEW_REBUILDING for the comparison of a view that is not served yet, and the
  // reason of its stop for one that cannot be served. `wake` posts the view's task, if a switch or
  // a comparison kept it from its turn.
  static absl::StatusOr<std::unique_ptr<Rebuild>> New(std::shared_ptr<ViewSlot> slot,
                                                      EventStore& store, RebuildAction action,
                                                      Position until, std::function<void()> wake);
  // Lets a generation of this version that lies beside the served one catch up, then serves it.
  // GENERATION_NOT_FOUND names those that there are; else as New.
  static absl::StatusOr<std::unique_ptr<Rebuild>> OfGeneration(std::shared_ptr<ViewSlot> slot,
                                                               EventStore& store,
                                                               std::int64_t generation,
                                                               std::function<void()> wake);
  // kPrepare, beside the server of an older version: builds the generation that a start with this
  // version of the view will serve at once, or lets it catch up when it is there already.
  // UNAVAILABLE while another process writes generations of this version: its server, for one.
  static absl::StatusOr<std::unique_ptr<Rebuild>> Prepare(const ViewEntry& view, EventStore& store,
                                                          const std::string& views);
  ~Rebuild();

  // Folds a bounded batch. An error ends it: what is served stays as it is. Not after it has
  // finished or failed.
  absl::StatusOr<RebuildProgress> Step();

 private:
  Rebuild(std::shared_ptr<ViewSlot> slot, EventStore& store, RebuildAction action, Position until,
          std::function<void()> wake)
      : slot_(std::move(slot)),
        store_(store),
        action_(action),
        until_(until),
        wake_(std::move(wake)) {}
  static absl::StatusOr<std::unique_ptr<Rebuild>> Begin(std::shared_ptr<ViewSlot> slot,
                                                        EventStore& store, RebuildAction action,
                                                        Position until, std::function<void()> wake);
  absl::Status OpenNew() ABSL_EXCLUSIVE_LOCKS_REQUIRED(slot_->mu);
  absl::Status OpenOld(const sql::Generation& generation);
  Position Limit();
  absl::Status FoldTo(Position position);
  absl::StatusOr<RebuildProgress> Finish();
  absl::StatusOr<RebuildProgress> FinishPaused();
  absl::StatusOr<RebuildProgress> Keep(int mark);
  // Skips and retries what operators did in the live view.
  absl::Status TakeDecisions(ViewRunner& live, bool caught_up);
  absl::StatusOr<RebuildProgress> Compare(ViewRunner& live);
  // Closes `live` when it succeeds.
  absl::StatusOr<RebuildProgress> Switch(std::unique_ptr<ViewRunner>& live);
  RebuildProgress FinishedAt(Position position) const;

  std::shared_ptr<ViewSlot> slot_;
  std::shared_ptr<sql::VersionLock> lock_;
  EventStore& store_;
  const RebuildAction action_;
  const Position until_;
  const std::function<void()> wake_;
  sql::Generation generation_;
  std::unique_ptr<ViewRunner> runner_;
  bool durable_ = false;
  bool keep_file_ = false;
};

}  // namespace leftfold
#endif  // PROJECTOR_REBUILD_H_
