// A schedule without end, as the reactor's engine runs it.

#include <absl/strings/numbers.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "core/registry.h"
#include "event_store/memory/memory_event_store.h"
#include "leftfold/core/v1/event.pb.h"
#include "leftfold/rooms/v1/commands.pb.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "reactor/reactors.h"
#include "server/reactor_deliverer.h"
#include "server/state_loader.h"
#include "testing/parse.h"
#include "testing/scheduler_clock.h"
#include "testing/temporary_folder.h"
#include "testing/virtual_scheduler.h"
#include "write_api/command_handler.h"

namespace leftfold {
namespace rooms {
void Register(Registry& registry);

namespace {

class NoHttp final : public HttpClient {
 public:
  void Send(HttpRequest, std::function<void(absl::StatusOr<HttpReply>)> done) override {
    done(absl::UnavailableError("there is no network"));
  }
};

class RoomSessions : public ::testing::Test {
 protected:
  RoomSessions() {
    Register(registry_);
    store_ = NewMemoryEventStore(scheduler_.Serial(), scheduler_.Pool(), clock_);
    loader_ = std::make_unique<LogStateLoader>(registry_, *store_, nullptr);
    commands_ = std::make_unique<CommandHandler>(registry_, *store_, clock_, scheduler_.Pool());
    deliverer_ = std::make_unique<ReactorDeliverer>(registry_, *commands_, http_, clock_,
                                                    /*mail_folder=*/"", HttpServices{});
    reactors_ = Reactors::Open(registry_.reactors(),
                               {.store = *store_,
                                .loader = *loader_,
                                .deliverer = *deliverer_,
                                .clock = clock_,
                                .executor = scheduler_.Pool()},
                               folder_.path());
    reactors_->Start();
  }
  ~RoomSessions() override {
    reactors_->Stop();
    scheduler_.DropAll();
  }
  template <class Command>
  void Do(const std::string& text) {
    auto command = std::make_unique<Command>(testing::Parse<Command>(text));
    absl::Status done = absl::UnknownError("not handled");
    commands_->Handle(*registry_.FindCommand(Command::descriptor()->full_name()),
                      std::move(command), {}, [&](const auto& result) { done = result.status(); });
    scheduler_.RunReady();
    ASSERT_TRUE(done.ok()) << done;
  }

  testing::TemporaryFolder folder_{testing::FolderInMemory()};
  testing::VirtualScheduler scheduler_{1};
  testing::SchedulerClock clock_{scheduler_};
  NoHttp http_;
  Registry registry_;
  std::unique_ptr<EventStore> store_;
  std::unique_ptr<LogStateLoader> loader_;
  std::unique_ptr<CommandHandler> commands_;
  std::unique_ptr<ReactorDeliverer> deliverer_;
  std::unique_ptr<Reactors> reactors_;
};

// What one event leads to is limited by kDeliveriesPerEventMax, beyond which the reactor stops: as
// many sessions as there may be come from as few deliveries of each event.
TEST_F(RoomSessions, WithoutEndComeFromEverNewEvents) {
  constexpr int kSessions = 60;
  constexpr int kDeliveriesOfASession = 6;
  Do<v1::CreateRoomRequest>("room_id: 'oak' name: 'Oak'");
  Do<v1::ScheduleSessionRequest>(
      "room_id: 'oak' schedule_id: 's' cron: '* * * * *' duration_minutes: 1");
  scheduler_.RunFor(absl::Minutes(kSessions) + absl::Seconds(30));
  int started = 0, ended = 0;
  const auto events = store_->ReadStream("room-oak", {});
  ASSERT_TRUE(events.ok()) << events.status();
  for (const RecordedEvent& event : *events) {
    started += event.type == v1::SessionStarted::descriptor()->full_name();
    ended += event.type == v1::SessionEnded::descriptor()->full_name();
    core::v1::EventMetadata metadata;
    ASSERT_TRUE(metadata.ParseFromString(event.metadata));
    const std::string& id = metadata.command_id();  // "lf:<reactor>:<event>:<n>".
    int number = 0;
    if (!id.starts_with("lf:")) continue;
    ASSERT_TRUE(absl::SimpleAtoi(id.substr(id.rfind(':') + 1), &number)) << id;
    EXPECT_LT(number, kDeliveriesOfASession) << id << " at " << event.position.value;
  }
  EXPECT_EQ(started, kSessions);
  EXPECT_EQ(ended, kSessions - 1) << "the last one runs";
}

}  // namespace
}  // namespace rooms
}  // namespace leftfold
