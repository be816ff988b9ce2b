#include "server/operator.h"

#include "rpc/status.h"

namespace leftfold {

void CheckRemark(std::string_view field, const std::string& text, Violations& violations) {
  if (text.empty() || text.size() > kRemarkBytesMax) {
    violations.Add(field, fmt::format("must be 1 to {} bytes", kRemarkBytesMax));
  }
}

grpc::Status ToOperator(const absl::Status& status) {
  if (status.ok() || rpc::IsForClients(status)) return rpc::ToGrpc(status);
  if (absl::IsResourceExhausted(status)) {
    return rpc::ToGrpc(Reject(core::v1::ERROR_REASON_DISK_FULL,
                              fmt::format("the disk with the data folder is full: free space and "
                                          "try again ({})",
                                          ToStd(status.message()))));
  }
  return rpc::ToGrpc(Reject(core::v1::ERROR_REASON_INTERNAL, ToStd(status.message())));
}

}  // namespace leftfold
