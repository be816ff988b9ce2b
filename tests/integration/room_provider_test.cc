// Rooms that a provider is to have too: the reactor that asks it, over real HTTP, in virtual time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/json_object.h"
#include "core/registry.h"
#include "domains/rooms/room.h"
#include "event_store/memory/memory_event_store.h"
#include "leftfold/core/v1/reactions.pb.h"
#include "reactor/reactors.h"
#include "server/http_client.h"
#include "server/reactor_deliverer.h"
#include "server/state_loader.h"
#include "testing/http_server.h"
#include "testing/parse.h"
#include "testing/scheduler_clock.h"
#include "testing/temporary_folder.h"
#include "testing/virtual_scheduler.h"
#include "write_api/command_handler.h"

namespace leftfold {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::HttpAnswer;
using testing::HttpSeen;
using testing::HttpTold;
using ::testing::IsEmpty;
using testing::Parse;
using ::testing::SizeIs;

constexpr std::string_view kReactor = "provision_external_room";

// Real calls, for whose answers the virtual time stands still.
class CallsElsewhere final : public HttpClient {
 public:
  explicit CallsElsewhere(testing::VirtualScheduler& scheduler) : scheduler_(scheduler) {}
  void Send(HttpRequest request, std::function<void(absl::StatusOr<HttpReply>)> done) override {
    if (timeout < request.timeout) request.timeout = timeout;
    scheduler_.BeginElsewhere();
    curl_.Send(std::move(request), [this, done](absl::StatusOr<HttpReply> reply) {
      scheduler_.Pool().Post([this, done, reply = std::move(reply)] {
        scheduler_.EndElsewhere();
        done(reply);
      });
    });
  }
  absl::Duration timeout = absl::InfiniteDuration();  // Where it is less than the policy's.

 private:
  testing::VirtualScheduler& scheduler_;
  CurlHttpClient curl_;
};

class RoomProvider : public ::testing::Test {
 protected:
  RoomProvider()
      : provider_([this](const HttpSeen& seen) { return Answer(seen); }),
        store_(NewMemoryEventStore(scheduler_.Serial(), scheduler_.Pool(), clock_)) {
    RegisterAllDomains(registry_);
    commands_ =
        std::make_unique<CommandHandler>(registry_, *store_, clock_, scheduler_.Pool(), nullptr);
    loader_ = std::make_unique<LogStateLoader>(registry_, *store_, nullptr);
    for (const ReactorEntry& entry : registry_.reactors()) {
      if (entry.name == kReactor) reactor_.push_back(entry);
    }
    Start({{"rooms_video", {.url = provider_.url(), .api_key = "key"}}});
  }
  void Start(const HttpServices& services) {
    reactors_.reset();
    deliverer_ = std::make_unique<ReactorDeliverer>(registry_, *commands_, http_, clock_,
                                                    folder_.path() + "/mail", services);
    reactors_ = Reactors::Open(reactor_,
                               {.store = *store_,
                                .loader = *loader_,
                                .deliverer = *deliverer_,
                                .clock = clock_,
                                .executor = scheduler_.Pool()},
                               folder_.path());
    reactors_->Start();
  }

  // Longer than all attempts together.
  void RunLong() { scheduler_.RunFor(absl::Hours(1)); }

  template <class Command>
  void Do(const std::string& text) {
    absl::Status status = absl::UnknownError("not answered");
    Caller caller;
    caller.trusted = true;
    commands_->Handle(*registry_.FindCommand(Command::descriptor()->full_name()),
                      std::make_unique<Command>(Parse<Command>(text)), caller,
                      [&](const auto& receipt) { status = receipt.status(); });
    scheduler_.RunReady();
    EXPECT_TRUE(status.ok()) << text << ": " << status;
  }
  void Create(const std::string& id) {
    Do<rooms::v1::CreateRoomRequest>("room_id: '" + id +
                                     "' name: 'Oak' description: 'By the river' "
                                     "external_provider: 'video'");
  }
  template <class Take>
  void ForEachEvent(const std::string& stream, Take take) {
    const auto events = store_->ReadStream(stream, {});
    ASSERT_TRUE(events.ok()) << events.status();
    for (const RecordedEvent& event : *events) take(event);
  }
  std::vector<std::string> TypesIn(const std::string& stream) {
    std::vector<std::string> types;
    ForEachEvent(stream, [&](const RecordedEvent& event) {
      types.push_back(event.type.substr(event.type.rfind('.') + 1));
    });
    return types;
  }
  std::vector<std::string> Troubles() { return TypesIn(fmt::format("reaction-{}", kReactor)); }
  // The last one.
  core::v1::DeliveryParked Parked() {
    core::v1::DeliveryParked parked;
    ForEachEvent(fmt::format("reaction-{}", kReactor),
                 [&](const RecordedEvent& event) { parked.ParseFromString(event.payload); });
    return parked;
  }
  // Under which the provider knows the room.
  std::string LinkOf(const std::string& id) {
    rooms::v1::ExternalRoomLinked linked;
    ForEachEvent("room-" + id, [&](const RecordedEvent& event) {
      if (event.type.ends_with(".ExternalRoomLinked")) linked.ParseFromString(event.payload);
    });
    return linked.external_id();
  }
  // An operator's decision.
  void Retry(const std::string& key) {
    reactors_->Retry(kReactor, key, "ann",
                     [](const auto& recorded) { EXPECT_TRUE(recorded.ok()) << recorded.status(); });
    RunLong();
  }
  void Skip(const std::string& delivery_id) {
    reactors_->Skip(kReactor, delivery_id, "not wanted", "ann",
                    [](const auto& recorded) { EXPECT_TRUE(recorded.ok()) << recorded.status(); });
    RunLong();
  }
  std::vector<HttpSeen> Seen() {
    const std::lock_guard lock(mu_);
    return seen_;
  }
  std::vector<std::string> Keys() {
    std::vector<std::string> keys;
    for (const HttpSeen& seen : Seen()) keys.push_back(seen.headers.at("idempotency-key"));
    return keys;
  }
  // What the provider says to a room's calls, one after the other; then it makes the room.
  void Script(const std::string& id, const std::deque<HttpTold>& told) {
    const std::lock_guard lock(mu_);
    script_[id] = told;
  }

  testing::VirtualScheduler scheduler_{1};
  CallsElsewhere http_{scheduler_};

 private:
  HttpTold Answer(const HttpSeen& seen) {
    const std::lock_guard lock(mu_);
    seen_.push_back(seen);
    const std::string& key = seen.headers.at("idempotency-key");
    auto& script = script_[key];
    if (script.empty()) return HttpAnswer("{\"external_id\": \"v-" + key + "\"}", "201 Created");
    const HttpTold told = script.front();
    script.pop_front();
    return told;
  }

  std::mutex mu_;
  std::vector<HttpSeen> seen_;                          // Under mu_.
  std::map<std::string, std::deque<HttpTold>> script_;  // By room, under mu_.
  testing::HttpServer provider_;
  const testing::TemporaryFolder folder_;
  Registry registry_;
  testing::SchedulerClock clock_{scheduler_};
  std::unique_ptr<EventStore> store_;
  std::unique_ptr<CommandHandler> commands_;
  std::unique_ptr<LogStateLoader> loader_;
  std::unique_ptr<ReactorDeliverer> deliverer_;
  std::deque<ReactorEntry> reactor_;
  std::unique_ptr<Reactors> reactors_;
};

const HttpTold kAway = HttpAnswer("", "503 Service Unavailable");
const HttpTold kSilent = {.bytes = "", .then = HttpTold::Then::kHold};

TEST_F(RoomProvider, MakesARoomThatIsLinked) {
  Create("oak");
  RunLong();
  ASSERT_THAT(Seen(), SizeIs(1));
  const HttpSeen seen = Seen().front();
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.target, "/v1/rooms");
  EXPECT_EQ(seen.headers.at("authorization"), "Bearer key");
  EXPECT_EQ(seen.headers.at("content-type"), "application/json");
  EXPECT_EQ(seen.headers.at("idempotency-key"), "oak");
  const auto body = ParseJsonObject(seen.body);
  ASSERT_TRUE(body) << seen.body;
  EXPECT_EQ(TextField(*body, "room_id"), "oak");
  EXPECT_EQ(TextField(*body, "name"), "Oak");
  EXPECT_EQ(TextField(*body, "description"), "By the river");
  EXPECT_THAT(TypesIn("room-oak"), ElementsAre("RoomCreated", "ExternalRoomLinked"));
  EXPECT_EQ(LinkOf("oak"), "v-oak");
  EXPECT_THAT(Troubles(), IsEmpty());
}

TEST_F(RoomProvider, IsAskedAgainUnderTheSameKeyWhileItIsAway) {
  const HttpTold reset = {.bytes = "", .then = HttpTold::Then::kReset};
  Script("oak", {kAway, HttpAnswer("", "500 Oops"), reset, HttpAnswer("", "429 Slowly"),
                 HttpAnswer("", "408 Late")});
  Create("oak");
  scheduler_.RunFor(absl::Seconds(20));  // 1 + 2 + 4 + 8 + 16 s, less a fifth at the most.
  EXPECT_EQ(LinkOf("oak"), "");
  RunLong();
  EXPECT_THAT(Keys(), AllOf(SizeIs(6), Each("oak")));
  EXPECT_THAT(TypesIn("room-oak"), ElementsAre("RoomCreated", "ExternalRoomLinked"));
  EXPECT_THAT(Troubles(), IsEmpty());
}

struct ProviderSays {
  std::string name;
  HttpTold told;
  std::string error;
};
void PrintTo(const ProviderSays& one, std::ostream* out) { *out << one.name; }
const auto kNameOf = [](const auto& one) { return one.param.name; };

class RoomProviderAway : public RoomProvider, public ::testing::WithParamInterface<ProviderSays> {};

TEST_P(RoomProviderAway, ParksThatRoomUntilAnOperatorHasItTriedAgain) {
  const auto& [name, told, error] = GetParam();
  if (told.then == HttpTold::Then::kHold) http_.timeout = absl::Milliseconds(50);
  Script("oak", std::deque(static_cast<std::size_t>(kOutageRetry.attempts), told));
  Create("oak");
  scheduler_.RunFor(absl::Minutes(14));  // A restart over there of a quarter of an hour is borne.
  EXPECT_THAT(Troubles(), IsEmpty());
  RunLong();
  EXPECT_THAT(Keys(), Each("oak"));
  EXPECT_THAT(Troubles(), ElementsAre("DeliveryParked"));
  EXPECT_EQ(Parked().key(), "room-oak");
  EXPECT_EQ(Parked().attempts(), kOutageRetry.attempts);
  EXPECT_THAT(Parked().error(), HasSubstr(error));
  EXPECT_THAT(TypesIn("room-oak"), ElementsAre("RoomCreated"));

  http_.timeout = absl::InfiniteDuration();
  Script("oak", {});
  Create("elm");
  RunLong();
  EXPECT_EQ(LinkOf("elm"), "v-elm");
  Retry("room-oak");
  EXPECT_EQ(LinkOf("oak"), "v-oak");
  EXPECT_THAT(Troubles(), ElementsAre("DeliveryParked", "RetryRequested", "DeliveredAfterParking"));
}

INSTANTIATE_TEST_SUITE_P(Ways, RoomProviderAway,
                         ::testing::Values(ProviderSays{"Says503", kAway, "the server said 503"},
                                           ProviderSays{"IsSilent", kSilent, "no reply within"}),
                         kNameOf);

// What it says will not be another thing later.
class RoomProviderRefuses : public RoomProvider,
                            public ::testing::WithParamInterface<ProviderSays> {};

TEST_P(RoomProviderRefuses, ParksThatRoomAtOnceUntilAnOperatorGivesItUp) {
  const auto& [name, told, error] = GetParam();
  Script("oak", {told});
  Create("oak");
  RunLong();
  EXPECT_THAT(Keys(), ElementsAre("oak"));
  EXPECT_EQ(Parked().attempts(), 1);
  EXPECT_EQ(Parked().error(), error + "; look there, then retry this");
  Skip(Parked().delivery_id());
  EXPECT_THAT(Keys(), ElementsAre("oak"));
  EXPECT_THAT(Troubles(), ElementsAre("DeliveryParked", "SkipRequested"));
  EXPECT_THAT(TypesIn("room-oak"), ElementsAre("RoomCreated"));
}

const char kLinkable[] = R"({"external_id": "v-17"})";
INSTANTIATE_TEST_SUITE_P(
    Ways, RoomProviderRefuses,
    ::testing::Values(ProviderSays{"Says403", HttpAnswer(kLinkable, "403 No"),
                                   "the provider video answered 403 without an external_id"},
                      ProviderSays{"Says404", HttpAnswer(kLinkable, "404 What"),
                                   "the provider video answered 404 without an external_id"},
                      ProviderSays{"SaysNoId", HttpAnswer("{}", "201 Created"),
                                   "the provider video answered 201 without an external_id"}),
    kNameOf);

TEST_F(RoomProvider, LeavesRoomsAloneThatWereDeletedOrLinkedMeanwhile) {
  for (const std::string id : {"oak", "elm"}) {
    Script(id, {kAway});
    Create(id);
    scheduler_.RunFor(absl::Milliseconds(500));
  }
  Do<rooms::v1::DeleteRoomRequest>("room_id: 'oak'");
  Do<rooms::v1::LinkExternalRoomRequest>("room_id: 'elm' provider: 'video' external_id: 'mine'");
  RunLong();
  EXPECT_THAT(Keys(), SizeIs(4));
  EXPECT_THAT(TypesIn("room-oak"), ElementsAre("RoomCreated", "RoomDeleted"));
  EXPECT_EQ(LinkOf("elm"), "mine");
  EXPECT_THAT(Troubles(), IsEmpty());
}

TEST_F(RoomProvider, WithoutAUrlParksAtOnceAndSaysWhatToSet) {
  Start({});
  Create("oak");
  RunLong();
  EXPECT_THAT(Seen(), IsEmpty());
  EXPECT_EQ(Parked().attempts(), 1);
  EXPECT_THAT(Parked().error(), HasSubstr("LEFTFOLD_ROOMS_VIDEO_URL"));
}

}  // namespace
}  // namespace leftfold
