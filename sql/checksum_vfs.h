#ifndef SQL_CHECKSUM_VFS_H_
#define SQL_CHECKSUM_VFS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

// Checksums of database pages, by a shim between SQLite and its files. The last kPageReserve bytes
// of each page hold a checksum of the others and of the page's number; it is written with each
// write of a page to the database file and checked with each read from there. Pages in a
// write-ahead log have SQLite's own checksums of frames, which SQLite looks at after a crash only;
// here they are checked with each read. Rollback journals and temporary files are left alone;
// shared memory only begins larger than SQLite would make it (kShmRegions), and write-ahead logs
// go to the disk in pieces while they grow (WalPieces).
//
// Whether a database has checksums, its first page says: the reserve (byte 20) is kPageReserve.
// Others are read and written as ever, but for their write-ahead log. A page of zeros is a fault,
// and one of a table or index that has rows and whose last sector (512 bytes) is zeros; another
// page whose checksum is 0 is accepted: that is what another program leaves that copies a
// write-ahead log of ours back.
//
// What it does not notice: a page, or a file, replaced by an older state of itself; zeros in place
// of a checksum, in place of up to a sector with it in pages that hold the rest of long rows.
namespace leftfold::sql {

inline constexpr int kPageReserve = 8;
// Of 32 KiB each; they hold the index of 32,734 frames, a write-ahead log of 128 MiB.
inline constexpr int kShmRegions = 8;
inline constexpr const char* kChecksumVfs = "leftfold";

// Makes it the way to the files for every connection of this process that is opened after it.
void RegisterChecksumVfs();

// SQLite's checksum of frames of a write-ahead log (https://www.sqlite.org/fileformat2.html, 4.2),
// over 32-bit little-endian words: a += word + b; b += word + a, for each two words. A change
// within one word is always noticed.
struct WordSum {
  std::uint32_t a = 0;
  std::uint32_t b = 0;
  // `bytes` is a multiple of 8.
  void Add(std::span<const unsigned char> bytes);
  bool operator==(const WordSum&) const = default;
};

// What the last kPageReserve bytes of this page hold: a then b, little-endian. The sum begins with
// the page's number, from 1, as a and 0 as b, and goes over the bytes before.
WordSum PageChecksum(std::span<const unsigned char> page, std::uint32_t number);

// File and page of the last fault that a read on this thread met, in words. SQLite passes it on as
// SQLITE_IOERR_DATA.
const std::string& LastPageFault();

}  // namespace leftfold::sql
#endif  // SQL_CHECKSUM_VFS_H_
