#ifndef TESTS_PROPERTY_HISTORIC_BUGS_H_
#define TESTS_PROPERTY_HISTORIC_BUGS_H_

#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <utility>

#include "core/executor.h"
#include "core/reject.h"
#include "leftfold/store/v1/errors.pb.h"
#include "testing/forwarding_store.h"

// Stores with bugs that other event stores and their readers have had: a test that cannot tell them
// from a sound one proves nothing.
namespace leftfold::testing {

class StoreWithABug : public ForwardingStore {
 public:
  StoreWithABug(EventStore& store, Executor& executor, std::uint64_t seed)
      : ForwardingStore(store), executor_(executor), random_(seed) {}

 protected:
  bool Strikes() { return random_() % 8 == 0; }
  Executor& executor_;

 private:
  std::mt19937_64 random_;
};

// No bug: the log does not answer now and then, while `away` says so.
class GoesAway final : public StoreWithABug {
 public:
  GoesAway(EventStore& store, Executor& executor, std::uint64_t seed, const bool& away)
      : StoreWithABug(store, executor, seed), away_(away) {}
  absl::StatusOr<ReadAllResult> ReadAll(const ReadAllOptions& options) override {
    if (away_ && Strikes()) return Unreachable();
    return store_.ReadAll(options);
  }
  absl::StatusOr<std::vector<RecordedEvent>> ReadStream(std::string_view stream,
                                                        const ReadStreamOptions& options) override {
    if (away_ && Strikes()) return Unreachable();
    return store_.ReadStream(stream, options);
  }

 private:
  static absl::Status Unreachable() {
    return Reject(store::v1::ERROR_REASON_STORE_UNREACHABLE, "the store cannot be reached");
  }
  const bool& away_;
};

// A reader that comes while an earlier append is still on its way does not see it, and is past it
// when it is there: sequences with gaps, in many stores on PostgreSQL (Marten #4977).
class SkipsEvents final : public StoreWithABug {
 public:
  using StoreWithABug::StoreWithABug;
  absl::StatusOr<ReadAllResult> ReadAll(const ReadAllOptions& options) override {
    auto read = store_.ReadAll(options);
    const bool tails = options.direction == Direction::kForward && options.events_max > 1;
    if (tails && read.ok() && read->events.size() > 1 && Strikes())
      read->events.erase(read->events.begin());
    return read;
  }
};

// An append is acknowledged and was never stored (Eventuous #553).
class LosesAppends final : public StoreWithABug {
 public:
  using StoreWithABug::StoreWithABug;
  void Append(AppendRequest request, AppendDone done) override {
    if (!Strikes()) return store_.Append(std::move(request), std::move(done));
    const auto version = store_.StreamVersion(request.streams.front().stream);
    const Receipt receipt{.version = version.value_or(kNoEventYet),
                          .position = store_.GetHead().position,
                          .aggregate_id = request.command ? request.command->aggregate_id : "",
                          .created_id = ""};
    executor_.Post([receipt, done = std::move(done)] { done(receipt); });
  }
};

// What a command answered is forgotten, so that its retry is carried out again (NATS #7302).
class ForgetsCommands final : public StoreWithABug {
 public:
  using StoreWithABug::StoreWithABug;
  void Append(AppendRequest request, AppendDone done) override {
    if (Strikes()) request.command.reset();
    store_.Append(std::move(request), std::move(done));
  }
};

// Who waits for events is not woken (commanded #309).
class LosesWakeUps final : public StoreWithABug {
 public:
  using StoreWithABug::StoreWithABug;
  void WaitPast(Position position, std::function<void()> wake) override {
    if (!Strikes()) store_.WaitPast(position, std::move(wake));
  }
};

// Who has caught up takes what it is notified of for all there is, and does not read what came
// before it listened (commanded's hand-over: some 40 million events).
class HandsOverByNotification final : public StoreWithABug {
 public:
  using StoreWithABug::StoreWithABug;
  void WaitPast(Position position, std::function<void()> wake) override {
    listens_from_ = store_.GetHead().position;
    store_.WaitPast(std::max(position, listens_from_), std::move(wake));
  }
  absl::StatusOr<ReadAllResult> ReadAll(const ReadAllOptions& options) override {
    ReadAllOptions live = options;
    if (options.direction == Direction::kForward && options.from > kBeforeFirst)
      live.from = std::max(live.from, listens_from_);
    return store_.ReadAll(live);
  }

 private:
  Position listens_from_;
};

// A projector that has waited long enough for an event counts it as seen, and goes on with the next
// (Marten #4977). To the one here it is an event that no view knows.
class PassesOverEvents final : public StoreWithABug {
 public:
  using StoreWithABug::StoreWithABug;
  absl::StatusOr<ReadAllResult> ReadAll(const ReadAllOptions& options) override {
    auto read = store_.ReadAll(options);
    if (!read.ok() || options.direction != Direction::kForward) return read;
    for (RecordedEvent& event : read->events) {
      if (Strikes()) event.type = "leftfold.test.v1.TimedOut";
    }
    return read;
  }
};

}  // namespace leftfold::testing
#endif  // TESTS_PROPERTY_HISTORIC_BUGS_H_
