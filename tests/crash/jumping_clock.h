#ifndef TESTS_CRASH_JUMPING_CLOCK_H_
#define TESTS_CRASH_JUMPING_CLOCK_H_

#include <absl/time/time.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "testing/temporary_folder.h"

namespace leftfold::testing {

// The wall clock of processes that are started with it.
class JumpingClock {
 public:
  JumpingClock() {
    const int file = open(path().c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    EXPECT_EQ(ftruncate(file, sizeof(std::int64_t)), 0);
    void* memory = mmap(nullptr, sizeof(std::int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    EXPECT_NE(memory, MAP_FAILED);
    offset_ = static_cast<std::atomic<std::int64_t>*>(memory);
    close(file);
  }
  ~JumpingClock() { munmap(offset_, sizeof(std::int64_t)); }
  void JumpTo(absl::Duration offset) { *offset_ = absl::ToInt64Nanoseconds(offset); }
  void GoOn(absl::Duration by) { *offset_ += absl::ToInt64Nanoseconds(by); }
  absl::Duration ahead() const { return absl::Nanoseconds(offset_->load()); }
  std::vector<std::string> With(const std::vector<std::string>& command) const {
    std::vector<std::string> with = {"/usr/bin/env", "LD_PRELOAD=" LEFTFOLD_CLOCK_SHIM,
                                     "LEFTFOLD_CLOCK_FILE=" + path()};
    with.insert(with.end(), command.begin(), command.end());
    return with;
  }

 private:
  std::string path() const { return folder_.path() + "/clock"; }

  TemporaryFolder folder_;
  std::atomic<std::int64_t>* offset_ = nullptr;
};

}  // namespace leftfold::testing
#endif  // TESTS_CRASH_JUMPING_CLOCK_H_
