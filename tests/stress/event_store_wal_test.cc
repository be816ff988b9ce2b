// Readers of the log, each of them short, of which there is always one.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "event_store/sqlite/sqlite_log.h"
#include "server/thread_pool.h"
#include "testing/event_store_contract.h"

namespace leftfold {
namespace {

TEST(WriteAheadLog, IsBoundedWhileReadersFollowEachOtherWithoutAPause) {
  constexpr int kReaders = 6, kAppends = 180;
  const testing::TemporaryFolder folder;
  ThreadPool writer("writer", 1), completions("completions", 2);
  const SystemClock clock;
  const auto store = testing::SqliteStore().open(
      {.folder = folder.path(), .writer = writer, .completions = completions, .clock = clock});
  std::int64_t most = 0;
  {
    std::vector<std::jthread> readers;
    for (int i = 0; i < kReaders; ++i) {
      readers.emplace_back([&store](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
          const auto read =
              store->ReadAll({.from = Position{std::numeric_limits<std::int64_t>::max()},
                              .direction = Direction::kBackward,
                              .events_max = 3});
          EXPECT_TRUE(read.ok()) << read.status();
        }
      });
    }
    const std::string payload(kEventBytesMax, 'x');
    for (int i = 0; i < kAppends; ++i) {
      std::promise<absl::Status> done;
      store->Append(
          testing::AppendOf("note-1", {payload}),
          [&](const absl::StatusOr<Receipt>& receipt) { done.set_value(receipt.status()); });
      EXPECT_TRUE(done.get_future().get().ok());
      most = std::max(most, store->GetStatus().wal_bytes);
    }
  }
  writer.Stop();
  completions.Stop();
  EXPECT_LT(most, kLogWalWarnBytes);
}

}  // namespace
}  // namespace leftfold
