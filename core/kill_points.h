#ifndef CORE_KILL_POINTS_H_
#define CORE_KILL_POINTS_H_

#include <absl/status/status.h>

#include <atomic>
#include <span>
#include <string_view>

// Places in the work of reactors and rebuilds where the process kills itself (SIGKILL) for a test
// that wants to see what is on disk there: LEFTFOLD_KILL_AT=[<owner>/]<point>[:<n>] where
// `leftfold serve` starts, for the n-th time (1) that the owner (any) comes to the point: a
// reactor, a view, or a file by its name. Without it a point costs one relaxed load.
// tests/crash/kill_points_test.cc kills every reactor of an order at each, room_kill_points_test.cc
// those of rooms, and rebuild_kill_test.cc the rebuild of a view.
namespace leftfold {

enum class KillPoint : int {
  kNone,
  kIntakeBegun,      // intake_begun: events are taken in, but not committed
  kIntakeCommitted,  // intake_committed: what they lead to is durable, and not handed out
  kDeliveryTaken,    // delivery_taken: just before a delivery is handed out
  kAnswered,         // answered: a server replied, or took the mail; nothing here knows
  kCommandAccepted,  // command_accepted: the log has the command's events; the reactor does not
                     // know
  kTimerFired,       // timer_fired: a timer's time has come; nothing was done yet
  kResultBegun,      // result_begun: the reactor took a result or a wake-up in; not committed
  kResultCommitted,  // result_committed: it is durable; what it leads to is not handed out
  kRebuildFolded,    // rebuild_folded: the new generation has a batch more
  kRebuildDurable,   // rebuild_durable: its bulk is on the disk; the live view goes on
  kRebuildPaused,    // rebuild_paused: the live view was taken out, to be switched
  kRebuildCompared,  // rebuild_compared: the comparison is made; nobody was told
  kSwitchBegun,      // switch_begun: the new generation is whole; CURRENT names the old one
  kFileWritten,      // file_written: a small file (CURRENT, token …) is there under another name
  kSwitchWritten,    // switch_written: CURRENT names the new one; nobody was told
  kSwitchServed,     // switch_served: readers were told; older generations are there
  kSwitchCleaned,    // switch_cleaned: a generation that is no longer wanted was removed
};

namespace internal {
extern std::atomic<KillPoint> armed;
void ReachArmed(std::string_view owner);
}  // namespace internal

// The names, in the order of the list.
std::span<const std::string_view> KillPointNames();
// Arms the point that `text` says; "" none. INVALID_ARGUMENT names the points. Once, before the
// first thread.
absl::Status ArmKillPoint(std::string_view text);

inline void Reach(KillPoint point, std::string_view owner) {
  if (internal::armed.load(std::memory_order_relaxed) == point) [[unlikely]]
    internal::ReachArmed(owner);
}

}  // namespace leftfold
#endif  // CORE_KILL_POINTS_H_
