#include "testing/grpc_error.h"

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace leftfold::testing {

GrpcError ErrorOf(const grpc::Status& status) {
  GrpcError error;
  error.code = status.error_code();
  error.message = status.error_message();
  google::rpc::Status details;
  details.ParseFromString(status.error_details());
  for (const auto& detail : details.details()) {
    if (google::rpc::ErrorInfo info; detail.UnpackTo(&info)) {
      error.reason = info.reason();
      error.domain = info.domain();
      error.metadata.insert(info.metadata().begin(), info.metadata().end());
    } else if (google::rpc::BadRequest bad; detail.UnpackTo(&bad)) {
      error.field_violations = bad.field_violations_size();
    } else if (detail.Is<google::rpc::RetryInfo>()) {
      error.has_retry_info = true;
    } else if (detail.Is<google::rpc::PreconditionFailure>()) {
      error.has_precondition_failure = true;
    }
  }
  return error;
}

}  // namespace leftfold::testing
