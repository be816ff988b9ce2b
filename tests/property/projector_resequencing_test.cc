// Random deliveries to one view: duplicates, other orders, losses, delays, restarts, a store that
// cannot be reached, statements that fail and crashes between any two of them. After each step the
// file is the fold of the events up to its checkpoint, and in the end of all.
#include <sqlite3.h>

#include <algorithm>
#include <filesystem>

#include "testing/environment.h"
#include "testing/temporary_folder.h"
#include "tests/unit/projector_parking_fixture.h"

namespace leftfold::projecting {
namespace {

constexpr std::uint64_t kSequences = 10'000;
constexpr int kEventsMax = 24;
constexpr int kDeliveriesMax = 16;
// Steps of SQLite's machine after which a statement fails or the process ends: a transaction of
// some events has about as many.
constexpr std::uint64_t kMachineStepsMax = 300;

// What happened in all sequences, so that the test knows that it tried what it says.
struct Tally {
  int duplicates = 0, restarts = 0, failures = 0, crashes = 0, gaps = 0, parked = 0, durable = 0;
};

class Sequence {
 public:
  Sequence(std::uint64_t seed, std::string folder, Tally& tally)
      : random_(seed), folder_(std::move(folder)), tally_(tally) {
    const int events = 1 + Below(kEventsMax);
    for (int i = 1; i <= events; ++i) AddEvent(i);
    Open();
  }
  ~Sequence() {
    runner_.reset();
    for (int file = 0; file <= files_; ++file) {
      for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(Path(file) + suffix);
    }
  }

  void Run() {
    for (int n = Below(kDeliveriesMax); n >= 0 && !::testing::Test::HasFailure(); --n) {
      Deliver();
      ExpectFold();
    }
    // The store has all that was not delivered, or not in time.
    while (runner_->Step() == ViewRunner::Progress::kFolded) {
    }
    ASSERT_TRUE(runner_->stopped().ok()) << runner_->stopped();
    ASSERT_EQ(runner_->checkpoint(), store_.GetHead().position);
    ExpectFold();
    tally_.duplicates += static_cast<int>(runner_->duplicates_ignored());
    tally_.parked += static_cast<int>(runner_->parked_events());
  }

 private:
  int Below(int end) { return static_cast<int>(random_() % static_cast<std::uint64_t>(end)); }
  std::string Path(int file) const { return fmt::format("{}/{}.db", folder_, file); }

  void AddEvent(int number) {
    const std::string room = fmt::format("room-{}", static_cast<char>('a' + Below(4)));
    switch (Below(12)) {
      case 0:
        store_.Add(room, "leftfold.rooms.v9.Unheard", "not for this view");
        return;
      case 1:
        if (Below(4) == 0) store_.Add(room, "leftfold.rooms.v1.RoomRenamed", "\xff");
        return;
      default:
        Rename(store_, {fmt::format("{}:{}", room.substr(5),
                                    Below(60) == 0 ? "poison" : fmt::to_string(number))});
    }
  }

  void Open() {
    auto runner =
        ViewRunner::Open(EntryOf<Trails>(), store_, Path(files_), ViewRunner::Mode::kServing);
    ASSERT_TRUE(runner.ok()) << runner.status();
    runner_ = *std::move(runner);
    runner_->connection().Run("PRAGMA synchronous=OFF").IgnoreError();  // No power is lost here.
  }

  // Some of the log, from about the checkpoint on, in any order, some of it twice.
  std::vector<RecordedEvent> AnyBatch() {
    const int log = static_cast<int>(store_.events.size());
    std::vector<RecordedEvent> batch;
    const int from = std::max(0, static_cast<int>(runner_->checkpoint().value) - 3 + Below(6));
    for (int i = from; i < std::min(log, from + 1 + Below(10)); ++i) {
      if (Below(5) == 0) continue;  // Lost.
      batch.push_back(store_.events[static_cast<std::size_t>(i)]);
      if (Below(5) == 0) batch.push_back(batch.back());
    }
    if (Below(2) == 0) std::shuffle(batch.begin(), batch.end(), random_);
    return batch;
  }

  void Deliver() {
    if (store_.events.empty()) return;
    const int reads = store_.reads;
    switch (Below(8)) {
      case 0:
        ++tally_.restarts;
        runner_.reset();
        Open();
        break;
      case 1:
        return DeliverUnreadable();
      case 2:
      case 3:
        return DeliverAndFail();
      case 4:
      case 5:
        return DeliverAndCrash();
      default:
        break;
    }
    runner_->Offer(AnyBatch());
    ASSERT_TRUE(runner_->stopped().ok()) << runner_->stopped();
    tally_.gaps += store_.reads > reads ? 1 : 0;
  }

  // Gaps cannot be closed for a while.
  void DeliverUnreadable() {
    store_.failure = absl::UnavailableError("the store is elsewhere");
    runner_->Offer(AnyBatch());
    store_.failure = absl::OkStatus();
    runner_->Resume();
    ASSERT_TRUE(runner_->stopped().ok()) << runner_->stopped();
  }

  // Calls `then` once, so many steps of SQLite's machine from now; true fails the statement.
  void After(std::uint64_t steps, std::function<bool()> then) {
    steps_ = steps;
    then_ = std::move(then);
    sqlite3_progress_handler(runner_->connection().database().getHandle(), 1, &Sequence::OnStep,
                             this);
  }
  static int OnStep(void* self) {
    auto& sequence = *static_cast<Sequence*>(self);
    if (sequence.then_ == nullptr || sequence.steps_-- > 0) return 0;
    return std::exchange(sequence.then_, nullptr)() ? 1 : 0;
  }
  // False: that many steps did not come.
  bool OfferDisturbed(std::function<bool()> then) {
    After(random_() % kMachineStepsMax, std::move(then));
    runner_->Offer(AnyBatch());
    sqlite3_progress_handler(runner_->connection().database().getHandle(), 0, nullptr, nullptr);
    return std::exchange(then_, nullptr) == nullptr;
  }

  // A statement fails; that may be a COMMIT which is through all the same.
  void DeliverAndFail() {
    const bool failed = OfferDisturbed([] { return true; });
    if (!failed || runner_->stopped().ok()) return;  // A statement whose result nobody needs.
    ++tally_.failures;
    const Position before = runner_->checkpoint();
    if (Below(2) == 0) {
      runner_->TryAgain();
    } else {
      runner_.reset();
      Open();
    }
    ASSERT_TRUE(runner_->stopped().ok()) << runner_->stopped();
    ASSERT_GE(runner_->checkpoint(), before);
    tally_.durable += runner_->checkpoint() > before ? 1 : 0;
  }

  // The process ends in the middle: what comes after finds the file as it was then.
  void DeliverAndCrash() {
    const bool crashed = OfferDisturbed([this] {
      for (const char* suffix : {"", "-wal"}) {
        std::filesystem::copy_file(Path(files_) + suffix, Path(files_ + 1) + suffix);
      }
      return false;
    });
    ASSERT_TRUE(runner_->stopped().ok()) << runner_->stopped();
    if (!crashed) return;
    ++tally_.crashes;
    runner_.reset();
    ++files_;
    Open();
  }

  // A fold that knows nothing of batches and files: "3: a=1,2 b=1", and the parked positions.
  std::string Expected(Position checkpoint) const {
    std::map<std::string, std::vector<std::string>> trails;
    std::map<std::string, std::vector<std::int64_t>> parked;
    for (const RecordedEvent& event : store_.events) {
      if (event.position > checkpoint) break;
      rooms::v1::RoomRenamed renamed;
      const std::string room = event.stream.substr(5);
      const bool known = event.type == renamed.GetTypeName();
      const bool poison =
          known && (!renamed.ParseFromString(event.payload) || renamed.name() == "poison");
      if (poison || parked.contains(room)) {
        parked[room].push_back(event.position.value);
      } else if (known) {
        trails[room].push_back(renamed.name());
      }
    }
    std::vector<std::string> rooms;
    for (const auto& [room, trail] : trails) {
      rooms.push_back(fmt::format("{}={}", room, fmt::join(trail, ",")));
    }
    std::vector<std::int64_t> positions;
    for (const auto& [room, waiting] : parked) {
      positions.insert(positions.end(), waiting.begin(), waiting.end());
    }
    std::sort(positions.begin(), positions.end());
    return fmt::format("{}: {} | {}", checkpoint.value, fmt::join(rooms, " "),
                       fmt::join(positions, " "));
  }

  void ExpectFold() {
    if (runner_ == nullptr || !runner_->stopped().ok()) return;
    sql::Connection& file = runner_->connection();
    const auto checkpoint = sql::ReadCheckpoint(file);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    ASSERT_EQ(checkpoint->position, runner_->checkpoint());
    const auto at = static_cast<std::size_t>(checkpoint->position.value);
    ASSERT_EQ(checkpoint->chain,
              at == 0 ? FirstChain(store_.StoreId()) : store_.events[at - 1].chain);
    std::vector<std::string> rooms;
    for (Rows rows(file.Prepare("SELECT id, names FROM trail ORDER BY id")); rows.Next();) {
      rooms.push_back(fmt::format("{}={}", rows.Text(0), rows.Text(1)));
    }
    std::vector<std::int64_t> parked;
    for (Rows rows(file.Prepare("SELECT position FROM leftfold_parked ORDER BY position"));
         rows.Next();) {
      parked.push_back(rows.Int(0));
    }
    ASSERT_EQ(runner_->parked_events(), std::ssize(parked));
    ASSERT_EQ(fmt::format("{}: {} | {}", at, fmt::join(rooms, " "), fmt::join(parked, " ")),
              Expected(checkpoint->position));
  }

  std::mt19937_64 random_;
  const std::string folder_;
  Tally& tally_;
  FakeStore store_;
  int files_ = 0;
  std::unique_ptr<ViewRunner> runner_;
  std::uint64_t steps_ = 0;
  std::function<bool()> then_;
};

TEST(ProjectorResequencing, AnyDeliveryEndsInTheFold) {
  const testing::TemporaryFolder folder(testing::FolderInMemory());
  const std::uint64_t first = testing::Seed();
  const std::uint64_t sequences =
      testing::HasSeed() ? 1 : testing::Cases("LEFTFOLD_SEQUENCES", kSequences);
  Tally tally;
  for (std::uint64_t i = 0; i < sequences && !HasFailure(); ++i) {
    SCOPED_TRACE(fmt::format("LEFTFOLD_SEED={}", first + i));
    Sequence(first + i, folder.path(), tally).Run();
  }
  fmt::print(
      "{} sequences from LEFTFOLD_SEED={}: {} duplicates, {} gaps closed, {} restarts, {} failed "
      "statements ({} of them durable), {} crashes, {} parked\n",
      sequences, first, tally.duplicates, tally.gaps, tally.restarts, tally.failures, tally.durable,
      tally.crashes, tally.parked);
  if (sequences < 1'000) return;
  for (const int happened : {tally.duplicates, tally.gaps, tally.restarts, tally.failures,
                             tally.durable, tally.crashes, tally.parked}) {
    EXPECT_GT(happened, 0);
  }
}

}  // namespace
}  // namespace leftfold::projecting
