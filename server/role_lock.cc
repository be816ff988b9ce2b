#include "server/role_lock.h"

#include <absl/time/clock.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "core/status.h"
#include "sql/durable_file.h"

namespace leftfold {
namespace {

std::string PathOf(const std::string& data, const std::string& role) {
  return fmt::format("{}/{}.lock", data, role);
}

RoleLock::Holder ReadHolder(const std::string& path) {
  RoleLock::Holder holder;
  std::ifstream file(path);
  file >> holder.pid >> holder.address;
  return holder;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RoleLock>> RoleLock::Take(const std::string& data,
                                                         const std::string& role) {
  LEFTFOLD_RETURN_IF_ERROR(sql::MakeFolder(data));
  const std::string path = PathOf(data, role);
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) {
    return Error(absl::StatusCode::kInternal, "cannot open {}: {}", path, std::strerror(errno));
  }
  constexpr absl::Duration kTakePause = absl::Milliseconds(2);
  bool taken = flock(file, LOCK_EX | LOCK_NB) == 0;
  for (absl::Duration waited; !taken && waited < kTakeWaitMax; waited += kTakePause) {
    absl::SleepFor(kTakePause);
    taken = flock(file, LOCK_EX | LOCK_NB) == 0;
  }
  if (!taken) {
    close(file);
    const Holder holder = ReadHolder(path);
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{} is held by process {}{}; stop it, or use another data folder", path,
                 holder.pid, holder.address.empty() ? "" : " at " + holder.address);
  }
  std::unique_ptr<RoleLock> lock(new RoleLock(file));
  LEFTFOLD_RETURN_IF_ERROR(lock->Announce(""));
  return lock;
}

absl::StatusOr<RoleLock::Holder> RoleLock::FindHolder(const std::string& data,
                                                      const std::string& role) {
  const std::string path = PathOf(data, role);
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return Error(absl::StatusCode::kNotFound, "nobody holds {}", path);
  const bool free = flock(file, LOCK_SH | LOCK_NB) == 0;
  close(file);
  if (free) return Error(absl::StatusCode::kNotFound, "nobody holds {}", path);
  return ReadHolder(path);
}

RoleLock::~RoleLock() { close(file_); }

absl::Status RoleLock::Announce(const std::string& address) {
  const std::string text = fmt::format("{} {}\n", getpid(), address);
  if (ftruncate(file_, 0) != 0 ||
      pwrite(file_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return Error(absl::StatusCode::kInternal, "cannot write a lock file: {}", std::strerror(errno));
  }
  return absl::OkStatus();
}

}  // namespace leftfold
