#ifndef READ_API_ERRORS_H_
#define READ_API_ERRORS_H_

#include <absl/status/status.h>

#include <cstddef>
#include <optional>
#include <string_view>

#include "core/types.h"

namespace leftfold::read_api {

// The read side's own refusals, each UNAVAILABLE or RESOURCE_EXHAUSTED with ErrorInfo and
// RetryInfo. `view` goes into the metadata of all that have it.
// Metadata: done, total, the positions that the first build has come to and will be served at.
absl::Status Rebuilding(std::string_view view, Position done, Position total);
// A view's file cannot be read for `what`: DATA_LOSS with what to do where it is damaged, else
// INTERNAL.
absl::Status Unreadable(std::string_view view, std::string_view what, const absl::Status& failure);
// Metadata: applied, min_position.
absl::Status Behind(std::string_view view, Position applied, Position min_position);
// Metadata: reason and, where the view can be read, `applied`. Of a `reason` that was not made for
// clients only "INTERNAL" is shown: it may hold paths.
absl::Status Stopped(std::string_view view, std::optional<Position> applied,
                     const absl::Status& reason);
// Here earlier positions cannot be answered.
absl::Status LogNotHere();
// `limit` of `what` ("calls wait for a connection") are there. Metadata: limit.
absl::Status QueueFull(std::string_view view, std::string_view what, std::size_t limit);

}  // namespace leftfold::read_api
#endif  // READ_API_ERRORS_H_
