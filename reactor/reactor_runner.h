#ifndef REACTOR_REACTOR_RUNNER_H_
#define REACTOR_REACTOR_RUNNER_H_

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/engine_events.h"
#include "core/metrics.h"
#include "core/reactor.h"
#include "core/registry.h"
#include "event_store/batch_reader.h"
#include "event_store/event_store.h"
#include "leftfold/core/v1/reactions.pb.h"
#include "reactor/deliverer.h"
#include "reactor/reactor_outbox.h"
#include "sql/connection.h"
#include "sql/reactor_file.h"

namespace leftfold {

// Events that one transaction takes in, and results, at the most.
inline constexpr std::size_t kIntakeEventsMax = 1'000;
inline constexpr std::size_t kResultsMax = 1'000;
// Rows that wait for delivery: with more, no event is taken in. Those of parked keys do not count;
// they wait in the file.
inline constexpr std::size_t kRunnableRowsMax = 100'000;
// Timers of a reactor; at one more it stops.
inline constexpr std::size_t kReactorTimersMax = 1'000'000;
// Events that nothing is done with, after which the checkpoint is written all the same.
inline constexpr std::int64_t kCheckpointEvery = 10'000;

// How long a delivery waits, more or less, that there was no room for.
inline constexpr absl::Duration kNoRoomDelay = absl::Seconds(1);

// What is parked.
struct ParkedDelivery {
  std::int64_t row = 0;  // Lists go on after it.
  core::v1::DeliveryParked parked;
  std::int64_t behind = 0;  // Rows that wait behind it.
};

// One reactor on its file: takes events in, puts the outbox's rows in order, takes results in. One
// step is one transaction. No thread, clock or wait inside. Not thread-safe.
class ReactorRunner {
 public:
  struct Counts {
    Counter events;      // Taken in that the reactor reacts to.
    Counter delivered;   // Deliveries whose results were taken in.
    Counter rejections;  // Of these, commands that were refused.
    Counter retries;
    Counter parked;
    Counter duplicates;  // Events that came again, and were passed over.
  };
  enum class Next {
    kStep,     // At once: there is more to do.
    kWait,     // When there is an event after checkpoint(), a result, or a timer is due.
    kFull,     // The same, but for events.
    kLater,    // After kReactorRetryDelay: something may pass.
    kStopped,  // See stopped().
  };

  // Opens or makes the file; `reactor`, `store` and `loader` must outlive the runner. DATA_LOSS
  // when its checkpoint is not on the store's chain.
  static absl::StatusOr<std::unique_ptr<ReactorRunner>> Open(const ReactorEntry& reactor,
                                                             EventStore& store, StateLoader& loader,
                                                             const std::string& path);

  ~ReactorRunner();

  // Takes in results, timers that are due, and the next events.
  Next Step(BatchReader& reader, absl::Time now);
  // The same with events of any provenance: those at or before the checkpoint are passed over; one
  // beyond the next stops the reactor with DATA_LOSS.
  Next Step(const EventRun& run, absl::Time now);

  // Deliveries to be made now; each is answered by Finished. None while it is paused.
  std::vector<Delivery> TakeDeliveries();
  // Whether there is something for a step besides events.
  bool HasWork() const { return !finished_.empty() || !told_.empty() || !local_.empty(); }
  // Taken in by the next step.
  void Finished(std::int64_t id, DeliveryOutcome outcome);
  // What delays say: when this is called, the row may be delivered again.
  void Undelay(std::int64_t id) { outbox_.lanes().Undelay(id); }
  struct Delayed {
    std::int64_t id;
    absl::Duration delay;
  };
  std::vector<Delayed> TakeDelayed() { return std::exchange(delayed_, {}); }

  // What the log is to be told; each is answered by Told.
  struct ToTell {
    std::int64_t id;
    int round;
    std::string command_id;
    std::variant<core::v1::DeliveryParked, core::v1::DeliveredAfterParking> event;
  };
  std::vector<ToTell> TakeToTell() { return std::exchange(to_tell_, {}); }
  // The log has it, up to there; taken in by the next step.
  void Told(const ToTell& told, Position position) {
    told_.push_back({told.id, told.round, position});
  }

  // Parked rows after the row `after`, in their order, with what waits behind each in the file.
  absl::StatusOr<std::vector<ParkedDelivery>> ListParked(std::int64_t after, std::size_t limit);
  // What the log is told, and may not have yet, of what is parked: of a key, or a delivery. An
  // operator's decision counts from there on: one that stands before it in the log was about an
  // earlier parking. nullopt when it is not parked.
  absl::StatusOr<std::optional<ToTell>> ParkingOfKey(std::string_view key);
  absl::StatusOr<std::optional<ToTell>> ParkingOf(std::string_view delivery_id);
  // Deliveries stop, and events are taken in up to kRunnableRowsMax, until Resume, over restarts
  // too. Resume also lets a stopped reactor try again.
  absl::Status Pause(std::string_view why);
  absl::Status Resume();

  Position checkpoint() const { return checkpoint_.position; }
  const absl::Status& stopped() const { return stopped_; }
  // Why the last step, or what came after it, is to be tried again after kReactorRetryDelay; else
  // OK.
  const absl::Status& held_up() const { return held_up_; }
  const std::optional<std::string>& paused() const { return paused_; }
  absl::Time next_timer() const { return outbox_.timers().next(); }
  std::size_t runnable() const { return outbox_.lanes().runnable(); }
  std::size_t timers() const { return outbox_.timers().size(); }
  std::size_t under_way() const { return under_way_.size(); }
  std::int64_t parked_keys() const { return outbox_.lanes().parked_keys(); }
  const Counts& counts() const { return *counts_; }
  const std::string& path() const { return path_; }
  sql::Connection& connection() { return *connection_; }

 private:
  class Tables;
  // What came of calling the reactor's code.
  struct Called {
    absl::Status status;
    std::vector<Outbox::Entry> entries;
  };
  ReactorRunner(const ReactorEntry& reactor, EventStore& store, StateLoader& loader,
                std::string path, std::unique_ptr<sql::Connection> connection);
  // Takes all but the rows from the file.
  absl::Status Load();

  absl::Status Begin();
  absl::Status TakeInFinished(absl::Time now);
  absl::Status TakeInTold();
  absl::Status RunLocal(absl::Time now);
  absl::Status TakeIn(const EventRun& run);
  absl::Status TakeInOne(const RecordedEvent& event);
  absl::Status TakeInControl(const RecordedEvent& event);
  absl::Status Retry(std::string_view key);
  // nullopt also when it waits behind another one.
  std::optional<sql::OutboxRow> FindParked(std::string_view delivery_id);
  std::optional<sql::OutboxRow> FindParkedOfKey(std::string_view key);
  absl::StatusOr<std::optional<ToTell>> ParkingOf(const std::optional<sql::OutboxRow>& row);
  // The log tells that it is parked: from here on operators decide.
  absl::Status TakeInParked(std::string_view delivery_id, const RecordedEvent& parked);
  // A command that is given up has CANCELLED as its result.
  absl::Status Skip(std::string_view delivery_id, const RecordedEvent& decision);
  // A row without payload, and its delivery.
  struct UnderWay {
    sql::OutboxRow row;
    Delivery delivery;
  };
  absl::Status FinishOne(const UnderWay& row, const DeliveryOutcome& outcome);
  absl::Status ReactToRow(const sql::OutboxRow& row);
  // Calls `code` so that what it wrote is undone when it fails. A failure of the file is returned
  // in `status` and kept in the connection's.
  template <class Code>
  Called Call(Code code);
  // What came of calling it for the row: the row is done, or is tried again, or parks.
  absl::Status Conclude(const sql::OutboxRow& row, Called called);
  // `cause`: the row that was called for, whose key and event theirs are. `fresh`: nothing came of
  // the event yet.
  absl::Status Enqueue(const sql::OutboxRow& cause, std::vector<Outbox::Entry> entries,
                       bool fresh = false);
  // Nothing was sent: tries again later, as if nothing had been.
  void Postpone(const sql::OutboxRow& row);
  // Tries again later, or parks.
  absl::Status Fail(sql::OutboxRow row, const absl::Status& failure, bool may_pass,
                    std::optional<absl::Duration> delay = std::nullopt);
  // Calls the error hook.
  absl::Status Park(sql::OutboxRow row, const absl::Status& failure);
  ToTell TellsParked(const sql::OutboxRow& row) const;
  void TellDelivered(const sql::OutboxRow& row);
  core::v1::DeliveryParked ParkedOf(const sql::OutboxRow& row) const;
  Delivery DeliveryOf(const sql::OutboxRow& row) const;
  std::string IdOf(const sql::OutboxRow& row) const;
  absl::Duration DelayOf(const sql::OutboxRow& row) const;
  // The same for the same row and number of attempts.
  absl::Duration Jittered(absl::Duration delay, const sql::OutboxRow& row) const;
  Next Undo(const absl::Status& failure);
  absl::Status WritePaused(const std::optional<std::string>& why);

  const ReactorEntry& reactor_;
  EventStore& store_;
  const std::string path_;
  const std::string stream_;  // Where its troubles are recorded.
  std::unique_ptr<sql::Connection> connection_;
  std::unique_ptr<Tables> tables_;
  sql::Checkpoint checkpoint_;
  std::vector<std::uint8_t> wanted_;  // Of the events of the last step.
  Position written_;                  // The file's checkpoint.
  Position seen_;                     // The highest of all receipts.
  bool seen_more_ = false;            // Than the file has.
  bool begun_ = false;
  bool reload_ = false;  // The file could not be read the last time.
  absl::Status held_up_;
  std::optional<std::string> paused_;
  absl::Status stopped_;

  ReactorOutbox outbox_;
  absl::flat_hash_map<std::int64_t, UnderWay> under_way_;
  std::deque<std::pair<std::int64_t, DeliveryOutcome>> finished_;
  struct HasTold {
    std::int64_t id;
    int round;
    Position position;
  };
  std::deque<HasTold> told_;
  std::deque<std::int64_t> local_;  // Rows that a step delivers itself.
  std::vector<Delayed> delayed_;
  std::vector<ToTell> to_tell_;
  std::unique_ptr<Counts> counts_ = std::make_unique<Counts>();
};

}  // namespace leftfold
#endif  // REACTOR_REACTOR_RUNNER_H_
