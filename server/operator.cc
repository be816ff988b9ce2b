#include "server/operator.h"

#include "rpc/status.h"
#include "server/role_lock.h"

namespace leftfold {

absl::Status RoleNotHere(const std::string& data, Role role) {
  const std::string name(EntryOf(role).name);
  const auto holder = RoleLock::FindHolder(data, name);
  const std::string address = holder.ok() ? holder->address : "";
  return Reject(core::v1::ERROR_REASON_ROLE_NOT_HERE,
                fmt::format("this is for the process with the role {}: {}", name,
                            address.empty() ? "none runs on this data folder"
                                            : fmt::format("ask at {}", address)),
                {{"role", name}, {"address", address}});
}

absl::Status LogNotOpenYet() {
  return WithRetryAfter(
      Reject(core::v1::ERROR_REASON_LOG_UNREACHABLE,
             "the log cannot be opened yet, the reason is in this process's log; try again"),
      kRetryWhenLogIsAway);
}

void CheckRemark(std::string_view field, const std::string& text, Violations& violations) {
  if (text.empty() || text.size() > kRemarkBytesMax) {
    violations.Add(field, fmt::format("must be 1 to {} bytes", kRemarkBytesMax));
  }
}

void CheckBy(const std::string& by, Violations& violations) {
  if (by.size() > kRemarkBytesMax) {
    violations.Add("by", fmt::format("must be at most {} bytes", kRemarkBytesMax));
  }
}

std::string ActorOf(const std::string& by) { return by.empty() ? "operator" : by; }

absl::Status ForOperator(const absl::Status& status) {
  if (status.ok() || rpc::IsForClients(status)) return status;
  if (absl::IsResourceExhausted(status)) {
    return Reject(
        core::v1::ERROR_REASON_DISK_FULL,
        fmt::format("the disk with the data folder is full: free space and try again ({})",
                    ToStd(status.message())));
  }
  return Reject(core::v1::ERROR_REASON_INTERNAL, ToStd(status.message()));
}

grpc::Status ToOperator(const absl::Status& status) { return rpc::ToGrpc(ForOperator(status)); }

}  // namespace leftfold
