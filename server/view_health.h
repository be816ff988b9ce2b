#ifndef SERVER_VIEW_HEALTH_H_
#define SERVER_VIEW_HEALTH_H_

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/mutex.h"
#include "core/registry.h"
#include "core/view_listener.h"
#include "read_api/view_pool.h"

namespace leftfold {

// Tells whether each query service serves: it does unless a view that answers one of its queries or
// watches is stopped, or has no file to answer from yet. Stands between the projector and the pool,
// which knows. Thread-safe.
class ViewHealth final : public ViewListener {
 public:
  // Is told of every service that it serves, then of every change, one call at a time. Changes are
  // logged too.
  using Tell = std::function<void(const std::string& service, bool serving)>;

  // Registry and pool must outlive it.
  ViewHealth(const Registry& registry, read_api::ViewPool& pool);

  // Once.
  void TellTo(Tell tell);
  std::map<std::string, bool> Serving() const;

  void OnServing(std::string_view view, const std::string& path) override;
  void OnBuilding(std::string_view view) override;
  void OnBuilt(std::string_view view, Position done, Position total) override;
  void OnWriting(std::string_view view) override;
  void OnWritten(std::string_view view) override;
  void OnApplied(std::string_view view, Position applied,
                 const std::vector<std::string>& touched) override;
  void OnStopped(std::string_view view, const absl::Status& reason) override;
  void HurryBy(Hurry hurry) override { pool_.HurryBy(std::move(hurry)); }
  bool IsWatched(std::string_view view) override { return pool_.IsWatched(view); }

 private:
  // Whether all views of a service can be read and go on.
  bool Serves(const std::vector<const ViewEntry*>& views) const;
  void Update();

  read_api::ViewPool& pool_;
  std::map<std::string, std::vector<const ViewEntry*>> views_;  // By service.
  std::atomic<bool> all_serve_ = false;
  mutable Mutex mu_;
  std::map<std::string, bool> serving_ ABSL_GUARDED_BY(mu_);
  Tell tell_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leftfold
#endif  // SERVER_VIEW_HEALTH_H_
