#ifndef PROJECTOR_VIEW_SLOT_H_
#define PROJECTOR_VIEW_SLOT_H_

#include <memory>
#include <string>

#include "core/mutex.h"
#include "core/registry.h"
#include "core/view_listener.h"
#include "projector/view_runner.h"
#include "sql/view_file.h"

namespace leftfold {

// One view of a projector: the runner of the file that is served, or that is being built to be
// served. Who holds `mu` may fold, switch or compare; nobody else does meanwhile.
struct ViewSlot {
  ViewSlot(const ViewEntry& view_entry, std::string views_folder, ViewListener* view_listener)
      : view(view_entry), views(std::move(views_folder)), listener(view_listener) {}

  const ViewEntry& view;
  const std::string views;
  ViewListener* const listener;

  Mutex mu;
  std::unique_ptr<ViewRunner> runner ABSL_GUARDED_BY(mu);
  sql::Generation generation ABSL_GUARDED_BY(mu);
  bool serving ABSL_GUARDED_BY(mu) = false;
  bool ended ABSL_GUARDED_BY(mu) = false;
  bool resting ABSL_GUARDED_BY(mu) = false;  // Stopped: it has no task and nobody wakes it.
  absl::Status broken ABSL_GUARDED_BY(mu);   // There is no runner, because of this.

  // What others may know without waiting for a fold.
  Mutex status_mu;
  Position checkpoint ABSL_GUARDED_BY(status_mu);
  absl::Status stopped ABSL_GUARDED_BY(status_mu);
  std::int64_t duplicates_ignored ABSL_GUARDED_BY(status_mu) = 0;
  std::int64_t generation_number ABSL_GUARDED_BY(status_mu) = 0;
  bool rebuilding ABSL_GUARDED_BY(status_mu) = false;

  // Opens the served file, or begins to build one.
  absl::Status Open(EventStore& store) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // The built file has caught up: serve it.
  absl::Status BeginServing() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Serves another runner's file in place of this one's; the old generation is kept, older ones are
  // removed.
  absl::Status SwitchTo(std::unique_ptr<ViewRunner> next, const sql::Generation& next_generation)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Tells the listener and the status what the runner has done.
  void Publish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

 private:
  absl::Status BeginBuilding(EventStore& store) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
};

}  // namespace leftfold
#endif  // PROJECTOR_VIEW_SLOT_H_
