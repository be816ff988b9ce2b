#ifndef TESTING_FAULT_VFS_H_
#define TESTING_FAULT_VFS_H_

#include <cstdint>
#include <string>

// A disk that fails, or loses its power, at a chosen call. What SQLite does comes through a VFS
// above the one with checksums, so that what it damages is what they see; of all others it is
// told by fsync, write, rename, renameat2 and stat, which the executable has in the place of
// libc's.
namespace leftfold::testing {

enum class DiskCall {
  kRead,
  kWrite,
  kSync,
  kTruncate,
  kDelete,
  kOpen,
  kFileSize,
  kShmMap,
  kLock,
  kShmLock,  // Taking one; to give one back cannot fail.
  kAccess,
  kRename,
  kAllocate,  // Of SQLite's memory, which is no call of the disk.
};
inline constexpr int kDiskCalls = 13;

struct DiskFault {
  // The folder that is the disk, with all that is in it.
  std::string disk = {};

  // The power goes at the n-th call that changes something, from 1: the call is not done. Of what
  // was written and not synced since, each file keeps nothing, all, or some sectors, as the seed
  // says. A name that was given, changed or taken away since its folder was synced is as it was,
  // or as it is; names that were changed together by a rename are so together. That a file was
  // synced says nothing of its name; the first sync of a new journal of SQLite's syncs the folder.
  // The process ends with kPowerLost.
  std::int64_t power_loss_at = 0;
  std::uint64_t seed = 0;
  // Only calls that change a database, or make a write-ahead log smaller, are counted as changing:
  // while there is a write-ahead log, checkpoints make them.
  bool at_checkpoints = false;
  // Syncs are answered, and not made: all of them, those of folders, or those of write-ahead logs,
  // which is what SQLite leaves out with synchronous=NORMAL.
  enum class SyncLies { kNone, kOfWals, kOfFolders, kAll };
  SyncLies sync_lies = SyncLies::kNone;

  // The n-th call of this kind, from 1, returns this code of SQLite's, and does nothing, or half
  // of a write; so do all later ones of the kind if it is sticky. What a failed sync was to bring
  // to the disk never comes there, as with Linux, though it can be read until the power goes.
  std::int64_t fail_at = 0;
  DiskCall fails = DiskCall::kRead;
  int code = 0;
  bool sticky = false;
};

inline constexpr int kPowerLost = 77;
// A write to a disk keeps whole sectors.
inline constexpr int kSectorBytes = 512;

// For this process, from now on. What is on the disk now stays there. Once; not thread-safe, nor
// are the calls after it.
void Arm(const DiskFault& fault);
// One call more at which the power may go, after all others.
void PowerMayGo();
// Since then: calls that change something, and calls of a kind.
std::int64_t ChangingCalls();
std::int64_t CallsOf(DiskCall call);
// Writes and syncs of this database, and of its write-ahead log, that have failed since then; not
// for want of space.
std::int64_t FailuresOf(const std::string& database);
// How often somebody has asked what size or time a write-ahead log has.
std::int64_t LooksAtWals();

}  // namespace leftfold::testing
#endif  // TESTING_FAULT_VFS_H_
