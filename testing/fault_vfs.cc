#include "testing/fault_vfs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <new>
#include <random>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "core/status.h"
#include "sql/connection.h"
#include "sql/vfs_shim.h"

namespace leftfold::testing {
namespace {

// What was done to a file since it was synced: bytes written at a place, or a new size.
struct Change {
  std::int64_t at = 0;
  std::string bytes;
  bool truncates = false;
};

// A file as far as its disk is sure of it.
struct OnDisk {
  std::string bytes;
  bool exists = false;   // Also after a power loss.
  bool deleted = false;  // But may be there again after it.
  std::vector<Change> unsynced;
};

DiskFault armed;
std::int64_t changing_calls = 0;
std::array<std::int64_t, kDiskCalls> calls{};
std::map<std::string, OnDisk> disk;

std::string BytesOfFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
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

void LosePower() {
  std::mt19937_64 random(armed.seed);
  for (auto& [path, file] : disk) {
    enum { kNothing, kAll, kSome, kTorn };
    const auto kept = random() % 4;
    for (const Change& change : file.unsynced) {
      if (kept == kAll || (kept == kSome && random() % 2 == 0)) Apply(change, file.bytes);
      if (kept == kTorn) ApplyTorn(change, file.bytes, random);
    }
    unlink(path.c_str());
    unlink((path + "-shm").c_str());
    if (file.deleted && random() % 2 == 0) continue;
    if (file.exists || kept == kAll)
      std::ofstream(path, std::ios::binary).write(file.bytes.data(), std::ssize(file.bytes));
  }
  _exit(kPowerLost);
}

// Before a call; SQLITE_OK, or what it is to return instead of being made.
int Enter(DiskCall call, bool changes) {
  const std::int64_t n = ++calls[static_cast<std::size_t>(call)];
  if (changes && ++changing_calls == armed.power_loss_at) LosePower();
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
  std::int64_t syncs_folder;  // With its first sync, as unix VFSs do for new journals.
};
File& Of(sqlite3_file* file) { return *reinterpret_cast<File*>(file); }

std::string FolderAround(const std::string& path) { return path.substr(0, path.rfind('/')); }
void SyncFolder(const std::string& folder) {
  for (auto& [path, file] : disk) {
    if (file.deleted && FolderAround(path) == folder) file = {};
  }
}

template <class Method, class... Args>
int Ask(sqlite3_file* file, Method method, Args... args) {
  return sql::AskBelow<File>(file, method, args...);
}

int Read(sqlite3_file* file, void* data, int size, sqlite3_int64 at) {
  const int failure = Enter(DiskCall::kRead, false);
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

int Write(sqlite3_file* file, const void* data, int size, sqlite3_int64 at) {
  const int failure = Enter(DiskCall::kWrite, true);
  const int done = failure == SQLITE_OK ? size : size / 2;
  const int code = Ask(file, &sqlite3_io_methods::xWrite, data, done, at);
  NoteWrite(Of(file), done, at);
  return failure == SQLITE_OK ? code : failure;
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  const int failure = Enter(DiskCall::kTruncate, true);
  if (failure != SQLITE_OK) return failure;
  if (OnDisk* on_disk = Of(file).on_disk) on_disk->unsynced.push_back({size, "", true});
  return Ask(file, &sqlite3_io_methods::xTruncate, size);
}

bool Lies(bool about_wal) {
  using enum DiskFault::SyncLies;
  return armed.sync_lies == kAll || (armed.sync_lies == kOfWals && about_wal);
}

int Sync(OnDisk* on_disk, bool is_wal) {
  const int failure = Enter(DiskCall::kSync, true);
  if (failure != SQLITE_OK) {
    if (on_disk != nullptr) on_disk->unsynced.clear();
    return failure;
  }
  if (on_disk == nullptr || Lies(is_wal)) return SQLITE_OK;
  for (const Change& change : on_disk->unsynced) Apply(change, on_disk->bytes);
  on_disk->unsynced.clear();
  on_disk->exists = true;
  return SQLITE_OK;  // The disk below need not be waited for.
}

int SyncOpen(sqlite3_file* file, int) {
  const bool is_wal = Of(file).is_wal;
  const int code = Sync(Of(file).on_disk, is_wal);
  if (code == SQLITE_OK && !Lies(is_wal) && std::exchange(Of(file).syncs_folder, 0) != 0)
    SyncFolder(FolderAround(Of(file).path));
  return code;
}

int FileSize(sqlite3_file* file, sqlite3_int64* size) {
  const int failure = Enter(DiskCall::kFileSize, false);
  if (failure != SQLITE_OK) return failure;
  return Ask(file, &sqlite3_io_methods::xFileSize, size);
}

int ShmMap(sqlite3_file* file, int page, int size, int extend, void volatile** memory) {
  const int failure = Enter(DiskCall::kShmMap, false);
  if (failure != SQLITE_OK) return failure;
  return Ask(file, &sqlite3_io_methods::xShmMap, page, size, extend, memory);
}

constexpr sqlite3_io_methods kMethods = [] {
  sqlite3_io_methods methods = sql::PassAllBelow<File>();
  methods.xRead = Read;
  methods.xWrite = Write;
  methods.xTruncate = Truncate;
  methods.xSync = SyncOpen;
  methods.xFileSize = FileSize;
  methods.xShmMap = ShmMap;
  return methods;
}();

sqlite3_vfs* original = nullptr;  // The VFS below.

int Open(sqlite3_vfs*, const char* path, sqlite3_file* f, int flags, int* out_flags) {
  File* const file = new (f) File{};
  const bool is_new = path != nullptr && access(path, F_OK) != 0;
  const int failure = Enter(DiskCall::kOpen, is_new && (flags & SQLITE_OPEN_CREATE) != 0);
  if (failure != SQLITE_OK) return failure;
  OnDisk* on_disk = nullptr;
  if (path != nullptr) {
    const auto [entry, added] = disk.try_emplace(path);
    if (is_new) entry->second = {};
    if (added && !is_new)
      entry->second = {.bytes = BytesOfFile(path), .exists = true, .unsynced = {}};
    on_disk = &entry->second;
  }
  const int code = original->xOpen(original, path, sql::Below<File>(f), flags, out_flags);
  if (code != SQLITE_OK) return code;
  const int journals = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
  *file = {{&kMethods},
           on_disk,
           path,
           (flags & SQLITE_OPEN_WAL) != 0,
           is_new && (flags & journals) != 0 ? 1 : 0};
  return code;
}

int Delete(sqlite3_vfs*, const char* path, int sync_folder) {
  const int failure = Enter(DiskCall::kDelete, true);
  if (failure != SQLITE_OK) return failure;
  if (const auto entry = disk.find(path); entry != disk.end()) {
    entry->second.deleted = true;
    entry->second.unsynced.clear();
    if (sync_folder != 0 && !Lies(false)) SyncFolder(FolderAround(path));
  }
  return original->xDelete(original, path, 0);
}

}  // namespace

void Arm(const DiskFault& fault) {
  // The VFS with checksums is registered with the first connection.
  if (!sql::Connection::OpenMemory().ok()) Die("SQLite cannot be configured");
  armed = fault;
  original = sqlite3_vfs_find(nullptr);
  static sqlite3_vfs vfs = *original;
  vfs.pNext = nullptr;
  vfs.zName = "faults";
  vfs.szOsFile += static_cast<int>(sizeof(File));
  vfs.xOpen = Open;
  vfs.xDelete = Delete;
  if (sqlite3_vfs_register(&vfs, /*makeDflt=*/1) != SQLITE_OK) Die("SQLite refuses a VFS");
}

std::int64_t ChangingCalls() { return changing_calls; }
std::int64_t CallsOf(DiskCall call) { return calls[static_cast<std::size_t>(call)]; }

namespace {

// Files of SQLite are also synced by others than SQLite.
int SyncByPath(const std::string& path) {
  if (const auto entry = disk.find(path); entry != disk.end())
    return Sync(&entry->second, path.ends_with("-wal"));
  if (!Lies(false)) SyncFolder(path);
  return SQLITE_OK;
}

}  // namespace
}  // namespace leftfold::testing

extern "C" int fsync(int file) {
  using namespace leftfold::testing;
  if (!disk.empty()) {
    std::error_code none;
    const auto path = std::filesystem::read_symlink(fmt::format("/proc/self/fd/{}", file), none);
    if (SyncByPath(path.string()) != SQLITE_OK) {
      errno = EIO;
      return -1;
    }
  }
  return static_cast<int>(syscall(SYS_fsync, file));
}
