#ifndef SERVER_ROLE_LOCK_H_
#define SERVER_ROLE_LOCK_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <memory>
#include <string>

namespace leftfold {

// Who may write a part of a data folder: `<data>/<role>.lock`, an flock that the kernel lets go
// when its holder ends, with the holder's pid and address as text "<pid> <address>\n". Roles
// are those of server/roles.h.
class RoleLock {
 public:
  static constexpr absl::Duration kTakeWaitMax = absl::Milliseconds(200);

  struct Holder {
    int pid = 0;
    std::string address;  // Of its admin service; empty for a tool.
  };
  // FAILED_PRECONDITION when another process holds it, naming it. Waits up to kTakeWaitMax, for who
  // only looks (FindHolder) has the lock for a moment, too.
  static absl::StatusOr<std::unique_ptr<RoleLock>> Take(const std::string& data,
                                                        const std::string& role);
  // Who holds it now; NOT_FOUND when nobody does.
  static absl::StatusOr<Holder> FindHolder(const std::string& data, const std::string& role);
  ~RoleLock();
  RoleLock(const RoleLock&) = delete;
  RoleLock& operator=(const RoleLock&) = delete;
  // Writes the address where tools become clients.
  absl::Status Announce(const std::string& address);

 private:
  explicit RoleLock(int file) : file_(file) {}
  int file_;
};

}  // namespace leftfold
#endif  // SERVER_ROLE_LOCK_H_
