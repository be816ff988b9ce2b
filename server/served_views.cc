#include "server/served_views.h"

#include <algorithm>

#include "core/reject.h"
#include "sql/parked.h"
#include "sql/view_file.h"

namespace leftfold {
namespace {

ViewState StateOf(const read_api::ViewCondition& condition, const ViewStatus& status) {
  switch (condition.state) {
    case read_api::ViewCondition::State::kServing:
      return ServedState(status);
    case read_api::ViewCondition::State::kStopped:
      return ReasonOf(condition.reason) == "VIEW_PAUSED" ? ViewState::kPaused : ViewState::kStopped;
    case read_api::ViewCondition::State::kStarting:
    case read_api::ViewCondition::State::kBuilding:
      break;
  }
  return ViewState::kCatchingUp;
}

// What cannot be read is not known.
void AddParked(const std::string& file, ViewStatus& status) {
  const auto reader = sql::OpenViewReader(file);
  if (!reader.ok()) return;
  for (const auto& [name, stream] : sql::ReadParkedStreams(**reader))
    status.parked_events += stream.events;
}

}  // namespace

std::vector<ViewStatus> ListServedViews(const Registry& registry, const read_api::ViewPool& pool,
                                        const std::string& views, EventStore* log) {
  std::vector<ViewStatus> statuses;
  const Head head = log != nullptr ? log->GetHead() : Head{{}, {}, /*last_told=*/true};
  for (const ViewEntry& view : registry.views()) {
    const read_api::ViewCondition condition = pool.ConditionOf(view);
    ViewStatus& status = statuses.emplace_back();
    status.name = view.name;
    status.version = view.version;
    status.checkpoint = condition.applied;
    status.lag_unknown = head.last_told;
    status.lag_events = std::max<std::int64_t>(0, head.position.value - condition.applied.value);
    status.state = StateOf(condition, status);
    status.reason = std::string(condition.reason.message());
    const auto current = sql::ReadCurrent(views, view.name, view.version);
    if (!current.ok() || !*current) continue;
    status.generation = (*current)->number;
    status.bytes = sql::ViewBytes(views, view.name, **current);
    AddParked(sql::ViewPath(views, view.name, **current), status);
    const auto before = sql::ReadBefore(views, view.name, view.version);
    if (before.ok() && *before) status.previous_generation = (*before)->number;
  }
  if (log != nullptr) AddOldestUnapplied(*log, statuses);
  std::sort(statuses.begin(), statuses.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return statuses;
}

}  // namespace leftfold
