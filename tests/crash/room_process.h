#ifndef TESTS_CRASH_ROOM_PROCESS_H_
#define TESTS_CRASH_ROOM_PROCESS_H_

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "leftfold/rooms/v1/commands.pb.h"
#include "testing/fake_clock.h"
#include "tests/property/whole_path_fixture.h"

namespace leftfold {
namespace rooms {
void Register(Registry& registry);
}

namespace testing {

inline constexpr int kRooms = 3;

// A command with an id of its own.
inline std::unique_ptr<google::protobuf::Message> RoomCommand(std::uint64_t seed, int n) {
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
  RoomProcess(const std::string& folder, std::uint64_t seed,
              void (*add)(Registry&) = rooms::Register)
      : folder_(folder), seed_(seed) {
    add(registry_);
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

  WholePath& path() { return *path_; }
  const Registry& registry() const { return registry_; }

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

}  // namespace testing
}  // namespace leftfold
#endif  // TESTS_CRASH_ROOM_PROCESS_H_
