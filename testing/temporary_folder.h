#ifndef TESTING_TEMPORARY_FOLDER_H_
#define TESTING_TEMPORARY_FOLDER_H_

#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/status.h"

namespace leftfold::testing {

// A folder in memory where there is one: for files that no test takes from a broken machine.
inline std::filesystem::path FastFolder() {
  const std::filesystem::path memory = "/dev/shm";
  return std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
}

// A new empty folder that is removed with all that is in it.
class TemporaryFolder {
 public:
  TemporaryFolder() : TemporaryFolder(std::filesystem::temp_directory_path()) {}
  explicit TemporaryFolder(const std::filesystem::path& below) {
    path_ = (below / "leftfold-test-XXXXXX").string();
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

}  // namespace leftfold::testing
#endif  // TESTING_TEMPORARY_FOLDER_H_
