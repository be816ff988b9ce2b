#include "server/served_views.h"

#include <algorithm>

#include "core/reject.h"
#include "sql/view_file.h"

namespace leftfold {
namespace {

ViewState StateOf(const read_api::ViewCondition& condition) {
  switch (condition.state) {
    case read_api::ViewCondition::State::kServing:
      return ViewState::kLive;
    case read_api::ViewCondition::State::kStopped:
      return ReasonOf(condition.reason) == "VIEW_PAUSED" ? ViewState::kPaused : ViewState::kStopped;
    case read_api::ViewCondition::State::kStarting:
    case read_api::ViewCondition::State::kBuilding:
      break;
  }
  return ViewState::kCatchingUp;
}

}  // namespace

std::vector<ViewStatus> ListServedViews(const Registry& registry, const read_api::ViewPool& pool,
                                        const std::string& views) {
  std::vector<ViewStatus> statuses;
  for (const ViewEntry& view : registry.views()) {
    const read_api::ViewCondition condition = pool.ConditionOf(view);
    ViewStatus& status = statuses.emplace_back();
    status.name = view.name;
    status.version = view.version;
    status.state = StateOf(condition);
    status.checkpoint = condition.applied;
    status.reason = std::string(condition.reason.message());
    const auto current = sql::ReadCurrent(views, view.name, view.version);
    if (!current.ok() || !*current) continue;
    status.generation = (*current)->number;
    status.bytes = sql::ViewBytes(views, view.name, **current);
  }
  std::sort(statuses.begin(), statuses.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return statuses;
}

}  // namespace leftfold
