#ifndef REACTOR_REACTORS_H_
#define REACTOR_REACTORS_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/executor.h"
#include "core/metrics.h"
#include "core/mutex.h"
#include "core/registry.h"
#include "event_store/batch_reader.h"
#include "event_store/event_store.h"
#include "reactor/deliverer.h"
#include "reactor/reactor_runner.h"

namespace leftfold {

// After this a reactor that could not go on (a full disk, a log that cannot be reached) tries
// again.
inline constexpr absl::Duration kReactorRetryDelay = absl::Seconds(1);
// A reactor that has come to the head rests before it looks for events again, by how many it took
// in: under load it takes in many at once. The first event after a pause is taken in at once.
inline constexpr absl::Duration kIntakeRestPerEvent = absl::Microseconds(100);
inline constexpr absl::Duration kIntakeRestMin = absl::Milliseconds(2);
inline constexpr absl::Duration kIntakeRestMax = absl::Milliseconds(20);
// How often the clock is looked at while a timer waits. Timers are due by the wall clock: when it
// jumps forward they go off at the next look; when it jumps back they go off that much later, and
// those that went off do not again (docs/reference/reactors.md).
inline constexpr absl::Duration kClockLookEvery = absl::Seconds(10);
// Characters of an operator's reason.
inline constexpr std::size_t kWhyBytesMax = 1'000;
inline constexpr std::array kAttemptSecondsBounds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                                     0.01,   0.025,   0.05,   0.1,   0.25,   0.5,
                                                     1.0,    2.5,     5.0,    10.0,  30.0};

enum class ReactorState {
  kCatchingUp,  // It has events to take in.
  kLive,
  kPaused,   // It delivers nothing, because an operator said so.
  kStopped,  // It cannot go on, because of `reason`.
  kHeldUp,   // Something that it needs is away, see `reason`; it goes on trying.
};

struct ReactorStatus {
  std::string name;
  ReactorState state = ReactorState::kCatchingUp;
  Position checkpoint;
  std::int64_t lag_events = 0;
  std::string reason;
  std::int64_t waiting = 0;    // Rows of the outbox that are being delivered or will be.
  std::int64_t under_way = 0;  // Of these, those that are being delivered.
  std::int64_t timers = 0;
  std::int64_t parked_keys = 0;
  std::int64_t events = 0;  // Since the start, as those below.
  std::int64_t delivered = 0;
  std::int64_t rejections = 0;
  std::int64_t retries = 0;
  std::int64_t parked = 0;
  // Of each attempt to send a command, call a server or write a mail.
  std::shared_ptr<const Histogram> attempt_seconds;
};

// Runs every reactor of the registry, and those that are added, each by itself. Step-driven: each
// reactor has at most one task on the executor, and none while there is nothing to do. Thread-safe.
// The caller holds the "react" lock of the data folder.
class Reactors {
 public:
  struct Parts {
    EventStore& store;
    StateLoader& loader;
    Deliverer& deliverer;
    const Clock& clock;
    Executor& executor;
    // Shared with who else reads the store.
    std::shared_ptr<SharedBatches> batches = std::make_shared<SharedBatches>();
  };
  // `folder` holds a file for each. Everything given must outlive it, store, deliverer and executor
  // also every task and answer of theirs that is still to come. A reactor that cannot be opened is
  // stopped, and List says why.
  static std::unique_ptr<Reactors> Open(const std::deque<ReactorEntry>& reactors,
                                        const Parts& parts, const std::string& folder);
  ~Reactors();

  void Start();
  // Runs another one from now on, of a name that is not there. What Open says of one that cannot be
  // opened holds; why is returned too.
  absl::Status Add(const ReactorEntry& reactor);
  // It does nothing from now on, and is forgotten; returns when no step is under way. Its file
  // stays, and Add goes on with it.
  void Remove(std::string_view reactor);
  // The same, and removes its file.
  void Delete(std::string_view reactor);
  // Nothing is delivered or taken in from now on; returns when no step is under way.
  void Stop();

  std::vector<ReactorStatus> List();
  // REACTOR_NOT_FOUND names those that there are.
  absl::StatusOr<std::vector<ParkedDelivery>> ListParked(std::string_view reactor,
                                                         std::int64_t after, std::size_t limit);
  absl::Status Pause(std::string_view reactor, std::string_view why);
  // Also lets one try again that is stopped, or could not be opened.
  absl::Status Resume(std::string_view reactor);

  // Record an operator's decision in the log; the reactor acts when it comes to it. `done` gets the
  // position. NOT_PARKED.
  using Recorded = std::function<void(absl::StatusOr<Position>)>;
  void Retry(std::string_view reactor, std::string_view key, const std::string& actor,
             Recorded done);
  void Skip(std::string_view reactor, std::string_view delivery_id, std::string_view why,
            const std::string& actor, Recorded done);

 private:
  struct Slot;
  struct Context;
  using SlotPtr = std::shared_ptr<Slot>;

  explicit Reactors(std::shared_ptr<Context> context) : context_(std::move(context)) {}
  absl::StatusOr<SlotPtr> Find(std::string_view reactor);
  std::vector<SlotPtr> Slots();
  // Does `work` between two steps.
  template <class Work>
  auto OnRunner(std::string_view reactor, Work work)
      -> decltype(work(std::declval<ReactorRunner&>()));
  // Appends `event` to the reactor's stream, behind what `parking` finds that it is about.
  template <class Event, class Parking>
  void Record(std::string_view reactor, const Event& event, const std::string& actor,
              Parking parking, Recorded done);

  const std::shared_ptr<Context> context_;
  Mutex mu_;
  std::vector<SlotPtr> slots_ ABSL_GUARDED_BY(mu_);
  bool started_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace leftfold
#endif  // REACTOR_REACTORS_H_
