#ifndef TESTS_UNIT_CONSUMER_FIXTURE_H_
#define TESTS_UNIT_CONSUMER_FIXTURE_H_

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "event_store/memory/memory_event_store.h"
#include "reactor/consumers.h"
#include "reactor/reactors.h"
#include "rpc/status.h"
#include "server/groups.h"
#include "testing/temporary_folder.h"
#include "testing/virtual_scheduler.h"
#include "tests/unit/reactor_fixture.h"

// What tests of consumer groups share: groups on a memory store and a virtual scheduler, and
// clients.
namespace leftfold::reacting {

using store::v1::ConsumeRequest;
using store::v1::ConsumeResponse;

class NoDeliverer final : public Deliverer {
 public:
  void Deliver(const ReactorEntry&, const Delivery&, Done) override { ADD_FAILURE(); }
};
class NoLoader final : public StateLoader {
 public:
  absl::StatusOr<std::string> LoadState(std::string_view, std::string_view) override {
    return absl::UnimplementedError("");
  }
};

// The client's end of a Consume call. What it is told goes to `on_message` first.
class Client final : public SessionSink, public std::enable_shared_from_this<Client> {
 public:
  using OnMessage = std::function<void(Client&, const ConsumeResponse&)>;
  Client(Executor& executor, OnMessage on_message)
      : executor_(executor), on_message_(std::move(on_message)) {}

  void Start(std::shared_ptr<Consumer> consumer) {
    consumer_ = std::move(consumer);
    consumer_->Start();
  }
  void Read() override {
    EXPECT_FALSE(std::exchange(reading_, true));
    Pump();
  }
  void Write(const google::protobuf::Message& message) override {
    EXPECT_FALSE(std::exchange(writing_, true));
    if (!gone) Take(static_cast<const ConsumeResponse&>(message));
    if (!stalled) Written();
  }
  void Finish(const absl::Status& status) override {
    EXPECT_FALSE(std::exchange(finished, true));
    end = status;
    EXPECT_FALSE(writing_);
    held.clear();
    consumer_.reset();
  }

  void Say(const ConsumeRequest& request) {
    said_.push_back(request);
    Pump();
  }
  // The call's other end lives no longer, whether it has ended or not.
  void Drop() { consumer_.reset(); }
  std::size_t unread() const { return said_.size(); }
  void Close() {
    closed = true;
    held.clear();
    Pump();
  }
  void Vanish() {
    gone = true;
    held.clear();
    if (consumer_ != nullptr) consumer_->Cancel();
    stalled = false;
    if (writing_) Written();
  }
  void ReadOn() {
    stalled = false;
    if (writing_) Written();
  }

  void Ack(const std::string& id) {
    ConsumeRequest request;
    request.mutable_ack()->add_delivery_ids(id);
    held.erase(id);
    Say(request);
  }

  bool stalled = false;
  bool gone = false;
  bool closed = false;  // It answers no more.
  bool finished = false;
  absl::Status end;
  int messages = 0;
  std::map<std::string, int> held;  // Attempts, by delivery id.
  std::set<std::string> acked;
  std::set<std::string> given_back;  // With a nack, or parked.
  std::vector<std::string> keys;     // Of all that was delivered.
  std::vector<std::string> settled;
  std::vector<std::string> refused;

 private:
  void Take(const ConsumeResponse& message) {
    ++messages;
    if (on_message_) on_message_(*this, message);
    for (const auto& delivery : message.deliveries().deliveries()) {
      keys.push_back(delivery.key());
      if (!closed) held[delivery.delivery_id()] = delivery.attempt();
    }
    for (const std::string& id : message.settled().delivery_ids()) settled.push_back(id);
    for (const auto& one : message.settled().refused()) refused.push_back(one.delivery_id());
  }
  void Written() {
    executor_.Post([self = shared_from_this()] {
      if (!std::exchange(self->writing_, false)) return;
      if (const auto consumer = self->consumer_) consumer->OnWritten(!self->gone);
    });
  }
  void Pump() {
    if (!reading_ || (said_.empty() && !closed)) return;
    reading_ = false;
    std::optional<ConsumeRequest> message;
    if (!said_.empty()) {
      message = said_.front();
      said_.pop_front();
    }
    executor_.Post([self = shared_from_this(), message] {
      if (const auto consumer = self->consumer_) {
        consumer->OnRead(
            static_cast<const google::protobuf::Message*>(message ? &*message : nullptr));
      }
    });
  }

  Executor& executor_;
  const OnMessage on_message_;
  std::shared_ptr<Consumer> consumer_;
  std::deque<ConsumeRequest> said_;
  bool reading_ = false;
  bool writing_ = false;
};

// The engines of a server that may restart. The log lives on.
class ConsumerWorld {
 public:
  explicit ConsumerWorld(std::uint64_t seed) : scheduler_(seed) {
    store_ = NewMemoryEventStore(scheduler_.Serial(), scheduler_.Pool(), clock_);
    Start();
  }
  ~ConsumerWorld() {
    Stop();
    for (const auto& weak : clients_) {
      if (const auto client = weak.lock()) client->Drop();
    }
  }

  void Start() {
    gone_.push_back(std::move(consumers_));
    consumers_ = std::make_unique<Consumers>(Consumers::Parts{.store = *store_,
                                                              .work = scheduler_.Pool(),
                                                              .others = others_,
                                                              .to_proto = rpc::ToRpcStatus});
    reactors_ = Reactors::Open({},
                               {.store = *store_,
                                .loader = loader_,
                                .deliverer = *consumers_,
                                .clock = clock_,
                                .executor = scheduler_.Pool()},
                               folder_.path());
    auto groups = Groups::Open({.store = *store_,
                                .reactors = *reactors_,
                                .consumers = *consumers_,
                                .data = folder_.path()});
    ASSERT_TRUE(groups.ok()) << groups.status();
    groups_ = *std::move(groups);
    reactors_->Start();
  }
  void Stop() {
    groups_.reset();
    if (reactors_ != nullptr) reactors_->Stop();
    reactors_.reset();
    consumers_->Stop();
  }

  // Positions of the events, in their order.
  std::vector<std::int64_t> Append(const std::string& stream, int events = 1) {
    AppendRequest request;
    request.streams.push_back({.stream = stream, .events = {}});
    for (int n = 0; n < events; ++n) {
      NewEvent event;
      event.event_id = DerivedUuid(fmt::format("{}", events_++), 0);
      event.type = "NoteTaken";
      event.encoding = Encoding::kJson;
      event.payload = "1";
      request.streams[0].events.push_back(event);
    }
    std::vector<std::int64_t> positions;
    store_->Append(std::move(request), [&](const absl::StatusOr<Receipt>& receipt) {
      ASSERT_TRUE(receipt.ok()) << receipt.status();
      for (int n = events - 1; n >= 0; --n) positions.push_back(receipt->position.value - n);
    });
    while (positions.empty() && scheduler_.RunOne()) {
    }
    return positions;
  }
  // A client that has asked to be one of the group `g`.
  std::shared_ptr<Client> Connect(int window, Client::OnMessage on_message = nullptr) {
    auto client = std::make_shared<Client>(scheduler_.Pool(), std::move(on_message));
    auto consumer = consumers_->Open(client);
    EXPECT_TRUE(consumer.ok()) << consumer.status();
    client->Start(*consumer);
    clients_.push_back(client);
    ConsumeRequest request;
    request.mutable_open()->set_group("g");
    request.mutable_open()->set_consumer("c");
    request.mutable_open()->set_window(window);
    client->Say(request);
    return client;
  }

  testing::VirtualScheduler& scheduler() { return scheduler_; }
  EventStore& store() { return *store_; }
  Consumers& consumers() { return *consumers_; }
  Reactors& reactors() { return *reactors_; }
  Groups& groups() { return *groups_; }

 private:
  testing::TemporaryFolder folder_;
  testing::VirtualScheduler scheduler_;
  testing::SchedulerClock clock_{scheduler_};
  NoDeliverer others_;
  NoLoader loader_;
  std::unique_ptr<EventStore> store_;
  std::vector<std::unique_ptr<Consumers>> gone_;
  std::unique_ptr<Consumers> consumers_;
  std::unique_ptr<Reactors> reactors_;
  std::unique_ptr<Groups> groups_;
  std::vector<std::weak_ptr<Client>> clients_;
  int events_ = 0;
};

}  // namespace leftfold::reacting
#endif  // TESTS_UNIT_CONSUMER_FIXTURE_H_
