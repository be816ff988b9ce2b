#ifndef TESTS_INTEGRATION_PROJECTOR_VIEWS_FIXTURE_H_
#define TESTS_INTEGRATION_PROJECTOR_VIEWS_FIXTURE_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "projector/projector.h"
#include "testing/fake_clock.h"
#include "testing/temporary_folder.h"
#include "tests/unit/projector_fixture.h"

namespace leftfold::projecting {

// The views Names and Count of a registry, on a virtual executor.
class ProjectorViews : public ::testing::Test {
 protected:
  ProjectorViews() {
    registry_.Add<Names>();
    registry_.Add<Count>();
  }
  ~ProjectorViews() override { projector_.reset(); }

  void Open(EventStore& store) {
    projector_.reset();
    auto projector =
        Projector::Open(registry_, store, executor_, clock_, &listener_, folder_.path());
    ASSERT_TRUE(projector.ok()) << projector.status();
    projector_ = *std::move(projector);
  }
  // Until there is nothing to do at this time.
  void Run() { executor_.Advance(absl::Seconds(1)); }
  void StartAndRun() {
    Open(store_);
    projector_->Start();
    Run();
  }
  void Write(const std::vector<std::string>& names) {
    store_.AddNames(names);
    store_.Wake();
  }
  ViewStatus StatusOf(std::string_view view) {
    for (const ViewStatus& status : projector_->ListViews()) {
      if (status.name == view) return status;
    }
    return {};
  }
  std::string PathOf(int generation) {
    return fmt::format("{}/names/1-{}.db", folder_.path(), generation);
  }
  std::vector<std::string> Files() {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path() + "/names")) {
      const std::string name = entry.path().filename();
      if (name.ends_with(".db")) files.push_back(name);
    }
    return files;
  }
  // What was "b" before.
  void ForgeRow2(int generation) {
    auto raw = sql::Connection::Open(PathOf(generation), {.role = sql::Role::kWriter});
    ASSERT_TRUE((*raw)->Run("UPDATE name SET name = 'forged' WHERE position = 2").ok());
  }
  static constexpr const char* kForgedRow2 =
      "table name, row position = 2, column name: live forged, rebuilt b";
  // What processes that only read are told of the view Names.
  absl::Status WhyStopped(int version) {
    absl::Status why;
    EXPECT_TRUE(sql::ReadStopped(folder_.path(), "names", version, why).ok());
    return why;
  }
  // What is served of the view Names, as the read side sees it.
  std::string Served() { return RowsOf(listener_.files["names"]); }

  std::unique_ptr<Rebuild> NewRebuild(RebuildAction action, Position until = kBeforeFirst) {
    auto rebuild = projector_->NewRebuild("names", action, until);
    EXPECT_TRUE(rebuild.ok()) << rebuild.status();
    return *std::move(rebuild);
  }
  static absl::StatusOr<RebuildProgress> ToTheEnd(Rebuild& rebuild) {
    while (true) {
      auto progress = rebuild.Step();
      if (!progress.ok() || progress->finished) return progress;
    }
  }
  absl::StatusOr<RebuildProgress> DoRebuild(RebuildAction action, Position until = kBeforeFirst) {
    return ToTheEnd(*NewRebuild(action, until));
  }

  const testing::TemporaryFolder folder_;
  Registry registry_;
  ListenerLog listener_;
  ManualExecutor executor_;
  testing::FakeClock clock_;
  FakeStore store_;
  std::unique_ptr<Projector> projector_;
};

}  // namespace leftfold::projecting
#endif  // TESTS_INTEGRATION_PROJECTOR_VIEWS_FIXTURE_H_
