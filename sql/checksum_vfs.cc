#include "sql/checksum_vfs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <new>

#include "core/status.h"
#include "sql/vfs_shim.h"
#include "sql/wal_pieces.h"

static_assert(std::endian::native == std::endian::little, "sums go over little-endian words");

namespace leftfold::sql {
namespace {

// https://www.sqlite.org/fileformat2.html
constexpr int kPageBytesMin = 512;
constexpr int kPageBytesMax = 65'536;
constexpr int kReserveAt = 20;  // In the first page.
constexpr int kWalHeaderBytes = 32;
constexpr int kFrameHeaderBytes = 24;
constexpr int kFrameSumBytes = 8;  // At the end of both headers.
// Of a frame's header, its sum goes over so many bytes.
constexpr int kFrameSummedBytes = 8;

constexpr sqlite3_int64 kNowhere = std::numeric_limits<sqlite3_int64>::max();

using Bytes = std::span<const unsigned char>;

enum class Kind { kDatabase, kWal };

// What SQLite has of an open file; the file of the VFS below follows it in memory.
struct File {
  sqlite3_file base;  // First: SQLite knows only this.
  const char* path;
  Kind kind;
  // Of a database: its first page says that it has checksums.
  bool has_checksums;
  // Of a write-ahead log that is written here: where the last frame header was written,
  sqlite3_int64 header_at;
  // and the first frame whose page was replaced within its transaction. The sums from there on are
  // wrong until the commit writes them anew.
  sqlite3_int64 stale_from;
  // and what of it the disk has been told to write, through a descriptor of our own: -1 until then.
  WalPieces pieces;
  std::int64_t descriptor;
};

File& Of(sqlite3_file* file) { return *reinterpret_cast<File*>(file); }
template <class Method, class... Args>
int Ask(sqlite3_file* file, Method method, Args... args) {
  return AskBelow<File>(file, method, args...);
}

Bytes BytesAt(const void* data, int size) {
  return {static_cast<const unsigned char*>(data), static_cast<std::size_t>(size)};
}

bool IsPageSize(int size) {
  return size >= kPageBytesMin && size <= kPageBytesMax &&
         std::has_single_bit(static_cast<unsigned>(size));
}

thread_local std::string last_fault;

int Fault(const File& file, sqlite3_int64 page, std::string_view what) {
  // The folder above tells views apart; where all of it lies is not for everybody to read.
  const std::filesystem::path path(file.path);
  last_fault = fmt::format("page {} of {} is damaged: {}", page,
                           (path.parent_path().filename() / path.filename()).string(), what);
  return SQLITE_IOERR_DATA;
}

WordSum SumIn(Bytes page) {
  WordSum sum;
  std::memcpy(&sum, page.last(kPageReserve).data(), kPageReserve);
  return sum;
}

bool HasReserve(Bytes first_page) { return first_page[kReserveAt] == kPageReserve; }

// Whether only the byte that says so denies that the page has a checksum.
bool DeniesItsChecksum(Bytes first_page) {
  unsigned char copy[kPageBytesMax];
  std::copy(first_page.begin(), first_page.end(), copy);
  copy[kReserveAt] = kPageReserve;
  return PageChecksum({copy, first_page.size()}, 1) == SumIn(first_page);
}

bool IsZero(Bytes bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](auto byte) { return byte == 0; });
}

// Of a page without a sum: whether it is empty, or a page of a table or index that has cells but
// no last sector, where the first of them are.
bool IsCleared(Bytes page, std::uint32_t number) {
  constexpr std::size_t kSectorBytes = 512;
  constexpr std::size_t kFirstPageHeader = 100;
  if (!IsZero(page.last(kSectorBytes))) return false;
  const Bytes header = page.subspan(number == 1 ? kFirstPageHeader : 0);
  const bool tree = header[0] == 2 || header[0] == 5 || header[0] == 10 || header[0] == 13;
  const bool has_cells = header[3] != 0 || header[4] != 0;
  return IsZero(page) || (tree && has_cells);
}

int CheckPage(const File& file, std::span<unsigned char> page, std::uint32_t number) {
  if (number == 1 && !HasReserve(page)) {
    return DeniesItsChecksum(page) ? Fault(file, 1, "its checksum is wrong") : SQLITE_OK;
  }
  if (!file.has_checksums) return SQLITE_OK;
  const WordSum sum = SumIn(page);
  if (sum == WordSum{}) {
    return IsCleared(page, number) ? Fault(file, number, "it was never written, or was cleared")
                                   : SQLITE_OK;
  }
  if (sum != PageChecksum(page, number)) return Fault(file, number, "its checksum is wrong");
  // A page that another program copies back from the write-ahead log shall not have an old sum.
  std::fill(page.end() - kPageReserve, page.end(), 0);
  return SQLITE_OK;
}

int ReadDatabase(sqlite3_file* f, void* data, int size, sqlite3_int64 at) {
  File& file = Of(f);
  const int code = Ask(f, &sqlite3_io_methods::xRead, data, size, at);
  const bool is_page = IsPageSize(size) && at % size == 0;
  const sqlite3_int64 number = is_page ? at / size + 1 : 0;
  if (code == SQLITE_IOERR_SHORT_READ && is_page && at > 0 && file.has_checksums)
    return Fault(file, number, "the file ends before it");
  if (code != SQLITE_OK) return code;
  if (at == 0 && size > kReserveAt) file.has_checksums = HasReserve(BytesAt(data, size));
  if (!is_page) return code;
  return CheckPage(file, {static_cast<unsigned char*>(data), static_cast<std::size_t>(size)},
                   static_cast<std::uint32_t>(number));
}

int WriteDatabase(sqlite3_file* f, const void* data, int size, sqlite3_int64 at) {
  File& file = Of(f);
  if (at == 0 && size > kReserveAt) file.has_checksums = HasReserve(BytesAt(data, size));
  if (!file.has_checksums || !IsPageSize(size) || at % size != 0)
    return Ask(f, &sqlite3_io_methods::xWrite, data, size, at);
  unsigned char page[kPageBytesMax];
  std::memcpy(page, data, static_cast<std::size_t>(size));
  const WordSum sum = PageChecksum(BytesAt(page, size), static_cast<std::uint32_t>(at / size + 1));
  std::memcpy(page + size - kPageReserve, &sum, kPageReserve);
  return Ask(f, &sqlite3_io_methods::xWrite, static_cast<const void*>(page), size, at);
}

// A page in a frame, as SQLite reads and writes it: apart from the frame's header.
bool IsFramePage(int size, sqlite3_int64 at) {
  return IsPageSize(size) && at > kWalHeaderBytes &&
         (at - kWalHeaderBytes) % (size + kFrameHeaderBytes) == kFrameHeaderBytes;
}

std::uint32_t BigEndian(const unsigned char* bytes) {
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 |
         std::uint32_t{bytes[2]} << 8 | std::uint32_t{bytes[3]};
}
WordSum FrameSumAt(const unsigned char* bytes) { return {BigEndian(bytes), BigEndian(bytes + 4)}; }

// A frame's sum goes on from the one of the frame before it, or of the log's header: what lies from
// there to the end of the page is read at once.
int ReadWal(sqlite3_file* f, void* data, int size, sqlite3_int64 at) {
  const File& file = Of(f);
  const sqlite3_int64 frame = at - kFrameHeaderBytes;
  if (!IsFramePage(size, at) || frame >= file.stale_from)
    return Ask(f, &sqlite3_io_methods::xRead, data, size, at);
  const sqlite3_int64 before_at =
      (frame == kWalHeaderBytes ? frame : frame - size) - kFrameSumBytes;
  const auto span = static_cast<int>(at + size - before_at);
  // Not on the stack: threads of the HTTP server have little of it.
  const auto bytes =
      std::make_unique_for_overwrite<unsigned char[]>(static_cast<std::size_t>(span));
  const int code =
      Ask(f, &sqlite3_io_methods::xRead, static_cast<void*>(bytes.get()), span, before_at);
  if (code != SQLITE_OK && code != SQLITE_IOERR_SHORT_READ) return code;
  const unsigned char* page = bytes.get() + span - size;
  std::memcpy(data, page, static_cast<std::size_t>(size));
  if (code != SQLITE_OK) return code;
  const unsigned char* header = page - kFrameHeaderBytes;
  WordSum sum = FrameSumAt(bytes.get());
  sum.Add({header, kFrameSummedBytes});
  sum.Add(BytesAt(page, size));
  if (sum == FrameSumAt(header + kFrameHeaderBytes - kFrameSumBytes)) return SQLITE_OK;
  return Fault(file, BigEndian(header), "the checksum of its frame is wrong");
}

// Only a hint: what fails here, fails at the sync. SQLite locks no write-ahead log, so that closing
// a descriptor of it lets no lock go.
void BeginToWriteOut(File& file, const WalPieces::Piece& piece) {
  if (file.descriptor < 0) file.descriptor = open(file.path, O_WRONLY | O_CLOEXEC);
  if (file.descriptor < 0) return;
  sync_file_range(static_cast<int>(file.descriptor), piece.begin, piece.end - piece.begin,
                  SYNC_FILE_RANGE_WRITE);
}

int WriteWal(sqlite3_file* f, const void* data, int size, sqlite3_int64 at) {
  File& file = Of(f);
  if (size == kFrameHeaderBytes) {
    file.header_at = at;
    if (at == file.stale_from) file.stale_from = kNowhere;
  } else if (IsFramePage(size, at) && file.header_at != at - kFrameHeaderBytes) {
    file.stale_from = std::min(file.stale_from, at - kFrameHeaderBytes);
  }
  const int code = Ask(f, &sqlite3_io_methods::xWrite, data, size, at);
  if (const auto piece = file.pieces.Written(at, size)) BeginToWriteOut(file, *piece);
  return code;
}

int Read(sqlite3_file* f, void* data, int size, sqlite3_int64 at) {
  return Of(f).kind == Kind::kWal ? ReadWal(f, data, size, at) : ReadDatabase(f, data, size, at);
}
int Write(sqlite3_file* f, const void* data, int size, sqlite3_int64 at) {
  return Of(f).kind == Kind::kWal ? WriteWal(f, data, size, at) : WriteDatabase(f, data, size, at);
}

int Sync(sqlite3_file* f, int flags) {
  Of(f).pieces.Synced();
  return Ask(f, &sqlite3_io_methods::xSync, flags);
}

int Close(sqlite3_file* f) {
  if (const auto descriptor = static_cast<int>(Of(f).descriptor); descriptor >= 0)
    close(descriptor);
  return Ask(f, &sqlite3_io_methods::xClose);
}

int DeviceCharacteristics(sqlite3_file* f) {
  int found = Ask(f, &sqlite3_io_methods::xDeviceCharacteristics);
#ifdef SQLITE_IOCAP_SUBPAGE_READ
  found &= ~SQLITE_IOCAP_SUBPAGE_READ;  // A part of a page cannot be checked.
#endif
  return found;
}

// What is written of a commit is in the write-ahead log, and durable, before the index of it in
// shared memory grows: a disk that is full by then would leave a commit of which nobody knows. The
// first regions are made at once, before anything is written. Where that fails, SQLite gets what it
// has asked for, if it can be had.
int ShmMap(sqlite3_file* f, int region, int size, int extend, void volatile** out) {
  if (extend != 0 && region < kShmRegions)
    Ask(f, &sqlite3_io_methods::xShmMap, kShmRegions - 1, size, extend, out);
  return Ask(f, &sqlite3_io_methods::xShmMap, region, size, extend, out);
}

constexpr sqlite3_io_methods kMethods = [] {
  sqlite3_io_methods methods = PassAllBelow<File>();
  methods.xClose = Close;
  methods.xRead = Read;
  methods.xWrite = Write;
  methods.xSync = Sync;
  methods.xDeviceCharacteristics = DeviceCharacteristics;
  methods.xShmMap = ShmMap;
  return methods;
}();

sqlite3_vfs* original = nullptr;  // The VFS below.

int Open(sqlite3_vfs*, const char* path, sqlite3_file* f, int flags, int* out_flags) {
  if ((flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) == 0)
    return original->xOpen(original, path, f, flags, out_flags);
  // SQLite keeps `path` until the file is closed.
  File* file = new (f) File{.base = {nullptr},
                            .path = path,
                            .kind = (flags & SQLITE_OPEN_WAL) != 0 ? Kind::kWal : Kind::kDatabase,
                            .has_checksums = false,
                            .header_at = kNowhere,
                            .stale_from = kNowhere,
                            .pieces = {},
                            .descriptor = -1};
  const int code = original->xOpen(original, path, Below<File>(f), flags, out_flags);
  if (code == SQLITE_OK) file->base.pMethods = &kMethods;
  return code;
}

}  // namespace

void WordSum::Add(Bytes bytes) {
  for (std::size_t i = 0; i < bytes.size(); i += 8) {
    std::uint32_t words[2];
    std::memcpy(words, &bytes[i], sizeof(words));
    a += words[0] + b;
    b += words[1] + a;
  }
}

WordSum PageChecksum(Bytes page, std::uint32_t number) {
  WordSum sum{.a = number};
  sum.Add(page.first(page.size() - kPageReserve));
  return sum;
}

void RegisterChecksumVfs() {
  original = sqlite3_vfs_find(nullptr);
  if (original == nullptr) Die("SQLite has no VFS");
  // All but opening is the original's.
  static sqlite3_vfs vfs = *original;
  vfs.pNext = nullptr;
  vfs.zName = kChecksumVfs;
  vfs.szOsFile += static_cast<int>(sizeof(File));
  vfs.xOpen = Open;
  if (sqlite3_vfs_register(&vfs, /*makeDflt=*/1) != SQLITE_OK) Die("SQLite refuses a VFS");
}

const std::string& LastPageFault() { return last_fault; }

}  // namespace leftfold::sql
