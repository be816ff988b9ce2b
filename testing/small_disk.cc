#include "testing/small_disk.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "core/status.h"

namespace leftfold::testing {
namespace {

constexpr char kShared[] = "/dev/shm";

struct Space {
  std::int64_t all;
  std::int64_t free;
};
Space SpaceOf(const std::string& path) {
  struct statvfs stat {};
  if (statvfs(path.c_str(), &stat) != 0) Die(fmt::format("no file system at {}", path));
  const auto block = static_cast<std::int64_t>(stat.f_frsize);
  return {static_cast<std::int64_t>(stat.f_blocks) * block,
          static_cast<std::int64_t>(stat.f_bavail) * block};
}

}  // namespace

SmallDisk::SmallDisk() {
  if (Mount("--mount") || Mount("--mount --user --map-root-user")) return;
  if (SpaceOf(kShared).all > kSmallDiskMax) {
    Die(
        fmt::format("no small file system to fill: neither `unshare --mount` nor `unshare --user "
                    "--mount` may mount a tmpfs here, and {} is not one of at most {} bytes",
                    kShared, kSmallDiskMax));
  }
  path_ = fmt::format("{}/leftfold-test-XXXXXX", kShared);
  if (mkdtemp(path_.data()) == nullptr) Die(fmt::format("cannot make a folder in {}", kShared));
  seen_ = path_;
}

SmallDisk::~SmallDisk() {
  std::error_code ignored;
  if (namespace_ == nullptr) std::filesystem::remove_all(path_, ignored);
}

bool SmallDisk::Mount(const std::string& option) {
  path_ = mount_point_.path();
  auto held = std::make_unique<ChildProcess>(std::vector<std::string>{
      "/bin/bash", "-c",
      fmt::format("exec 2>/dev/null unshare {0} bash -c "
                  "'mount -t tmpfs -o size={1} leftfold {2} && echo mounted yes && exec sleep 900'",
                  option, kSmallDiskMax / 2, path_)});
  if (held->ValueAfter("mounted ") != "yes") return false;
  namespace_ = std::move(held);
  const std::string pid = std::to_string(namespace_->pid());
  enter_ = {"/usr/bin/nsenter", "--target", pid, "--mount"};
  if (option.find("--user") != std::string::npos) {
    enter_.insert(enter_.end(), {"--user", "--preserve-credentials"});
  }
  seen_ = fmt::format("/proc/{}/root{}", pid, path_);
  return true;
}

std::vector<std::string> SmallDisk::Inside(const std::vector<std::string>& command) const {
  std::vector<std::string> inside = enter_;
  inside.insert(inside.end(), command.begin(), command.end());
  return inside;
}

void SmallDisk::Fill(std::int64_t left) {
  const int file = open((seen_ + "/ballast").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (file < 0) Die("cannot fill the small disk");
  // Others may take what is left meanwhile; then it is looked again.
  constexpr int kLooksMax = 1'000;
  int failure = ENOSPC;
  for (int look = 0; look < kLooksMax && failure == ENOSPC; ++look) {
    const std::int64_t bytes = SpaceOf(seen_).free - left;
    failure = bytes <= 0 ? 0 : posix_fallocate(file, lseek(file, 0, SEEK_END), bytes);
  }
  if (failure != 0) Die("cannot fill the small disk");
  close(file);
}

void SmallDisk::Empty() { unlink((seen_ + "/ballast").c_str()); }

}  // namespace leftfold::testing
