#ifndef TESTING_GIVEN_REACTOR_H_
#define TESTING_GIVEN_REACTOR_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <fmt/format.h>
#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/reactor.h"
#include "core/registry.h"
#include "leftfold/core/v1/reactions.pb.h"
#include "sql/reactor_file.h"
#include "sql/view_file.h"
#include "testing/given.h"

// Tests of reactors as the domain's people would tell them:
//   ReactorFixture<ReleaseAgent> reactor;
//   EXPECT_THAT(reactor.React("order-o1", delivered), ElementsAre("ReleaseAgentRequest {…}"));
namespace leftfold::testing {

// What a reactor does is told in words, one for each entry of its outbox, in order:
//   ReserveAgentRequest {agent_id: "bo" order_id: "o1"}
//   at +300s o1: ExpireOrderRequest {…}      at +300s o1: wake      cancel o1
//   mail ann@example.org: Invitation to Oak
//   POST service:payments/v1/charges key=p1 {"amount_minor": 2050, …}
// Times count from the event that was reacted to last.
using Doings = std::vector<std::string>;

// A reactor with its tables in memory, fed by hand. What it loads is what the test says that the
// log has.
template <Reactor R>
class ReactorFixture {
 public:
  ReactorFixture() {
    registry_.Add<R>();
    auto opened = sql::OpenReactorInMemory(entry(), {kBeforeFirst, Digest{}});
    EXPECT_TRUE(opened.ok()) << opened.status();
    connection_ = *std::move(opened);
  }

  // The log has these events of the aggregate, whether the reactor has seen them or not.
  template <Aggregate A, class... Es>
  ReactorFixture& Holds(const std::string& id, const Es&... events) {
    Past<A> past;
    (past.Add(events), ...);
    return HoldsState(StreamName(A::kCategory, id), past.state());
  }
  ReactorFixture& HoldsState(const std::string& stream, const google::protobuf::Message& state) {
    states_[stream] = state.SerializeAsString();
    return *this;
  }

  // What else it loads cannot be read from the log now.
  ReactorFixture& HoldsNoMore() {
    unreadable_ = true;
    return *this;
  }

  // The event comes, as the next of the log, a second after the one before.
  template <class Event>
  Doings React(const std::string& stream, const Event& event) {
    RecordedEvent recorded;
    recorded.position = position_ = position_.Next();
    recorded.stream = stream;
    recorded.version = Version{position_.value - 1};
    recorded.type = Event::descriptor()->full_name();
    recorded.payload = event.SerializeAsString();
    recorded.recorded_at = now_ = now_ + absl::Seconds(1);
    EXPECT_TRUE(entry().key(recorded).has_value()) << "it does not react to " << recorded.type;
    return Call(
        [&](OwnTables& tables, Outbox& outbox) { return entry().react(recorded, tables, outbox); });
  }
  // A command that it sent was accepted, or refused.
  Doings Accepted(const google::protobuf::Message& command) { return Take(command, {}); }
  template <class Reason>
  Doings Refused(const google::protobuf::Message& command, Reason reason) {
    return Take(command, Reject(reason, "refused"));
  }
  // It was parked, and an operator skipped it.
  Doings Skipped(const google::protobuf::Message& command) {
    return Take(command, absl::CancelledError("skipped by ann"));
  }
  // The oldest HTTP call that has no reply gets this one.
  Doings Reply(int status, const std::string& body) {
    const Delivery delivery = TakeCall();
    return Call([&](OwnTables& tables, Outbox& outbox) {
      return entry().on_result(
          delivery, {.status = {}, .reply = {.status = status, .headers = {}, .body = body}},
          tables, outbox);
    });
  }
  // The oldest HTTP call that has no reply is parked.
  Doings Park(const absl::Status& error) {
    const Delivery delivery = TakeCall();
    return Call([&](OwnTables& tables, Outbox& outbox) {
      entry().on_parked(delivery, error, tables, outbox);
      return absl::OkStatus();
    });
  }
  // The timer goes off.
  Doings Wake(const std::string& timer) {
    const Delivery delivery{.kind = DeliveryKind::kWake, .timer = timer};
    return Call([&](OwnTables& tables, Outbox& outbox) {
      return entry().on_result(delivery, {.status = {}, .at = now_}, tables, outbox);
    });
  }

  ReactorFixture& PassTime(absl::Duration time) {
    now_ += time;
    return *this;
  }

  // How long what it wants done may fail before its key is parked; the least it may be.
  absl::Duration patience() const {
    const RetryPolicy& policy = entry().retry;
    absl::Duration total, wait = policy.first_delay;
    for (int attempt = 1; attempt < policy.attempts; ++attempt) {
      total += wait * (1 - policy.jitter);
      wait = std::min(wait * policy.multiplier, policy.ceiling);
    }
    return total;
  }

  // What the last call returned: what is not OK parks the key, or is tried again.
  const absl::Status& status() const { return status_; }
  Position position() const { return position_; }

 private:
  class Held final : public OwnTables, public StateLoader {
   public:
    Held(sql::Connection& connection, const std::map<std::string, std::string>& states,
         bool unreadable)
        : connection_(connection), states_(states), unreadable_(unreadable) {}
    Position applied() override { return {}; }
    const absl::Status& status() const override { return connection_.status(); }
    absl::StatusOr<std::string> LoadState(std::string_view category, std::string_view id) override {
      const auto state = states_.find(StreamName(category, id));
      if (state != states_.end()) return state->second;
      if (unreadable_) return absl::UnavailableError("the log cannot be read");
      return "";
    }
    using OwnTables::LoadState;

   protected:
    Cursor& Prepare(std::string_view sql) override { return connection_.Prepare(sql); }
    StateLoader& loader() override { return *this; }

   private:
    sql::Connection& connection_;
    const std::map<std::string, std::string>& states_;
    const bool unreadable_;
  };

  const ReactorEntry& entry() const { return registry_.reactors().front(); }

  template <class Code>
  Doings Call(Code code) {
    EXPECT_TRUE(connection_->Begin().ok());
    Held tables(*connection_, states_, unreadable_);
    Outbox outbox;
    status_ = code(tables, outbox);
    EXPECT_TRUE(connection_->status().ok()) << connection_->status();
    if (!status_.ok()) {
      connection_->Rollback();
      return {};
    }
    EXPECT_TRUE(connection_->Commit().ok());
    Doings doings;
    for (const Outbox::Entry& done : outbox.TakeEntries()) {
      if (done.kind == DeliveryKind::kHttp) calls_.emplace_back(position_, done.payload);
      doings.push_back(Tell(done));
    }
    return doings;
  }
  Doings Take(const google::protobuf::Message& command, const absl::Status& status) {
    const Delivery delivery{.kind = DeliveryKind::kCommand,
                            .type = command.GetDescriptor()->full_name(),
                            .payload = command.SerializeAsString()};
    return Call([&](OwnTables& tables, Outbox& outbox) {
      return entry().on_result(delivery, {.status = status}, tables, outbox);
    });
  }
  Delivery TakeCall() {
    EXPECT_FALSE(calls_.empty()) << "it made no call";
    if (calls_.empty()) return {};
    const auto [position, payload] = calls_.front();
    calls_.pop_front();
    return {.position = position, .kind = DeliveryKind::kHttp, .payload = payload};
  }

  std::string Tell(const Outbox::Entry& done) const {
    if (done.cancels) return "cancel " + done.timer;
    std::string what = "wake";
    if (done.kind == DeliveryKind::kHttp) what = TellCall(done.payload);
    if (done.kind == DeliveryKind::kMail) {
      core::v1::Mail mail;
      EXPECT_TRUE(mail.ParseFromString(done.payload));
      what = fmt::format("mail {}: {}", mail.to(), mail.subject());
    }
    if (done.kind == DeliveryKind::kCommand) {
      const auto* type =
          google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(done.type);
      const std::unique_ptr<google::protobuf::Message> command(
          google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
      EXPECT_TRUE(command->ParseFromString(done.payload));
      what = fmt::format("{} {{{}}}", type->name(), command->ShortDebugString());
    }
    if (done.timer.empty()) return what;
    return fmt::format("at +{}s {}: {}", absl::ToInt64Seconds(done.due - now_), done.timer, what);
  }
  static std::string TellCall(const std::string& payload) {
    core::v1::HttpCall call;
    EXPECT_TRUE(call.ParseFromString(payload));
    std::string told = fmt::format("{} {}", call.method(), call.url());
    for (const auto& header : call.headers()) {
      if (header.name() == "Idempotency-Key") told += " key=" + header.value();
    }
    return call.body().empty() ? told : fmt::format("{} {}", told, call.body());
  }

  Registry registry_;
  std::unique_ptr<sql::Connection> connection_;
  std::map<std::string, std::string> states_;
  bool unreadable_ = false;
  std::deque<std::pair<Position, std::string>> calls_;
  Position position_;
  absl::Time now_ = kTestNow;
  absl::Status status_;
};

}  // namespace leftfold::testing
#endif  // TESTING_GIVEN_REACTOR_H_
