#include "read_api/errors.h"

#include <fmt/format.h>

#include <string>

#include "core/reject.h"
#include "core/status.h"
#include "read_api/view_pool.h"

namespace leftfold::read_api {

absl::Status Rebuilding(std::string_view view, Position done, Position total) {
  const std::string progress =
      total == kBeforeFirst ? "by another process"  // Which alone knows.
                            : fmt::format("{} of {} events are folded", done.value, total.value);
  return WithRetryAfter(
      Reject(core::v1::ERROR_REASON_VIEW_REBUILDING,
             fmt::format("the view {} is being built, {}; try again soon", view, progress),
             {{"view", std::string(view)},
              {"done", fmt::to_string(done.value)},
              {"total", fmt::to_string(total.value)}}),
      kRetryWhenRebuilding);
}

absl::Status LogNotHere() {
  return WithRetryAfter(
      Reject(core::v1::ERROR_REASON_LOG_NOT_HERE,
             "this process serves views without a log: ask one that has the log, or leave "
             "as_of_position empty"),
      kRetryWhenStopped);
}

absl::Status QueueFull(std::string_view view, std::string_view what, std::size_t limit) {
  return WithRetryAfter(Reject(core::v1::ERROR_REASON_QUEUE_FULL,
                               fmt::format("of the view {}, {} {}; try again", view, limit, what),
                               {{"view", std::string(view)}, {"limit", fmt::to_string(limit)}}),
                        kRetryWhenBehind);
}

absl::Status Unreadable(std::string_view view, std::string_view what, const absl::Status& failure) {
  if (absl::IsDataLoss(failure)) {
    return Error(absl::StatusCode::kDataLoss, "view {}, {}: {}; rebuild it: leftfold replay {}",
                 view, what, ToStd(failure.message()), view);
  }
  return Error(absl::StatusCode::kInternal, "view {}, {}: {}", view, what,
               ToStd(failure.message()));
}

absl::Status Behind(std::string_view view, Position applied, Position min_position) {
  return WithRetryAfter(Reject(core::v1::ERROR_REASON_READ_MODEL_BEHIND,
                               fmt::format("the view {} has applied {}, not yet {}; try again",
                                           view, applied.value, min_position.value),
                               {{"view", std::string(view)},
                                {"applied", fmt::to_string(applied.value)},
                                {"min_position", fmt::to_string(min_position.value)}}),
                        kRetryWhenBehind);
}

absl::Status Stopped(std::string_view view, std::optional<Position> applied,
                     const absl::Status& reason) {
  // A reason that was made for clients may be shown; others may hold paths.
  const std::string name = ReasonOf(reason);
  const std::string text =
      name.empty() ? "INTERNAL" : fmt::format("{}: {}", name, ToStd(reason.message()));
  Metadata metadata = {{"view", std::string(view)}, {"reason", text}};
  if (applied) metadata.emplace_back("applied", fmt::to_string(applied->value));
  const std::string state =
      applied ? fmt::format("has applied {}", applied->value) : "is not built yet";
  return WithRetryAfter(
      Reject(core::v1::ERROR_REASON_VIEW_STOPPED,
             fmt::format("the view {} {} and needs an operator: {}", view, state, text), metadata),
      kRetryWhenStopped);
}

}  // namespace leftfold::read_api
