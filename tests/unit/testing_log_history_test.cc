#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/ids.h"
#include "event_store/memory/memory_event_store.h"
#include "leftfold/core/v1/event.pb.h"
#include "testing/event_store_contract.h"
#include "testing/faulty_log.h"
#include "testing/log_history.h"

namespace leftfold::testing {
namespace {

using ::testing::HasSubstr;

AppendRequest Request(const std::string& id, const std::string& stream, int events) {
  std::vector<std::string> payloads;
  for (int n = 0; n < events; ++n) payloads.push_back(fmt::format("{}/{}", id, n));
  AppendRequest request = CommandOf(AppendOf(stream, payloads), id);
  for (int n = 0; n < events; ++n)
    request.streams[0].events[static_cast<std::size_t>(n)].event_id = DerivedUuid(id, n);
  return request;
}

// A log in which a, b and c were answered, d was refused, and of e nobody knows.
class History : public ::testing::Test {
 protected:
  History() {
    for (const AppendRequest& request : {a_, b_, c_}) Send(request);
    history_.Asked(d_);
    history_.Refused("d");
    history_.Asked(e_);
  }
  void Send(const AppendRequest& request) {
    history_.Asked(request);
    history_.Answered(request.command->command_id, *store_.Append(request));
  }
  std::string CheckWith(const std::function<void(FaultyStore&)>& fault) {
    FaultyStore store(store_.store(), {"a", "b", "c", "d", "e"});
    fault(store);
    store.Fit();
    return history_.Check(store);
  }

  const AppendRequest a_ = Request("a", "room-1", 2);
  const AppendRequest b_ = Request("b", "room-2", 1);
  const AppendRequest c_ = Request("c", "room-1", 0);
  const AppendRequest d_ = Request("d", "room-1", 2);
  const AppendRequest e_ = Request("e", "room-3", 2);
  StoreOnScheduler store_{{"memory", [](const StoreParts& parts) {
                             return NewMemoryEventStore(parts.writer, parts.completions,
                                                        parts.clock);
                           }}};
  LogHistory history_;
};

TEST_F(History, FindsNothingWhereAllIsKept) {
  EXPECT_EQ(history_.Check(store_.store()), "");
  EXPECT_EQ(CheckWith([](FaultyStore&) {}), "");
}

TEST_F(History, TakesWhatHasAnUnknownOutcomeAsAWholeOrNotAtAll) {
  ASSERT_TRUE(store_.Append(e_).ok());
  EXPECT_EQ(CheckWith([](FaultyStore&) {}), "");
  EXPECT_THAT(CheckWith([](FaultyStore& store) { store.events.pop_back(); }),
              HasSubstr("command e: 1 of its 2 events are there"));
  EXPECT_THAT(CheckWith([](FaultyStore& store) { store.commands.erase("e"); }),
              HasSubstr("command e: its events are there without it"));
  EXPECT_THAT(CheckWith([](FaultyStore& store) { store.events.resize(3); }),
              HasSubstr("command e: its receipt is there without its events"));
}

TEST_F(History, FindsWhatIsLost) {
  EXPECT_THAT(CheckWith([](FaultyStore& store) {
                store.events.pop_back();
                store.commands.erase("b");
              }),
              HasSubstr("command b: it was answered and is not there"));
  EXPECT_THAT(CheckWith([](FaultyStore& store) { store.events.erase(store.events.begin()); }),
              HasSubstr("command a: 1 of its 2 events are there"));
  EXPECT_THAT(CheckWith([](FaultyStore& store) { store.commands.erase("c"); }),
              HasSubstr("command c: it was answered and is not there"));
  EXPECT_THAT(CheckWith([](FaultyStore& store) { store.commands.erase("a"); }),
              HasSubstr("command a: it was answered and is not there"));
}

TEST_F(History, FindsWhatIsThereTwiceOrWasNeverAskedFor) {
  EXPECT_THAT(CheckWith([](FaultyStore& store) { store.events.push_back(store.events.back()); }),
              HasSubstr("the event is there twice"));
  EXPECT_THAT(CheckWith([](FaultyStore& store) {
                store.events.push_back(store.events.back());
                store.events.back().event_id = DerivedUuid("x", 0);
              }),
              HasSubstr("nobody asked for the event"));
}

TEST_F(History, FindsOtherBytesAndOtherPlaces) {
  const auto with_first = [&](const std::function<void(RecordedEvent&)>& change) {
    return CheckWith([&](FaultyStore& store) { change(store.events.front()); });
  };
  const auto bytes = HasSubstr("command a: its event at position 1 has other bytes");
  EXPECT_THAT(with_first([](RecordedEvent& event) { event.payload += "x"; }), bytes);
  EXPECT_THAT(with_first([](RecordedEvent& event) { event.type += "x"; }), bytes);
  EXPECT_THAT(with_first([](RecordedEvent& event) { event.stream = "room-2"; }), bytes);
  EXPECT_THAT(with_first([](RecordedEvent& event) { event.metadata = "x"; }), bytes);
  EXPECT_THAT(with_first([](RecordedEvent& event) { event.encoding = Encoding::kJson; }), bytes);
  EXPECT_THAT(with_first([](RecordedEvent& event) { event.tags = {{"k", "v"}}; }), bytes);
  EXPECT_THAT(CheckWith([](FaultyStore& store) { std::swap(store.events[1], store.events[2]); }),
              HasSubstr("command a: its events do not stand together"));
  EXPECT_THAT(CheckWith([](FaultyStore& store) { std::swap(store.events[0], store.events[1]); }),
              HasSubstr("command a: its events do not stand together"));
  EXPECT_THAT(CheckWith([](FaultyStore& store) {
                std::rotate(store.events.begin(), store.events.begin() + 2, store.events.end());
              }),
              HasSubstr("its receipt has another position than its last event"));
}

TEST_F(History, FindsOtherReceipts) {
  const auto with_receipt = [&](const std::function<void(StoredCommand&)>& change) {
    return CheckWith([&](FaultyStore& store) { change(store.commands["b"]); });
  };
  const auto receipt = HasSubstr("command b: it was answered another receipt");
  EXPECT_THAT(with_receipt([](StoredCommand& b) { b.receipt.version = Version{7}; }), receipt);
  EXPECT_THAT(with_receipt([](StoredCommand& b) { b.receipt.position = Position{2}; }), receipt);
  EXPECT_THAT(with_receipt([](StoredCommand& b) { b.receipt.aggregate_id = "x"; }), receipt);
  EXPECT_THAT(with_receipt([](StoredCommand& b) { b.receipt.created_id = "x"; }), receipt);
  EXPECT_THAT(with_receipt([](StoredCommand& b) { b.request_hash = Digest{9}; }),
              HasSubstr("command b: it has another request hash"));
}

TEST_F(History, FindsWhatWasRefusedAndIsThere) {
  ASSERT_TRUE(store_.Append(d_).ok());
  EXPECT_THAT(CheckWith([](FaultyStore&) {}), HasSubstr("command d: it was refused and is there"));
  history_.ForgetRefusals();
  EXPECT_EQ(CheckWith([](FaultyStore&) {}), "");
}

// Of a command that the server decided, the events are known by its id in their metadata.
class DecidedHistory : public History {
 protected:
  DecidedHistory() {
    const auto receipt = store_.Append(Decided("f", {"one", "two"}));
    history_.AskedToDecide("f");
    history_.Answered("f", *receipt);
    history_.AskedToDecide("g");
  }
  static AppendRequest Decided(const std::string& id, const std::vector<std::string>& payloads) {
    AppendRequest request = CommandOf(AppendOf("room-9", payloads), id);
    core::v1::EventMetadata metadata;
    metadata.set_command_id(id);
    request.metadata = metadata.SerializeAsString();
    return request;
  }
  static RecordedEvent AnotherEvent(RecordedEvent event) {
    event.event_id = DerivedUuid("x", 0);
    return event;
  }
  std::string CheckWith(const std::function<void(FaultyStore&)>& fault) {
    FaultyStore store(store_.store(), {"a", "b", "c", "d", "e", "f", "g"});
    fault(store);
    store.Fit();
    return history_.Check(store);
  }
};

TEST_F(DecidedHistory, FindsNothingWhereAllIsKept) {
  EXPECT_EQ(CheckWith([](FaultyStore&) {}), "");
  ASSERT_TRUE(store_.Append(Decided("g", {"three"})).ok());
  EXPECT_EQ(CheckWith([](FaultyStore&) {}), "");
}

TEST_F(DecidedHistory, FindsWhatIsLostDecidedTwiceOrTakenApart) {
  EXPECT_THAT(CheckWith([](FaultyStore& store) {
                store.events.resize(3);
                store.commands.erase("f");
              }),
              HasSubstr("command f: it was answered and is not there"));
  EXPECT_THAT(CheckWith([](FaultyStore& store) { store.commands.erase("f"); }),
              HasSubstr("command f: it was answered and is not there"));
  EXPECT_THAT(CheckWith([](FaultyStore& store) { store.events.pop_back(); }),
              HasSubstr("command f: its receipt has another position than its last event"));
  EXPECT_THAT(CheckWith([](FaultyStore& store) {
                store.events.push_back(store.events.back());
                store.events.back().event_id = DerivedUuid("x", 0);
              }),
              HasSubstr("command f: its receipt has another position than its last event"));
  EXPECT_THAT(
      CheckWith([](FaultyStore& store) { store.commands["f"].receipt.version = Version{7}; }),
      HasSubstr("command f: it was answered another receipt"));
}

TEST_F(DecidedHistory, KnowsEventsOfOthersOnlyWhereTheyAreAllowed) {
  ASSERT_TRUE(store_.Append(AppendOf("room-8", {"of others"})).ok());
  EXPECT_THAT(CheckWith([](FaultyStore&) {}), HasSubstr("nobody asked for the event"));
  history_.AllowOthers();
  EXPECT_EQ(CheckWith([](FaultyStore&) {}), "");
  EXPECT_THAT(CheckWith([](FaultyStore& store) { store.commands.erase("a"); }),
              HasSubstr("command a: it was answered and is not there"));
}

TEST_F(History, FindsABrokenChain) {
  FaultyStore store(store_.store(), {"a", "b", "c"});
  store.Fit();
  store.events.back().payload += "x";
  EXPECT_THAT(history_.Check(store), HasSubstr("position 3"));
}

}  // namespace
}  // namespace leftfold::testing
