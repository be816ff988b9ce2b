#ifndef CORE_VIEW_LISTENER_H_
#define CORE_VIEW_LISTENER_H_

#include <absl/status/status.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"

namespace leftfold {

// What the projector tells the read side of the same process. Hints, but for OnWriting: the view's
// file is the authority, and a read side in another process polls it instead. Called from the
// projector's tasks, never twice at once for one view; must not block.
class ViewListener {
 public:
  virtual ~ViewListener() = default;
  // `path` is now the served file of the view (at start, and after a switch).
  virtual void OnServing(std::string_view view, const std::string& path) = 0;
  // The view is being built for the first time in this version: nothing can be served yet.
  virtual void OnBuilding(std::string_view view) = 0;
  // How far the first build is; `total` is where it will be served.
  virtual void OnBuilt(std::string_view /*view*/, Position /*done*/, Position /*total*/) {}
  // Rows and checkpoint up to `applied` are committed; `touched` are the keys that changed in
  // between.
  virtual void OnApplied(std::string_view view, Position applied,
                         const std::vector<std::string>& touched) = 0;
  // The served file may be written from now on, until OnWritten: who keeps a read transaction open
  // ends it, for the write-ahead log cannot begin again at its start before. Of a file that another
  // process writes neither is told.
  virtual void OnWriting(std::string_view /*view*/) {}
  // It is not written until OnWriting, and all positions that were reached before have been told.
  virtual void OnWritten(std::string_view /*view*/) {}
  // The view met an event that it cannot fold, or an operator paused it: it stays where it is,
  // until OnApplied, OnBuilding or OnServing says otherwise.
  virtual void OnStopped(std::string_view view, const absl::Status& reason) = 0;
  // Somebody wants to hear of the view's changes as they come: then the projector saves less work
  // by folding many events at once.
  virtual bool IsWatched(std::string_view /*view*/) { return false; }
  // `hurry` makes a view that rests look at the log at once, and not rest while the log has the
  // position and the view has not: for who waits for it. From any thread, and for ever; it does not
  // wait, nor ask the log. Told before the first of the other calls that come of folding.
  using Hurry = std::function<void(std::string_view view, Position position)>;
  virtual void HurryBy(Hurry /*hurry*/) {}
};

}  // namespace leftfold
#endif  // CORE_VIEW_LISTENER_H_
