#ifndef PROJECTOR_REBUILD_H_
#define PROJECTOR_REBUILD_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "event_store/event_store.h"
#include "projector/view_slot.h"
#include "sql/compare.h"

namespace leftfold {

enum class RebuildAction {
  kSwitch,   // Compare it as kVerify does, then serve it in place of the old one, equal or not.
  kVerify,   // Compare it with the live view at one position; switch nothing.
  kKeep,     // Stop at a position and keep the file; switch nothing.
  kPrepare,  // Catch up and leave the file to the start of a binary with this version of the view.
};

struct RebuildProgress {
  std::int64_t done = 0;   // Events folded.
  std::int64_t total = 0;  // Events to fold; grows while others write.
  // Its rows are being compared with those of the view that is served.
  bool comparing = false;
  std::int64_t compared_rows = 0;
  std::int64_t rows_to_compare = 0;  // Grows while they are counted, before any is compared.
  bool finished = false;
  // The rest once finished.
  Position position = kBeforeFirst;
  std::int64_t generation = 0;
  // Of kVerify and kSwitch: the content against that of the view that is served, both at
  // `compared_at`. Where nothing was compared there is none, and of a kSwitch why.
  std::optional<bool> equal = std::nullopt;
  std::string difference = "";    // The first row that differs, in words.
  std::string content_hash = "";  // Of what was compared, as built; see sql/compare.h.
  Position compared_at = kBeforeFirst;
  std::string not_compared = "";
  std::string file = "";  // Of kKeep; nobody removes it but its owner.
};

// Rows that one step compares, or counts, at the most.
inline constexpr std::int64_t kCompareRowsMax = 10'000;
inline constexpr std::int64_t kCountRowsMax = 10 * kCompareRowsMax;

// What AheadReaders of rebuilds read through.
std::shared_ptr<BatchReader> NewRebuildReader(EventStore& store);

// Builds a new generation of a view beside the one that is served, or lets an old one catch up. The
// caller steps it; while it folds and compares it holds nothing of the live view, which pauses
// between two batches only for the last events before a switch, and answers queries meanwhile: it
// is compared with as it was in one read transaction. What operators skipped in the live view is
// skipped, and what they had retried there is retried. One that goes before it has finished removes
// the file that it has built. Not thread-safe; the store must outlive it.
class Rebuild {
 public:
  // INVALID_FIELDS for a position that is not in the log; REBUILD_RUNNING while there is another
  // one of the view; VIEW_REBUILDING for the comparison of a view that is not served yet, and the
  // reason of its stop for one that cannot be served. `wake` posts the view's task, if a switch
  // kept it from its turn.
  static absl::StatusOr<std::unique_ptr<Rebuild>> New(std::shared_ptr<ViewSlot> slot,
                                                      EventStore& store, AheadReader reader,
                                                      RebuildAction action, Position until,
                                                      std::function<void()> wake);
  // Lets a generation of this version that lies beside the served one catch up, then serves it;
  // compares nothing. GENERATION_NOT_FOUND names those that there are; else as New.
  static absl::StatusOr<std::unique_ptr<Rebuild>> OfGeneration(std::shared_ptr<ViewSlot> slot,
                                                               EventStore& store,
                                                               AheadReader reader,
                                                               std::int64_t generation,
                                                               std::function<void()> wake);
  // kPrepare, beside the server of an older version: builds the generation that a start with this
  // version of the view will serve at once, or lets it catch up when it is there already.
  // UNAVAILABLE while another process writes generations of this version: its server, for one.
  static absl::StatusOr<std::unique_ptr<Rebuild>> Prepare(const ViewEntry& view, EventStore& store,
                                                          Executor& executor,
                                                          const std::string& views);
  ~Rebuild();

  // Folds a bounded batch. An error ends it: what is served stays as it is. Not after it has
  // finished or failed.
  absl::StatusOr<RebuildProgress> Step();

 private:
  Rebuild(std::shared_ptr<ViewSlot> slot, EventStore& store, AheadReader reader,
          RebuildAction action, Position until, std::function<void()> wake)
      : slot_(std::move(slot)),
        store_(store),
        reader_(std::move(reader)),
        action_(action),
        until_(until),
        wake_(std::move(wake)) {}
  static absl::StatusOr<std::unique_ptr<Rebuild>> Begin(std::shared_ptr<ViewSlot> slot,
                                                        EventStore& store, AheadReader reader,
                                                        RebuildAction action, Position until,
                                                        std::function<void()> wake);
  absl::Status OpenNew() ABSL_EXCLUSIVE_LOCKS_REQUIRED(slot_->mu);
  absl::Status OpenOld(const sql::Generation& generation);
  Position Limit();
  absl::Status FoldTo(Position position);
  // One step of the comparison; true when it is done, or there is nothing to compare with.
  absl::StatusOr<bool> Compare();
  absl::StatusOr<bool> CompareRows();
  absl::Status BeginToCompare();
  void EndComparison();
  absl::StatusOr<RebuildProgress> Finish();
  absl::StatusOr<RebuildProgress> Keep(int mark);
  // Skips and retries what operators did in the live view.
  absl::Status TakeDecisions(sql::Connection& live, bool caught_up);
  absl::StatusOr<RebuildProgress> Switch();
  // Closes `live` when it succeeds.
  absl::StatusOr<RebuildProgress> SwitchFrom(std::unique_ptr<ViewRunner>& live);
  RebuildProgress FinishedAt(Position position) const;

  std::shared_ptr<ViewSlot> slot_;
  std::shared_ptr<sql::VersionLock> lock_;
  EventStore& store_;
  AheadReader reader_;
  const RebuildAction action_;
  const Position until_;
  const std::function<void()> wake_;
  sql::Generation generation_;
  std::unique_ptr<ViewRunner> runner_;
  bool compares_ = false;                      // It is to compare, or is just comparing.
  std::unique_ptr<sql::Connection> snapshot_;  // Of the live view, in a transaction.
  std::unique_ptr<sql::ContentReader> comparison_;
  bool counted_ = false;      // What it is to read.
  RebuildProgress compared_;  // What is known of the comparison.
  bool durable_ = false;
  bool keep_file_ = false;
};

}  // namespace leftfold
#endif  // PROJECTOR_REBUILD_H_
