#ifndef TESTING_GRPC_ERROR_H_
#define TESTING_GRPC_ERROR_H_

#include <grpcpp/support/status.h>

#include <map>
#include <string>

namespace leftfold::testing {

// What a client reads out of an error: its code and its google.rpc.ErrorInfo.
struct GrpcError {
  grpc::StatusCode code = grpc::StatusCode::OK;
  std::string message;
  std::string reason;
  std::string domain;
  std::map<std::string, std::string> metadata;
  int field_violations = 0;  // Of a BadRequest detail.
  bool has_retry_info = false;
  bool has_precondition_failure = false;
};

GrpcError ErrorOf(const grpc::Status& status);

}  // namespace leftfold::testing
#endif  // TESTING_GRPC_ERROR_H_
