// Random commands on an engine that takes snapshots at random moments, restarts, and finds the file
// damaged: it answers as one that has never heard of snapshots.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/reject.h"
#include "event_store/sqlite/sqlite_snapshots.h"
#include "testing/counter_domain.h"
#include "testing/environment.h"
#include "testing/event_store_contract.h"
#include "testing/forwarding_store.h"
#include "write_api/command_handler.h"
#include "write_api/snapshotter.h"

namespace leftfold {
namespace {

namespace fs = std::filesystem;

constexpr int kSnapshotRounds = 250;
constexpr int kBurstMax = 60;
constexpr int kCounters = 3;

const Registry& Counters() {
  static const Registry* const kRegistry = [] {
    auto* registry = new Registry;
    registry->Add<testing::Counter>();
    return registry;
  }();
  return *kRegistry;
}

using MessagePtr = std::shared_ptr<google::protobuf::Message>;

class CountingStore final : public testing::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  absl::StatusOr<std::vector<RecordedEvent>> ReadStream(std::string_view stream,
                                                        const ReadStreamOptions& options) override {
    auto events = store_.ReadStream(stream, options);
    if (events.ok()) events_read += events->size();
    return events;
  }
  std::size_t events_read = 0;
};

// A command handler over a log in memory; snapshots, if there are any, are in a file.
class Engine {
 public:
  Engine(std::uint64_t seed, bool snapshots)
      : base_(testing::MemoryStore(), seed), background_(seed), with_snapshots_(snapshots) {
    Start();
  }
  ~Engine() { Stop(); }

  void Stop() {
    background_.DropAll();
    handler_.reset();
    snapshotter_.reset();
    snapshots_.reset();
  }
  void Start() {
    if (with_snapshots_) {
      snapshots_ = std::make_unique<SqliteSnapshots>(folder_.path());
      snapshotter_ = std::make_unique<Snapshotter>(base_.store(), *snapshots_, background_.Pool());
    }
    handler_ = std::make_unique<CommandHandler>(Counters(), store_, base_.clock(),
                                                base_.scheduler().Pool(), snapshotter_.get());
  }

  // Sends all, then runs; what each was told, without positions and made ids.
  std::vector<std::string> Do(const std::vector<MessagePtr>& commands) {
    std::vector<std::string> told(commands.size(), "no answer");
    for (std::size_t i = 0; i < commands.size(); ++i) {
      for (const CommandEntry& entry : Counters().commands()) {
        if (entry.request != commands[i]->GetDescriptor()) continue;
        std::unique_ptr<google::protobuf::Message> copy(commands[i]->New());
        copy->CopyFrom(*commands[i]);
        handler_->Handle(entry, std::move(copy), {}, [&told, i](const auto& receipt) {
          told[i] = receipt.ok()
                        ? fmt::format("{} v{}{}", receipt->aggregate_id(), receipt->version(),
                                      receipt->duplicate() ? " again" : "")
                        : ReasonOf(receipt.status());
        });
      }
    }
    base_.scheduler().RunUntilIdle();
    return told;
  }
  void TakeSnapshots() { background_.RunUntilIdle(); }
  // By loads.
  std::size_t events_read() const { return store_.events_read; }
  std::string file() const { return folder_.path() + "/snapshots.db"; }

 private:
  testing::TemporaryFolder folder_;
  testing::StoreOnScheduler base_;
  testing::VirtualScheduler background_;
  CountingStore store_{base_.store()};
  const bool with_snapshots_;
  std::unique_ptr<SnapshotStore> snapshots_;
  std::unique_ptr<Snapshotter> snapshotter_;
  std::unique_ptr<CommandHandler> handler_;
};

class SnapshotStory {
 public:
  explicit SnapshotStory(std::uint64_t seed)
      : random_(seed), with_(seed, true), without_(seed, false), old_(ReadFile()) {}

  void Run() {
    for (int round = 0; round < kSnapshotRounds; ++round) {
      std::vector<MessagePtr> burst(static_cast<std::size_t>(1 + Below(kBurstMax)));
      for (MessagePtr& command : burst) command = Command();
      ASSERT_EQ(with_.Do(burst), without_.Do(burst)) << "round " << round;
      if (Below(3) > 0) with_.TakeSnapshots();
      if (Below(4) == 0) Restart();
    }
    EXPECT_LT(with_.events_read(), without_.events_read()) << "no snapshot was ever of use";
  }

 private:
  int Below(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }

  MessagePtr Command() {
    const std::string id = fmt::format("c{}", Below(kCounters));
    const std::string command_id = Below(4) == 0 ? fmt::format("id-{}", Below(500)) : "";
    const std::int64_t expected = Below(20) == 0 ? Below(300) - 1 : -2;
    const auto filled = [&](auto command) -> MessagePtr {
      command.set_room_id(id);
      command.set_command_id(command_id);
      if (expected >= -1) command.set_expected_version(expected);
      return std::make_shared<decltype(command)>(std::move(command));
    };
    // A name is claimed by one counter only, so that they do not race for it.
    if (const int kind = Below(60); kind == 0) {
      return filled(rooms::v1::DeleteRoomRequest());
    } else if (kind < 6) {
      rooms::v1::CreateRoomRequest create;
      create.set_name(id);
      return filled(create);
    }
    rooms::v1::RenameRoomRequest rename;
    rename.set_name(fmt::format("n{}", Below(5)));
    return filled(rename);
  }

  // Both forget their states; the file is well, damaged, gone or an old one.
  void Restart() {
    with_.Stop();
    without_.Stop();
    std::string bytes = ReadFile();
    const int damage = Below(8);
    if (damage == 0) fs::remove(with_.file());
    if (damage == 1 && !bytes.empty()) {
      for (int i = Below(200); i >= 0; --i) {
        bytes[random_() % bytes.size()] = static_cast<char>(random_());
      }
      WriteFile(bytes);
    }
    if (damage == 2) WriteFile(bytes.substr(0, random_() % (bytes.size() + 1)));
    if (damage == 3) WriteFile(old_);
    if (damage == 4) old_ = bytes;
    with_.Start();
    without_.Start();
  }
  std::string ReadFile() {
    std::ifstream in(with_.file(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void WriteFile(const std::string& bytes) {
    std::ofstream(with_.file(), std::ios::binary | std::ios::trunc) << bytes;
  }

  std::mt19937_64 random_;
  Engine with_;
  Engine without_;
  std::string old_;  // The file as it was once.
};

TEST(WriteApiSnapshotsProperty, AnswersAreTheSameAsWithoutSnapshots) {
  const std::uint64_t first = testing::Seed();
  const std::uint64_t stories = testing::HasSeed() ? 1 : 4;
  for (std::uint64_t seed = first; seed < first + stories; ++seed) {
    SCOPED_TRACE(fmt::format("LEFTFOLD_SEED={}", seed));
    SnapshotStory(seed).Run();
    if (::testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace leftfold
