#ifndef TOOLS_OPEN_LOG_H_
#define TOOLS_OPEN_LOG_H_

#include <absl/status/statusor.h>

#include <memory>
#include <string>

#include "event_store/event_store.h"

namespace leftfold::tools {

// NOT_FOUND when a data folder has no log, saying where it was looked for.
absl::Status CheckLogExists(const std::string& data);

// The log of a data folder for reading, beside a server or alone. NOT_FOUND when there is none,
// saying where it was looked for.
absl::StatusOr<std::unique_ptr<EventStore>> OpenLogForReading(const std::string& data);

}  // namespace leftfold::tools
#endif  // TOOLS_OPEN_LOG_H_
