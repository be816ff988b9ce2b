#ifndef TESTING_SMALL_DISK_H_
#define TESTING_SMALL_DISK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "testing/child_process.h"
#include "testing/temporary_folder.h"

namespace leftfold::testing {

// A file system of its own of at most kSmallDiskMax, which a test may fill. A tmpfs in a mount
// namespace, which root may make, and elsewhere most users; a container that forbids both has a
// small /dev/shm. Where there is nothing of the kind it ends the process and says so.
class SmallDisk {
 public:
  static constexpr std::int64_t kSmallDiskMax = 128 << 20;

  SmallDisk();
  // Removes all that is on it.
  ~SmallDisk();

  // For processes that are started with Inside().
  const std::string& path() const { return path_; }
  // The command of a process that sees it.
  std::vector<std::string> Inside(const std::vector<std::string>& command) const;
  // Leaves so many bytes, at the most, with a file beside all others.
  void Fill(std::int64_t left);
  // Removes this file.
  void Empty();

 private:
  bool Mount(const std::string& option);

  TemporaryFolder mount_point_;
  std::unique_ptr<ChildProcess> namespace_;  // Holds it; nullptr: there is none.
  std::vector<std::string> enter_;
  std::string path_;
  std::string seen_;  // path_ from here.
};

}  // namespace leftfold::testing
#endif  // TESTING_SMALL_DISK_H_
