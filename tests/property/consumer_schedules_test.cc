// Random schedules of consumers of a group: they connect, vanish, give back, park, fall silent or
// stop reading; time passes, the group is reset, the server restarts between any two tasks.
// Whatever happens, every event is acknowledged in the end, no event of a key is delivered before
// those before it were acknowledged, no attempt is with two consumers, nobody holds more than its
// window, and what is settled never comes again.
// LEFTFOLD_SEED gives one seed back, LEFTFOLD_SCHEDULES how many there are.

#include <absl/strings/numbers.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/consumer_fixture.h"

namespace leftfold::reacting {
namespace {

class ConsumerSchedule {
 public:
  explicit ConsumerSchedule(std::uint64_t seed) : random_(seed), w_(seed) {
    store::v1::ConsumerGroup group;
    group.set_name("g");
    group.mutable_filter()->add_categories("note");
    group.set_key(static_cast<store::v1::ConsumerGroup::Key>(Below(4)));
    group.mutable_ack_timeout()->set_seconds(1);
    group.mutable_retry()->set_attempts(3);
    by_ = group.key();
    EXPECT_TRUE(w_.groups().Create(group).ok());
  }
  ~ConsumerSchedule() { Stop(); }

  void Run() {
    for (int step = 0; step < 100 && !::testing::Test::HasFailure(); ++step) {
      Step();
      CheckWindows();
      RunSome(6);
    }
    Calm();
    for (const auto& [position, key] : keys_) EXPECT_TRUE(acknowledged_.contains(position));
    const store::v1::GroupStatus status = w_.groups().List().front();
    EXPECT_EQ(status.waiting(), 0);
    EXPECT_EQ(status.in_flight(), 0);
    EXPECT_EQ(status.parked_keys(), 0);
    EXPECT_EQ(status.lag_events(), 0);
  }

 private:
  int Below(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }

  void Stop() {
    for (const auto& client : clients_) client->Vanish();
    clients_.clear();
    w_.Stop();
  }

  void RunSome(int tasks_max) {
    for (int tasks = Below(tasks_max); tasks > 0 && w_.scheduler().RunOne(); --tasks) {
    }
  }

  void Step() {
    switch (Below(20)) {
      case 0:
      case 1:
      case 2:
        return Append();
      case 3:
      case 4:
        if (clients_.size() < 4) Connect();
        return;
      case 5:
        return WithClient(
            [this](Client& client) { Below(2) == 0 ? client.Vanish() : client.Close(); });
      case 6:
        return WithClient(
            [](Client& client) { client.stalled ? client.ReadOn() : void(client.stalled = true); });
      case 7:
        w_.scheduler().RunFor(absl::Milliseconds(Below(1'500)));
        return;
      case 8:
        Stop();
        return w_.Start();
      case 9:
        if (Below(4) == 0) Reset();
        return;
      default:
        RunSome(60);
        for (int answers = 1 + Below(3); answers > 0; --answers)
          WithClient([this](Client& client) { AnswerOne(client, Below(8)); });
    }
  }

  template <class Code>
  void WithClient(Code code) {
    if (clients_.empty()) return;
    const auto at = clients_.begin() + Below(static_cast<int>(clients_.size()));
    code(**at);
    if ((*at)->gone || (*at)->finished) clients_.erase(at);
  }

  void Append() {
    const std::string stream = fmt::format("note-{}", Below(4));
    for (const std::int64_t position : w_.Append(stream, 1 + Below(3))) {
      keys_[position] = by_ == store::v1::ConsumerGroup::KEY_LOG     ? "log"
                        : by_ == store::v1::ConsumerGroup::KEY_EVENT ? fmt::to_string(position)
                                                                     : stream;
    }
  }

  void Connect() {
    clients_.push_back(w_.Connect(
        1 + Below(3),
        [this](Client& client, const ConsumeResponse& message) { OnMessage(client, message); }));
  }

  void Reset() {
    w_.scheduler().RunReady();  // What is on its way is of the time before.
    store::v1::ResetGroupRequest request;
    request.set_group("g");
    const std::int64_t after = Below(static_cast<int>(w_.store().GetHead().position.value) + 1);
    request.set_after_position(after);
    EXPECT_TRUE(w_.groups().Reset(request).ok());
    // Events before `after` that nobody acknowledged are given up.
    for (const auto& [position, key] : keys_) {
      if (position > after) {
        acknowledged_.erase(position);
        settled_.erase(position);
      } else {
        acknowledged_.insert(position);
      }
    }
    for (const auto& client : clients_) client->held.clear();
  }

  void AnswerOne(Client& client, int how) {
    if (client.held.empty()) return;
    auto at = client.held.begin();
    std::advance(at, Below(static_cast<int>(client.held.size())));
    const std::string id = at->first;
    ConsumeRequest request;
    if (how == 0) {
      request.mutable_nack()->add_delivery_ids(id);
      if (Below(2) == 0) request.mutable_nack()->mutable_delay()->set_nanos(Below(900'000'000));
    } else if (how == 1) {
      request.mutable_park()->add_delivery_ids(id);
    } else if (how == 2) {
      request.mutable_extend()->add_delivery_ids(id);
      return client.Say(request);
    } else {
      request.mutable_ack()->add_delivery_ids(id);
      acknowledged_.insert(PositionOf(id));
    }
    (how > 1 ? client.acked : client.given_back).insert(id);
    client.held.erase(at);
    client.Say(request);
  }

  // "lf:<reactor>:<position>-<end of the event's id>:<n>"
  static std::int64_t PositionOf(const std::string& id) {
    const std::size_t end = id.rfind('-');
    const std::size_t begin = id.rfind(':', end) + 1;
    std::int64_t position = 0;
    EXPECT_TRUE(absl::SimpleAtoi(id.substr(begin, end - begin), &position)) << id;
    return position;
  }

  void OnMessage(Client& to, const ConsumeResponse& message) {
    for (const std::string& id : message.settled().delivery_ids()) {
      const std::string reactor = "lf:" + w_.groups().ReactorOfGroup("g").value_or("") + ":";
      // Of an id that it has also given back, nobody knows which answer was in time.
      if (to.acked.contains(id) && !to.given_back.contains(id) && id.starts_with(reactor))
        settled_.insert(PositionOf(id));
    }
    for (const auto& delivery : message.deliveries().deliveries()) {
      const std::int64_t position = delivery.event().position();
      SCOPED_TRACE(fmt::format("{} attempt {}", delivery.delivery_id(), delivery.attempt()));
      EXPECT_EQ(delivery.key(), keys_[position]);
      EXPECT_EQ(PositionOf(delivery.delivery_id()), position);
      EXPECT_FALSE(settled_.contains(position)) << "it is settled";
      for (const auto& [before, key] : keys_) {
        if (before >= position) break;
        EXPECT_TRUE(key != delivery.key() || acknowledged_.contains(before))
            << before << " comes before it";
      }
      for (const auto& client : clients_) {
        const auto same = client->held.find(delivery.delivery_id());
        EXPECT_TRUE(same == client->held.end() || same->second != delivery.attempt())
            << "another consumer has this attempt";
      }
    }
  }

  void CheckWindows() {
    const store::v1::GroupStatus status = w_.groups().List().front();
    for (const auto& consumer : status.consumers()) {
      EXPECT_GE(consumer.in_flight(), 0);
      EXPECT_LE(consumer.in_flight(), consumer.window());
    }
  }

  // Good consumers, and an operator who replays.
  void Calm() {
    for (const auto& client : clients_) client->Vanish();
    clients_.clear();
    Connect();
    Connect();
    for (int round = 0; round < 400; ++round) {
      w_.scheduler().RunFor(absl::Milliseconds(100));
      for (const auto& client : clients_) {
        while (!client->held.empty()) AnswerOne(*client, 5);
      }
      if (round % 50 > 0) continue;
      const std::string reactor = w_.groups().ReactorOfGroup("g").value_or("");
      const auto parked = w_.reactors().ListParked(reactor, 0, 100);
      ASSERT_TRUE(parked.ok()) << parked.status();
      for (const ParkedDelivery& delivery : *parked)
        w_.reactors().Retry(reactor, delivery.parked.key(), "ann", [](const auto&) {});
    }
  }

  std::mt19937_64 random_;
  ConsumerWorld w_;
  std::vector<std::shared_ptr<Client>> clients_;
  store::v1::ConsumerGroup::Key by_ = store::v1::ConsumerGroup::KEY_STREAM;
  std::map<std::int64_t, std::string> keys_;  // Of all events of the group, by position.
  std::set<std::int64_t> acknowledged_;       // By a consumer; the server may not have heard of it.
  std::set<std::int64_t> settled_;
};

TEST(ConsumerSchedules, EveryEventIsAcknowledgedInOrderAndBySomebody) {
  ForEachSchedule(100, [](std::uint64_t seed) { ConsumerSchedule(seed).Run(); });
}

}  // namespace
}  // namespace leftfold::reacting
