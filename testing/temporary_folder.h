#ifndef TESTING_TEMPORARY_FOLDER_H_
#define TESTING_TEMPORARY_FOLDER_H_

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/status.h"

namespace leftfold::testing {

// A new empty folder that is removed with all that is in it.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(
      const std::filesystem::path& parent = std::filesystem::temp_directory_path()) {
    path_ = (parent / "leftfold-test-XXXXXX").string();
    if (mkdtemp(path_.data()) == nullptr) Die("cannot make a temporary folder");
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Where files are in memory, for tests that make very many of them; containers have little of it.
inline std::filesystem::path FolderInMemory() {
  constexpr std::uintmax_t kRoomForAllTests = 1 << 30;
  const std::filesystem::path shared = "/dev/shm";
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(shared, error);
  const bool roomy = !error && space.available >= kRoomForAllTests;
  return roomy ? shared : std::filesystem::temp_directory_path();
}

}  // namespace leftfold::testing
#endif  // TESTING_TEMPORARY_FOLDER_H_
