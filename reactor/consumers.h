#ifndef REACTOR_CONSUMERS_H_
#define REACTOR_CONSUMERS_H_

#include <absl/container/btree_set.h>
#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/executor.h"
#include "core/mutex.h"
#include "core/session_sink.h"
#include "event_store/event_store.h"
#include "google/rpc/status.pb.h"
#include "leftfold/store/v1/consumers.pb.h"
#include "reactor/consumer_group.h"
#include "reactor/deliverer.h"

namespace leftfold {

// Consumers of all groups that are connected. Beyond: TOO_MANY_SESSIONS with RetryInfo.
inline constexpr std::size_t kConsumersMax = 1'000;
inline constexpr std::size_t kConsumerNameBytesMax = 64;
// Deliveries that one message of a consumer names, and bytes of a reason.
inline constexpr int kConsumeIdsMax = 1'000;
inline constexpr std::size_t kConsumeReasonBytesMax = 1'000;
// Deliveries in one message to a consumer; it also ends at kReaderMessageBytes.
inline constexpr std::size_t kConsumeDeliveriesMax = 64;
// What became of answers in one message to a consumer. With as many that wait, nothing is read from
// it: one that does not read costs these, one message and the ids of its window.
inline constexpr std::size_t kConsumeAnswersMax = 1'000;
// The clock of a group has so many ticks in an ack timeout.
inline constexpr int kAckTimeoutTicks = 8;

class Consumers;

// One open Consume call. Thread-safe; calls after the end do nothing.
class Consumer : public std::enable_shared_from_this<Consumer> {
 public:
  Consumer(Consumers& consumers, std::uint64_t id, std::shared_ptr<SessionSink> sink)
      : consumers_(consumers), id_(id), sink_(std::move(sink)) {}
  // Asks for the first message. Once.
  void Start();
  // nullptr: the client has closed its sending side.
  void OnRead(const absl::StatusOr<const google::protobuf::Message*>& message);
  // false: the client is gone.
  void OnWritten(bool ok);
  void Cancel();

 private:
  friend class Consumers;

  Consumers& consumers_;
  const std::uint64_t id_;
  const std::shared_ptr<SessionSink> sink_;

  // All guarded by the consumers' mutex.
  std::string name_;
  std::size_t window_ = 0;
  bool has_opened_ = false;
  std::string reactor_;              // Of its group; empty: none.
  std::int64_t group_ = 0;           // The same as a number; also after its end.
  std::size_t load_ = 0;             // Deliveries that it holds.
  std::deque<std::string> to_send_;  // Of these, such that were not sent yet.
  std::optional<store::v1::ConsumeResponse::Opened> opened_;  // To be written.
  std::vector<std::string> settled_;                          // To be written.
  std::vector<std::string> refused_;                          // To be written.
  absl::btree_set<std::string> unsettled_;                    // Answered, but not durable yet.
  bool running_ = false;                                      // Run is posted or runs.
  bool reading_ = false;
  bool writing_ = false;
  bool stalled_ = false;  // It did not read while a delivery's time ran out.
  bool gone_ = false;
  bool finished_ = false;
  std::optional<absl::Status> end_;
};

// Hands the deliveries of groups to the consumers that are connected, and passes all others on.
// What a consumer holds when it ends, or does not answer in time, goes to others. A key goes to the
// consumer that a hash of both likes best, as far as that one has room and is not much busier than
// the others (consistent hashing with bounded loads, Mirrokni et al. 2016): keys stay where they
// are, and all consumers have work. Owns no thread. Thread-safe; must outlive the consumers, the
// reactors and the executor's tasks.
class Consumers final : public Deliverer {
 public:
  using StatusToProto = google::rpc::Status (*)(const absl::Status&);
  struct Parts {
    EventStore& store;
    Executor& work;     // For reads that may block.
    Deliverer& others;  // Makes deliveries that are not for consumers.
    StatusToProto to_proto;
  };
  explicit Consumers(const Parts& parts) : parts_(parts) {
    // Publishes what was built to gRPC's threads.
    MutexLock lock(mu_);
  }

  void Deliver(const ReactorEntry& reactor, const Delivery& delivery, Done done) override;

  // The group is there from now on, or begins anew as another reactor: nobody holds anything of the
  // one before any more.
  void SetGroup(const store::v1::ConsumerGroup& group, const std::string& reactor);
  // Its consumers end with GROUP_NOT_FOUND.
  void RemoveGroup(std::string_view name);
  // Adds `in_flight` and `consumers` of the group that this reactor is.
  void Describe(std::string_view reactor, store::v1::GroupStatus& status);

  // TOO_MANY_SESSIONS, or STOPPING after Stop.
  absl::StatusOr<std::shared_ptr<Consumer>> Open(std::shared_ptr<SessionSink> sink);
  // Every consumer ends with STOPPING; none begins.
  void Stop();
  std::size_t open() const;

 private:
  friend class Consumer;
  using ConsumerPtr = std::shared_ptr<Consumer>;
  struct Held {
    Delivery delivery;
    Done done;
  };
  struct InFlight {
    Held held;
    ConsumerPtr consumer;
    bool sent = false;
    std::int64_t deadline = 0;  // A tick.
  };
  // All guarded by mu_.
  struct Group {
    store::v1::ConsumerGroup settings;
    std::string reactor;
    std::deque<Held> waiting;
    absl::flat_hash_map<std::string, InFlight> in_flight;  // By delivery id.
    std::vector<ConsumerPtr> consumers;
    // Of rows that are tried again, whose time ran out there.
    absl::flat_hash_map<std::int64_t, std::uint64_t> avoid;
    std::int64_t tick = 0;
    bool ticking = false;
    std::int64_t number = 0;  // Which one it is of all that there were.
  };
  using GroupPtr = std::shared_ptr<Group>;
  struct Stored {
    ConsumerPtr consumer;
    std::int64_t group = 0;  // Its number.
    std::string id;
  };
  // What came from the reactors.
  struct Inbox {
    std::vector<Held> delivered;
    std::vector<Stored> stored;
    bool empty() const { return delivered.empty() && stored.empty(); }
  };
  // What is to be called when the mutex is free.
  using Calls = std::vector<std::function<void()>>;
  enum class Act { kNothing, kRead, kWrite, kDeliver, kFinish };
  struct Next {
    Act act = Act::kNothing;
    store::v1::ConsumeResponse message;
    std::vector<Delivery> deliveries;  // To be read and sent.
    absl::Status status;
  };

  GroupPtr FindByName(std::string_view name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  GroupPtr GroupOf(const Consumer& consumer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Forget(Group& group) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Gives what waits to consumers that have room.
  void Assign(const GroupPtr& group) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ConsumerPtr Choose(Group& group, const Delivery& delivery) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The consumer does not hold it any more.
  Held Release(Group& group, const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Requeue(Group& group, std::vector<std::string> ids) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void StartClock(const GroupPtr& group) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Tick(const GroupPtr& group);

  void OnRead(Consumer& consumer, const absl::StatusOr<const google::protobuf::Message*>& message);
  absl::Status Take(Consumer& consumer, const store::v1::ConsumeRequest& request, Calls& calls)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status TakeOpen(Consumer& consumer, const store::v1::ConsumeRequest::Open& open)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  using Ids = google::protobuf::RepeatedPtrField<std::string>;
  void Answer(Consumer& consumer, const Ids& ids, const DeliveryOutcome& outcome, Calls& calls)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static void Refuse(Consumer& consumer, const std::string& id);
  // nullptr, and it is refused, when the consumer does not hold it.
  InFlight* FindHeld(Group& group, Consumer& consumer, const std::string& id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Extend(Consumer& consumer, const Ids& ids) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  template <class Entry>
  void AddToInbox(std::vector<Entry> Inbox::*where, Entry entry);
  // Takes what came from the reactors, all of it under one lock.
  void TakeInbox();
  // It leaves its group, which gets back what it holds.
  void End(Consumer& consumer, const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Makes all calls of the sink that are possible now, one after the other.
  void Hint(Consumer& consumer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Run(const ConsumerPtr& consumer);
  Next NextOf(Consumer& consumer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  store::v1::ConsumeResponse TakeSettled(Consumer& consumer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::vector<Delivery> TakeToSend(Consumer& consumer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Send(Consumer& consumer, const std::vector<Delivery>& deliveries);

  const Parts parts_;
  mutable Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::uint64_t last_consumer_ ABSL_GUARDED_BY(mu_) = 0;
  std::int64_t last_group_ ABSL_GUARDED_BY(mu_) = 0;
  absl::flat_hash_map<std::string, GroupPtr> groups_ ABSL_GUARDED_BY(mu_);  // By reactor.
  absl::flat_hash_map<Consumer*, std::weak_ptr<Consumer>> open_ ABSL_GUARDED_BY(mu_);

  // Reactors' threads do not wait for the mutex above: with many consumers it is seldom free. While
  // there is something in it, TakeInbox is posted.
  Mutex inbox_mu_;
  Inbox inbox_ ABSL_GUARDED_BY(inbox_mu_);
};

}  // namespace leftfold
#endif  // REACTOR_CONSUMERS_H_
