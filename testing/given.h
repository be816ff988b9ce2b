#ifndef TESTING_GIVEN_H_
#define TESTING_GIVEN_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/aggregate.h"
#include "core/registry.h"
#include "core/sha256.h"
#include "sql/view_file.h"

// Tests of aggregates and views as the domain's people would tell them:
//   Given<Room>(created, renamed).When(rename).Then(renamed_again);
//   Given<Room>().When(rename).ThenRejected("ROOM_NOT_FOUND");
//   ViewFixture<RoomDirectory> view("room"); view.Fold("oak", created); view.Ask(get)
namespace leftfold::testing {

inline const absl::Time kTestNow = absl::FromUnixSeconds(1'767'225'600);  // 2026-01-01T00:00:00Z

// Why a command was refused.
class Refusal {
 public:
  explicit Refusal(absl::Status status) : status_(std::move(status)) {}
  absl::StatusCode code() const { return status_.code(); }
  // "" when there is none.
  std::string metadata(std::string_view key) const { return MetadataOf(status_, key); }
  const absl::Status& status() const { return status_; }

 private:
  absl::Status status_;
};

// What came of a command.
template <Aggregate A>
class Outcome {
 public:
  Outcome(absl::Status form, Decision<typename A::Events> decision)
      : form_(std::move(form)), decision_(std::move(decision)) {}

  // Accepted with these events, in this order.
  template <class... Es>
  const Outcome& Then(const Es&... expected) const {
    EXPECT_TRUE(form_.ok()) << form_;
    EXPECT_TRUE(decision_.ok()) << decision_.status();
    if (!decision_.ok()) return *this;
    EXPECT_EQ(decision_->events.size(), sizeof...(Es));
    std::size_t n = 0;
    (ExpectEvent(n++, expected), ...);
    return *this;
  }
  const Outcome& ThenNothing() const { return Then(); }

  // Well-formed, but refused.
  Refusal ThenRejected(std::string_view reason) const {
    EXPECT_TRUE(form_.ok()) << form_;
    EXPECT_FALSE(decision_.ok()) << "accepted";
    EXPECT_EQ(ReasonOf(decision_.status()), reason) << decision_.status();
    return Refusal(decision_.status());
  }
  // Malformed, `reason` first.
  Refusal ThenInvalid(std::string_view reason) const {
    EXPECT_EQ(form_.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(ReasonOf(form_), reason) << form_;
    return Refusal(form_);
  }
  const Decided<typename A::Events>& decided() const { return decision_.value(); }
  // A refusal, of form too, or the decision.
  const Decision<typename A::Events>& result() const { return decision_; }

 private:
  template <class E>
  void ExpectEvent(std::size_t n, const E& expected) const {
    if (n >= decision_->events.size()) return;
    const E* actual = std::get_if<E>(&decision_->events[n]);
    ASSERT_NE(actual, nullptr) << "event " << n << " is no " << E::descriptor()->full_name();
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(*actual, expected))
        << "event " << n << " is {" << actual->ShortDebugString() << "}, not {"
        << expected.ShortDebugString() << "}";
  }

  absl::Status form_;
  Decision<typename A::Events> decision_;
};

// An aggregate with its past.
template <Aggregate A>
class Past {
 public:
  template <class E>
  void Add(const E& event) {
    EvolveBy<A>(state_, event);
  }
  Past At(absl::Time now) && {
    context_.now = now;
    return std::move(*this);
  }
  Past As(std::string aggregate_id) && {
    context_.aggregate_id = std::move(aggregate_id);
    return std::move(*this);
  }
  template <class Command>
  Outcome<A> When(const Command& command) const {
    Violations violations;
    A::Validate(command, violations);
    if (!violations.empty()) return {violations.ToStatus(), violations.ToStatus()};
    return {absl::OkStatus(), A::Decide(command, state_, context_)};
  }
  const typename A::State& state() const { return state_; }

 private:
  typename A::State state_;
  CommandContext context_{kTestNow, "tester", "id-1", "command-1"};
};

template <Aggregate A, class... Es>
Past<A> Given(const Es&... events) {
  Past<A> past;
  (past.Add(events), ...);
  return past;
}

// All states that an aggregate goes through, as one value. A golden test of it fails when a state
// comes to mean something else: then kStateVersion must be bumped, for snapshots of the old meaning
// are in the files of others.
template <Aggregate A>
class GoldenFold {
 public:
  template <class E>
  GoldenFold& Add(const E& event) {
    A::Evolve(state_, event);
    states_.AddLengthPrefixed(state_.SerializeAsString());
    return *this;
  }
  GoldenFold& AddStored(const core::v1::RecordedEvent& event) {
    EXPECT_TRUE(FoldStored<A>(event, state_)) << event.type();
    states_.AddLengthPrefixed(state_.SerializeAsString());
    return *this;
  }
  // 16 hexadecimal digits. To be asked once.
  std::string Value() { return ToHex(AsBytes(states_.Finish())).substr(0, 16); }

 private:
  typename A::State state_;
  Sha256 states_;
};

// A view in memory, fed by hand. It reads old events through the upcasters of `Aggregates`.
template <View V, Aggregate... Aggregates>
class ViewFixture {
 public:
  explicit ViewFixture(std::string category) : category_(std::move(category)) {
    (registry_.Add<Aggregates>(), ...);
    registry_.Add<V>();
    auto opened = sql::OpenViewInMemory(registry_.views().front(), Digest{});
    EXPECT_TRUE(opened.ok()) << opened.status();
    connection_ = *std::move(opened);
    writer_ = std::make_unique<sql::ConnectionWriteTx>(*connection_);
  }

  // Folds the event as the next of its stream, one second after the one before.
  template <class E>
  ViewFixture& Fold(const std::string& aggregate_id, const E& event) {
    return FoldOf(category_, aggregate_id, event);
  }

  // The same, of an aggregate of another category.
  template <class E>
  ViewFixture& FoldOf(std::string_view category, const std::string& aggregate_id, const E& event) {
    RecordedEvent recorded;
    recorded.position = position_ = position_.Next();
    recorded.stream = StreamName(category, aggregate_id);
    Version& last = versions_.try_emplace(recorded.stream, kNoEventYet).first->second;
    recorded.version = last = last.Next();
    recorded.event_id = DerivedUuid("event", static_cast<int>(position_.value));
    recorded.type = E::descriptor()->full_name();
    recorded.payload = event.SerializeAsString();
    recorded.recorded_at = kTestNow + absl::Seconds(position_.value - 1) + waited_;
    EXPECT_TRUE(connection_->Begin().ok());
    writer_->SetPosition(position_);
    const absl::StatusOr<bool> folded = registry_.views().front().fold(recorded, *writer_);
    EXPECT_TRUE(folded.ok()) << folded.status();
    EXPECT_TRUE(connection_->Commit().ok()) << connection_->status();
    return *this;
  }

  // The next event comes so much later.
  ViewFixture& Wait(absl::Duration time) {
    waited_ += time;
    return *this;
  }

  template <class Query>
  auto Ask(const Query& query) {
    Reader tx(*connection_, statements_);
    auto answer = V::Answer(query, tx);
    EXPECT_TRUE(connection_->status().ok()) << connection_->status();
    return answer;
  }

  // Calls `read` with a transaction for reading, for Keys, Matches and answers to list watches.
  template <class Read>
  auto With(Read read) {
    Reader tx(*connection_, statements_);
    return read(static_cast<ReadTx&>(tx));
  }

  std::set<std::string> TakeTouched() {
    std::set<std::string> keys;
    for (const auto& [key, position] : writer_->touched()) keys.insert(key);
    writer_->ClearTouched();
    return keys;
  }

  // Lines of the query plans of all that Ask and With have read so far that walk a whole table.
  std::vector<std::string> Scans() {
    std::vector<std::string> scans;
    for (const std::string& statement : std::set<std::string>(statements_)) {
      const std::string& sql = explained_.emplace_back("EXPLAIN QUERY PLAN " + statement);
      for (Rows rows(connection_->Prepare(sql)); rows.Next();) {
        const std::string line = rows.Text(3);
        if (line.starts_with("SCAN") && line.find("VIRTUAL TABLE") == std::string::npos) {
          scans.push_back(line + " in " + statement);
        }
      }
    }
    return scans;
  }

 private:
  class Reader final : public ReadTx {
   public:
    Reader(sql::Connection& connection, std::set<std::string>& statements)
        : connection_(connection), statements_(statements) {}
    Position applied() override { return {}; }
    const absl::Status& status() const override { return connection_.status(); }

   protected:
    Cursor& Prepare(std::string_view sql) override {
      statements_.insert(std::string(sql));
      return connection_.Prepare(sql);
    }

   private:
    sql::Connection& connection_;
    std::set<std::string>& statements_;
  };

  std::string category_;
  Registry registry_;
  std::unique_ptr<sql::Connection> connection_;
  std::unique_ptr<sql::ConnectionWriteTx> writer_;
  Position position_;
  absl::Duration waited_;
  std::map<std::string, Version> versions_;
  std::set<std::string> statements_;
  std::deque<std::string> explained_;  // Statements are found by their address.
};

}  // namespace leftfold::testing
#endif  // TESTING_GIVEN_H_
