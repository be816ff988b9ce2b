#ifndef READ_API_VIEW_FOLLOWER_H_
#define READ_API_VIEW_FOLLOWER_H_

#include <absl/time/time.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "core/executor.h"
#include "core/registry.h"
#include "core/view_listener.h"

namespace leftfold::read_api {

// How often the files of each view are looked at.
inline constexpr absl::Duration kFollowInterval = absl::Milliseconds(10);
// Changed keys that are told one by one; of more the listener is told OnServing instead, so that
// all is sent anew.
inline constexpr int kFollowedKeysMax = 8'192;

// Tells a listener of the views that another process builds, as its projector would: looks at
// CURRENT, at PAUSED, at what is written there of why the view has stopped, and at the served
// file's `data_version`, and reads from it the checkpoint and which keys changed. What it cannot
// know: how far a first build is (0 of 0). A file that cannot be opened is told as OnStopped, and
// looked at again.
// Step-driven: one task at a time, which goes on until Stop. Thread-safe.
class ViewFollower {
 public:
  // All must outlive the follower's tasks. `views` is the folder of all views; it need not exist.
  ViewFollower(const Registry& registry, const std::string& views, ViewListener& listener,
               Executor& executor);
  ~ViewFollower();
  ViewFollower(const ViewFollower&) = delete;
  ViewFollower& operator=(const ViewFollower&) = delete;

  // Looks at each view once, so that the listener knows of all that is there, then goes on on the
  // executor.
  void Start();
  // The listener is told nothing more when it returns. Idempotent.
  void Stop();

 private:
  class OneView;
  using Views = std::vector<std::shared_ptr<OneView>>;
  static void Look(Executor& executor, const Views& views);

  Executor& executor_;
  Views views_;
};

}  // namespace leftfold::read_api
#endif  // READ_API_VIEW_FOLLOWER_H_
