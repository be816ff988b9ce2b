#include "tools/reflection.h"

#include <google/protobuf/descriptor.pb.h>

#include <algorithm>
#include <future>

#include "core/status.h"

namespace leftfold::tools {

namespace pb = google::protobuf;

RawCall::RawCall(grpc::GenericStub& stub, grpc::ClientContext& context, const std::string& method)
    : call_(stub.PrepareCall(&context, method, &queue_)), completions_([this] {
        void* tag = nullptr;
        bool ok = false;
        while (queue_.Next(&tag, &ok))
          std::unique_ptr<std::promise<bool>>(static_cast<std::promise<bool>*>(tag))->set_value(ok);
      }) {
  Wait([&](void* tag) { call_->StartCall(tag); });
}

RawCall::~RawCall() { queue_.Shutdown(); }

bool RawCall::Wait(const std::function<void(void* tag)>& begin) {
  auto* const tag = new std::promise<bool>;  // Whoever completes it deletes it.
  std::future<bool> done = tag->get_future();
  begin(tag);
  return done.get();
}

bool RawCall::Write(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return Wait([&](void* tag) { call_->Write(grpc::ByteBuffer(&slice, 1), tag); });
}

void RawCall::WritesDone() {
  Wait([&](void* tag) { call_->WritesDone(tag); });
}

bool RawCall::Read(std::string* bytes) {
  grpc::ByteBuffer buffer;
  if (!Wait([&](void* tag) { call_->Read(&buffer, tag); })) return false;
  grpc::Slice slice;
  if (!buffer.DumpToSingleSlice(&slice).ok()) return false;
  bytes->assign(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return true;
}

grpc::Status RawCall::Finish() {
  grpc::Status status;
  Wait([&](void* tag) { call_->Finish(&status, tag); });
  return status;
}

Reflection::Reflection(grpc::GenericStub& stub, absl::Time deadline) {
  context_.set_deadline(absl::ToChronoTime(deadline));
  call_ = std::make_unique<RawCall>(
      stub, context_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
}

Reflection::~Reflection() {
  if (!broken_.ok()) return;
  context_.TryCancel();
  call_->Finish();
}

absl::StatusOr<v1::ServerReflectionResponse> Reflection::Ask(
    const v1::ServerReflectionRequest& request) {
  if (!broken_.ok()) return broken_;
  v1::ServerReflectionResponse response;
  std::string bytes;
  if (!call_->Write(request.SerializeAsString()) || !call_->Read(&bytes)) {
    const grpc::Status status = call_->Finish();
    broken_ = Error(absl::StatusCode::kUnavailable,
                    "no server that describes itself answers there: {}", status.error_message());
    return broken_;
  }
  if (!response.ParseFromString(bytes)) {
    return Error(absl::StatusCode::kInternal, "the server's description of itself is malformed");
  }
  if (response.has_error_response()) {
    return Error(absl::StatusCode::kNotFound, "{}", response.error_response().error_message());
  }
  return response;
}

absl::StatusOr<std::vector<std::string>> Reflection::ListServices() {
  v1::ServerReflectionRequest request;
  request.set_list_services("*");
  const auto response = Ask(request);
  if (!response.ok()) return response.status();
  std::vector<std::string> names;
  for (const auto& service : response->list_services_response().service()) {
    names.push_back(service.name());
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool Reflection::FindFileByName(const std::string& name, pb::FileDescriptorProto* file) {
  v1::ServerReflectionRequest request;
  request.set_file_by_filename(name);
  return known_.FindFileByName(name, file) || (Learn(request) && known_.FindFileByName(name, file));
}

bool Reflection::FindFileContainingSymbol(const std::string& symbol,
                                          pb::FileDescriptorProto* file) {
  v1::ServerReflectionRequest request;
  request.set_file_containing_symbol(symbol);
  return known_.FindFileContainingSymbol(symbol, file) ||
         (Learn(request) && known_.FindFileContainingSymbol(symbol, file));
}

bool Reflection::Learn(const v1::ServerReflectionRequest& request) {
  const auto response = Ask(request);
  if (!response.ok()) return false;
  for (const std::string& bytes : response->file_descriptor_response().file_descriptor_proto()) {
    pb::FileDescriptorProto file;
    pb::FileDescriptorProto had;
    if (file.ParseFromString(bytes) && !known_.FindFileByName(file.name(), &had)) known_.Add(file);
  }
  return true;
}

}  // namespace leftfold::tools
