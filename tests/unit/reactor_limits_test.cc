// What docs/reference/reactors.md says of each limit of a reactor: all goes on up to it, and what
// comes of one more. The delays of its retries lie within their bounds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <optional>
#include <random>
#include <set>

#include "sql/reactor_file.h"
#include "tests/unit/reactor_fixture.h"

namespace leftfold::reacting {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Next = ReactorRunner::Next;

// A reactor that does with the n-th event, and with the result of a command, what a test says. It
// has no thread: the test takes its steps.
class ReactorLimits : public ::testing::Test {
 protected:
  ReactorLimits() {
    entry_.name = "limited";
    entry_.key = [](const RecordedEvent& event) {
      const bool reacts = event.stream.starts_with(kStream);
      return reacts ? std::optional(event.stream) : std::nullopt;
    };
    entry_.react = [this](const RecordedEvent& event, OwnTables&, Outbox& outbox) {
      on_event(std::stoll(event.stream.substr(kStream.size())), outbox);
      return absl::OkStatus();
    };
    entry_.on_result = [this](const Delivery&, const Result&, OwnTables&, Outbox& outbox) {
      on_result(outbox);
      return absl::OkStatus();
    };
  }
  void Open(const std::string& path = "") {
    auto opened = ReactorRunner::Open(entry_, f_.store(), loader_, path);
    ASSERT_TRUE(opened.ok()) << opened.status();
    runner = *std::move(opened);
  }
  // Another event is in the log.
  void Happen() {
    const std::string id = fmt::to_string(++events_);
    f_.Create(id, "event-" + id);
  }
  Next Step() { return runner->Step(reader_, now()); }
  Next StepOverOneMore() {
    Happen();
    return Step();
  }
  void Finish(const Delivery& delivery, absl::Status failure = {}) {
    runner->Finished(delivery.row, {.failure = std::move(failure)});
  }
  // The next step after what can be delivered first was.
  Next DeliverOne() {
    const auto deliveries = runner->TakeDeliveries();
    EXPECT_THAT(deliveries, SizeIs(1));
    for (const Delivery& delivery : deliveries) Finish(delivery);
    return Step();
  }
  absl::Time now() { return f_.clock().Now(); }
  static rooms::v1::RenameRoomRequest Command() { return Rename("a", "b"); }
  static void SendMany(std::int64_t commands, Outbox& outbox) {
    for (std::int64_t i = 0; i < commands; ++i) outbox.Send(Command(), fmt::format("key {}", i));
  }
  std::int64_t taken_in() const { return runner->counts().events.value(); }
  std::string Stopped() const { return std::string(runner->stopped().message()); }

  std::function<void(std::int64_t, Outbox&)> on_event = [](std::int64_t, Outbox&) {};
  std::function<void(Outbox&)> on_result = [](Outbox&) {};
  RetryPolicy& retry() { return entry_.retry; }
  const testing::TemporaryFolder folder{testing::FolderInMemory()};

 private:
  static constexpr std::string_view kStream = "counter-";
  ReactorFixture f_;
  BatchReader reader_{f_.store()};
  LogStateLoader loader_{f_.registry(), f_.store(), nullptr};
  ReactorEntry entry_;
  int events_ = 0;

 protected:
  std::unique_ptr<ReactorRunner> runner;
};

TEST_F(ReactorLimits, OfDeliveriesUnderWayLetTheOthersWait) {
  on_event = [](std::int64_t, Outbox& outbox) { SendMany(kDeliveriesMax + 1, outbox); };
  Open();
  EXPECT_EQ(StepOverOneMore(), Next::kWait);
  const auto deliveries = runner->TakeDeliveries();
  EXPECT_THAT(deliveries, SizeIs(kDeliveriesMax));
  EXPECT_THAT(runner->TakeDeliveries(), IsEmpty());
  Finish(deliveries.front());
  Step();
  EXPECT_THAT(runner->TakeDeliveries(), SizeIs(1));
}

TEST_F(ReactorLimits, OfRowsThatWaitHoldEventsBackUntilSomeAreDeliveredOrParked) {
  on_event = [](std::int64_t n, Outbox& outbox) {
    SendMany(n == 1 ? std::int64_t{kRunnableRowsMax} - 1 : 1, outbox);
  };
  Open();
  EXPECT_EQ(StepOverOneMore(), Next::kWait);
  EXPECT_EQ(runner->runnable(), kRunnableRowsMax - 1);
  EXPECT_EQ(StepOverOneMore(), Next::kWait);
  EXPECT_EQ(runner->runnable(), kRunnableRowsMax);
  EXPECT_EQ(taken_in(), 2);
  EXPECT_EQ(StepOverOneMore(), Next::kFull);
  EXPECT_EQ(taken_in(), 2);

  const auto deliveries = runner->TakeDeliveries();
  Finish(deliveries[0]);
  Step();
  EXPECT_EQ(taken_in(), 2);
  Step();
  EXPECT_EQ(taken_in(), 3);
  EXPECT_EQ(StepOverOneMore(), Next::kFull);
  Finish(deliveries[1], absl::FailedPreconditionError("parks"));
  Step();
  Step();
  EXPECT_EQ(runner->parked_keys(), 1);
  EXPECT_EQ(taken_in(), 4);
}

// A million of them.
TEST_F(ReactorLimits, OfTimersStopAtOneMoreWhileTheyCanBeReplaced) {
  if (testing::CasesOrSome("LEFTFOLD_TIMER_LIMITS", 1, 0) == 0)
    GTEST_SKIP() << "LEFTFOLD_CASES=full has it";
  constexpr std::int64_t kEvents = 10, kOfAnEvent = std::int64_t{kReactorTimersMax} / kEvents;
  on_event = [this](std::int64_t n, Outbox& outbox) {
    if (n == kEvents + 1) return outbox.WakeAt(now() + absl::Hours(1), "1-0");  // There already.
    for (std::int64_t i = 0; i < kOfAnEvent; ++i)
      outbox.WakeAt(now() + absl::Hours(1), fmt::format("{}-{}", n, i));
  };
  Open();
  for (std::int64_t n = 1; n <= kEvents + 1; ++n) EXPECT_EQ(StepOverOneMore(), Next::kWait) << n;
  EXPECT_EQ(runner->timers(), kReactorTimersMax);
  const Position before = runner->checkpoint();
  on_event = [this](std::int64_t, Outbox& outbox) { outbox.WakeAt(now(), "one more"); };
  EXPECT_EQ(StepOverOneMore(), Next::kStopped);
  EXPECT_THAT(Stopped(), HasSubstr("it has more than 1000000 timers"));
  EXPECT_EQ(runner->timers(), kReactorTimersMax);
  EXPECT_EQ(runner->checkpoint(), before);
}

TEST_F(ReactorLimits, OfDeliveriesOfAnEventStopAtOneMoreThoughResultsLeadToIt) {
  on_event = [](std::int64_t, Outbox& outbox) { outbox.Send(Command()); };
  on_result = [](Outbox& outbox) { outbox.Send(Command()); };
  const std::string path = folder.path() + "/limited.db";
  Open(path);
  EXPECT_EQ(StepOverOneMore(), Next::kWait);
  // It has led to so many before.
  ASSERT_TRUE(runner->connection().Begin().ok());
  sql::WriteNextNumber(runner->connection(), Position{1}, kDeliveriesPerEventMax - 1);
  ASSERT_TRUE(runner->connection().Commit().ok());
  runner.reset();
  Open(path);
  EXPECT_EQ(DeliverOne(), Next::kWait);
  EXPECT_EQ(DeliverOne(), Next::kStopped);
  EXPECT_THAT(Stopped(), HasSubstr("the event at position 1 led to 1048576 deliveries: do its "
                                   "results lead to ever more?"));
  EXPECT_EQ(runner->runnable(), 1U);  // What is there is not lost.
}

TEST_F(ReactorLimits, OfNamesAndKeysParkTheEventThatGoesBeyond) {
  const std::string longest(kTimerNameBytesMax, 'x');
  on_event = [&](std::int64_t n, Outbox& outbox) {
    if (n == 1) {
      outbox.WakeAt(now() + absl::Hours(1), longest);
      outbox.Send(Command(), longest);
    }
    if (n == 2) outbox.WakeAt(now() + absl::Hours(1), longest + "x");
    if (n == 3) outbox.SendAt(now() + absl::Hours(1), "", Command());
    if (n == 4) outbox.Cancel(longest + "x");
    if (n == 5) outbox.Send(Command(), longest + "x");
  };
  Open();
  StepOverOneMore();
  EXPECT_EQ(runner->timers(), 1U);
  ASSERT_THAT(runner->TakeDeliveries(), SizeIs(1));
  for (int n = 2; n <= 5; ++n) {
    StepOverOneMore();
    EXPECT_THAT(runner->TakeDeliveries(), IsEmpty());
    Step();
    EXPECT_EQ(runner->parked_keys(), n - 1);
  }
  EXPECT_EQ(runner->timers(), 1U);
  std::vector<std::string> errors;
  const auto parked = runner->ListParked(0, 10);
  ASSERT_TRUE(parked.ok()) << parked.status();
  for (const ParkedDelivery& one : *parked) errors.push_back(one.parked.error());
  EXPECT_THAT(errors, ElementsAre("a timer's name has 513 bytes, not 1 to 512",
                                  "a timer's name has 0 bytes, not 1 to 512",
                                  "a timer's name has 513 bytes, not 1 to 512",
                                  "a key has 513 bytes, more than 512"));
}

class ReactorJitter : public ReactorLimits {
 protected:
  static constexpr int kKeys = 200;
  static constexpr std::size_t kAttempts = 6;

  // The delays of each attempt, of all keys.
  std::vector<std::vector<absl::Duration>> Delays(double jitter) {
    retry() = {.attempts = static_cast<int>(kAttempts) + 1,
               .first_delay = absl::Seconds(1),
               .multiplier = 2,
               .ceiling = absl::Seconds(10),
               .jitter = jitter};
    on_event = [](std::int64_t, Outbox& outbox) { SendMany(kKeys, outbox); };
    Open();
    StepOverOneMore();
    std::vector<std::vector<absl::Duration>> delays;
    for (std::size_t attempt = 1; attempt <= kAttempts; ++attempt) {
      for (const Delivery& delivery : runner->TakeDeliveries())
        Finish(delivery, absl::UnavailableError("away"));
      Step();
      auto& of_attempt = delays.emplace_back();
      for (const auto& [id, delay] : runner->TakeDelayed()) {
        of_attempt.push_back(delay);
        runner->Undelay(id);
      }
      EXPECT_THAT(of_attempt, SizeIs(kKeys));
    }
    return delays;
  }
  static absl::Duration Without(std::size_t attempt) {
    return std::min(absl::Seconds(1U << attempt), absl::Seconds(10));
  }
};

TEST_F(ReactorJitter, LiesWithinItsBoundsAndKeysDiffer) {
  std::mt19937_64 random(testing::Seed());
  const double jitter = std::uniform_real_distribution(0.1, 1.0)(random);
  const auto delays = Delays(jitter);
  for (std::size_t attempt = 0; attempt < kAttempts; ++attempt) {
    const absl::Duration middle = Without(attempt);
    const auto [least, most] = std::minmax_element(delays[attempt].begin(), delays[attempt].end());
    EXPECT_GE(*least, middle * (1 - jitter));
    EXPECT_LE(*most, middle * (1 + jitter));
    // They fill what they may.
    EXPECT_LT(*least, middle * (1 - 0.8 * jitter));
    EXPECT_GT(*most, middle * (1 + 0.8 * jitter));
    EXPECT_THAT(std::set(delays[attempt].begin(), delays[attempt].end()), SizeIs(kKeys));
  }
}

TEST_F(ReactorJitter, IsNoneWhereThePolicyHasNone) {
  const auto delays = Delays(0);
  for (std::size_t attempt = 0; attempt < kAttempts; ++attempt)
    EXPECT_THAT(delays[attempt], Each(Without(attempt)));
}

}  // namespace
}  // namespace leftfold::reacting
