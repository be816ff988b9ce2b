// The files of snapshots: what was written is found, what is damaged is found as nothing and made
// anew.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "event_store/memory/memory_snapshots.h"
#include "event_store/sqlite/sqlite_snapshots.h"
#include "testing/temporary_folder.h"

namespace leftfold {
namespace {

namespace fs = std::filesystem;

Snapshot SnapshotOf(std::string stream, std::int64_t version, std::string state) {
  return {std::move(stream), Version{version}, Digest{1, 2, 3}, "test.State", 4, std::move(state)};
}

std::string ReadBytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void WriteBytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

class EventStoreSnapshots : public ::testing::Test {
 protected:
  EventStoreSnapshots() { Open(); }
  void Open() {
    store_.reset();
    store_ = std::make_unique<SqliteSnapshots>(folder_.path());
  }
  // Leaves the file as `damage` leaves it, and opens it.
  void Damage(const std::function<void()>& damage) {
    store_.reset();
    damage();
    Open();
  }
  void Run(const std::string& sql) {
    auto connection = sql::Connection::Open(path(), {.role = sql::Role::kWriter});
    ASSERT_TRUE(connection.ok()) << connection.status();
    EXPECT_TRUE((*connection)->Run(sql).ok()) << (*connection)->status();
  }
  std::string path() const { return folder_.path() + "/snapshots.db"; }
  SqliteSnapshots& store() { return *store_; }
  // Nothing is there of "room-oak"; what is written then is found, by the next process too.
  void ExpectEmptyAndUsable() {
    EXPECT_EQ(store().Find("room-oak"), std::nullopt);
    const Snapshot snapshot = SnapshotOf("room-oak", 7, "new");
    EXPECT_TRUE(store().Write({snapshot}).ok());
    EXPECT_EQ(store().Find("room-oak"), snapshot);
    Open();
    EXPECT_EQ(store().Find("room-oak"), snapshot);
  }

  const testing::TemporaryFolder folder_;
  std::unique_ptr<SqliteSnapshots> store_;
};

void ExpectTheLastOfEachStream(SnapshotStore& store) {
  EXPECT_EQ(store.Find("room-oak"), std::nullopt);
  const Snapshot oak = SnapshotOf("room-oak", 5, std::string("a\0b", 3));
  const Snapshot elm = SnapshotOf("room-elm", 0, "");
  ASSERT_TRUE(store.Write({oak, elm}).ok());
  EXPECT_EQ(store.Find("room-oak"), oak);
  EXPECT_EQ(store.Find("room-elm"), elm);
  EXPECT_EQ(store.Find("room-oa"), std::nullopt);
  const Snapshot before = SnapshotOf("room-oak", 3, "of another log");
  ASSERT_TRUE(store.Write({SnapshotOf("room-oak", 9, "c"), before}).ok());
  EXPECT_EQ(store.Find("room-oak"), before) << "the last that was written, whatever its version";
  EXPECT_EQ(store.Find("room-elm"), elm);
}

TEST_F(EventStoreSnapshots, TheLastOneOfEachStreamIsFound) {
  ExpectTheLastOfEachStream(store());
  MemorySnapshots memory;
  ExpectTheLastOfEachStream(memory);
}

TEST_F(EventStoreSnapshots, TheyAreFoundAfterARestart) {
  const Snapshot oak = SnapshotOf("room-oak", 5, "state");
  ASSERT_TRUE(store().Write({oak}).ok());
  Open();
  EXPECT_EQ(store().Find("room-oak"), oak);
}

TEST_F(EventStoreSnapshots, ARowThatDoesNotFitItsChecksumIsNotFoundUntilItIsReplaced) {
  const Snapshot oak = SnapshotOf("room-oak", 5, "state");
  for (const char* change :
       {"stream = 'room-elm'", "version = 6", "chain = zeroblob(32)", "chain = x''",
        "state_type = 'test.Stat'", "state_version = 5", "state = x'7374617466'", "state = x''",
        "checksum = zeroblob(32)", "checksum = x''"}) {
    ASSERT_TRUE(store().Write({oak}).ok());
    Damage([&] { Run(std::string("UPDATE snapshots SET ") + change); });
    EXPECT_EQ(store().Find("room-oak"), std::nullopt) << change;
    EXPECT_EQ(store().Find("room-elm"), std::nullopt) << change;
    ASSERT_TRUE(store().Write({oak}).ok());
    EXPECT_EQ(store().Find("room-oak"), oak) << change;
  }
}

TEST_F(EventStoreSnapshots, TheChecksumIsTheOneThatReleasedFilesHave) {
  ASSERT_TRUE(store().Write({SnapshotOf("room-oak", 5, "state")}).ok());
  auto reader = sql::Connection::Open(path(), {});
  ASSERT_TRUE(reader.ok());
  Rows rows((*reader)->Prepare("SELECT checksum FROM snapshots"));
  ASSERT_TRUE(rows.Next());
  EXPECT_EQ(ToHex(rows.Blob(0)),
            "d0c98c50e2b83b55710ed1d0b2cabb01963efafee1a8ec517c06059bf3095a4e");
}

TEST_F(EventStoreSnapshots, ADamagedByteIsFoundAsNothingOrAsItWas) {
  const Snapshot oak = SnapshotOf("room-oak", 5, std::string(600, 's'));
  ASSERT_TRUE(store().Write({oak, SnapshotOf("room-elm", 1, "t")}).ok());
  store_.reset();
  const std::string good = ReadBytes(path());
  ASSERT_FALSE(good.empty());
  int lost = 0;
  // Every byte of the first 100 (the header and the schema's beginning), then some.
  for (std::size_t at = 0; at < good.size(); at += at < 100 ? 1 : 37) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x55);
    WriteBytes(path(), bad);
    Open();
    const auto found = store().Find("room-oak");
    if (found) {
      EXPECT_EQ(found, oak) << "byte " << at;
    } else {
      ++lost;
    }
    ASSERT_TRUE(store().Write({oak}).ok() || store().Write({oak}).ok()) << "byte " << at;
    EXPECT_EQ(store().Find("room-oak"), oak) << "byte " << at;
    store_.reset();
  }
  EXPECT_GT(lost, 20);
}

TEST_F(EventStoreSnapshots, ATruncatedFileIsMadeAnew) {
  std::vector<Snapshot> many;
  for (int i = 0; i < 50; ++i)
    many.push_back(SnapshotOf("room-" + std::to_string(i), i, std::string(900, 's')));
  ASSERT_TRUE(store().Write(many).ok());
  store_.reset();
  const std::string good = ReadBytes(path());
  for (std::size_t size = 0; size < good.size(); size += 1'500) {
    WriteBytes(path(), good.substr(0, size));
    Open();
    for (const Snapshot& snapshot : many) {
      const auto found = store().Find(snapshot.stream);
      EXPECT_TRUE(!found || *found == snapshot) << size;
    }
    ASSERT_TRUE(store().Write(many).ok() || store().Write(many).ok()) << size;
    for (const Snapshot& snapshot : many)
      EXPECT_EQ(store().Find(snapshot.stream), snapshot) << size;
    store_.reset();
  }
}

TEST_F(EventStoreSnapshots, WhatIsNoFileOfSnapshotsIsMadeAnew) {
  const auto write = [&] { ASSERT_TRUE(store().Write({SnapshotOf("room-oak", 5, "old")}).ok()); };
  write();
  Damage([&] { WriteBytes(path(), std::string(10'000, 'x')); });
  ExpectEmptyAndUsable();
  write();
  Damage([&] { Run("PRAGMA application_id = 7"); });
  ExpectEmptyAndUsable();
  write();
  Damage([&] { Run("PRAGMA user_version = 99"); });
  ExpectEmptyAndUsable();
  write();
  Damage([&] { Run("DROP TABLE snapshots"); });
  ExpectEmptyAndUsable();
}

TEST_F(EventStoreSnapshots, DamageThatAReaderMeetsIsGoneAfterTheNextWrite) {
  ASSERT_TRUE(store().Write({SnapshotOf("room-oak", 5, "old")}).ok());
  Run("DROP TABLE snapshots");
  EXPECT_EQ(store().Find("room-oak"), std::nullopt);
  ExpectEmptyAndUsable();
}

TEST_F(EventStoreSnapshots, TheFileMayBeDeletedWhileItIsInUse) {
  const Snapshot oak = SnapshotOf("room-oak", 5, "old");
  for (const bool all : {true, false}) {
    ASSERT_TRUE(store().Write({oak}).ok());
    EXPECT_EQ(store().Find("room-oak"), oak);
    fs::remove(path());
    if (all) fs::remove(path() + "-wal");
    if (all) fs::remove(path() + "-shm");
    const auto found = store().Find("room-oak");
    EXPECT_TRUE(!found || *found == oak);
    const Snapshot elm = SnapshotOf("room-elm", 1, "new");
    ASSERT_TRUE(store().Write({elm}).ok());
    EXPECT_TRUE(fs::exists(path()));
    EXPECT_EQ(store().Find("room-elm"), elm);
    EXPECT_EQ(store().Find("room-oak"), std::nullopt) << "of the deleted file";
    Open();
    EXPECT_EQ(store().Find("room-elm"), elm);
  }
}

TEST_F(EventStoreSnapshots, TheFileMayBeDeletedBetweenTwoRuns) {
  ASSERT_TRUE(store().Write({SnapshotOf("room-oak", 5, "old")}).ok());
  Damage([&] { fs::remove(path()); });
  ExpectEmptyAndUsable();
}

TEST_F(EventStoreSnapshots, WhereNoFileCanBeThereAreNoSnapshotsUntilItCan) {
  Damage([&] {
    fs::remove(path());
    fs::create_directories(path() + "/full");
  });
  EXPECT_EQ(store().Find("room-oak"), std::nullopt);
  EXPECT_FALSE(store().Write({SnapshotOf("room-oak", 5, "state")}).ok());
  fs::remove_all(path());
  ExpectEmptyAndUsable();
}

}  // namespace
}  // namespace leftfold
