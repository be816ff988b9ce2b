// The checker of R1 to R15 sees: a sound history of all kinds of things seen has nothing wrong, and
// each fault that is built into it is found, as the guarantee that it breaks, by the fewest of the
// things seen.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <ostream>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/ids.h"
#include "testing/event_store_contract.h"
#include "testing/faulty_log.h"
#include "testing/guarantee_checker.h"

namespace leftfold::testing {
namespace {

constexpr int kRounds = 12;

AppendRequest AskOf(const std::string& id, const std::string& stream, int events) {
  std::vector<std::string> payloads;
  for (int n = 0; n < events; ++n) payloads.push_back(fmt::format("{}/{}", id, n));
  AppendRequest request = CommandOf(AppendOf(stream, payloads), id);
  for (int n = 0; n < events; ++n)
    request.streams[0].events[static_cast<std::size_t>(n)].event_id = DerivedUuid(id, n);
  return request;
}

// How many events a stream has: the only view.
std::string CountOf(const seen::Shown& shown, std::span<const RecordedEvent> events) {
  return fmt::to_string(std::count_if(
      events.begin(), events.end(), [&](const RecordedEvent& e) { return e.stream == shown.key; }));
}

// A sound system, and all that was seen of it. The events of command r<n> stand at 2n+1 and 2n+2.
class GuaranteesOfAll : public ::testing::Test {
 protected:
  GuaranteesOfAll() {
    for (int n = 0; n < kRounds; ++n) Live(n);
    for (const RecordedEvent& event : log_.All()) {
      See(seen::Read{"a reader", Before(event), event});
      See(seen::Delivered{"a subscriber", "", Before(event), event});
      See(seen::Delivered{"one of a category", CategoryOfEvent(event), event.category_previous,
                          event});
    }
    See(seen::DiskFailed{"the first life"});
    See(seen::Restarted{});
    for (const RecordedEvent& event : log_.All()) {
      See(seen::Shown{"count", event.stream, event.position,
                      CountOf({"", event.stream, event.position, ""},
                              std::span(all_).first(Index(event.position)))});
      for (const char* where : {"here", "in another time zone"})
        See(seen::Folded{"count", event.position, ToString(event.event_id), where});
      See(seen::WentOn{"count", event.position, event.chain});
      See(seen::Measured{"bytes of the write-ahead log", 1'000, 1'000});
    }
    final_.owed = owed_;
  }
  static std::size_t Index(Position position) { return static_cast<std::size_t>(position.value); }
  static Position Before(const RecordedEvent& event) { return Position{event.position.value - 1}; }
  static std::string CategoryOfEvent(const RecordedEvent& event) {
    return std::string(CategoryOf(event.stream));
  }
  void See(Sight sight) { checker_.Saw(std::move(sight)); }

  // A command that is answered twice, one that is refused, one that is decided to be nothing, a
  // race for a version, and something done outside.
  void Live(int n) {
    const std::string id = fmt::format("r{}", n);
    const std::string stream = fmt::format("{}-{}", n % 2 == 0 ? "room" : "note", n % 3);
    const AppendRequest request = AskOf(id, stream, 2);
    See(seen::Asked{request});
    const Receipt receipt = *log_.Append(request);
    See(seen::Answered{id, receipt, "the first life"});
    See(seen::Answered{id, receipt, "the first life"});
    See(seen::AskedToTheEnd{id});
    See(seen::AskedOtherwise{id, false});
    See(seen::Asked{AskOf(id + "-refused", stream, 1)});
    See(seen::Refused{id + "-refused"});
    See(seen::AskedToTheEnd{id + "-refused"});
    const AppendRequest nothing = AskOf(id + "-nothing", stream, 0);
    See(seen::Asked{nothing});
    See(seen::Answered{id + "-nothing", *log_.Append(nothing), "the first life"});
    const std::int64_t at = std::int64_t{10} * n;
    See(seen::Attempted{"note-9", {at, at + 5, n - 1, true, 0}});
    See(seen::Attempted{"note-9", {at + 1, at + 6, n - 1, false, n}});
    See(seen::Done{"mail of " + id});
    owed_.insert("mail of " + id);
    all_ = log_.All();
  }

  StoreOnScheduler log_{MemoryStore()};
  std::vector<RecordedEvent> all_;
  std::set<std::string> owed_;
  GuaranteeChecker checker_;
  FinalStores final_{log_.store(), CountOf};
};

TEST_F(GuaranteesOfAll, NothingIsWrongWithASoundHistory) {
  EXPECT_EQ(checker_.Check(final_), "");
  EXPECT_GT(checker_.sights().size(), 300U);
}

// What is wrong in the end, or was seen: `sights` of the latter show it.
struct PlantedBug {
  std::string name;
  int guarantee;
  std::size_t sights;
  std::function<void(FaultyStore& store)> in_store = nullptr;
  std::vector<Sight> seen_too = {};
  bool fits = true;  // Positions, versions and chain are made to fit again.
  std::set<std::string> owed_too = {};
};
void PrintTo(const PlantedBug& bug, std::ostream* out) { *out << bug.name; }

RecordedEvent Sample(std::int64_t position) {
  RecordedEvent event;
  event.position = Position{position};
  return event;
}
Receipt Another() {
  Receipt receipt;
  receipt.position = Position{99};
  return receipt;
}
void Lose(FaultyStore& store, std::int64_t position) {
  store.events.erase(store.events.begin() + position - 1);
}
RecordedEvent& At(FaultyStore& store, std::int64_t position) {
  return store.events[static_cast<std::size_t>(position - 1)];
}

// Places: r11 is the last, of note-2, at 23 and 24.
std::vector<PlantedBug> PlantedBugs() {
  return {
      {"an append that was answered is lost as a whole", 1, 2,
       [](FaultyStore& s) { s.events.resize(22), s.commands.erase("r11"); }},
      {"what was decided to be nothing is forgotten", 1, 2,
       [](FaultyStore& s) { s.commands.erase("r4-nothing"); }},
      {"a stored payload is another one", 1, 1, [](FaultyStore& s) { At(s, 7).payload += "x"; }},
      {"a stored event is in another stream", 1, 1,
       [](FaultyStore& s) { At(s, 24).stream = "note-7"; }},
      {"half of an append is lost", 2, 1, [](FaultyStore& s) { s.events.resize(23); }},
      {"the events of an append are apart", 2, 1,
       [](FaultyStore& s) { std::swap(At(s, 22), At(s, 23)); }},
      {"what was refused is there",
       2,
       2,
       [](FaultyStore& s) { s.commands["r3-again"] = s.commands.at("r3"); },
       {seen::Asked{AskOf("r3-again", "note-0", 0)}, seen::Refused{"r3-again"}}},
      {"events without their receipt",
       2,
       1,
       [](FaultyStore& s) {
         s.events.push_back(At(s, 24));
         s.events.back().event_id = DerivedUuid("r12", 0);
         s.events.back().payload = "r12/0";
       },
       {seen::Asked{AskOf("r12", "note-2", 1)}}},
      {"a version is left out", 3, 0, [](FaultyStore& s) { ++At(s, 24).version.value; }, {}, false},
      {"a version is there twice",
       3,
       0,
       [](FaultyStore& s) { --At(s, 24).version.value; },
       {},
       false},
      {"a position is left out",
       4,
       0,
       [](FaultyStore& s) { ++At(s, 24).position.value; },
       {},
       false},
      {"an event in the middle is lost", 4, 0, [](FaultyStore& s) { Lose(s, 9); }, {}, false},
      {"a reader is past an event that came late",
       4,
       1,
       nullptr,
       {seen::Read{"a late reader", Position{4}, Sample(6)}}},
      {"a version has two winners",
       5,
       2,
       nullptr,
       {seen::Attempted{"note-9", {1'000, 1'001, 4, true, 0}}}},
      {"a version was made before the one before it",
       5,
       2,
       nullptr,
       {seen::Attempted{"note-8", {50, 60, -1, true, 0}},
        seen::Attempted{"note-8", {1, 2, 0, true, 0}}}},
      {"an append was refused at the version that it expected",
       5,
       1,
       nullptr,
       {seen::Attempted{"note-9", {71, 72, 6, false, 6}}}},
      {"a refusal saw the past",
       5,
       2,
       nullptr,
       {seen::Attempted{"note-9", {1'000, 1'001, 7, false, 3}}}},
      {"a retry is answered another receipt",
       6,
       2,
       nullptr,
       {seen::Answered{"r5", Another(), "the second life"}}},
      {"another content is accepted under an id",
       6,
       1,
       nullptr,
       {seen::AskedOtherwise{"r5", true}}},
      {"a command was carried out twice", 6, 0,
       [](FaultyStore& s) {
         s.events.push_back(At(s, 24));
         s.events.back().event_id = DerivedUuid("again", 0);
       }},
      {"an event is stored twice", 6, 0, [](FaultyStore& s) { s.events.push_back(At(s, 24)); }},
      {"an outcome never becomes known",
       7,
       1,
       nullptr,
       {seen::Asked{AskOf("lost", "note-1", 1)}, seen::AskedToTheEnd{"lost"}}},
      {"an event is folded twice",
       8,
       1,
       nullptr,
       {seen::Shown{"count", "room-0", Position{2}, "3"}}},
      {"an event is passed over by a view",
       8,
       1,
       nullptr,
       {seen::Shown{"count", "room-0", Position{2}, "1"}}},
      {"a view is beyond the log",
       8,
       1,
       nullptr,
       {seen::Shown{"count", "room-0", Position{25}, "4"}}},
      {"a subscriber is told of an event again",
       9,
       1,
       nullptr,
       {seen::Delivered{"a repeater", "", Position{5}, Sample(5)}}},
      {"a subscriber skips at the hand-over",
       9,
       1,
       nullptr,
       {seen::Delivered{"a skipper", "", Position{5}, Sample(7)}}},
      {"a category's subscriber skips",
       9,
       1,
       nullptr,
       {seen::Delivered{"a skipper", "room", Position{2}, Sample(9)}}},
      {"a queue grows beyond its limit",
       10,
       1,
       nullptr,
       {seen::Measured{"queued commands", 1'001, 1'000}}},
      {"a changed byte is in the log",
       11,
       0,
       [](FaultyStore& s) { At(s, 7).payload += "x"; },
       {},
       false},
      {"a changed byte is served",
       11,
       1,
       nullptr,
       {seen::Read{"a reader", Position{0}, Sample(1)}}},
      {"an answer after a sync that failed",
       12,
       2,
       nullptr,
       {seen::Answered{"r5-nothing", Another(), "the first life"}}},
      {"another time zone gives another view",
       13,
       2,
       nullptr,
       {seen::Folded{"count", Position{5}, "another hash", "far away"}}},
      {"a mail is sent twice", 14, 2, nullptr, {seen::Done{"mail of r3"}}},
      {"a mail is sent by a rebuild",
       14,
       1,
       nullptr,
       {seen::Done{"mail of r12", true}},
       true,
       {"mail of r12"}},
      {"a mail is sent that nothing asked for", 14, 1, nullptr, {seen::Done{"mail of nobody"}}},
      {"a mail is never sent", 14, 0, nullptr, {}, true, {"mail of r13"}},
      {"a view goes on after another log",
       15,
       1,
       nullptr,
       {seen::WentOn{"count", Position{5}, Digest{5}}}},
      {"a view goes on beyond a log that was restored",
       15,
       1,
       nullptr,
       {seen::WentOn{"count", Position{25}, Digest{5}}}},
  };
}

class GuaranteeCheckerWith : public GuaranteesOfAll,
                             public ::testing::WithParamInterface<PlantedBug> {};

TEST_P(GuaranteeCheckerWith, FindsItByTheFewestThingsSeen) {
  const PlantedBug& bug = GetParam();
  std::vector<std::string> ids;
  for (int n = 0; n < kRounds; ++n) {
    ids.push_back(fmt::format("r{}", n));
    ids.push_back(fmt::format("r{}-nothing", n));
  }
  FaultyStore store(log_.store(), ids);
  store.Fit();
  if (bug.in_store) bug.in_store(store);
  if (bug.in_store && bug.fits) store.Fit();
  // What it was seen to be afterwards fits to a log of its own chain only where nothing changed.
  FinalStores final{store, CountOf, owed_};
  final.owed->insert(bug.owed_too.begin(), bug.owed_too.end());
  GuaranteeChecker checker;
  for (const Sight& sight : checker_.sights()) {
    const bool of_chain = std::holds_alternative<seen::Read>(sight) ||
                          std::holds_alternative<seen::Delivered>(sight) ||
                          std::holds_alternative<seen::WentOn>(sight) ||
                          std::holds_alternative<seen::Shown>(sight);
    if (!bug.in_store || !of_chain) checker.Saw(sight);
  }
  for (const Sight& sight : bug.seen_too) checker.Saw(sight);

  const auto found = checker.Find(final);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->violation.guarantee, bug.guarantee) << checker.Check(final);
  EXPECT_EQ(found->sights.size(), bug.sights) << checker.Check(final);
  // With these alone it is found, and without any of them it is not.
  const auto finds_without = [&](std::optional<std::size_t> left_out) {
    GuaranteeChecker fewer;
    fewer.AllowOthers();
    FinalStores with{store, CountOf, std::set<std::string>()};
    for (const std::size_t place : found->sights) {
      const Sight& sight = checker.sights()[place];
      const auto* done = std::get_if<seen::Done>(&sight);
      if (done != nullptr && final.owed->contains(done->key)) with.owed->insert(done->key);
      if (place != left_out) fewer.Saw(sight);
    }
    const auto again = fewer.Find(with);
    return again && again->violation.text == found->violation.text;
  };
  if (!found->sights.empty()) {
    EXPECT_TRUE(finds_without(std::nullopt));
  }
  for (const std::size_t place : found->sights) EXPECT_FALSE(finds_without(place)) << place;
}

INSTANTIATE_TEST_SUITE_P(Bugs, GuaranteeCheckerWith, ::testing::ValuesIn(PlantedBugs()));

TEST(GuaranteeChecker, HasABugBuiltInForEachGuarantee) {
  std::set<int> guarantees;
  for (const PlantedBug& bug : PlantedBugs()) guarantees.insert(bug.guarantee);
  EXPECT_EQ(guarantees.size(), 15U);
  EXPECT_GE(PlantedBugs().size(), 20U);
}

TEST_F(GuaranteesOfAll, SaysInWordsWhatShowsAFault) {
  See(seen::Answered{"r5", Another(), "the second life"});
  const std::string told = checker_.Check(final_);
  EXPECT_NE(told.find("R6: command r5: it was answered another receipt\n2 of "), std::string::npos)
      << told;
  EXPECT_NE(told.find("answered r5: version 0, position 99 the second life"), std::string::npos)
      << told;
}

}  // namespace
}  // namespace leftfold::testing
