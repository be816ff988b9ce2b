// Whatever the order of writes, tasks, lost wake-ups, rebuilds and restarts: in the end each view
// has each event once, in order, and equals its own rebuild.
#include <gtest/gtest.h>

#include "projector/projector.h"
#include "testing/environment.h"
#include "testing/fake_clock.h"
#include "testing/temporary_folder.h"
#include "tests/unit/projector_fixture.h"

namespace leftfold::projecting {
namespace {

// What the read side may rely on: the file that is served never goes back.
class NeverBack final : public ViewListener {
 public:
  void OnServing(std::string_view view, const std::string& path) override {
    auto reader = sql::OpenViewReader(path);
    ASSERT_TRUE(reader.ok()) << reader.status();
    const auto checkpoint = sql::ReadCheckpoint(**reader);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    EXPECT_GE(checkpoint->position, applied_[std::string(view)]) << view << " went back";
  }
  void OnBuilding(std::string_view) override {}
  void OnApplied(std::string_view view, Position applied,
                 const std::vector<std::string>&) override {
    Position& last = applied_[std::string(view)];
    EXPECT_GE(applied, last) << view << " went back";
    last = applied;
  }
  void OnStopped(std::string_view view, const absl::Status& reason) override {
    ADD_FAILURE() << view << " stopped: " << reason;
  }

 private:
  std::map<std::string, Position> applied_;
};

class Life {
 public:
  explicit Life(std::uint64_t seed) : random_(seed), executor_(seed) {
    registry_.Add<Names>();
    registry_.Add<Count>();
    if (random_() % 2 == 0) Write();
    Open();
  }
  ~Life() { Close(); }

  void Live() {
    for (int i = 0; i < 200 && !::testing::Test::HasFailure(); ++i) {
      switch (random_() % 12) {
        case 0:
        case 1:
          Write();
          break;
        case 2:
          store_.Wake();
          break;
        case 3:
          executor_.Advance(absl::Milliseconds(static_cast<int>(random_() % 30)));
          break;
        case 4:
          StepRebuild();
          break;
        case 5:
          if (random_() % 20 == 0) Open();
          break;
        default:
          executor_.RunOne();
      }
    }
    rebuild_.reset();
    store_.Wake();
    executor_.Advance(absl::Minutes(1));
    ExpectAllFolded();
  }

 private:
  void Close() {
    rebuild_.reset();
    projector_.reset();
  }
  void Open() {
    Close();
    auto projector =
        Projector::Open(registry_, store_, executor_, clock_, &listener_, folder_.path());
    ASSERT_TRUE(projector.ok()) << projector.status();
    projector_ = *std::move(projector);
    projector_->Start();
  }
  void Write() {
    for (auto n = random_() % 4; n > 0; --n) {
      store_.AddNames({fmt::format("n{}", store_.events.size())});
    }
  }
  void StepRebuild() {
    if (rebuild_ == nullptr) {
      const auto action = random_() % 2 == 0 ? RebuildAction::kSwitch : RebuildAction::kVerify;
      const std::string_view view = random_() % 2 == 0 ? "names" : "count";
      auto rebuild = random_() % 3 == 0 ? projector_->NewRollback(view)
                                        : projector_->NewRebuild(view, action, kBeforeFirst);
      if (rebuild.ok()) rebuild_ = *std::move(rebuild);
      return;
    }
    if (random_() % 10 == 0) return rebuild_.reset();  // Abandoned.
    const auto progress = rebuild_->Step();
    ASSERT_TRUE(progress.ok()) << progress.status();
    EXPECT_TRUE(progress->equal.value_or(true)) << progress->difference;
    if (progress->finished) rebuild_.reset();
  }
  void ExpectAllFolded() {
    for (const ViewStatus& status : projector_->ListViews()) {
      EXPECT_EQ(status.state, ViewState::kLive) << status.name << " " << status.reason;
      EXPECT_EQ(status.checkpoint, store_.GetHead().position) << status.name;
      auto rebuild = projector_->NewRebuild(status.name, RebuildAction::kVerify, kBeforeFirst);
      ASSERT_TRUE(rebuild.ok()) << rebuild.status();
      while (true) {
        const auto progress = (*rebuild)->Step();
        ASSERT_TRUE(progress.ok()) << progress.status();
        EXPECT_EQ(progress->difference, "") << status.name;
        if (progress->finished) break;
      }
    }
  }

  std::mt19937_64 random_;
  const testing::TemporaryFolder folder_;
  Registry registry_;
  NeverBack listener_;
  ManualExecutor executor_;
  testing::FakeClock clock_;
  FakeStore store_;
  std::unique_ptr<Projector> projector_;
  std::unique_ptr<Rebuild> rebuild_;
};

TEST(ProjectorSchedule, AnyScheduleEndsInTheSameRows) {
  const std::uint64_t first = testing::Seed();
  const int lives = testing::HasSeed() ? 1 : 60;
  for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(lives); ++i) {
    SCOPED_TRACE("LEFTFOLD_SEED=" + std::to_string(first + i));
    Life life(first + i);
    life.Live();
    if (HasFailure()) break;
  }
}

}  // namespace
}  // namespace leftfold::projecting
