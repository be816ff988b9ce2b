// Whatever happens to a page in a file or in its write-ahead log: what is read is what was written,
// or DATA_LOSS.
#include <SQLiteCpp/Backup.h>
#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstring>
#include <filesystem>
#include <random>
#include <set>
#include <span>
#include <string>

#include "core/sha256.h"
#include "sql/checksum_vfs.h"
#include "sql/connection.h"
#include "testing/damage.h"
#include "testing/environment.h"
#include "testing/event_store_contract.h"
#include "testing/temporary_folder.h"

namespace leftfold::sql {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using testing::BytesOf;
using testing::DamageRootPage;
using ::testing::Eq;
using testing::FlipBit;
using ::testing::HasSubstr;
using testing::Overwrite;
using testing::RootPage;
using testing::SizeOf;

constexpr const char* kPlainVfs = "unix";
constexpr std::int64_t kPage = 4'096;
constexpr int kFlipsPerPage = 8;
// What `Answer` says of a file that is damaged.
const std::string kDataLoss = "DATA_LOSS";

std::span<const unsigned char> Unsigned(const std::string& bytes) {
  return {reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()};
}

class PageChecksums : public ::testing::Test {
 protected:
  // Rows of all kinds: small ones, one of many pages, an index, a full-text index.
  static void Fill(SQLite::Database& file) {
    file.exec(
        "CREATE TABLE note(id INTEGER PRIMARY KEY, title TEXT UNIQUE, body BLOB) STRICT;"
        "CREATE VIRTUAL TABLE words USING fts5(title);"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) "
        "INSERT INTO note SELECT i, printf('the note number %d', i), zeroblob(i % 7 * 30) FROM n;"
        "INSERT INTO note VALUES (1000, 'long', CAST(printf('%.20000c', 'x') AS BLOB));"
        "INSERT INTO words SELECT title FROM note");
  }
  static std::unique_ptr<Connection> Open(const std::string& path, Role role,
                                          int autocheckpoint_pages = 0) {
    auto opened =
        Connection::Open(path, {.role = role, .autocheckpoint_pages = autocheckpoint_pages});
    EXPECT_TRUE(opened.ok()) << opened.status();
    return *std::move(opened);
  }
  // SQLite attaches the copy.
  static std::unique_ptr<Connection> OpenForVacuum(const std::string& path) {
    auto connection = Open(path, Role::kWriter);
    sqlite3_limit(connection->database().getHandle(), SQLITE_LIMIT_ATTACHED, 1);
    return connection;
  }
  // A digest of all that is in the file, kDataLoss, or the text of another error.
  static std::string Answer(const std::string& path) {
    auto opened = Connection::Open(path, {});
    if (!opened.ok()) return Told(opened.status());
    Connection& file = **opened;
    std::string all;
    for (const std::string_view sql :
         {"SELECT id || title || hex(body) FROM note",
          "SELECT title FROM note INDEXED BY sqlite_autoindex_note_1 ORDER BY title",
          "SELECT rowid || title FROM words('number OR long')"}) {
      Rows rows(file.Prepare(sql));
      while (rows.Next()) all += rows.Text(0) + "\n";
    }
    if (!file.status().ok()) return Told(file.status());
    return ToHex(AsBytes(Sha256().Add(all).Finish()));
  }
  static std::string Told(const absl::Status& status) {
    return absl::IsDataLoss(status) ? kDataLoss : status.ToString();
  }
  // Of all pages, also those that no query comes to.
  static bool PassesSqlitesCheck(const std::string& path) {
    const auto opened = Connection::Open(path, {});
    if (!opened.ok()) return false;
    Rows rows((*opened)->Prepare("PRAGMA integrity_check"));
    return rows.Next() && rows.Text(0) == "ok";
  }
  // Nothing wrong is read, and whoever looks at all pages finds something wrong.
  static void ExpectFound(const std::string& path, const std::string& sound) {
    EXPECT_THAT(Answer(path), AnyOf(Eq(sound), Eq(kDataLoss)));
    EXPECT_FALSE(PassesSqlitesCheck(path));
  }
  static std::string TitleOf(const std::string& path, int id) {
    const auto file = Open(path, Role::kReader);
    Cursor& find = file->Prepare("SELECT title FROM note WHERE id = ?");
    find.Bind(1, std::int64_t{id});
    Rows rows(find);
    return rows.Next() ? rows.Text(0) : file->status().ToString();
  }
  // A file that nobody has open.
  std::string FilledFile() {
    const std::string path = Path("file.db");
    Fill(Open(path, Role::kWriter)->database());
    return path;
  }
  // The first page without a checksum that fits, 0 when there is none.
  static std::int64_t FirstWithoutChecksum(const std::string& path, std::int64_t page_size) {
    for (std::int64_t page = 1; page <= SizeOf(path) / page_size; ++page) {
      const std::string bytes =
          BytesOf(path, (page - 1) * page_size, static_cast<std::size_t>(page_size));
      const WordSum sum = PageChecksum(Unsigned(bytes), static_cast<std::uint32_t>(page));
      if (std::memcmp(&sum, &bytes[bytes.size() - sizeof(sum)], sizeof(sum)) != 0) return page;
    }
    return 0;
  }
  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }
  int Below(std::int64_t end) {
    return static_cast<int>(random_() % static_cast<std::uint64_t>(end));
  }

  testing::TemporaryFolder folder_;
  const std::uint64_t seed_ = testing::SeedOr(1);
  std::mt19937_64 random_{seed_};
  ::testing::ScopedTrace trace_{__FILE__, __LINE__, "LEFTFOLD_SEED=" + std::to_string(seed_)};
};

TEST_F(PageChecksums, NeverChangeTheirValue) {
  std::string page(512, '\0');
  for (std::size_t i = 0; i < page.size(); ++i) page[i] = static_cast<char>(i * 7);
  // Computed by the program in event_store/README.md.
  EXPECT_EQ(PageChecksum(Unsigned(page), 1), (WordSum{2'464'854'045, 1'634'108'768}));
  EXPECT_EQ(PageChecksum(Unsigned(page), 2).a, 463'783'314);
}

TEST_F(PageChecksums, AreOnEveryPageOfANewFile) {
  const std::string path = FilledFile();
  EXPECT_GT(SizeOf(path), 20 * kPage);
  EXPECT_EQ(FirstWithoutChecksum(path, kPage), 0);
  EXPECT_TRUE(Open(path, Role::kReader)->HasPageChecksums());
  EXPECT_EQ(TitleOf(path, 1000), "long");
}

TEST_F(PageChecksums, FindAFlippedBitOnEveryPage) {
  const std::string path = FilledFile();
  ASSERT_EQ(Open(path, Role::kReader)->Value("PRAGMA freelist_count"), 0);
  const std::string sound = Answer(path);
  for (std::int64_t page = 0; page < SizeOf(path) / kPage; ++page) {
    for (int i = 0; i < kFlipsPerPage; ++i) {
      const std::int64_t at = page * kPage + Below(kPage);
      const int bit = Below(8);
      FlipBit(path, at, bit);
      SCOPED_TRACE(fmt::format("bit {} at {}", bit, at));
      ExpectFound(path, sound);
      FlipBit(path, at, bit);
    }
  }
  EXPECT_EQ(Answer(path), sound);
  EXPECT_TRUE(PassesSqlitesCheck(path));
}

TEST_F(PageChecksums, FindEveryFlippedBitOfTheFilesHeader) {
  const std::string path = FilledFile();
  for (std::int64_t at = 0; at < 100; ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      FlipBit(path, at, bit);
      EXPECT_EQ(Answer(path), kDataLoss) << "bit " << bit << " at " << at;
      FlipBit(path, at, bit);
    }
  }
}

// Here SQLite itself finds nothing wrong with another reserve.
TEST_F(PageChecksums, FindThatTheirOwnMarkIsGone) {
  const std::string path = Path("small.db");
  const std::string sql = "CREATE TABLE small(a); INSERT INTO small VALUES (7)";
  ASSERT_TRUE(Open(path, Role::kWriter)->Run(sql).ok());
  for (int bit = 0; bit < 8; ++bit) {
    FlipBit(path, 20, bit);
    const auto opened = Connection::Open(path, {});
    if (opened.ok()) (*opened)->Value("SELECT a FROM small");
    EXPECT_TRUE(absl::IsDataLoss(opened.ok() ? (*opened)->status() : opened.status())) << bit;
    FlipBit(path, 20, bit);
  }
  EXPECT_EQ(Open(path, Role::kReader)->Value("SELECT a FROM small"), 7);
}

TEST_F(PageChecksums, SayWhichPageOfWhichFile) {
  const std::string path = FilledFile();
  const std::string name = fs::path(folder_.path()).filename().string() + "/file.db";
  const std::int64_t root = RootPage(path, "note");
  DamageRootPage(path, "note");
  const auto reader = Open(path, Role::kReader);
  reader->Value("SELECT max(length(body)) FROM note");
  EXPECT_EQ(std::string(reader->status().message()),
            "page " + std::to_string(root) + " of " + name + " is damaged: its checksum is wrong");
}

TEST_F(PageChecksums, FindPagesThatChangedPlaces) {
  const std::string path = FilledFile();
  const std::string sound = Answer(path);
  const std::int64_t pages = SizeOf(path) / kPage;
  for (int i = 0; i < 20; ++i) {
    const std::int64_t one = Below(pages);
    const std::int64_t other = (one + 1 + Below(pages - 1)) % pages;
    const std::string a = BytesOf(path, one * kPage, kPage);
    const std::string b = BytesOf(path, other * kPage, kPage);
    Overwrite(path, one * kPage, b);
    Overwrite(path, other * kPage, a);
    SCOPED_TRACE(fmt::format("{} and {}", one, other));
    ExpectFound(path, sound);
    Overwrite(path, one * kPage, a);
    Overwrite(path, other * kPage, b);
  }
}

TEST_F(PageChecksums, FindPagesThatWereClearedOrCutOff) {
  const std::string path = FilledFile();
  const std::string sound = Answer(path);
  for (std::int64_t page = 0; page < SizeOf(path) / kPage; ++page) {
    SCOPED_TRACE(page);
    const std::string bytes = BytesOf(path, page * kPage, kPage);
    Overwrite(path, page * kPage, std::string(kPage, '\0'));
    ExpectFound(path, sound);
    Overwrite(path, page * kPage, bytes);
  }
  fs::resize_file(path, static_cast<std::uintmax_t>(SizeOf(path) - kPage));
  ExpectFound(path, sound);
}

TEST_F(PageChecksums, FindASectorThatWasCleared) {
  constexpr std::int64_t kSector = 512;
  const std::string path = FilledFile();
  const std::string sound = Answer(path);
  for (std::int64_t at = 0; at < SizeOf(path); at += kSector) {
    SCOPED_TRACE(at);
    const std::string bytes = BytesOf(path, at, kSector);
    if (bytes == std::string(kSector, '\0')) continue;
    // The end of what does not fit into a row's page: not noticed, as the header says.
    const bool last = at % kPage == kPage - kSector;
    if (last && BytesOf(path, at / kPage * kPage, 1)[0] == '\0') continue;
    Overwrite(path, at, std::string(kSector, '\0'));
    ExpectFound(path, sound);
    Overwrite(path, at, bytes);
  }
}

TEST_F(PageChecksums, AFileThatIsCutOffBesideAWriteAheadLogIsFound) {
  const std::string path = FilledFile();
  const auto writer = Open(path, Role::kWriter);
  // The size of the database is now what the write-ahead log says.
  ASSERT_TRUE(writer->Run("UPDATE note SET body = x'00' WHERE id = 1").ok());
  const std::string sound = Answer(path);
  fs::resize_file(path, static_cast<std::uintmax_t>(SizeOf(path) - kPage));
  ExpectFound(path, sound);
}

TEST_F(PageChecksums, AreThereWithEveryPageSizeInBothKindsOfJournal) {
  Open(Path("first.db"), Role::kWriter);  // SQLite is configured.
  for (const std::string journal : {"WAL", "DELETE"}) {
    for (std::int64_t size = 512; size <= 65'536; size *= 2) {
      SCOPED_TRACE(journal + " " + std::to_string(size));
      const std::string path = Path(journal + std::to_string(size));
      {
        SQLite::Database file(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
        file.exec("PRAGMA page_size=" + std::to_string(size));
        int reserve = kPageReserve;
        sqlite3_file_control(file.getHandle(), "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve);
        file.exec("PRAGMA journal_mode=" + journal);
        Fill(file);
        file.exec("BEGIN; UPDATE note SET title = title || 'x'; ROLLBACK");
        file.exec("UPDATE note SET body = CAST(title AS BLOB) WHERE id % 3 = 0");
      }
      EXPECT_EQ(FirstWithoutChecksum(path, size), 0);
      EXPECT_TRUE(PassesSqlitesCheck(path));
      const std::string sound = Answer(path);
      for (int i = 0; i < kFlipsPerPage; ++i) {
        const std::int64_t at = Below(SizeOf(path));
        FlipBit(path, at, 3);
        ExpectFound(path, sound);
        FlipBit(path, at, 3);
      }
    }
  }
}

TEST_F(PageChecksums, StayThroughVacuumAndCopies) {
  const std::string path = FilledFile();
  const std::string sound = Answer(path);
  {
    const auto writer = OpenForVacuum(path);
    SQLite::Database& file = writer->database();
    file.exec("DELETE FROM note WHERE id < 100; VACUUM");
    file.exec("VACUUM INTO '" + Path("into.db") + "'");
    SQLite::Database copy(Path("copy.db"), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    SQLite::Backup(copy, file).executeStep();
  }
  EXPECT_NE(Answer(path), sound);
  for (const std::string name : {"file.db", "into.db", "copy.db"}) {
    EXPECT_EQ(FirstWithoutChecksum(Path(name), kPage), 0) << name;
    EXPECT_EQ(Answer(Path(name)), Answer(path)) << name;
  }
}

TEST_F(PageChecksums, AFileWithoutThemIsReadAndWrittenAsEver) {
  const std::string path = Path("old.db");
  Open(Path("first.db"), Role::kWriter);  // SQLite is configured.
  {
    SQLite::Database old(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, 0, kPlainVfs);
    old.exec("PRAGMA journal_mode=WAL");
    Fill(old);
  }
  EXPECT_EQ(TitleOf(path, 1000), "long");
  {
    const auto writer = Open(path, Role::kWriter);
    EXPECT_FALSE(writer->HasPageChecksums());
    EXPECT_TRUE(writer->Run("UPDATE note SET title = 'longer' WHERE id = 1000").ok());
  }
  EXPECT_EQ(TitleOf(path, 1000), "longer");
  EXPECT_FALSE(Open(path, Role::kReader)->HasPageChecksums());
  SQLite::Database old(path, SQLite::OPEN_READONLY, 0, kPlainVfs);
  EXPECT_EQ(old.execAndGet("PRAGMA integrity_check").getString(), "ok");
}

// Beside a writer that is open, so that nothing is recovered.
TEST_F(PageChecksums, AFlippedBitInTheWriteAheadLogIsNeverRead) {
  const std::string path = FilledFile();
  const auto writer = Open(path, Role::kWriter);
  for (int i = 1; i <= 40; ++i) {
    writer->Run("UPDATE note SET title = title || '+' WHERE id % 40 = " + std::to_string(i % 40))
        .IgnoreError();
  }
  ASSERT_TRUE(writer->status().ok());
  const std::string wal = path + "-wal";
  const std::string sound = Answer(path);
  int found = 0;
  constexpr int kFlips = 400;
  for (int i = 0; i < kFlips; ++i) {
    const std::int64_t at = Below(SizeOf(wal));
    const int bit = Below(8);
    FlipBit(wal, at, bit);
    const std::string answer = Answer(path);
    EXPECT_THAT(answer, AnyOf(Eq(sound), Eq(kDataLoss))) << "bit " << bit << " at " << at;
    if (answer == kDataLoss || !PassesSqlitesCheck(path)) ++found;
    FlipBit(wal, at, bit);
  }
  EXPECT_GT(found, 10);  // Most frames have a newer one of their page.
  EXPECT_EQ(Answer(path), sound);
}

TEST_F(PageChecksums, EveryNewestFrameOfTheWriteAheadLogIsChecked) {
  const std::string path = Path("file.db");
  const auto writer = Open(path, Role::kWriter);
  Fill(writer->database());
  const std::string wal = path + "-wal";
  const std::string sound = Answer(path);
  const std::int64_t frame = kPage + 24;
  std::set<std::string> newest;  // Numbers of pages that were seen.
  for (std::int64_t at = SizeOf(wal) - frame; at > 0; at -= frame) {
    if (!newest.insert(BytesOf(wal, at, 4)).second) continue;
    for (const std::int64_t in_frame :
         {std::int64_t{2}, std::int64_t{20}, std::int64_t{24 + Below(kPage)}}) {
      FlipBit(wal, at + in_frame, 1);
      SCOPED_TRACE(fmt::format("{} + {}", at, in_frame));
      ExpectFound(path, sound);
      FlipBit(wal, at + in_frame, 1);
    }
  }
  EXPECT_GT(newest.size(), 20u);
}

TEST_F(PageChecksums, AfterACrashADamagedFrameAndWhatFollowsItAreGone) {
  const std::string path = FilledFile();
  const auto writer = Open(path, Role::kWriter);
  std::set<std::string> states = {Answer(path)};
  for (int i = 1; i <= 20; ++i) {
    writer->Run("UPDATE note SET title = title || '+' WHERE id = " + std::to_string(i * 10))
        .IgnoreError();
    states.insert(Answer(path));
  }
  EXPECT_EQ(states.size(), 21u);
  for (int i = 0; i < 100; ++i) {
    const std::string folder = Path(std::to_string(i));
    fs::create_directories(folder);
    for (const std::string suffix : {"", "-wal"})
      fs::copy_file(path + suffix, folder + "/file.db" + suffix);
    FlipBit(folder + "/file.db-wal", Below(SizeOf(path + "-wal")), Below(8));
    EXPECT_TRUE(states.contains(Answer(folder + "/file.db")));
    fs::remove_all(folder);
  }
}

TEST_F(PageChecksums, ADamagedFrameIsNotCopiedBackAndTheCommitSaysSo) {
  const std::string path = FilledFile();
  constexpr int kCheckpointPages = 20;
  const auto writer = Open(path, Role::kWriter, kCheckpointPages);
  ASSERT_TRUE(writer->Run("UPDATE note SET body = x'01' WHERE id = 1000").ok());
  const std::string wal = path + "-wal";
  const std::string before = BytesOf(path, 0, static_cast<std::size_t>(SizeOf(path)));
  FlipBit(wal, SizeOf(wal) - 100, 5);
  for (int i = 1; i < 100 && writer->status().ok(); ++i) {
    // Pages of its own, so that the damaged frame stays the newest of its page.
    writer->Run("INSERT INTO words VALUES ('more')").IgnoreError();
  }
  EXPECT_TRUE(absl::IsDataLoss(writer->status())) << writer->status();
  EXPECT_THAT(std::string(writer->status().message()), HasSubstr("file.db-wal is damaged"));
}

// Frames that are written twice in a transaction have wrong sums until its commit.
TEST_F(PageChecksums, ATransactionThatDoesNotFitTheCacheReadsItsOwnPages) {
  const std::string path = FilledFile();
  {
    const auto writer = Open(path, Role::kWriter);
    writer->Run("PRAGMA cache_size=10").IgnoreError();
    for (int round = 0; round < 3; ++round) {
      EXPECT_TRUE(writer->Begin().ok());
      for (int i = 0; i < 5; ++i) {
        writer
            ->Run(
                "UPDATE note SET body = CAST(printf('%.500c', 'a') AS BLOB) WHERE id < 1000;"
                "UPDATE note SET title = title || '.'")
            .IgnoreError();
      }
      EXPECT_EQ(writer->Value("SELECT sum(length(body)) FROM note WHERE id < 1000"), 150'000);
      if (round == 1) {
        writer->Rollback();
      } else {
        EXPECT_EQ(writer->Commit(), absl::OkStatus());
      }
      EXPECT_EQ(TitleOf(path, 1), "the note number 1" + std::string(round == 2 ? 10 : 5, '.'));
    }
    EXPECT_EQ(writer->Checkpoint(), absl::OkStatus());
  }
  EXPECT_TRUE(PassesSqlitesCheck(path));
  EXPECT_EQ(FirstWithoutChecksum(path, kPage), 0);
}

TEST_F(PageChecksums, AnotherProgramThatCopiesTheWriteAheadLogBackDoesNoHarm) {
  const std::string path = FilledFile();
  const std::string other = Path("other.db");
  std::string sound;
  {
    const auto writer = Open(path, Role::kWriter);
    ASSERT_TRUE(writer->Run("UPDATE note SET title = title || '!' WHERE id % 2 = 0").ok());
    sound = Answer(path);
    // As a process that was killed leaves it.
    for (const std::string suffix : {"", "-wal"}) fs::copy_file(path + suffix, other + suffix);
  }
  SQLite::Database(other, SQLite::OPEN_READWRITE, 0, kPlainVfs)
      .execAndGet("SELECT count(*) FROM note");
  ASSERT_FALSE(fs::exists(other + "-wal"));
  ASSERT_NE(FirstWithoutChecksum(other, kPage), 0);
  EXPECT_EQ(Answer(other), sound);
  ASSERT_TRUE(OpenForVacuum(other)->Run("UPDATE note SET body = x'01'; VACUUM").ok());
  EXPECT_EQ(FirstWithoutChecksum(other, kPage), 0);
}

// Else a commit could be durable already when the disk has no room for its index.
TEST_F(PageChecksums, TheIndexOfTheWriteAheadLogHasItsRoomBeforeACommitNeedsIt) {
  constexpr std::int64_t kRoom = std::int64_t{kShmRegions} * (32 << 10);
  constexpr int kPages = 6'000;  // More than the 4,062 frames of the first region.
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/room.db";
  const auto writer = Open(path, Role::kWriter);
  ASSERT_TRUE(writer->Run("CREATE TABLE t(b BLOB)").ok());
  EXPECT_EQ(SizeOf(path + "-shm"), kRoom);
  ASSERT_TRUE(writer->Run(fmt::format("INSERT INTO t VALUES (zeroblob({}))", kPages * kPage)).ok());
  EXPECT_GT(SizeOf(path + "-wal"), kPages * kPage);
  EXPECT_EQ(SizeOf(path + "-shm"), kRoom);
}

}  // namespace
}  // namespace leftfold::sql
