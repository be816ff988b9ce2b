// Bytes of a store that change while nobody looks: flipped bits, pages that are cleared, swapped or
// cut off, files of an earlier day. Whoever opens and uses it after that gets right answers, or
// errors; the process may end with a line that says why; and what can be made again from the log
// is right when it was.
// LEFTFOLD_SEED gives one case back, LEFTFOLD_DAMAGES how many are tried.

#include <SQLiteCpp/Database.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "event_store/sqlite/verify_log_file.h"
#include "leftfold/rooms/v1/queries.pb.h"
#include "sql/reactor_file.h"
#include "testing/damage.h"
#include "testing/environment.h"
#include "testing/event_store_contract.h"
#include "tests/crash/room_process.h"
#include "tests/crash/separate_process.h"

namespace leftfold::testing {
namespace {

namespace fs = std::filesystem;

constexpr int kStoredCommands = 24;
constexpr int kEarlyCommands = 10;  // An earlier day.
constexpr std::uint64_t kStoreSeed = 4;
constexpr std::int64_t kPageBytes = 4'096;
constexpr const char* kMails = "/reactors/mails.db";

using Queries = std::vector<std::unique_ptr<google::protobuf::Message>>;

Queries AllQueries() {
  Queries queries;
  for (int n = 0; n < kRooms; ++n) {
    const std::string room = fmt::format("room-{}", n);
    rooms::v1::GetRoomRequest get;
    get.set_room_id(room);
    queries.push_back(std::make_unique<rooms::v1::GetRoomRequest>(get));
    rooms::v1::ListRoomEventsRequest events;
    events.set_room_id(room);
    queries.push_back(std::make_unique<rooms::v1::ListRoomEventsRequest>(events));
  }
  rooms::v1::ListRoomsRequest list;
  list.set_include_deleted(true);
  queries.push_back(std::make_unique<rooms::v1::ListRoomsRequest>(list));
  queries.push_back(std::make_unique<rooms::v1::ListRoomFactsRequest>());
  for (const char* text : {"a", "dd", "k", "q", "w"}) {
    rooms::v1::SearchRoomsRequest search;
    search.set_text(text);
    queries.push_back(std::make_unique<rooms::v1::SearchRoomsRequest>(search));
  }
  return queries;
}

// What a store answers, or should.
struct Expected {
  std::vector<std::string> events;
  std::map<std::string, Receipt> commands;
  // By query, what it answers at each position; errors have none.
  std::vector<std::map<std::string, std::string>> answers;
  std::set<std::string> reactors;  // What is in the reactor's file, now and earlier.
};

std::string AppliedIn(const google::protobuf::Message& answer) {
  const auto* field = answer.GetDescriptor()->FindFieldByName("applied_position");
  return answer.GetReflection()->GetString(answer, field);
}

// Asks; "" where there is an error.
std::pair<std::string, std::string> AnswerOf(RoomProcess& process,
                                             const google::protobuf::Message& query) {
  std::pair<std::string, std::string> found;
  bool answered = false;
  process.path().Query(query, [&](absl::StatusOr<Answer> answer) {
    answered = true;
    if (answer.ok()) found = {AppliedIn(**answer), (*answer)->SerializeAsString()};
  });
  while (!answered && process.path().scheduler().RunOne()) {
  }
  return found;
}

void NoteAnswers(RoomProcess& process, const Queries& queries, Expected& expected) {
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const auto [position, answer] = AnswerOf(process, *queries[i]);
    if (!position.empty()) expected.answers[i][position] = answer;
  }
}

// A store and what it answers, made once: as it was on an earlier day, as a process leaves it
// that ends, and as one that is killed.
class Store {
 public:
  Store() : queries_(AllQueries()) {
    expected_.answers.resize(queries_.size());
    const std::string work = Path("work");
    MakeReactorFile(work, 1);
    {
      RoomProcess process(work, kStoreSeed);
      SendAll(process, 0, kEarlyCommands);
    }
    fs::copy(work, Path("early"), fs::copy_options::recursive);
    MakeReactorFile(work, 40);
    {
      RoomProcess process(work, kStoreSeed);
      SendAll(process, kEarlyCommands, kStoredCommands);
      process.Open();  // The index comes into its file.
      process.Send(kStoredCommands, [](const auto&) {});
      process.RunAll();
      NoteAnswers(process, queries_, expected_);
      NoteLog(process);
      fs::copy(work, Path("killed"), fs::copy_options::recursive);
    }
    fs::rename(work, Path("closed"));
    for (const char* kind : {"killed", "closed", "early"}) RemoveIndexes(Path(kind));
  }

  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }
  const Expected& expected() const { return expected_; }
  const Queries& queries() const { return queries_; }

 private:
  // The indexes of write-ahead logs are of processes that ran.
  static void RemoveIndexes(const std::string& folder) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.path().string().ends_with("-shm")) fs::remove(entry.path());
    }
  }
  void SendAll(RoomProcess& process, int from, int to) {
    for (int n = from; n < to; ++n) {
      process.Send(n, [](const auto&) {});
      process.RunAll();
      NoteAnswers(process, queries_, expected_);
    }
  }
  void NoteLog(RoomProcess& process) {
    EventStore& store = process.path().store();
    for (const RecordedEvent& event : Must(store.ReadAll({})).events)
      expected_.events.push_back(Describe(event));
    for (int n = 0; n <= kStoredCommands; ++n) {
      const auto command = Must(store.FindCommand(fmt::format("c{}", n)));
      if (command) expected_.commands[fmt::format("c{}", n)] = command->receipt;
    }
  }
  void MakeReactorFile(const std::string& data, int rows);

  TemporaryFolder folder_{FolderInMemory()};
  const Queries queries_;
  Expected expected_;
};

ReactorEntry Mails() {
  ReactorEntry reactor;
  reactor.name = "mails";
  return reactor;
}

// All that is in it, or "" when it cannot be read.
std::string RowsOfReactor(const std::string& data) {
  const auto file = sql::OpenReactorReader(data + kMails);
  if (!file.ok()) return "";
  const auto checkpoint = sql::ReadCheckpoint(**file);
  std::string all;
  if (checkpoint.ok()) all = fmt::format("at {}\n", checkpoint->position.value);
  std::vector<std::int64_t> ids;
  sql::ForEachRow(**file, [&](const sql::OutboxIndex& row) { ids.push_back(row.id); });
  for (const std::int64_t id : ids) {
    const auto row = sql::ReadRow(**file, id);
    if (row) all += fmt::format("{} {} {} {}\n", row->id, row->key, row->payload, row->attempts);
  }
  return (*file)->status().ok() && checkpoint.ok() ? all : "";
}

void Store::MakeReactorFile(const std::string& data, int rows) {
  const auto file = Must(sql::OpenReactorWriter(data + kMails, Mails(), {}));
  file->Begin().IgnoreError();
  for (int n = 1; n <= rows; ++n) {
    sql::OutboxRow row;
    row.id = rows * 1'000 + n;
    row.key = fmt::format("key-{}", n % 5);
    row.type = "mail";
    row.payload = std::string(static_cast<std::size_t>(n) * 20, static_cast<char>('a' + n % 26));
    sql::InsertRow(*file, row);
  }
  sql::WriteCheckpoint(*file, {Position{rows}, Digest{1}});
  if (!file->Commit().ok()) Die("no reactor");
  expected_.reactors.insert(RowsOfReactor(data));
}

// "" or what is wrong with what the log answers. A log whose write-ahead log was cut, or that is of
// an earlier day, ends earlier.
std::string CheckLog(RoomProcess& process, const Expected& expected, bool ends_earlier) {
  EventStore& store = process.path().store();
  const auto all = store.ReadAll({});
  if (!all.ok()) return "";
  if (all->events.size() > expected.events.size()) return "there are too many events";
  for (std::size_t i = 0; i < all->events.size(); ++i) {
    if (Describe(all->events[i]) != expected.events[i])
      return fmt::format("event {} is another one", i + 1);
  }
  const bool whole = all->events.size() == expected.events.size();
  if (!whole && !ends_earlier) return "the last events are not there";
  std::map<std::string, std::vector<RecordedEvent>> streams;
  for (const RecordedEvent& event : all->events) streams[event.stream].push_back(event);
  for (const auto& [name, events] : streams) {
    const auto stream = store.ReadStream(name, {});
    if (stream.ok() && Brief(*stream) != Brief(events)) return name + " reads otherwise";
    const auto version = store.StreamVersion(name);
    if (version.ok() && *version != events.back().version) return name + " has another version";
  }
  ReadAllOptions of_rooms;
  of_rooms.filter.categories = {"room"};
  const auto filtered = store.ReadAll(of_rooms);
  std::vector<RecordedEvent> of_room;
  for (const RecordedEvent& event : all->events) {
    if (event.stream.starts_with("room-")) of_room.push_back(event);
  }
  if (filtered.ok() && Brief(filtered->events) != Brief(of_room)) return "a filter finds others";
  for (const auto& [id, receipt] : expected.commands) {
    const auto command = store.FindCommand(id);
    if (!command.ok() || (!*command && !whole)) continue;
    if (!*command) return id + " is not there";
    if ((*command)->receipt.position != receipt.position ||
        (*command)->receipt.version != receipt.version)
      return id + " has another receipt";
  }
  return "";
}

std::string CheckViews(RoomProcess& process, const Store& store, bool all_answer) {
  for (std::size_t i = 0; i < store.queries().size(); ++i) {
    const auto& answers = store.expected().answers[i];
    const auto [position, answer] = AnswerOf(process, *store.queries()[i]);
    const std::string name = store.queries()[i]->GetDescriptor()->name();
    if (position.empty()) {
      const bool answered = answers.contains(fmt::to_string(store.expected().events.size()));
      if (all_answer && answered) return name + " is not answered";
      continue;
    }
    const auto right = answers.find(position);
    if (right == answers.end() || right->second != answer)
      return fmt::format("{} is answered wrongly at {}", name, position);
    if (all_answer && position != fmt::to_string(store.expected().events.size()))
      return fmt::format("{} is answered at {}", name, position);
  }
  return "";
}

// "" or what is wrong with what the store in `data` answers.
std::string CheckUse(const std::string& data, const Store& store, bool log_is_sound,
                     bool ends_earlier) {
  const std::string reactor = RowsOfReactor(data);
  if (!reactor.empty() && !store.expected().reactors.contains(reactor))
    return "the reactor has other rows";
  {
    RoomProcess process(data, kStoreSeed);
    process.RunAll();
    if (const std::string wrong = CheckLog(process, store.expected(), ends_earlier); !wrong.empty())
      return wrong;
    if (const std::string wrong = CheckViews(process, store, false); !wrong.empty()) return wrong;
  }
  const absl::Status verified = VerifyLogFile(data + "/log", {}).status();
  return log_is_sound && !verified.ok() ? verified.ToString() : "";
}

// After views were built anew.
std::string CheckMended(const std::string& data, const Store& store) {
  RoomProcess process(data, kStoreSeed);
  for (std::uint64_t n = 0; n < process.registry().views().size(); ++n) {
    process.BeginRebuild(n);
    process.RunAll();
  }
  if (const std::string wrong = CheckLog(process, store.expected(), false); !wrong.empty())
    return wrong;
  return CheckViews(process, store, true);
}

enum class Kind {
  kFlips,
  kCut,
  kSwappedPages,
  kClearedPage,
  kClearedSector,
  kGarbage,
  kEarlierFile,
  kKinds
};

std::vector<std::string> FilesIn(const std::string& data) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(data)) {
    const std::string name = fs::relative(entry.path(), data);
    if (entry.is_regular_file() && entry.file_size() > 0 && !name.ends_with(".lock"))
      files.push_back(name);
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::int64_t Below(std::int64_t end, std::mt19937_64& random) {
  return static_cast<std::int64_t>(random() %
                                   static_cast<std::uint64_t>(std::max<std::int64_t>(end, 1)));
}

void DamageFile(const std::string& path, Kind kind, std::mt19937_64& random) {
  const std::int64_t size = SizeOf(path);
  const std::int64_t pages = std::max<std::int64_t>(size / kPageBytes, 1);
  const std::int64_t page = Below(pages, random) * kPageBytes;
  switch (kind) {
    case Kind::kFlips:
      for (std::uint64_t n = 1 + random() % 4; n > 0; --n)
        FlipBit(path, Below(size, random), static_cast<int>(random() % 8));
      return;
    case Kind::kCut: {
      const std::int64_t left = Below(size, random);
      fs::resize_file(path,
                      static_cast<std::uintmax_t>(random() % 2 == 0 ? left : left / 512 * 512));
      return;
    }
    case Kind::kSwappedPages: {
      const std::int64_t other = Below(pages, random) * kPageBytes;
      const std::string a = BytesOf(path, page, kPageBytes);
      const std::string b = BytesOf(path, other, kPageBytes);
      Overwrite(path, page, b);
      Overwrite(path, other, a);
      return;
    }
    case Kind::kClearedPage:
      return Overwrite(path, page,
                       std::string(static_cast<std::size_t>(std::min(size, kPageBytes)), '\0'));
    case Kind::kClearedSector:
      return Overwrite(
          path, Below(size, random) / 512 * 512,
          std::string(static_cast<std::size_t>(std::min<std::int64_t>(size, 512)), '\0'));
    case Kind::kGarbage: {
      std::string bytes(static_cast<std::size_t>(1 + Below(std::min(size, kPageBytes), random)),
                        '\0');
      for (char& byte : bytes) byte = static_cast<char>(random());
      return Overwrite(path, Below(size, random), bytes);
    }
    default:
      return;
  }
}

// The store that cases begin with.
const Store& TheStore() {
  static const Store store;
  return store;
}

// Damages a copy of the store and uses it; "" or what is wrong.
std::string TryDamage(const Store& store, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto kind = static_cast<Kind>(random() % static_cast<std::uint64_t>(Kind::kKinds));
  const bool killed = kind != Kind::kEarlierFile && random() % 2 == 0;
  const TemporaryFolder folder(FolderInMemory());
  const std::string data = folder.path() + "/data";
  fs::copy(store.Path(killed ? "killed" : "closed"), data, fs::copy_options::recursive);
  const std::vector<std::string> files = FilesIn(data);
  const std::string& name = files[random() % files.size()];
  if (kind != Kind::kEarlierFile) {
    DamageFile(data + "/" + name, kind, random);
  } else if (fs::exists(store.Path("early/" + name))) {
    fs::copy_file(store.Path("early/" + name), data + "/" + name,
                  fs::copy_options::overwrite_existing);
  }
  const std::string what =
      fmt::format("{} of {}, {}: ", static_cast<int>(kind), name, killed ? "killed" : "closed");
  const bool of_log = name.starts_with("log/events.db");
  // Its newest commits are in the write-ahead log: one that is damaged has not all of them.
  const bool ends_earlier = of_log && (kind == Kind::kEarlierFile || name.ends_with("-wal"));
  Ended ended;
  for (int runs = 0; runs < 3; ++runs) {
    ended = InSeparateProcess([&] { return CheckUse(data, store, !of_log, ends_earlier); });
    if (const std::string wrong = ended.Wrong(); !wrong.empty()) return what + wrong;
    if (ended.code == 0) break;
  }
  if (of_log) return "";
  if (ended.code != 0) return what + "it does not start again: " + ended.errors;
  ended = InSeparateProcess([&] { return CheckMended(data, store); });
  if (ended.code == 0 && ended.text.empty()) return "";
  return what + "then " + (ended.code == 0 ? ended.text : ended.errors);
}

class StoredBytes : public ::testing::TestWithParam<int> {};

TEST_P(StoredBytes, ThatChangedAreNeverServed) {
  constexpr int kParts = 4;
  const std::uint64_t cases = HasSeed() ? 1 : Cases("LEFTFOLD_DAMAGES", 1'000) / kParts;
  const std::uint64_t first = Seed();
  for (std::uint64_t seed = first; seed < first + cases; ++seed) {
    ASSERT_EQ(TryDamage(TheStore(), seed), "") << "LEFTFOLD_SEED=" << seed;
  }
  fmt::print("{} damages\n", cases);
}

INSTANTIATE_TEST_SUITE_P(Part, StoredBytes, ::testing::Range(0, 4));

// As an earlier version made it.
void RemoveChecksums(const std::string& data) {
  for (const std::string& name : FilesIn(data)) {
    if (!name.ends_with(".db")) continue;
    SQLite::Database file(data + "/" + name, SQLite::OPEN_READWRITE, 0, "unix");
    file.exec("PRAGMA journal_mode=DELETE");
    int reserve = 0;
    sqlite3_file_control(file.getHandle(), "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve);
    file.exec("VACUUM; PRAGMA journal_mode=WAL");
  }
}

// The test can see: without checksums of pages, changed bytes are served.
TEST(StoredBytesControl, AreServedWhereNoPageHasAChecksum) {
  const TemporaryFolder folder(FolderInMemory());
  const std::string plain = folder.path() + "/plain";
  fs::copy(TheStore().Path("closed"), plain, fs::copy_options::recursive);
  RemoveChecksums(plain);
  std::mt19937_64 random(SeedOr(1));
  int served = 0;
  for (int n = 0; n < 40 && served == 0; ++n) {
    const std::string data = fmt::format("{}/{}", folder.path(), n);
    fs::copy(plain, data, fs::copy_options::recursive);
    const std::vector<std::string> files = FilesIn(data);
    for (const std::string& name : files) {
      if (name.ends_with(".db")) DamageFile(data + "/" + name, Kind::kFlips, random);
    }
    const Ended ended = InSeparateProcess([&] { return CheckUse(data, TheStore(), false, false); });
    if (ended.code == 0 && !ended.text.empty()) ++served;
  }
  EXPECT_GT(served, 0);
}

}  // namespace
}  // namespace leftfold::testing
