#ifndef REACTOR_KILL_POINTS_H_
#define REACTOR_KILL_POINTS_H_

#include <absl/status/status.h>

#include <atomic>
#include <span>
#include <string_view>

// Places in a reactor's work where the process kills itself (SIGKILL) for a test that wants to see
// what is on disk there: LEFTFOLD_KILL_AT=[<reactor>/]<point>[:<n>] where `leftfold serve` starts,
// for the n-th time (1) that the reactor (any) comes to the point. Without it a point costs one
// relaxed load. tests/crash/kill_points_test.cc kills every reactor of an order at each.
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
};

namespace internal {
extern std::atomic<KillPoint> armed;
void ReachArmed(std::string_view reactor);
}  // namespace internal

// The names, in the order of the list.
std::span<const std::string_view> KillPointNames();
// Arms the point that `text` says; "" none. INVALID_ARGUMENT names the points. Once, before the
// first thread.
absl::Status ArmKillPoint(std::string_view text);

inline void Reach(KillPoint point, std::string_view reactor) {
  if (internal::armed.load(std::memory_order_relaxed) == point) [[unlikely]]
    internal::ReachArmed(reactor);
}

}  // namespace leftfold
#endif  // REACTOR_KILL_POINTS_H_
