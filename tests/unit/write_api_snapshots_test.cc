// Snapshots: when they are taken, of what, which ones a load trusts, and how many events it reads.
#include <gmock/gmock.h>

#include <optional>
#include <string>
#include <vector>

#include "leftfold/rooms/v1/state.pb.h"
#include "tests/unit/write_api_fixture.h"
#include "write_api/aggregate_loader.h"

namespace leftfold::writing {
namespace {

class WriteApiSnapshots : public WriteApi {
 protected:
  // Renames it so often, one durable command after the other; the last name is `name`.
  void RenameOften(const std::string& id, std::int64_t times, const std::string& name) {
    for (std::int64_t i = times - 1; i >= 0; --i) {
      const SentPtr sent = Do(Rename(id, i == 0 ? name : fmt::format("{} before {}", i, name)));
      ASSERT_TRUE(sent->answer.ok()) << sent->status();
    }
  }
  // So many events, the last of which renames it to `name`, and a snapshot of them.
  void MakeWithSnapshot(const std::string& id, std::int64_t events, const std::string& name) {
    Do(Create(id, id));
    RenameOften(id, events - 1, name);
    TakeSnapshots();
  }
  std::optional<Snapshot> Found(const std::string& id) { return snapshots().Find("counter-" + id); }
  // -1: there is none.
  std::int64_t VersionOfSnapshot(const std::string& id) {
    const auto found = Found(id);
    return found ? found->version.value : -1;
  }
  std::string NameIn(const std::optional<Snapshot>& snapshot) {
    rooms::v1::RoomState state;
    return snapshot && state.ParseFromString(snapshot->state) ? state.name() : "(no snapshot)";
  }
  // Puts a snapshot in the place of the one there, but with `change`.
  void Plant(Snapshot snapshot, const std::function<void(Snapshot&)>& change) {
    change(snapshot);
    EXPECT_TRUE(snapshots().Write({snapshot}).ok());
  }
};

TEST_F(WriteApiSnapshots, OneIsTakenWhenSoManyEventsAreDurable) {
  MakeWithSnapshot("oak", kSnapshotEvery - 1, "Ash");
  EXPECT_EQ(VersionOfSnapshot("oak"), -1);
  Do(Rename("oak", "Elm"));
  EXPECT_EQ(VersionOfSnapshot("oak"), -1) << "in the command's way";
  TakeSnapshots();
  const auto taken = Found("oak");
  ASSERT_TRUE(taken.has_value());
  EXPECT_EQ(taken->version.value, kSnapshotEvery - 1);
  EXPECT_EQ(taken->state_type, "leftfold.rooms.v1.RoomState");
  EXPECT_EQ(taken->state_version, 1);
  EXPECT_EQ(taken->chain, base().All().back().chain);
  EXPECT_EQ(NameIn(taken), "Elm");
}

TEST_F(WriteApiSnapshots, TheNextIsTakenAfterAsManyEventsAgain) {
  MakeWithSnapshot("oak", kSnapshotEvery, "Ash");
  RenameOften("oak", kSnapshotEvery - 1, "Elm");
  TakeSnapshots();
  EXPECT_EQ(NameIn(Found("oak")), "Ash");
  Do(Rename("oak", "Fir"));
  TakeSnapshots();
  EXPECT_EQ(NameIn(Found("oak")), "Fir");
  EXPECT_EQ(VersionOfSnapshot("oak"), 2 * kSnapshotEvery - 1);
}

TEST_F(WriteApiSnapshots, TheCountGoesOnAfterARestart) {
  MakeWithSnapshot("oak", kSnapshotEvery, "Ash");
  RenameOften("oak", kSnapshotEvery - 1, "Elm");
  Start();
  Do(Rename("oak", "Elm"));
  TakeSnapshots();
  EXPECT_EQ(NameIn(Found("oak")), "Ash") << "a load alone is no reason";
  Do(Rename("oak", "Fir"));
  TakeSnapshots();
  EXPECT_EQ(NameIn(Found("oak")), "Fir");
}

TEST_F(WriteApiSnapshots, ALoadReadsTheSnapshotsEventAndThoseAfterIt) {
  MakeWithSnapshot("oak", kSnapshotEvery, "Ash");
  RenameOften("oak", 7, "Elm");
  Start();
  EXPECT_EQ(Told(Do(Rename("oak", "Elm"))),
            fmt::format("oak v{0} p{1}", kSnapshotEvery + 6, kSnapshotEvery + 8));
  EXPECT_EQ(store().events_read, 8u);
}

TEST_F(WriteApiSnapshots, ALoadOfAHundredThousandEventsReadsNoMoreThanOneOfAHundred) {
  constexpr int kEvents = 100'000;
  constexpr int kEventsPerAppend = 1'000;
  Do(Create("oak", "Oak"));
  for (int i = 0; i < kEvents / kEventsPerAppend; ++i) {
    AppendRequest request = testing::RenameOf("oak", "Ash");
    auto& events = request.streams.front().events;
    events.resize(kEventsPerAppend, events.front());
    AppendDirectly(std::move(request));
  }
  Run();
  Start();
  Do(Rename("oak", "Ash"));
  EXPECT_EQ(store().events_read, kEvents + 1u) << "there is no snapshot yet";
  TakeSnapshots();
  RenameOften("oak", kSnapshotEvery - 1, "Elm");
  Start();
  Do(Rename("oak", "Elm"));
  EXPECT_EQ(store().events_read, static_cast<std::size_t>(kSnapshotEvery));
}

TEST_F(WriteApiSnapshots, AStreamThatWasLoadedWithoutOneGetsOneAtOnce) {
  Do(Create("oak", "Oak"));
  for (int i = 0; i < 3 * kSnapshotEvery; ++i) AppendDirectly(testing::RenameOf("oak", "Ash"));
  Run();
  Start();
  Do(Rename("oak", "Ash"));
  TakeSnapshots();
  EXPECT_EQ(VersionOfSnapshot("oak"), 3 * kSnapshotEvery);
}

// Whatever is planted says that the counter is not there, so that an answer shows whether the load
// took it.
struct Untrusted {
  const char* name;
  std::function<void(Snapshot&)> change;
};
class WriteApiUntrustedSnapshots : public WriteApiSnapshots,
                                   public ::testing::WithParamInterface<Untrusted> {};

TEST_P(WriteApiUntrustedSnapshots, AreIgnoredAndReplaced) {
  MakeWithSnapshot("oak", kSnapshotEvery + 1, "Ash");
  const Snapshot good = Found("oak").value();
  Plant(good, [&](Snapshot& snapshot) {
    snapshot.state.clear();
    GetParam().change(snapshot);
  });
  Start();
  EXPECT_EQ(Told(Do(Rename("oak", "Ash"))),
            fmt::format("oak v{0} p{1}", kSnapshotEvery, kSnapshotEvery + 2));
  EXPECT_GT(store().events_read, static_cast<std::size_t>(kSnapshotEvery));
  TakeSnapshots();
  EXPECT_EQ(VersionOfSnapshot("oak"), kSnapshotEvery);
  EXPECT_EQ(NameIn(Found("oak")), "Ash");
  EXPECT_EQ(Found("oak")->state_type, good.state_type);
  EXPECT_EQ(Found("oak")->state_version, good.state_version);
  Start();
  Do(Rename("oak", "Ash"));
  EXPECT_EQ(store().events_read, 1u) << "the new one is not used";
}

INSTANTIATE_TEST_SUITE_P(
    Reasons, WriteApiUntrustedSnapshots,
    ::testing::Values(
        Untrusted{"AnotherStateVersion", [](Snapshot& s) { ++s.state_version; }},
        Untrusted{"AnotherStateType", [](Snapshot& s) { s.state_type = "test.Another"; }},
        Untrusted{"AVersionBeyondTheStream", [](Snapshot& s) { s.version.value += 1'000; }},
        Untrusted{"AVersionBeforeTheStream", [](Snapshot& s) { s.version.value = -1; }},
        Untrusted{"TheChainOfAnotherEvent", [](Snapshot& s) { s.version.value -= 1; }},
        Untrusted{"TheChainOfAnotherLog", [](Snapshot& s) { s.chain[31] ^= 1; }},
        Untrusted{"BytesThatDoNotParse", [](Snapshot& s) { s.state = "\xff\xff"; }}),
    [](const auto& tested) { return tested.param.name; });

TEST_F(WriteApiSnapshots, APlantedOneThatFitsIsUsed) {  // Else the tests above prove nothing.
  MakeWithSnapshot("oak", kSnapshotEvery, "Ash");
  Plant(Found("oak").value(), [](Snapshot& snapshot) { snapshot.state.clear(); });
  Start();
  EXPECT_EQ(Told(Do(Rename("oak", "Ash"))), "ROOM_NOT_FOUND");
}

TEST_F(WriteApiSnapshots, OneOfALogThatWentAnotherWayIsIgnored) {
  MakeWithSnapshot("oak", kSnapshotEvery, "Ash");
  const Snapshot old = Found("oak").value();
  // The same stream, as long, in a log that got there by other events.
  testing::StoreOnScheduler other(testing::MemoryStore(), 1);
  for (int i = 0; i < kSnapshotEvery; ++i) {
    ASSERT_TRUE(other.Append(testing::RenameOf("oak", "Theirs")).ok());
  }
  const AggregateEntry& counter = registry().aggregates().front();
  const auto loaded = LoadAggregate(counter, "counter-oak", other.store(), &snapshots());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->snapshot, kNoEventYet);
  EXPECT_EQ(static_cast<const rooms::v1::RoomState*>(loaded->state.get())->name(), "Theirs");
}

TEST_F(WriteApiSnapshots, NothingIsTakenOfWhatIsNotDurable) {
  Do(Create("oak", "Oak"));
  store().Hold();
  std::vector<SentPtr> sent;
  for (int i = 1; i <= 2 * kSnapshotEvery; ++i) {
    sent.push_back(Send(Rename("oak", fmt::to_string(i))));
  }
  Run();
  TakeSnapshots();
  EXPECT_EQ(VersionOfSnapshot("oak"), -1) << "nothing is durable but the creation";
  store().Pass(1);
  Run();
  TakeSnapshots();
  EXPECT_EQ(VersionOfSnapshot("oak"), -1) << "tentative events count";
  store().Pass(kSnapshotEvery + 4);
  Run();
  TakeSnapshots();
  EXPECT_EQ(VersionOfSnapshot("oak"), kSnapshotEvery + 5);
  EXPECT_EQ(NameIn(Found("oak")), fmt::to_string(kSnapshotEvery + 5)) << "others are tentative";
  store().Fail(Reject(core::v1::ERROR_REASON_DISK_FULL, "full"));
  while (store().held() > 0) store().Fail(Reject(core::v1::ERROR_REASON_DISK_FULL, "full"));
  Run();
  TakeSnapshots();
  EXPECT_EQ(Told(sent.back()), "DISK_FULL");
  EXPECT_EQ(NameIn(Found("oak")), fmt::to_string(kSnapshotEvery + 5));
}

TEST_F(WriteApiSnapshots, AFailedCommitIsNoEventTowardsTheNext) {
  MakeWithSnapshot("oak", kSnapshotEvery - 1, "Ash");
  store().Hold();
  Do(Rename("oak", "Elm"));
  store().Fail(Reject(core::v1::ERROR_REASON_DISK_FULL, "full"));
  Run();
  EXPECT_FALSE(background().RunOne()) << "one is asked for";
}

TEST_F(WriteApiSnapshots, AHotAggregateHasThemWhileItsCommandsAreInFlight) {
  Do(Create("oak", "Oak"));
  store().Hold();
  int sent = 0;
  // At no moment is nothing in flight.
  for (; sent < 10; ++sent) Do(Rename("oak", fmt::to_string(sent)));
  for (; sent < 2 * kSnapshotEvery; ++sent) {
    Do(Rename("oak", fmt::to_string(sent)));
    store().Pass(1);
    Run();
  }
  TakeSnapshots();
  EXPECT_GE(VersionOfSnapshot("oak"), kSnapshotEvery - 1);
  EXPECT_EQ(store().held(), 10u);
}

TEST_F(WriteApiSnapshots, AStateThatIsNoMessageHasNone) {
  for (int i = 0; i < 2 * kSnapshotEvery; ++i) {
    rooms::v1::AcceptInvitationRequest take = TakeValue("b1", fmt::to_string(i));
    ASSERT_TRUE(Do(take)->answer.ok());
  }
  EXPECT_FALSE(background().RunOne());
  EXPECT_EQ(snapshots().Find("badge-b1"), std::nullopt);
  Start();
  EXPECT_TRUE(Do(ReleaseValue("b1", fmt::to_string(2 * kSnapshotEvery - 1)))->answer.ok());
}

TEST_F(WriteApiSnapshots, AStreamThatIsAskedForTwiceIsReadOnce) {
  MakeWithSnapshot("oak", kSnapshotEvery, "Ash");
  RenameOften("oak", 2 * kSnapshotEvery, "Elm");
  store().events_read = 0;
  TakeSnapshots();
  EXPECT_EQ(store().events_read, 1u + 2 * kSnapshotEvery);
  EXPECT_EQ(NameIn(Found("oak")), "Elm");
}

TEST_F(WriteApiSnapshots, BeyondTheQueueTheyAreForgotten) {
  const AggregateEntry& counter = registry().aggregates().front();
  std::size_t asked = 0;
  for (; asked < kSnapshotQueueMax + 10; ++asked) {
    AppendDirectly(testing::RenameOf(fmt::format("c{}", asked), "Ash"));
    snapshotter().Ask(counter, fmt::format("counter-c{}", asked));
  }
  Run();
  TakeSnapshots();
  std::size_t taken = 0;
  for (std::size_t i = 0; i < asked; ++i) taken += VersionOfSnapshot(fmt::format("c{}", i)) == 0;
  EXPECT_EQ(taken, kSnapshotQueueMax);
  snapshotter().Ask(counter, fmt::format("counter-c{}", asked - 1));
  TakeSnapshots();
  EXPECT_EQ(VersionOfSnapshot(fmt::format("c{}", asked - 1)), 0) << "there is room again";
}

TEST_F(WriteApiSnapshots, AStateThatIsTooLargeHasNone) {
  AppendDirectly(testing::RenameOf("oak", "Ash"));
  AppendDirectly(testing::RenameOf("elm", "Ash"));
  Run();
  AggregateEntry large = registry().aggregates().front();
  std::size_t bytes = kSnapshotBytesMax;
  large.save = [&](const void*) { return std::string(bytes, 's'); };
  snapshotter().Ask(large, "counter-oak");
  TakeSnapshots();
  EXPECT_EQ(VersionOfSnapshot("oak"), 0);
  ++bytes;
  snapshotter().Ask(large, "counter-elm");
  TakeSnapshots();
  EXPECT_EQ(VersionOfSnapshot("elm"), -1);
}

TEST_F(WriteApiSnapshots, AStreamThatCannotBeLoadedHasNoneAndTheOthersHaveTheirs) {
  AppendDirectly(testing::PoisonOf("oak"));
  AppendDirectly(testing::RenameOf("elm", "Ash"));
  Run();
  snapshotter().Ask(registry().aggregates().front(), "counter-oak");
  snapshotter().Ask(registry().aggregates().front(), "counter-elm");
  TakeSnapshots();
  EXPECT_EQ(VersionOfSnapshot("oak"), -1);
  EXPECT_EQ(VersionOfSnapshot("elm"), 0);
}

// Can neither read nor write.
class BrokenSnapshots final : public SnapshotStore {
 public:
  std::optional<Snapshot> Find(std::string_view) override { return std::nullopt; }
  absl::Status Write(const std::vector<Snapshot>&) override {
    return absl::InternalError("the disk is gone");
  }
};

TEST_F(WriteApiSnapshots, WhereNoneCanBeKeptCommandsGoOn) {
  UseSnapshots(std::make_unique<BrokenSnapshots>());
  Start();
  MakeWithSnapshot("oak", 2 * kSnapshotEvery, "Ash");
  Start();
  EXPECT_EQ(Told(Do(Rename("oak", "Ash"))),
            fmt::format("oak v{} p{}", 2 * kSnapshotEvery - 1, 2 * kSnapshotEvery + 1));
}

}  // namespace
}  // namespace leftfold::writing
