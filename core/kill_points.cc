#include "core/kill_points.h"

#include <absl/strings/numbers.h>
#include <fmt/ranges.h>
#include <signal.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "core/status.h"

namespace leftfold {
namespace {

constexpr std::string_view kNames[] = {
    "intake_begun",   "intake_committed", "delivery_taken",   "answered",       "command_accepted",
    "timer_fired",    "result_begun",     "result_committed", "rebuild_folded", "rebuild_durable",
    "rebuild_paused", "rebuild_compared", "switch_begun",     "file_written",   "switch_written",
    "switch_served",  "switch_cleaned"};

std::string& ArmedOwner() {
  static std::string owner;
  return owner;
}
std::atomic<int> times_left = 1;

}  // namespace

namespace internal {

std::atomic<KillPoint> armed = KillPoint::kNone;

void ReachArmed(std::string_view owner) {
  if (!ArmedOwner().empty() && ArmedOwner() != owner) return;
  if (times_left.fetch_sub(1) == 1) raise(SIGKILL);
}

}  // namespace internal

std::span<const std::string_view> KillPointNames() { return kNames; }

absl::Status ArmKillPoint(std::string_view text) {
  if (text.empty()) return absl::OkStatus();
  std::string_view name = text;
  int times = 1;
  if (const std::size_t slash = name.find('/'); slash != std::string_view::npos) {
    ArmedOwner() = name.substr(0, slash);
    name.remove_prefix(slash + 1);
  }
  bool is_number = true;
  if (const std::size_t colon = name.find(':'); colon != std::string_view::npos) {
    is_number = absl::SimpleAtoi(ToAbsl(name.substr(colon + 1)), &times);
    name = name.substr(0, colon);
  }
  const auto found = std::find(std::begin(kNames), std::end(kNames), name);
  if (found == std::end(kNames) || !is_number || times < 1) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "LEFTFOLD_KILL_AT is {}; it must be [<owner>/]<point>[:<n>], where the point is "
                 "one of {}",
                 text, fmt::join(kNames, ", "));
  }
  times_left = times;
  internal::armed = static_cast<KillPoint>(std::distance(std::begin(kNames), found) + 1);
  return absl::OkStatus();
}

}  // namespace leftfold
