#include "tools/call.h"

#include <absl/status/statusor.h>
#include <absl/strings/ascii.h>
#include <absl/time/clock.h>
#include <absl/time/time.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/descriptor_database.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver_util.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>

#include "core/status.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "leftfold/tools/v1/reflection.pb.h"

namespace leftfold::tools {
namespace {

namespace pb = google::protobuf;

// Any call whose method is known by name only, on the calling thread: requests out, then responses in.
class RawCall {
 public:
  RawCall(grpc::GenericStub& stub, grpc::ClientContext& context, const std::string& method) {
    call_ = stub.PrepareCall(&context, method, &queue_);
    call_->StartCall(this);
    Wait();
  }
  ~RawCall() { queue_.Shutdown(); }

  bool Write(const std::string& bytes) {
    const grpc::Slice slice(bytes);
    call_->Write(grpc::ByteBuffer(&slice, 1), this);
    return Wait();
  }
  void WritesDone() {
    call_->WritesDone(this);
    Wait();
  }
  bool Read(std::string* bytes) {
    grpc::ByteBuffer buffer;
    call_->Read(&buffer, this);
    if (!Wait()) return false;
    grpc::Slice slice;
    if (!buffer.DumpToSingleSlice(&slice).ok()) return false;
    bytes->assign(reinterpret_cast<const char*>(slice.begin()), slice.size());
    return true;
  }
  grpc::Status Finish() {
    grpc::Status status;
    call_->Finish(&status, this);
    Wait();
    return status;
  }

 private:
  bool Wait() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

// Descriptors as the server tells them.
class Reflection : public pb::DescriptorDatabase {
 public:
  explicit Reflection(grpc::GenericStub& stub)
      : call_(stub, context_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo") {}
  ~Reflection() override {
    call_.WritesDone();
    call_.Finish();
  }

  absl::StatusOr<v1::ServerReflectionResponse> Ask(const v1::ServerReflectionRequest& request) {
    v1::ServerReflectionResponse response;
    std::string bytes;
    if (!call_.Write(request.SerializeAsString()) || !call_.Read(&bytes) || !response.ParseFromString(bytes)) {
      return Error(absl::StatusCode::kUnavailable, "no answer: is a server with reflection listening there?");
    }
    if (response.has_error_response()) {
      return Error(absl::StatusCode::kNotFound, "{}", response.error_response().error_message());
    }
    return response;
  }

  bool FindFileByName(const std::string& name, pb::FileDescriptorProto* file) override {
    v1::ServerReflectionRequest request;
    request.set_file_by_filename(name);
    return known_.FindFileByName(name, file) || (Learn(request) && known_.FindFileByName(name, file));
  }
  bool FindFileContainingSymbol(const std::string& symbol, pb::FileDescriptorProto* file) override {
    v1::ServerReflectionRequest request;
    request.set_file_containing_symbol(symbol);
    return known_.FindFileContainingSymbol(symbol, file) || (Learn(request) && known_.FindFileContainingSymbol(symbol, file));
  }
  bool FindFileContainingExtension(const std::string&, int, pb::FileDescriptorProto*) override { return false; }

 private:
  bool Learn(const v1::ServerReflectionRequest& request) {
    const auto response = Ask(request);
    if (!response.ok()) return false;
    for (const std::string& bytes : response->file_descriptor_response().file_descriptor_proto()) {
      pb::FileDescriptorProto file;
      pb::FileDescriptorProto had;
      if (file.ParseFromString(bytes) && !known_.FindFileByName(file.name(), &had)) known_.Add(file);
    }
    return true;
  }

  grpc::ClientContext context_;
  RawCall call_;
  pb::SimpleDescriptorDatabase known_;
};

int Fail(const std::string& what) {
  fmt::print(stderr, "leftfold call: {}\n", what);
  return 1;
}

int List(Reflection& reflection) {
  v1::ServerReflectionRequest request;
  request.set_list_services("*");
  const auto response = reflection.Ask(request);
  if (!response.ok()) return Fail(std::string(response.status().message()));
  for (const auto& service : response->list_services_response().service()) fmt::print("{}\n", service.name());
  return 0;
}

// A detail of an error as JSON, when it is one of those that Leftfold sends.
std::string Shown(const pb::Any& detail) {
  std::string json;
  if (pb::util::MessageToJsonString(detail, &json).ok()) return json;
  return detail.type_url();
}

int PrintError(const grpc::Status& status) {
  fmt::print(stderr, "error {}: {}\n", static_cast<int>(status.error_code()), status.error_message());
  google::rpc::Status details;
  details.ParseFromString(status.error_details());
  for (const pb::Any& detail : details.details()) fmt::print(stderr, "  {}\n", Shown(detail));
  return 1;
}

bool AddHeaders(const std::vector<std::string>& headers, grpc::ClientContext& context) {
  for (const std::string& header : headers) {
    const std::size_t colon = header.find(':');
    if (colon == std::string::npos) return false;
    context.AddMetadata(absl::AsciiStrToLower(header.substr(0, colon)),
                        std::string(absl::StripAsciiWhitespace(header.substr(colon + 1))));
  }
  return true;
}

int Invoke(const CallOptions& options, grpc::GenericStub& stub, const pb::DescriptorPool& pool,
           const pb::MethodDescriptor& method) {
  const std::unique_ptr<pb::util::TypeResolver> types(
      pb::util::NewTypeResolverForDescriptorPool("type.googleapis.com", &pool));
  std::string json = options.json;
  if (json == "-") json.assign(std::istreambuf_iterator<char>(std::cin), {});
  std::string request;
  const auto parsed =
      pb::util::JsonToBinaryString(types.get(), "type.googleapis.com/" + method.input_type()->full_name(), json, &request);
  if (!parsed.ok()) return Fail(fmt::format("the request is no {}: {}", method.input_type()->full_name(), parsed.ToString()));
  grpc::ClientContext context;
  if (options.timeout_seconds > 0) {
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(options.timeout_seconds)));
  }
  if (!AddHeaders(options.headers, context)) return Fail("a header is 'name: value'");
  RawCall call(stub, context, "/" + method.service()->full_name() + "/" + method.name());
  call.Write(request);
  call.WritesDone();
  std::string response;
  while (call.Read(&response)) {
    std::string text;
    pb::util::JsonPrintOptions print;
    print.add_whitespace = !method.server_streaming();
    const auto printed = pb::util::BinaryToJsonString(
        types.get(), "type.googleapis.com/" + method.output_type()->full_name(), response, &text, print);
    if (!printed.ok()) return Fail(printed.ToString());
    fmt::print("{}\n", text);
    std::fflush(stdout);
  }
  const grpc::Status status = call.Finish();
  return status.ok() ? 0 : PrintError(status);
}

}  // namespace

int Call(const CallOptions& options) {
  grpc::GenericStub stub(grpc::CreateChannel(options.address, grpc::InsecureChannelCredentials()));
  Reflection reflection(stub);
  if (options.method == "list") return List(reflection);
  const std::size_t slash = options.method.find('/');
  if (slash == std::string::npos) return Fail("the method is package.Service/Method, or list");
  const pb::DescriptorPool pool(&reflection);
  const pb::ServiceDescriptor* service = pool.FindServiceByName(options.method.substr(0, slash));
  const pb::MethodDescriptor* method =
      service == nullptr ? nullptr : service->FindMethodByName(options.method.substr(slash + 1));
  if (method == nullptr) return Fail(fmt::format("{} does not serve {}", options.address, options.method));
  return Invoke(options, stub, pool, *method);
}

}  // namespace leftfold::tools
