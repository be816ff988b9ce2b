#include "server/state_loader.h"

#include "core/ids.h"
#include "core/status.h"
#include "write_api/aggregate_loader.h"

namespace leftfold {

absl::StatusOr<std::string> LogStateLoader::LoadState(std::string_view category,
                                                      std::string_view id) {
  const AggregateEntry* aggregate = registry_.FindAggregate(category);
  if (aggregate == nullptr || !aggregate->save) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "there is no aggregate of the category {} whose state is a message", category);
  }
  const auto loaded = LoadAggregate(*aggregate, StreamName(category, id), store_, snapshots_);
  if (!loaded.ok()) return loaded.status();
  return aggregate->save(loaded->state.get());
}

}  // namespace leftfold
