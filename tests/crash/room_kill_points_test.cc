// A real server with a provider of rooms, killed at each step of each reactor of the rooms and
// started again: all is done once.
#include <mutex>

#include "leftfold/rooms/v1/commands.grpc.pb.h"
#include "testing/http_server.h"
#include "tests/crash/kill_points.h"

namespace leftfold {
namespace {

using namespace rooms::v1;  // NOLINT(google-build-using-namespace)
using testing::KillCase;
using testing::Stage;

constexpr std::size_t kCreated = 0, kStarted = 1, kEnded = 2, kDeleted = 3;  // Stages.

const std::vector<std::string> kIntakePoints = {"intake_begun", "intake_committed"};
const std::vector<std::string> kMailPoints = {
    "intake_begun", "intake_committed", "delivery_taken",  "file_written",
    "answered",     "result_begun",     "result_committed"};

const std::vector<KillCase> kRoomCases = {
    // Has the provider make the room, then links it.
    {"room",
     kCreated,
     "provision_external_room",
     {"intake_begun", "intake_committed", "delivery_taken", "answered", "result_begun",
      "result_committed", "delivery_taken", "command_accepted", "result_begun",
      "result_committed"}},
    {"room", kCreated, "invitation_mail", kMailPoints},
    {"room", kCreated, "session_ticker", kIntakePoints},
    // Is woken, then starts the session.
    {"room",
     kStarted,
     "session_ticker",
     {"timer_fired", "result_begun", "delivery_taken", "command_accepted", "result_begun",
      "result_committed"}},
    {"room", kStarted, "session_ticker", kIntakePoints},
    {"room",
     kEnded,
     "session_ticker",
     {"timer_fired", "delivery_taken", "command_accepted", "result_begun", "result_committed"}},
    // What a deletion leaves to be cleaned up: invitees are told, and timers taken back.
    {"room", kDeleted, "invitation_mail", kMailPoints},
    {"room", kDeleted, "session_ticker", kIntakePoints},
};

class RoomKillPoints : public testing::KilledStories {
 protected:
  RoomKillPoints()
      : provider_([this](const testing::HttpSeen& seen) {
          const std::string& key = seen.headers.at("idempotency-key");
          const std::lock_guard lock(mu_);
          ++calls_[key];
          return testing::HttpAnswer("{\"external_id\": \"of-" + key + "\"}");
        }) {
    const absl::Time now = absl::Now();
    const absl::Time hour = absl::FromUnixSeconds(absl::ToUnixSeconds(now) / 3'600 * 3'600);
    clock_.JumpTo(hour + absl::Minutes(25) - now);
  }

  std::vector<std::string> Environment() override {
    return {"LEFTFOLD_ROOMS_VIDEO_URL=" + provider_.url()};
  }
  void Connect(const std::shared_ptr<grpc::Channel>& write) override {
    rooms_ = RoomCommandService::NewStub(write);
  }
  // Begins and ends at 25 minutes past an hour.
  std::vector<Stage> StagesOf(const std::string&, const std::string& id) override {
    using Commands = RoomCommandService::Stub;
    const auto act = [this, id](auto rpc, const std::string& text) {
      return [this, id, rpc, text = "room_id: '" + id + "' " + text] {
        return Do(*rooms_, rpc, id, text);
      };
    };
    const auto create = act(&Commands::CreateRoom, "name: 'Oak' external_provider: 'video'");
    const auto invite = act(&Commands::Invite,
                            "invitees { type: 'email' id: 'ann@example.org' } "
                            "invitees { type: 'email' id: 'bob@example.org' } "
                            "invitees { type: 'user' id: 'cid' }");
    const auto decline = act(&Commands::DeclineInvitation, "type: 'email' id: 'bob@example.org'");
    const auto schedule =
        act(&Commands::ScheduleSession, "schedule_id: 's' cron: '0 * * * *' duration_minutes: 15");
    return {{.act = [=] { return create() && invite() && decline() && schedule(); },
             .timers = {{"session_ticker", 1}}},
            {.timers = {{"session_ticker", 2}}, .later = absl::Minutes(40)},
            {.timers = {{"session_ticker", 1}}, .later = absl::Minutes(20)},
            {.act = act(&Commands::DeleteRoom, "")}};
  }

  std::mutex mu_;
  std::map<std::string, int> calls_;  // By idempotency key, under mu_.
  testing::HttpServer provider_;
  std::unique_ptr<RoomCommandService::Stub> rooms_;
};

TEST(RoomKillPoint, ThereAreCasesForEachReactor) {
  EXPECT_EQ(testing::ReactorsOf(kRoomCases), testing::ReactorsOf(rooms::Register));
}

TEST_F(RoomKillPoints, WhereverItIsKilledTheRoomIsAsItShouldBe) {
  const auto points = testing::Cases("LEFTFOLD_KILL_POINTS", testing::PointsOf(kRoomCases));
  ASSERT_NO_FATAL_FAILURE(TellSome(kRoomCases, points));
  for (const std::string once :
       {"ExternalRoomLinked by reactor:provision_external_room",
        "SessionStarted by reactor:session_ticker", "SessionEnded by reactor:session_ticker",
        "Subject: Oak is closed"}) {
    EXPECT_EQ(CountTold("room", once), 1) << once;
  }
  EXPECT_EQ(CountTold("room", "Subject: Invitation to Oak"), 2);
  // A provider that keeps its promise has made one room for each key.
  const std::lock_guard lock(mu_);
  EXPECT_EQ(std::ssize(calls_), CountStories([](const auto&) { return true; }));
}

}  // namespace
}  // namespace leftfold
