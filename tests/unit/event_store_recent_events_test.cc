// What is read from memory is what the log would say; where it cannot be known, the log is asked.
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "event_store/recent_events.h"
#include "event_store/sqlite/sqlite_event_store.h"
#include "testing/environment.h"
#include "testing/event_store_contract.h"
#include "testing/temporary_folder.h"
#include "testing/virtual_scheduler.h"

namespace leftfold {
namespace {

RecordedEvent EventAt(std::int64_t position, std::size_t bytes) {
  RecordedEvent event;
  event.position = Position{position};
  event.stream = "room-a";
  event.version = Version{position - 1};
  event.type = "test.Happened";
  event.payload = std::string(bytes, 'x');
  return event;
}

std::vector<RecordedEvent> EventsAt(std::int64_t first, std::int64_t last, std::size_t bytes = 1) {
  std::vector<RecordedEvent> events;
  for (std::int64_t position = first; position <= last; ++position)
    events.push_back(EventAt(position, bytes));
  return events;
}

struct Seen {
  std::vector<std::int64_t> positions;
  std::optional<Position> through;
};

Seen Read(RecentEvents& recent, const ReadAllOptions& options) {
  Seen seen;
  seen.through = recent.Visit(options, [&](const EventView& event) {
    seen.positions.push_back(event.position.value);
    return true;
  });
  return seen;
}

TEST(RecentEvents, AreShownAsTheLogWouldShowThem) {
  const std::uint64_t seed = testing::Seed();
  std::mt19937_64 random(seed);
  const auto below = [&](std::int64_t end) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(end));
  };
  RecentEvents recent(50);
  std::vector<std::size_t> bytes;  // By position, from 1 on.
  for (int step = 0; step < 2'000; ++step) {
    std::vector<RecordedEvent> group;
    for (std::int64_t i = below(8); i > 0; --i) {
      bytes.push_back(static_cast<std::size_t>(below(20)));
      group.push_back(EventAt(static_cast<std::int64_t>(bytes.size()), bytes.back()));
    }
    recent.Add(std::move(group));
    const auto head = static_cast<std::int64_t>(bytes.size());
    const ReadAllOptions options{.from = Position{std::max<std::int64_t>(0, head - below(70) + 2)},
                                 .events_max = static_cast<std::size_t>(1 + below(60)),
                                 .bytes_max = static_cast<std::size_t>(1 + below(300))};
    std::vector<std::int64_t> expected;
    std::size_t sum = 0;
    for (std::int64_t at = options.from.value + 1; at <= head; ++at) {
      sum += bytes[static_cast<std::size_t>(at - 1)];
      if (expected.size() == options.events_max || (sum > options.bytes_max && !expected.empty()))
        break;
      expected.push_back(at);
    }
    const Seen seen = Read(recent, options);
    // The oldest group that is here may go on a little before the 50th event from the end.
    if (head > 0 && head - options.from.value <= 50 - 7) {
      ASSERT_TRUE(seen.through) << step;
    }
    if (!seen.through) continue;
    ASSERT_GE(options.from.value, head - 50) << step;
    ASSERT_EQ(seen.positions, expected) << "seed " << seed << ", step " << step;
    ASSERT_EQ(seen.through->value, expected.empty() ? options.from.value : expected.back());
  }
}

TEST(RecentEvents, WhatTheLogAloneKnowsItIsAsked) {
  RecentEvents recent(100);
  EXPECT_FALSE(Read(recent, {}).through);
  recent.Add(EventsAt(5, 9));
  EXPECT_FALSE(Read(recent, {.from = Position{3}}).through);
  EXPECT_TRUE(Read(recent, {.from = Position{4}}).through);
  EXPECT_FALSE(Read(recent, {.from = Position{9}, .direction = Direction::kBackward}).through);
  EventFilter of_a_room;
  of_a_room.stream = "room-a";
  EXPECT_FALSE(Read(recent, {.from = Position{4}, .filter = of_a_room}).through);
}

TEST(RecentEvents, AreBoundInBytes) {
  RecentEvents recent(1'000);
  constexpr std::size_t kLarge = kRecentBytesMax / 4;
  recent.Add(EventsAt(1, 3, kLarge));
  EXPECT_TRUE(Read(recent, {.from = Position{0}}).through);
  recent.Add(EventsAt(4, 4, kLarge));
  EXPECT_FALSE(Read(recent, {.from = Position{0}}).through);
  EXPECT_TRUE(Read(recent, {.from = Position{3}}).through);
  recent.Add(EventsAt(5, 9, kLarge));  // Too many for themselves.
  EXPECT_FALSE(Read(recent, {.from = Position{9}}).through);
}

TEST(RecentEvents, KeepNoRoomForWhatWasRefused) {
  RecentEvents recent(1'000);
  for (std::int64_t position = 1; position <= 3; ++position) {
    std::vector<RecordedEvent> events;
    events.reserve(kRecentBytesMax / sizeof(RecordedEvent) / 2);
    events.push_back(EventAt(position, 1));
    recent.Add(std::move(events));
  }
  EXPECT_TRUE(Read(recent, {.from = Position{0}}).through);
}

// Tells whenever it is asked for the time.
class TellingClock final : public Clock {
 public:
  absl::Time Now() const override {
    if (tell) tell();
    return absl::UnixEpoch();
  }
  std::function<void()> tell;
};

// The log has a group a moment before memory has it; the sequencer asks for the time in between.
TEST(RecentEvents, WhoHasSeenAnEventInTheLogIsNotToldThatThereIsNone) {
  const testing::TemporaryFolder folder;
  testing::VirtualScheduler scheduler(1);
  TellingClock clock;
  auto store = OpenSqliteEventStore(folder.path(), {.writer = &scheduler.Serial(),
                                                    .completions = &scheduler.Pool(),
                                                    .clock = &clock,
                                                    .recent_events = 100});
  ASSERT_TRUE(store.ok()) << store.status();
  std::vector<std::int64_t> heads;  // What a reader saw, each time.
  const auto append = [&] {
    (*store)->Append(testing::AppendOf("room-a", {"x"}),
                     [](const auto& receipt) { EXPECT_TRUE(receipt.ok()) << receipt.status(); });
    scheduler.RunUntilIdle();
  };
  append();
  clock.tell = [&] {
    const auto read = (*store)->ReadAll({.from = Position{1}});
    ASSERT_TRUE(read.ok()) << read.status();
    heads.push_back(read->through.value);
  };
  append();
  ASSERT_FALSE(heads.empty());
  EXPECT_EQ(heads.back(), 2);
}

// What is read from a file may be anything.
TEST(RecentEvents, AloneAreKnownToBeAsTheyWereRecorded) {
  testing::StoreOnScheduler log(testing::RecentStore());
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(log.Append(testing::AppendOf("room-a", {"x"})).ok());
  const auto linked = [&](std::int64_t from) {
    return log.store().ReadAll({.from = Position{from}})->linked;
  };
  EXPECT_FALSE(linked(0));
  EXPECT_TRUE(linked(5));
  EXPECT_FALSE(
      log.store().ReadAll({.from = Position{8}, .direction = Direction::kBackward})->linked);
  log.Reopen();
  EXPECT_FALSE(linked(5));
}

TEST(RecentEvents, OneThatIsRefusedIsReadAgain) {
  RecentEvents recent(100);
  recent.Add(EventsAt(1, 4));
  const auto through = recent.Visit(
      {.from = Position{0}}, [](const EventView& event) { return event.position.value < 3; });
  EXPECT_EQ(through, Position{2});
}

}  // namespace
}  // namespace leftfold
