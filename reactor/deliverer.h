#ifndef REACTOR_DELIVERER_H_
#define REACTOR_DELIVERER_H_

#include <absl/time/time.h>

#include <functional>
#include <optional>

#include "core/registry.h"

namespace leftfold {

// How an attempt at a delivery went.
struct DeliveryOutcome {
  // Not OK: nobody knows whether it was done, or it was not; it is tried again, by the policy.
  // FAILED_PRECONDITION: it was not, and no attempt can mend that; the key is parked.
  // RESOURCE_EXHAUSTED: it was not, for want of room here (a queue, a disk); it is tried again
  // after kNoRoomDelay and does not count as an attempt.
  absl::Status failure;
  Result result = {};
  // Of a failure: when to try again, in place of what the policy says.
  std::optional<absl::Duration> delay = std::nullopt;
  // Called once the outcome is durable; must not block or call the reactor back. May be empty.
  std::function<void()> stored = nullptr;
};

// Makes the deliveries of reactors: sends commands, calls HTTP servers. Thread-safe.
class Deliverer {
 public:
  using Done = std::function<void(DeliveryOutcome)>;
  virtual ~Deliverer() = default;
  // Calls `done` once, from any thread, possibly before it returns. `reactor` lives as long as
  // `done`.
  virtual void Deliver(const ReactorEntry& reactor, const Delivery& delivery, Done done) = 0;
};

}  // namespace leftfold
#endif  // REACTOR_DELIVERER_H_
