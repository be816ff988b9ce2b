#ifndef TESTING_FAULT_VFS_H_
#define TESTING_FAULT_VFS_H_

#include <cstdint>

// A disk that fails, or loses its power, at a chosen call of SQLite: a VFS above the one with
// checksums, so that what it damages is what they see. Only the files of SQLite pass here, and
// every fsync of one of them.
namespace leftfold::testing {

enum class DiskCall { kRead, kWrite, kSync, kTruncate, kDelete, kOpen, kFileSize, kShmMap };
inline constexpr int kDiskCalls = 8;

struct DiskFault {
  // The power goes at the n-th call that changes a file, from 1: the call is not done. Of what was
  // written and not synced since, each file keeps nothing, all, or some sectors, as the seed says;
  // a file that was deleted may be there again unless its folder was synced, by itself or with the
  // first sync of a new journal in it. The process ends with
  // kPowerLost.
  std::int64_t power_loss_at = 0;
  std::uint64_t seed = 0;
  // Syncs are answered, and not made: all of them, or those of write-ahead logs, which is what
  // SQLite leaves out with synchronous=NORMAL.
  enum class SyncLies { kNone, kOfWals, kAll };
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
// Since then: calls that change a file, and calls of a kind.
std::int64_t ChangingCalls();
std::int64_t CallsOf(DiskCall call);

}  // namespace leftfold::testing
#endif  // TESTING_FAULT_VFS_H_
