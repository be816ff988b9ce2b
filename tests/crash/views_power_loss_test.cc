// The whole path, from commands to views that are rebuilt while they are served, on a disk that
// loses its power at any call of SQLite that changes a file, or at which a call fails: after the
// restart every view is its log's fold, at its head, and what was answered is in the log.
// LEFTFOLD_SEED gives one schedule back, LEFTFOLD_POINTS how many points are tried in all suites.

#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <utility>

#include "leftfold/rooms/v1/commands.pb.h"
#include "testing/environment.h"
#include "testing/fake_clock.h"
#include "tests/crash/faulty_disk.h"
#include "tests/property/whole_path_fixture.h"

namespace leftfold {
namespace rooms {
void Register(Registry& registry);
}

namespace testing {
namespace {

constexpr int kRoomCommands = 24;
constexpr int kRooms = 3;
// In the place of a command's number: all views are served.
constexpr int kServed = -1;

// A command with an id of its own.
std::unique_ptr<google::protobuf::Message> RoomCommand(std::uint64_t seed, int n) {
  std::mt19937_64 random(seed * 1'000 + static_cast<std::uint64_t>(n));
  const std::string room = fmt::format("room-{}", random() % kRooms);
  const std::string text(1 + random() % (random() % 8 == 0 ? 190 : 20), static_cast<char>('a' + n));
  const auto with_id = [&](auto command) {
    command.set_room_id(room);
    command.set_command_id(fmt::format("c{}", n));
    return std::make_unique<decltype(command)>(std::move(command));
  };
  switch (random() % 6) {
    case 0:
    case 1: {
      rooms::v1::CreateRoomRequest create;
      create.set_name(text);
      return with_id(std::move(create));
    }
    case 2:
    case 3: {
      rooms::v1::RenameRoomRequest rename;
      rename.set_name(text);
      return with_id(std::move(rename));
    }
    case 4: {
      rooms::v1::ChangeDescriptionRequest describe;
      describe.set_description(text);
      return with_id(std::move(describe));
    }
    default:
      return with_id(rooms::v1::DeleteRoomRequest());
  }
}

// All engines of a process.
class RoomProcess {
 public:
  RoomProcess(const std::string& folder, std::uint64_t seed) : folder_(folder), seed_(seed) {
    rooms::Register(registry_);
    Open();
  }
  void Open() {
    path_.reset();
    path_ = std::make_unique<WholePath>(registry_, clock_, folder_, seed_);
  }
  void Send(int n, std::function<void(const core::v1::CommandReceipt&)> answered) {
    path_->Command(*RoomCommand(seed_, n), {},
                   [answered = std::move(answered)](const auto& receipt) {
                     if (receipt.ok()) answered(*receipt);
                   });
  }
  void BeginRebuild(std::uint64_t nth) {
    const auto& views = registry_.views();
    // It may run already.
    (void)path_->projector().StartRebuild(views[nth % views.size()].name, RebuildAction::kSwitch,
                                          kBeforeFirst,
                                          {.progress = [](const RebuildProgress&) {},
                                           .done = [](const absl::StatusOr<RebuildProgress>&) {}});
  }
  void RunSome(std::uint64_t tasks) {
    while (tasks-- > 0) path_->scheduler().RunOne();
  }
  void RunAll() { path_->scheduler().RunFor(absl::Minutes(1)); }

  bool IsServed() {
    const auto views = path_->projector().ListViews();
    return std::all_of(views.begin(), views.end(),
                       [](const ViewStatus& view) { return view.state == ViewState::kLive; });
  }

  // "" when every view is live, at the head and the fold of the log.
  std::string CheckViews() {
    Projector& projector = path_->projector();
    const Position head = path_->store().GetHead().position;
    for (const ViewStatus& view : projector.ListViews()) {
      if (view.state != ViewState::kLive || view.checkpoint != head) {
        return fmt::format("{} is at {} of {}, state {} {}", view.name, view.checkpoint.value,
                           head.value, static_cast<int>(view.state), view.reason);
      }
      auto rebuild = projector.NewRebuild(view.name, RebuildAction::kVerify, kBeforeFirst);
      if (!rebuild.ok()) return rebuild.status().ToString();
      auto progress = (*rebuild)->Step();
      while (progress.ok() && !progress->finished) progress = (*rebuild)->Step();
      if (!progress.ok()) return fmt::format("{}: {}", view.name, progress.status().ToString());
      if (progress->equal != true) return fmt::format("{} is not its fold", view.name);
    }
    return "";
  }

 private:
  const std::string folder_;
  const std::uint64_t seed_;
  Registry registry_;
  FakeClock clock_;
  std::unique_ptr<WholePath> path_;
};

void WorkOnRooms(const std::string& folder, std::uint64_t seed, std::ostream& answers) {
  std::mt19937_64 random(seed);
  RoomProcess process(folder, seed);
  for (int n = 0; n < kRoomCommands; ++n) {
    process.Send(n, [n, &answers](const core::v1::CommandReceipt& receipt) {
      answers << n << ' ' << receipt.position() << std::endl;
    });
    if (random() % 5 == 0) process.BeginRebuild(random());
    process.RunSome(random() % 40);
    if (random() % 4 == 0) {
      process.RunAll();
      if (process.IsServed()) answers << kServed << " 0" << std::endl;
    }
    if (random() % 10 == 0) process.Open();
  }
  process.RunAll();
}

std::string CheckRooms(const std::string& folder, std::uint64_t seed, std::istream& answers) {
  std::map<int, std::string> answered;
  {
    int n = 0;
    for (std::string position; answers >> n >> position;) {
      if (n == kServed) continue;
      const auto [first, added] = answered.emplace(n, position);
      if (!added && first->second != position)
        return fmt::format("command {} is at {} and {}", n, first->second, position);
    }
  }
  RoomProcess process(folder, seed);
  process.RunAll();
  if (const std::string wrong = process.CheckViews(); !wrong.empty()) return wrong;
  std::string wrong;
  for (const auto& [n, position] : answered) {
    std::string again = "refused";
    process.Send(n, [&](const core::v1::CommandReceipt& receipt) { again = receipt.position(); });
    process.RunAll();
    if (again != position) return fmt::format("command {} was at {}, is {}", n, position, again);
  }
  return process.CheckViews();
}

// Views that were served are so from the first moment, without being built.
std::string CheckServedRooms(const std::string& folder, std::uint64_t seed, std::istream& answers) {
  std::stringstream copy;
  copy << answers.rdbuf();
  if (copy.str().find(fmt::format("{} ", kServed)) != std::string::npos &&
      !RoomProcess(folder, seed).IsServed()) {
    return "a view that was served is not";
  }
  return CheckRooms(folder, seed, copy);
}

const DiskWork kRoomWork = {{}, WorkOnRooms, CheckServedRooms};
const DiskWork kRoomWorkOnFailures = {{}, WorkOnRooms, CheckRooms};
constexpr std::uint64_t kViewPointsEach = 10;

class ViewsPowerLoss : public ::testing::TestWithParam<int> {
 protected:
  static constexpr int kParts = 2;
  static std::uint64_t Part() { return Points(kViewPoints) / kParts / 2; }
};

TEST_P(ViewsPowerLoss, LosesNothingThatWasAnsweredAndEveryViewIsItsFold) {
  ForEachPoint(kRoomWork, Part(), kViewPointsEach, LosePowerOnce);
}

TEST_P(ViewsPowerLoss, AndFailuresOneAfterTheOtherDoNeither) {
  ForEachPoint(kRoomWorkOnFailures, Part(), kViewPointsEach, FailRepeatedly);
}

INSTANTIATE_TEST_SUITE_P(Part, ViewsPowerLoss, ::testing::Range(0, 2));

// The tests above can see.
TEST(ViewsPowerLossControl, ADiskThatLiesAboutSyncsIsFound) {
  EXPECT_GT(FoundOnALyingDisk(kRoomWork, DiskFault::SyncLies::kAll, 40, kViewPointsEach), 0);
}

}  // namespace
}  // namespace testing
}  // namespace leftfold
