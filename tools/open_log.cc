#include "tools/open_log.h"

#include <filesystem>

#include "core/status.h"
#include "event_store/sqlite/sqlite_event_store.h"

namespace leftfold::tools {

absl::Status CheckLogExists(const std::string& data) {
  std::error_code error;
  if (std::filesystem::exists(data + "/log/events.db", error)) return absl::OkStatus();
  return Error(
      absl::StatusCode::kNotFound,
      "there is no log in {}/log; is the folder right? Where only views are, the process that "
      "projects them has to run",
      data);
}

absl::StatusOr<std::unique_ptr<EventStore>> OpenLogForReading(const std::string& data) {
  LEFTFOLD_RETURN_IF_ERROR(CheckLogExists(data));
  return OpenSqliteEventStoreReadOnly(data + "/log");
}

}  // namespace leftfold::tools
