#include "server/operator.h"

#include "rpc/status.h"

namespace leftfold {

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
