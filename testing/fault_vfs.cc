#include "testing/fault_vfs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <new>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "core/status.h"
#include "sql/checksum_vfs.h"
#include "sql/connection.h"
#include "sql/vfs_shim.h"

namespace leftfold::testing {
namespace {

namespace fs = std::filesystem;

// What was done to a file since it was synced: bytes written at a place, or a new size.
struct Change {
  std::int64_t at = 0;
  std::string bytes;
  bool truncates = false;
};

// A file as far as its disk is sure of it.
struct OnDisk {
  std::string bytes;
  std::vector<Change> unsynced;
  // Its writes are seen one by one. Of other files it shows when they are looked at.
  bool is_of_sqlite = false;
};

// Files and folders have numbers, which they keep when they are renamed.
using Number = ino_t;
constexpr Number kNone = 0;
using Names = std::map<std::string, Number>;

DiskFault armed;
std::int64_t changing_calls = 0;
std::array<std::int64_t, kDiskCalls> calls{};
std::map<Number, OnDisk> files;
std::map<Number, Names> folders;  // What the disk is sure of.
std::int64_t looks_at_wals = 0;
std::map<std::string, std::int64_t> failures;  // Of writes and syncs, by file.

std::string BytesOfFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Number NumberOf(const std::string& path) {
  struct stat found {};
  return lstat(path.c_str(), &found) == 0 ? found.st_ino : kNone;
}

bool IsOnDisk(const std::string& path) {
  return !armed.disk.empty() && path.starts_with(armed.disk) &&
         (path.size() == armed.disk.size() || path[armed.disk.size()] == '/');
}

// Nobody syncs the index of a write-ahead log.
bool IsLost(const std::string& name) { return name.ends_with("-shm"); }

Names NamesIn(const std::string& folder) {
  Names names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    if (!IsLost(name)) names[name] = NumberOf(entry.path());
  }
  return names;
}

// Files that are there, by number, and all folders.
struct Tree {
  std::map<Number, std::string> paths;
  std::map<Number, Names> folders;
};
void Walk(const std::string& folder, Tree& tree) {
  const Names& names = tree.folders[NumberOf(folder)] = NamesIn(folder);
  for (const auto& [name, number] : names) {
    const std::string path = folder + "/" + name;
    if (fs::is_directory(path)) {
      Walk(path, tree);
    } else {
      tree.paths[number] = path;
    }
  }
}

// A number is not given again as long as somebody has the file open.
OnDisk& Known(Number number, const std::string& path) {
  const auto [file, added] = files.try_emplace(number);
  if (added) open(path.c_str(), O_PATH | O_CLOEXEC);
  return file->second;
}

void Apply(const Change& change, std::string& bytes) {
  const auto at = static_cast<std::size_t>(change.at);
  if (change.truncates) return bytes.resize(at);
  bytes.resize(std::max(bytes.size(), at + change.bytes.size()));
  bytes.replace(at, change.bytes.size(), change.bytes);
}

// Some of the sectors of a write.
void ApplyTorn(const Change& change, std::string& bytes, std::mt19937_64& random) {
  if (change.truncates) return Apply(change, bytes);
  for (std::size_t begin = 0; begin < change.bytes.size();) {
    const std::size_t at = static_cast<std::size_t>(change.at) + begin;
    const std::size_t size =
        std::min(kSectorBytes - at % kSectorBytes, change.bytes.size() - begin);
    if (random() % 2 == 0)
      Apply({static_cast<std::int64_t>(at), change.bytes.substr(begin, size)}, bytes);
    begin += size;
  }
}

enum Kept { kNothing, kAll, kSome, kTorn, kKinds };

void Keep(OnDisk& file, std::mt19937_64& random) {
  const auto kept = random() % kKinds;
  for (const Change& change : file.unsynced) {
    if (kept == kAll || (kept == kSome && random() % 2 == 0)) Apply(change, file.bytes);
    if (kept == kTorn) ApplyTorn(change, file.bytes, random);
  }
}

// A name that is not as the disk is sure of.
struct NameChange {
  Number folder;
  std::string name;
  Number before;
  Number now;
};

std::vector<NameChange> ChangesOfNames(const Tree& tree) {
  std::vector<NameChange> changes;
  for (const auto& [folder, before] : folders) {
    const auto there = tree.folders.find(folder);
    Names all = there == tree.folders.end() ? Names() : there->second;
    const Names now = all;
    all.insert(before.begin(), before.end());
    const auto in = [](const Names& names, const std::string& name) {
      const auto found = names.find(name);
      return found == names.end() ? kNone : found->second;
    };
    for (const auto& [name, number] : all) {
      if (in(before, name) != in(now, name))
        changes.push_back({folder, name, in(before, name), in(now, name)});
    }
  }
  return changes;
}

// Takes those out that have a file in common with the first: one rename made them.
std::vector<NameChange> TakeRename(std::vector<NameChange>& changes) {
  std::vector<NameChange> taken;
  std::set<Number> moved = {changes.front().before, changes.front().now};
  for (bool found = true; found;) {
    found = false;
    moved.erase(kNone);
    for (auto it = changes.begin(); it != changes.end() && !found;) {
      found = moved.contains(it->before) || moved.contains(it->now);
      if (!found) {
        ++it;
        continue;
      }
      moved.insert({it->before, it->now});
      taken.push_back(std::move(*it));
      it = changes.erase(it);
    }
  }
  return taken;
}

void KeepNames(std::vector<NameChange> changes, std::mt19937_64& random) {
  const auto kept = random() % kKinds;
  while (!changes.empty()) {
    const bool keeps = kept == kAll || (kept != kNothing && random() % 2 == 0);
    for (const NameChange& change : TakeRename(changes)) {
      if (!keeps) continue;
      Names& names = folders[change.folder];
      names.erase(change.name);
      if (change.now != kNone) names[change.name] = change.now;
    }
  }
}

void Restore(Number folder, const std::string& path) {
  fs::create_directory(path);
  for (const auto& [name, number] : folders[folder]) {
    const std::string place = path + "/" + name;
    if (folders.contains(number)) {
      Restore(number, place);
    } else {
      const std::string& bytes = files[number].bytes;
      std::ofstream(place, std::ios::binary).write(bytes.data(), std::ssize(bytes));
    }
  }
}

void LosePower() {
  std::mt19937_64 random(armed.seed);
  Tree tree;
  Walk(armed.disk, tree);
  for (const auto& [number, path] : tree.paths) {
    OnDisk& file = files[number];
    const std::string bytes = file.is_of_sqlite ? "" : BytesOfFile(path);
    if (!file.is_of_sqlite && bytes != file.bytes)
      file.unsynced = {{.at = 0, .bytes = "", .truncates = true}, {.at = 0, .bytes = bytes}};
  }
  for (const auto& [number, names] : tree.folders) folders.try_emplace(number);
  for (auto& [number, file] : files) Keep(file, random);
  KeepNames(ChangesOfNames(tree), random);
  const Number root = NumberOf(armed.disk);
  const std::string disk = std::exchange(armed.disk, "");
  for (const auto& entry : fs::directory_iterator(disk)) fs::remove_all(entry.path());
  Restore(root, disk);
  _exit(kPowerLost);
}

enum class Changes { kNothing, kSomething, kAsCheckpointsDo };

// Before a call; SQLITE_OK, or what it is to return instead of being made.
int Enter(DiskCall call, Changes changes) {
  const std::int64_t n = ++calls[static_cast<std::size_t>(call)];
  const Changes least = armed.at_checkpoints ? Changes::kAsCheckpointsDo : Changes::kSomething;
  if (changes >= least && ++changing_calls == armed.power_loss_at) LosePower();
  const bool fails = armed.fail_at > 0 && call == armed.fails &&
                     (n == armed.fail_at || (armed.sticky && n > armed.fail_at));
  return fails ? armed.code : SQLITE_OK;
}

// What SQLite has of an open file; the file of the VFS below follows it in memory.
struct File {
  sqlite3_file base;  // First: SQLite knows only this.
  OnDisk* on_disk;    // nullptr: of no interest.
  const char* path;
  bool is_wal;
  bool is_database;
  std::int64_t syncs_folder;  // With its first sync, as unix VFSs do for journals that may be new.
};
File& Of(sqlite3_file* file) { return *reinterpret_cast<File*>(file); }

Changes ChangesOf(const File& file) {
  return file.is_database ? Changes::kAsCheckpointsDo : Changes::kSomething;
}

bool Lies(DiskFault::SyncLies about) {
  return armed.sync_lies == DiskFault::SyncLies::kAll || armed.sync_lies == about;
}

std::string FolderAround(const std::string& path) { return path.substr(0, path.rfind('/')); }
void SyncFolder(const std::string& folder) {
  if (!IsOnDisk(folder) || Lies(DiskFault::SyncLies::kOfFolders)) return;
  folders[NumberOf(folder)] = NamesIn(folder);
  for (const auto& [name, number] : folders[NumberOf(folder)]) {
    if (fs::is_directory(folder + "/" + name)) {
      folders.try_emplace(number);
    } else {
      Known(number, folder + "/" + name);
    }
  }
}

template <class Method, class... Args>
int Ask(sqlite3_file* file, Method method, Args... args) {
  return sql::AskBelow<File>(file, method, args...);
}

int Read(sqlite3_file* file, void* data, int size, sqlite3_int64 at) {
  const int failure = Enter(DiskCall::kRead, Changes::kNothing);
  if (failure != SQLITE_OK) return failure;
  return Ask(file, &sqlite3_io_methods::xRead, data, size, at);
}

// The bytes are read back: the VFS below may have put checksums into them.
void NoteWrite(const File& file, int size, sqlite3_int64 at) {
  if (file.on_disk == nullptr) return;
  std::string bytes(static_cast<std::size_t>(size), '\0');
  std::ifstream written(file.path, std::ios::binary);
  written.seekg(at);
  written.read(bytes.data(), size);
  file.on_disk->unsynced.push_back({at, std::move(bytes)});
}

void NoteFailure(const File& file, int code) {
  if (code != SQLITE_OK && code != SQLITE_FULL && file.path != nullptr) ++failures[file.path];
}

int Write(sqlite3_file* file, const void* data, int size, sqlite3_int64 at) {
  const int failure = Enter(DiskCall::kWrite, ChangesOf(Of(file)));
  NoteFailure(Of(file), failure);
  const int done = failure == SQLITE_OK ? size : size / 2;
  const int code = Ask(file, &sqlite3_io_methods::xWrite, data, done, at);
  NoteWrite(Of(file), done, at);
  return failure == SQLITE_OK ? code : failure;
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  const int failure = Enter(DiskCall::kTruncate, Changes::kAsCheckpointsDo);
  if (failure != SQLITE_OK) return failure;
  if (OnDisk* on_disk = Of(file).on_disk) on_disk->unsynced.push_back({size, "", true});
  return Ask(file, &sqlite3_io_methods::xTruncate, size);
}

void Synced(OnDisk& file) {
  for (const Change& change : file.unsynced) Apply(change, file.bytes);
  file.unsynced.clear();
}

int SyncOpen(sqlite3_file* f, int) {
  File& file = Of(f);
  const int failure = Enter(DiskCall::kSync, ChangesOf(file));
  NoteFailure(file, failure);
  if (file.on_disk == nullptr) return failure;
  if (failure != SQLITE_OK) {
    file.on_disk->unsynced.clear();
    return failure;
  }
  const auto lie = file.is_wal ? DiskFault::SyncLies::kOfWals : DiskFault::SyncLies::kAll;
  if (Lies(lie)) return SQLITE_OK;
  Synced(*file.on_disk);
  if (std::exchange(file.syncs_folder, 0) != 0) SyncFolder(FolderAround(file.path));
  return SQLITE_OK;  // The disk below need not be waited for.
}

int FileSize(sqlite3_file* file, sqlite3_int64* size) {
  const int failure = Enter(DiskCall::kFileSize, Changes::kNothing);
  if (failure != SQLITE_OK) return failure;
  return Ask(file, &sqlite3_io_methods::xFileSize, size);
}

int ShmMap(sqlite3_file* file, int page, int size, int extend, void volatile** memory) {
  const int failure = Enter(DiskCall::kShmMap, Changes::kNothing);
  if (failure != SQLITE_OK) return failure;
  return Ask(file, &sqlite3_io_methods::xShmMap, page, size, extend, memory);
}

int Lock(sqlite3_file* file, int level) {
  const int failure = Enter(DiskCall::kLock, Changes::kNothing);
  if (failure != SQLITE_OK) return failure;
  return Ask(file, &sqlite3_io_methods::xLock, level);
}

int ShmLock(sqlite3_file* file, int first, int count, int flags) {
  if ((flags & SQLITE_SHM_LOCK) != 0) {
    const int failure = Enter(DiskCall::kShmLock, Changes::kNothing);
    if (failure != SQLITE_OK) return failure;
  }
  return Ask(file, &sqlite3_io_methods::xShmLock, first, count, flags);
}

constexpr sqlite3_io_methods kMethods = [] {
  sqlite3_io_methods methods = sql::PassAllBelow<File>();
  methods.xRead = Read;
  methods.xWrite = Write;
  methods.xTruncate = Truncate;
  methods.xSync = SyncOpen;
  methods.xFileSize = FileSize;
  methods.xShmMap = ShmMap;
  methods.xLock = Lock;
  methods.xShmLock = ShmLock;
  return methods;
}();

sqlite3_vfs* original = nullptr;  // The VFS below.

int Open(sqlite3_vfs*, const char* path, sqlite3_file* f, int flags, int* out_flags) {
  File* const file = new (f) File{};
  const bool is_new = path != nullptr && access(path, F_OK) != 0;
  const bool makes = is_new && (flags & SQLITE_OPEN_CREATE) != 0;
  const int failure = Enter(DiskCall::kOpen, makes ? Changes::kSomething : Changes::kNothing);
  if (failure != SQLITE_OK) return failure;
  const int code = original->xOpen(original, path, sql::Below<File>(f), flags, out_flags);
  if (code != SQLITE_OK) return code;
  OnDisk* on_disk = nullptr;
  if (path != nullptr && IsOnDisk(path)) {
    on_disk = &Known(NumberOf(path), path);
    on_disk->is_of_sqlite = true;
  }
  const int journals = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
  *file = {{&kMethods},
           on_disk,
           path,
           (flags & SQLITE_OPEN_WAL) != 0,
           (flags & SQLITE_OPEN_MAIN_DB) != 0,
           (flags & journals) != 0 && (flags & SQLITE_OPEN_CREATE) != 0 ? 1 : 0};
  return code;
}

int Delete(sqlite3_vfs*, const char* path, int sync_folder) {
  const int failure = Enter(DiskCall::kDelete, Changes::kSomething);
  if (failure != SQLITE_OK) return failure;
  const int code = original->xDelete(original, path, 0);
  if (code == SQLITE_OK && sync_folder != 0) SyncFolder(FolderAround(path));
  return code;
}

int Access(sqlite3_vfs*, const char* path, int flags, int* result) {
  const int failure = Enter(DiskCall::kAccess, Changes::kNothing);
  if (failure != SQLITE_OK) return failure;
  return original->xAccess(original, path, flags, result);
}

sqlite3_mem_methods memory;  // SQLite's own.

void* Allocate(int size) {
  return Enter(DiskCall::kAllocate, Changes::kNothing) == SQLITE_OK ? memory.xMalloc(size)
                                                                    : nullptr;
}
void* Reallocate(void* bytes, int size) {
  return Enter(DiskCall::kAllocate, Changes::kNothing) == SQLITE_OK ? memory.xRealloc(bytes, size)
                                                                    : nullptr;
}

// SQLite takes another allocator only before it begins.
void ReplaceMemory() {
  sqlite3_shutdown();
  sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory);
  sqlite3_mem_methods failing = memory;
  failing.xMalloc = Allocate;
  failing.xRealloc = Reallocate;
  if (sqlite3_config(SQLITE_CONFIG_MALLOC, &failing) != SQLITE_OK) Die("SQLite refuses a memory");
}

}  // namespace

void Arm(const DiskFault& fault) {
  ReplaceMemory();
  // The VFS with checksums is registered with the first connection. It is the default one again.
  if (!sql::Connection::OpenMemory().ok()) Die("SQLite cannot be configured");
  sqlite3_vfs_register(sqlite3_vfs_find(sql::kChecksumVfs), /*makeDflt=*/1);
  armed = fault;
  armed.disk = fs::canonical(fault.disk);
  Tree tree;
  Walk(armed.disk, tree);
  folders = tree.folders;
  for (const auto& [number, path] : tree.paths) Known(number, path).bytes = BytesOfFile(path);
  original = sqlite3_vfs_find(nullptr);
  static sqlite3_vfs vfs = *original;
  vfs.pNext = nullptr;
  vfs.zName = "faults";
  vfs.szOsFile += static_cast<int>(sizeof(File));
  vfs.xOpen = Open;
  vfs.xDelete = Delete;
  vfs.xAccess = Access;
  vfs.xSleep = [](sqlite3_vfs*, int micros) { return micros; };
  if (sqlite3_vfs_register(&vfs, /*makeDflt=*/1) != SQLITE_OK) Die("SQLite refuses a VFS");
  calls = {};
}

void PowerMayGo() { Enter(DiskCall::kSync, Changes::kAsCheckpointsDo); }
std::int64_t ChangingCalls() { return changing_calls; }
std::int64_t CallsOf(DiskCall call) { return calls[static_cast<std::size_t>(call)]; }
std::int64_t LooksAtWals() { return looks_at_wals; }
std::int64_t FailuresOf(const std::string& database) {
  const std::string path = fs::canonical(database);
  return failures[path] + failures[path + "-wal"];
}

namespace {

// Of an open file; nullopt when it is not on the disk.
std::optional<std::string> PathOnDisk(int file) {
  if (armed.disk.empty()) return std::nullopt;
  std::error_code none;
  const auto path = fs::read_symlink(fmt::format("/proc/self/fd/{}", file), none);
  return IsOnDisk(path) ? std::optional(path.string()) : std::nullopt;
}

int Refuse(int sqlite_code) {
  errno = sqlite_code == SQLITE_FULL ? ENOSPC : EIO;
  return -1;
}

// By others than SQLite; its files too.
int SyncByPath(const std::string& path) {
  const int failure = Enter(DiskCall::kSync, Changes::kSomething);
  if (fs::is_directory(path)) {
    if (failure == SQLITE_OK) SyncFolder(path);
    return failure;
  }
  OnDisk& file = Known(NumberOf(path), path);
  if (failure != SQLITE_OK) {
    file.unsynced.clear();
  } else if (!Lies(DiskFault::SyncLies::kAll)) {
    if (!file.is_of_sqlite) file.bytes = BytesOfFile(path);
    Synced(file);
  }
  return failure;
}

int EnterRename(const char* from, const char* to) {
  if (!IsOnDisk(from) && !IsOnDisk(to)) return SQLITE_OK;
  return Enter(DiskCall::kRename, Changes::kSomething);
}

}  // namespace
}  // namespace leftfold::testing

// In the place of libc's.
extern "C" {

int fsync(int file) {
  using namespace leftfold::testing;
  const auto path = PathOnDisk(file);
  if (const int failure = path ? SyncByPath(*path) : SQLITE_OK; failure != SQLITE_OK)
    return Refuse(failure);
  return static_cast<int>(syscall(SYS_fsync, file));
}

// One that fails has written half.
ssize_t write(int file, const void* data, size_t size) {
  using namespace leftfold::testing;
  const int failure = PathOnDisk(file) ? Enter(DiskCall::kWrite, Changes::kSomething) : SQLITE_OK;
  if (failure == SQLITE_OK) return syscall(SYS_write, file, data, size);
  if (size > 1) return syscall(SYS_write, file, data, size / 2);
  return Refuse(failure);
}

int stat(const char* path, struct stat* found) noexcept {
  using namespace leftfold::testing;
  if (IsOnDisk(path) && std::string_view(path).ends_with("-wal")) ++looks_at_wals;
  return static_cast<int>(syscall(SYS_newfstatat, AT_FDCWD, path, found, 0));
}

int rename(const char* from, const char* to) noexcept {
  using namespace leftfold::testing;
  if (const int failure = EnterRename(from, to); failure != SQLITE_OK) return Refuse(failure);
  return static_cast<int>(syscall(SYS_rename, from, to));
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to,
              unsigned flags) noexcept {
  using namespace leftfold::testing;
  if (const int failure = EnterRename(from, to); failure != SQLITE_OK) return Refuse(failure);
  return static_cast<int>(syscall(SYS_renameat2, from_folder, from, to_folder, to, flags));
}
}
