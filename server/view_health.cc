#include "server/view_health.h"

#include <algorithm>
#include <utility>

#include "core/log.h"
#include "core/reject.h"

namespace leftfold {

ViewHealth::ViewHealth(const Registry& registry, read_api::ViewPool& pool) : pool_(pool) {
  const auto add = [this](const ViewEntry& view, const google::protobuf::Descriptor& request) {
    const auto* method = internal::MethodTaking(request);
    if (method == nullptr) return;
    auto& views = views_[method->service()->full_name()];
    if (views.empty() || views.back() != &view) views.push_back(&view);
  };
  for (const ViewEntry& view : registry.views()) {
    for (const QueryEntry& query : view.queries) add(view, *query.request);
    for (const WatchEntry& watch : view.watches) add(view, *watch.request);
  }
}

bool ViewHealth::Serves(const std::vector<const ViewEntry*>& views) const {
  return std::all_of(views.begin(), views.end(), [this](const ViewEntry* view) {
    const read_api::ViewCondition condition = pool_.ConditionOf(*view);
    // A paused view goes on answering what it has.
    const bool paused = ReasonOf(condition.reason) == "VIEW_PAUSED" && condition.readable;
    return paused || condition.state == read_api::ViewCondition::State::kServing;
  });
}

void ViewHealth::TellTo(Tell tell) {
  {
    MutexLock lock(mu_);
    tell_ = std::move(tell);
    for (const auto& [service, views] : views_) {
      serving_[service] = true;
      tell_(service, true);
    }
  }
  Update();
}

std::map<std::string, bool> ViewHealth::Serving() const {
  MutexLock lock(mu_);
  return serving_;
}

void ViewHealth::Update() {
  MutexLock lock(mu_);
  for (auto& [service, serving] : serving_) {
    const bool serves = Serves(views_.at(service));
    if (std::exchange(serving, serves) == serves) continue;
    LogEvent(serves ? LogLevel::kInfo : LogLevel::kWarning,
             serves ? "service is serving" : "service is not serving", {{"service", service}});
    tell_(service, serves);
  }
  all_serve_ = std::all_of(serving_.begin(), serving_.end(),
                           [](const auto& service) { return service.second; });
}

void ViewHealth::OnServing(std::string_view view, const std::string& path) {
  pool_.OnServing(view, path);
  Update();
}

void ViewHealth::OnBuilding(std::string_view view) {
  pool_.OnBuilding(view);
  Update();
}

void ViewHealth::OnBuilt(std::string_view view, Position done, Position total) {
  pool_.OnBuilt(view, done, total);
}
void ViewHealth::OnApplied(std::string_view view, Position applied,
                           const std::vector<std::string>& touched) {
  pool_.OnApplied(view, applied, touched);
  if (!all_serve_) Update();  // It can only go on.
}

void ViewHealth::OnWriting(std::string_view view) { pool_.OnWriting(view); }
void ViewHealth::OnWritten(std::string_view view) { pool_.OnWritten(view); }

void ViewHealth::OnStopped(std::string_view view, const absl::Status& reason) {
  pool_.OnStopped(view, reason);
  Update();
}

}  // namespace leftfold
