#ifndef TOOLS_REFLECTION_H_
#define TOOLS_REFLECTION_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <google/protobuf/descriptor_database.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "leftfold/tools/v1/reflection.pb.h"

namespace leftfold::tools {

// A call whose method is known by its name only. Every method blocks until it is done. One thread
// may write while another one reads.
class RawCall {
 public:
  // `method` is "/package.Service/Method". Stub and context must outlive the call.
  RawCall(grpc::GenericStub& stub, grpc::ClientContext& context, const std::string& method);
  ~RawCall();
  RawCall(const RawCall&) = delete;
  RawCall& operator=(const RawCall&) = delete;

  // False when the call has ended; Finish says why.
  bool Write(const std::string& bytes);
  void WritesDone();
  // False when there is no further message.
  bool Read(std::string* bytes);
  // Once, after the last Read.
  grpc::Status Finish();

 private:
  // Waits for what `begin` begins under the tag that it is given.
  bool Wait(const std::function<void(void* tag)>& begin);

  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  std::jthread completions_;
};

// Descriptors as a server tells them over grpc.reflection.v1alpha; for a DescriptorPool, which asks
// for what it needs. Blocks. Not thread-safe.
class Reflection final : public google::protobuf::DescriptorDatabase {
 public:
  // Answers must come before `deadline`. The stub must outlive it.
  Reflection(grpc::GenericStub& stub, absl::Time deadline);
  ~Reflection() override;

  // UNAVAILABLE when nobody answers, or not any more: what was not found may be there all the same.
  const absl::Status& status() const { return broken_; }
  // Full names of the services, in alphabetical order. UNAVAILABLE when nobody answers.
  absl::StatusOr<std::vector<std::string>> ListServices();

  bool FindFileByName(const std::string& name,
                      google::protobuf::FileDescriptorProto* file) override;
  bool FindFileContainingSymbol(const std::string& symbol,
                                google::protobuf::FileDescriptorProto* file) override;
  bool FindFileContainingExtension(const std::string&, int,
                                   google::protobuf::FileDescriptorProto*) override {
    return false;
  }

 private:
  absl::StatusOr<v1::ServerReflectionResponse> Ask(const v1::ServerReflectionRequest& request);
  bool Learn(const v1::ServerReflectionRequest& request);

  grpc::ClientContext context_;
  std::unique_ptr<RawCall> call_;
  google::protobuf::SimpleDescriptorDatabase known_;
  absl::Status broken_;  // The call has ended.
};

}  // namespace leftfold::tools
#endif  // TOOLS_REFLECTION_H_
