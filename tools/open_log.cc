#include "tools/open_log.h"

#include <filesystem>

#include "core/status.h"
#include "event_store/sqlite/sqlite_event_store.h"

namespace leftfold::tools {

absl::StatusOr<std::unique_ptr<EventStore>> OpenLogForReading(const std::string& data) {
  const std::string folder = data + "/log";
  std::error_code error;
  if (!std::filesystem::exists(folder, error)) {
    return Error(absl::StatusCode::kNotFound, "there is no log in {}; is --data right?", folder);
  }
  return OpenSqliteEventStoreReadOnly(folder);
}

}  // namespace leftfold::tools
