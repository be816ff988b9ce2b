#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <random>
#include <regex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "event_store/event_store.h"
#include "event_store/verify.h"
#include "testing/environment.h"
#include "testing/event_store_contract.h"
#include "testing/sanitized.h"

namespace leftfold {
namespace {

using testing::Describe;
using testing::StoreOnScheduler;

constexpr std::uint64_t kOperations = 100'000;
// Of a log; then another one begins, with the next seed.
constexpr int kOperationsOfALog = 5'000;
constexpr int kLogsAtATime = 4;
// What the remote store gets of it: each is several messages over a socket.
constexpr std::uint64_t kRemoteOperations = kOperations / 4;
constexpr std::uint64_t kSomeRemoteOperations = testing::kSanitized ? 500 : 2'500;

int OperationsOfARun() {
  return static_cast<int>(testing::Cases("LEFTFOLD_OPERATIONS", kOperations));
}

// Makes operations on few streams and few command ids, so that they meet.
class Operations {
 public:
  explicit Operations(std::uint64_t seed) : random_(seed) {}

  int Below(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }
  std::string Stream() { return fmt::format("{}-s{}", Below(2) == 0 ? "room" : "desk", Below(6)); }
  std::string CommandId() { return fmt::format("c{}", Below(400)); }
  std::size_t EventsMax() { return Below(3) == 0 ? 1'000 : static_cast<std::size_t>(1 + Below(5)); }
  std::size_t BytesMax() { return Below(3) == 0 ? 8 << 20 : static_cast<std::size_t>(Below(60)); }
  Direction Way() { return Below(2) == 0 ? Direction::kForward : Direction::kBackward; }

  StreamCheck Check() {
    switch (Below(8)) {
      case 0:
        return NoStream{};
      case 1:
        return StreamExists{};
      case 2:
        return Exactly{Version{Below(20) - 1}};
      default:
        return Any{};
    }
  }

  std::vector<QueryItem> Items() {
    std::vector<QueryItem> items(static_cast<std::size_t>(1 + Below(2)));
    for (QueryItem& item : items) {
      if (Below(2) == 0) item.types.push_back(fmt::format("test.T{}", Below(5)));
      for (int tags = Below(3); tags > 0; --tags) item.tags.push_back({"k", std::to_string(tags)});
    }
    return items;
  }

  EventFilter Filter() {
    EventFilter filter;
    if (Below(2) == 0) filter.categories = {Below(2) == 0 ? "room" : "desk"};
    if (Below(3) == 0) filter.stream_prefix = Stream();
    if (Below(2) == 0) filter.items = Items();
    return filter;
  }

  AppendRequest Append() {
    AppendRequest request;
    const int streams = 1 + Below(3);
    for (int i = 0; i < streams; ++i) {
      StreamAppend& append = request.streams.emplace_back();
      append.stream = Stream();  // Now and then the same twice, which is refused.
      append.check = Check();
      for (int events = Below(4); events > 0; --events) append.events.push_back(Event());
    }
    request.metadata = std::string(static_cast<std::size_t>(Below(3)), 'm');
    if (Below(4) == 0) request.condition = AppendCondition{Items(), Position{Below(9'000)}};
    if (Below(2) == 0) {
      request.command = CommandRecord{CommandId(), Digest{static_cast<std::uint8_t>(Below(2))},
                                      fmt::format("a{}", Below(9)), fmt::format("n{}", Below(9))};
    }
    return request;
  }

 private:
  NewEvent Event() {
    NewEvent event = testing::EventOf(std::string(static_cast<std::size_t>(Below(40)), 'p'));
    event.event_id = DerivedUuid("differential", ++events_);
    event.type = fmt::format("test.T{}", Below(5));
    event.encoding = Below(4) == 0 ? Encoding::kJson : Encoding::kProtobuf;
    for (int tags = Below(3); tags > 0; --tags) event.tags.push_back({"k", std::to_string(tags)});
    return event;
  }

  std::mt19937_64 random_;
  int events_ = 0;
};

std::string Describe(const std::vector<RecordedEvent>& events) {
  std::string out;
  for (const RecordedEvent& event : events) out += testing::Describe(event) + "\n";
  return out;
}
std::string Describe(const absl::StatusOr<std::vector<RecordedEvent>>& events) {
  return events.ok() ? Describe(*events) : events.status().ToString();
}
std::string Describe(const absl::StatusOr<ReadAllResult>& read) {
  if (!read.ok()) return read.status().ToString();
  return Describe(read->events) + fmt::to_string(read->through.value);
}

// Does one operation on a store and tells its result.
std::string Apply(Operations& operations, StoreOnScheduler& log) {
  EventStore& store = log.store();
  switch (operations.Below(14)) {
    case 0:
      return Describe(store.ReadStream(operations.Stream(), {.from = Version{operations.Below(25)},
                                                             .direction = operations.Way(),
                                                             .events_max = operations.EventsMax(),
                                                             .bytes_max = operations.BytesMax()}));
    case 1:
      return Describe(store.ReadAll({.from = Position{operations.Below(4'000)},
                                     .direction = operations.Way(),
                                     .events_max = operations.EventsMax(),
                                     .bytes_max = operations.BytesMax()}));
    case 2:
      return Describe(store.ReadAll({.from = Position{operations.Below(4'000)},
                                     .direction = operations.Way(),
                                     .events_max = operations.EventsMax(),
                                     .bytes_max = operations.BytesMax(),
                                     .filter = operations.Filter()}));
    case 3: {
      const auto found = store.FindCommand(operations.CommandId());
      if (!found.ok()) return found.status().ToString();
      return *found ? ToHex(AsBytes((*found)->request_hash)) + Describe((*found)->receipt) : "none";
    }
    case 4:
      return fmt::to_string(store.StreamVersion(operations.Stream()).value().value);
    case 5: {
      const auto streams =
          store.ListStreams({.category = operations.Below(2) == 0 ? "room" : "",
                             .after = operations.Stream(),
                             .streams_max = static_cast<std::size_t>(1 + operations.Below(5))});
      if (!streams.ok()) return streams.status().ToString();
      std::string out;
      for (const StreamInfo& info : *streams)
        out += fmt::format("{}@{} ", info.stream, info.version.value);
      return out;
    }
    case 6: {
      const absl::Duration back = absl::Milliseconds(operations.Below(5'000'000));
      return fmt::to_string(store.PositionBefore(log.clock().Now() - back).value().value);
    }
    case 7:
      log.clock().Advance(absl::Milliseconds(operations.Below(2'000) - 900));
      return "";
    default: {
      std::vector<AppendRequest> group;
      for (int n = 1 + operations.Below(4); n > 0; --n) group.push_back(operations.Append());
      std::string out;
      for (const auto& receipt : log.AppendTogether(std::move(group)))
        out += Describe(receipt) + "\n";
      return out + fmt::to_string(store.GetHead().position.value);
    }
  }
}

// Which of several events that fit a condition is named depends on which appends came into one
// group, and what comes over a socket is grouped as it arrives.
std::string WithoutMatch(const std::string& text) {
  static const std::regex kMatch("the event at position [0-9]+,");
  return std::regex_replace(text, kMatch, "an event");
}

// Compares a kind of store with the one in memory.
void Compare(const testing::StoreKind& kind, std::uint64_t seed, int count) {
  SCOPED_TRACE(fmt::format("LEFTFOLD_SEED={}", seed));
  Operations for_memory(seed);
  Operations for_other(seed);
  StoreOnScheduler memory(testing::MemoryStore(), seed);
  StoreOnScheduler other(kind, seed);
  for (int i = 0; i < count; ++i) {
    const std::string expected = Apply(for_memory, memory);
    const std::string actual = Apply(for_other, other);
    if (actual != expected) {
      ASSERT_EQ(WithoutMatch(actual), WithoutMatch(expected)) << "operation " << i;
    }
    if (i % 1'000 == 999) other.Reopen();
  }
  EXPECT_GT(memory.store().GetHead().position, Position{count / 5});
  ReadAllOptions from{.from = kBeforeFirst};
  while (from.from < memory.store().GetHead().position) {
    const auto expected = memory.store().ReadAll(from);
    ASSERT_TRUE(expected.ok()) << expected.status();
    ASSERT_EQ(Describe(other.store().ReadAll(from)), Describe(expected));
    from.from = expected->through;
  }
  for (StoreOnScheduler* log : {&memory, &other}) {
    const absl::Status verified = VerifyLog(log->store(), [](auto, auto) {});
    EXPECT_TRUE(verified.ok()) << verified;
  }
}

void CompareLogs(const testing::StoreKind& kind, int count) {
  const std::uint64_t seed = testing::SeedOr(20'260'101);
  std::atomic<int> begun = 0;
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < kLogsAtATime; ++thread) {
    threads.emplace_back([&] {
      while (!::testing::Test::HasFailure()) {
        const int log = begun++;
        const int left = count - log * kOperationsOfALog;
        if (left <= 0) return;
        Compare(kind, seed + static_cast<std::uint64_t>(log), std::min(left, kOperationsOfALog));
      }
    });
  }
}

TEST(EventStoreDifferential, SqliteAnswersAsMemoryDoes) {
  CompareLogs(testing::SqliteStore(), OperationsOfARun());
}

TEST(EventStoreDifferential, RecentEventsAreReadAsMemoryDoes) {
  CompareLogs(testing::RecentStore(), OperationsOfARun() / 4);
}

TEST(EventStoreDifferential, ARemoteStoreAnswersAsMemoryDoes) {
  CompareLogs(testing::RemoteStore(),
              static_cast<int>(testing::CasesOrSome("LEFTFOLD_OPERATIONS", kRemoteOperations,
                                                    kSomeRemoteOperations)));
}

}  // namespace
}  // namespace leftfold
