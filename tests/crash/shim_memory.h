#ifndef TESTS_CRASH_SHIM_MEMORY_H_
#define TESTS_CRASH_SHIM_MEMORY_H_

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "testing/temporary_folder.h"

// What a test and a library that is preloaded into its servers share: the file that an environment
// variable names. T is of atomics that are all zero in the beginning.
namespace leftfold::testing {

template <class T>
T* MapShared(const char* path, int flags) {
  const int file = path == nullptr ? -1 : open(path, flags | O_CLOEXEC, 0600);
  if (file < 0) std::abort();
  if ((flags & O_CREAT) != 0 && ftruncate(file, sizeof(T)) != 0) std::abort();
  void* memory = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) std::abort();
  close(file);
  return static_cast<T*>(memory);
}

// On the test's side.
template <class T>
class Preloaded {
 public:
  Preloaded(std::string library, std::string variable)
      : library_(std::move(library)), variable_(std::move(variable)) {}
  ~Preloaded() { munmap(shared_, sizeof(T)); }
  Preloaded(const Preloaded&) = delete;
  Preloaded& operator=(const Preloaded&) = delete;

  T& shared() const { return *shared_; }
  std::vector<std::string> With(const std::vector<std::string>& command) const {
    std::vector<std::string> with = {"/usr/bin/env", "LD_PRELOAD=" + library_,
                                     variable_ + "=" + path()};
    with.insert(with.end(), command.begin(), command.end());
    return with;
  }

 private:
  std::string path() const { return folder_.path() + "/shared"; }

  const std::string library_;
  const std::string variable_;
  const TemporaryFolder folder_;
  T* const shared_ = MapShared<T>(path().c_str(), O_CREAT | O_RDWR);
};

}  // namespace leftfold::testing
#endif  // TESTS_CRASH_SHIM_MEMORY_H_
