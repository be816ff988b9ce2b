#include "rpc/services.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/impl/codegen/server_callback_handlers.h>
#include <grpcpp/impl/rpc_service_method.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <deque>
#include <limits>
#include <numeric>
#include <optional>
#include <unordered_map>
#include <utility>

#include "core/log.h"
#include "core/metrics.h"
#include "core/registry.h"
#include "core/reject.h"
#include "core/status.h"
#include "rpc/status.h"

namespace leftfold::rpc {
namespace {

namespace pb = google::protobuf;

// The message fields of a type: all that must be walked to find unknown fields, worked out once
// instead of at each request.
struct Shape {
  std::vector<std::pair<const pb::FieldDescriptor*, const Shape*>> messages;
};
using ShapeMap = std::unordered_map<const pb::Descriptor*,
                                    Shape>;  // Its nodes do not move; types may be recursive.

const Shape* ShapeOf(const pb::Descriptor& type, ShapeMap& shapes) {
  const auto [it, added] = shapes.try_emplace(&type);
  Shape& shape = it->second;
  if (!added) return &shape;
  for (int i = 0; i < type.field_count(); ++i) {
    const pb::FieldDescriptor* field = type.field(i);
    if (field->message_type() == nullptr) continue;
    const Shape* inner = ShapeOf(*field->message_type(), shapes);
    shape.messages.emplace_back(field, inner);
  }
  return &shape;
}

absl::Status UnknownField(const pb::Message& message, int number) {
  const std::string& type = message.GetDescriptor()->full_name();
  return Reject(core::v1::ERROR_REASON_UNKNOWN_FIELD,
                fmt::format("{} has no field {}; nothing was done", type, number),
                {{"field_number", fmt::to_string(number)}, {"message", type}});
}

// Recursion is bounded by kRequestDepthMax, and by protobuf's own limit at parsing.
absl::Status CheckKnown(const pb::Message& message, const Shape& shape, int depth) {
  if (depth > kRequestDepthMax) {
    return Reject(core::v1::ERROR_REASON_MALFORMED_REQUEST,
                  fmt::format("the request is nested deeper than {} messages", kRequestDepthMax),
                  {{"limit", fmt::to_string(kRequestDepthMax)}});
  }
  const pb::Reflection* reflection = message.GetReflection();
  const pb::UnknownFieldSet& unknown = reflection->GetUnknownFields(message);
  if (!unknown.empty()) return UnknownField(message, unknown.field(0).number());
  for (const auto& [field, inner] : shape.messages) {
    if (!field->is_repeated()) {
      if (!reflection->HasField(message, field)) continue;
      LEFTFOLD_RETURN_IF_ERROR(
          CheckKnown(reflection->GetMessage(message, field), *inner, depth + 1));
      continue;
    }
    const int size = reflection->FieldSize(message, field);
    for (int i = 0; i < size; ++i) {
      LEFTFOLD_RETURN_IF_ERROR(
          CheckKnown(reflection->GetRepeatedMessage(message, field, i), *inner, depth + 1));
    }
  }
  return absl::OkStatus();
}

absl::Status TooLarge(std::size_t size) {
  return Reject(
      core::v1::ERROR_REASON_REQUEST_TOO_LARGE,
      fmt::format("the request has {} bytes, at most {} are accepted", size, kRequestBytesMax),
      {{"limit", fmt::format("{}", kRequestBytesMax)}, {"actual", fmt::to_string(size)}});
}

absl::Status StoppingStatus() {
  return WithRetryAfter(Reject(core::v1::ERROR_REASON_STOPPING,
                               "the server is stopping; try again elsewhere or later"),
                        absl::Seconds(1));
}

std::string_view HeaderOf(const grpc::ServerContextBase& context, std::string_view name) {
  const auto& headers = context.client_metadata();
  const auto it = headers.find(grpc::string_ref(name.data(), name.size()));
  return it == headers.end() ? std::string_view()
                             : std::string_view(it->second.data(), it->second.size());
}

grpc::ByteBuffer Serialised(const pb::Message& message) {
  const std::size_t size = message.ByteSizeLong();
  grpc::Slice slice(size);
  // The slice is fresh and nobody else's; gRPC's own serialisation writes into it in the same way.
  message.SerializeWithCachedSizesToArray(const_cast<std::uint8_t*>(slice.begin()));
  return {&slice, 1};
}

// Owns the bytes, which are not copied.
grpc::Slice SliceOf(std::string bytes) {
  auto owned = std::make_unique<std::string>(std::move(bytes));
  std::string& text = *owned;
  return {text.data(), text.size(), [](void* string) { delete static_cast<std::string*>(string); },
          owned.release()};
}

}  // namespace

absl::Status MalformedRequest(const pb::Descriptor& type) {
  return Reject(
      core::v1::ERROR_REASON_MALFORMED_REQUEST,
      fmt::format("the request's bytes are no {} (strings must be UTF-8)", type.full_name()),
      {{"message", type.full_name()}});
}

absl::Status CheckKnownFields(const pb::Message& request) {
  ShapeMap shapes;
  return CheckKnown(request, *ShapeOf(*request.GetDescriptor(), shapes), 1);
}

struct RequestParser::Shapes {
  ShapeMap map;
  const Shape* root = nullptr;
};

RequestParser::RequestParser(const pb::Descriptor& type)
    : prototype_(pb::MessageFactory::generated_factory()->GetPrototype(&type)),
      shapes_(std::make_unique<Shapes>()) {
  shapes_->root = ShapeOf(type, shapes_->map);
}
RequestParser::RequestParser(RequestParser&&) noexcept = default;
RequestParser::~RequestParser() = default;

absl::StatusOr<MessagePtr> RequestParser::Parse(std::string_view bytes) const {
  MessagePtr message(prototype_->New());
  if (!message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return MalformedRequest(*prototype_->GetDescriptor());
  LEFTFOLD_RETURN_IF_ERROR(CheckKnown(*message, *shapes_->root, 1));
  return message;
}

namespace internal {

// One RPC and its handler. Lives as long as its Services and does not move.
struct Method {
  Services* services;
  const pb::MethodDescriptor* descriptor;
  std::string path;  // "/package.Service/Method"; gRPC keeps a pointer into it.
  std::optional<RequestParser> parser;
  UnaryHandler unary;
  StreamHandler stream;
  SessionHandler session;
  mutable BusyCounter started;
  mutable BusyCounter succeeded;
  mutable std::array<Counter, kStatusCodes> failed;  // By status code.

  absl::StatusOr<MessagePtr> Parse(const grpc::ByteBuffer& bytes) const;
  // Logs what the client does not see.
  grpc::Status ForWire(const grpc::CallbackServerContext& context,
                       const absl::Status& status) const;
  // Counts a call as finished.
  void Count(absl::StatusCode code) const {
    if (code == absl::StatusCode::kOk) return succeeded.Add();
    failed[static_cast<std::size_t>(code) % kStatusCodes].Add();
  }
  grpc::ServerUnaryReactor* ServeUnary(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* in, grpc::ByteBuffer* out) const;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* ServeStream(grpc::CallbackServerContext* context,
                                                          const grpc::ByteBuffer* in) const;
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* ServeSession(
      grpc::CallbackServerContext* context) const;
};

absl::StatusOr<MessagePtr> Method::Parse(const grpc::ByteBuffer& bytes) const {
  if (services->refusing_) return StoppingStatus();
  const std::size_t size = bytes.Length();
  if (size > kRequestBytesMax) return TooLarge(size);
  grpc::Slice slice;
  // The first form copies nothing; several slices, or compressed ones, need the second.
  if (!bytes.TrySingleSlice(&slice).ok() && !bytes.DumpToSingleSlice(&slice).ok()) {
    return MalformedRequest(*descriptor->input_type());
  }
  if (slice.size() > kRequestBytesMax) return TooLarge(slice.size());
  return parser->Parse({reinterpret_cast<const char*>(slice.begin()), slice.size()});
}

grpc::Status Method::ForWire(const grpc::CallbackServerContext& context,
                             const absl::Status& status) const {
  if (status.ok()) return grpc::Status::OK;
  LogFailure(path, HeaderOf(context, "traceparent"), status);
  return ToGrpc(status);
}

grpc::ServerUnaryReactor* Method::ServeUnary(grpc::CallbackServerContext* context,
                                             const grpc::ByteBuffer* in,
                                             grpc::ByteBuffer* out) const {
  started.Add();
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  absl::StatusOr<MessagePtr> request = Parse(*in);
  if (!request.ok()) {
    Count(request.status().code());
    reactor->Finish(ForWire(*context, request.status()));
  } else {
    unary(UnaryCall(*this, context, reactor, out, *std::move(request)));
  }
  return reactor;
}

// Deletes itself when gRPC is done with it, which is after Finish only.
class StreamReactor final : public grpc::ServerWriteReactor<grpc::ByteBuffer>, public ServerStream {
 public:
  StreamReactor(const Method& method, grpc::CallbackServerContext* context)
      : method_(method), context_(context) {}

  void Begin(MessagePtr request) {
    request_ = std::move(request);
    method_.stream(*this);  // `this` may be gone after it.
  }

  const pb::Message& request() const override { return *request_; }
  MessagePtr TakeRequest() override { return std::move(request_); }
  CallFacts facts() const override { return CallFacts(*context_); }
  void Observe(StreamEvents events) override { events_ = std::move(events); }
  void Write(std::string serialised) override {
    const grpc::Slice slice = SliceOf(std::move(serialised));
    buffer_ = grpc::ByteBuffer(&slice, 1);
    StartWrite(&buffer_);
  }
  void Finish(const absl::Status& status) override {
    code_ = status.code();
    grpc::ServerWriteReactor<grpc::ByteBuffer>::Finish(method_.ForWire(*context_, status));
  }

 private:
  void OnWriteDone(bool ok) override {
    if (events_.on_written) events_.on_written(ok);
  }
  void OnCancel() override {
    if (events_.on_cancelled) events_.on_cancelled();
  }
  // Not before all that was written is on its way to the client.
  void OnDone() override {
    method_.Count(code_);
    delete this;
  }

  const Method& method_;
  grpc::CallbackServerContext* context_;
  absl::StatusCode code_ = absl::StatusCode::kOk;  // That it finished with.
  MessagePtr request_;
  StreamEvents events_;
  grpc::ByteBuffer buffer_;
};

grpc::ServerWriteReactor<grpc::ByteBuffer>* Method::ServeStream(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in) const {
  started.Add();
  auto* reactor = new StreamReactor(*this, context);
  absl::StatusOr<MessagePtr> request = Parse(*in);
  if (!request.ok()) {
    reactor->Finish(request.status());
  } else {
    reactor->Begin(*std::move(request));
  }
  return reactor;  // Alive until this call's set-up is over, whatever the handler did.
}

// Deletes itself when gRPC is done with it, which is after Finish only.
class SessionReactor final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                             public SessionStream {
 public:
  SessionReactor(const Method& method, grpc::CallbackServerContext* context)
      : method_(method), context_(context) {}

  CallFacts facts() const override { return CallFacts(*context_); }
  void Observe(SessionEvents events) override { events_ = std::move(events); }
  void Read() override { StartRead(&in_); }
  void Write(const pb::Message& response) override {
    out_ = Serialised(response);
    StartWrite(&out_);
  }
  void Finish(const absl::Status& status) override {
    code_ = status.code();
    grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>::Finish(
        method_.ForWire(*context_, status));
  }

 private:
  void OnReadDone(bool ok) override {
    if (!events_.on_read) return;
    if (!ok) return events_.on_read(MessagePtr());
    absl::StatusOr<MessagePtr> message = method_.Parse(in_);
    in_.Clear();
    events_.on_read(std::move(message));
  }
  void OnWriteDone(bool ok) override {
    if (events_.on_written) events_.on_written(ok);
  }
  void OnCancel() override {
    if (events_.on_cancelled) events_.on_cancelled();
  }
  // Not before all that was written is on its way to the client.
  void OnDone() override {
    method_.Count(code_);
    delete this;
  }

  const Method& method_;
  grpc::CallbackServerContext* context_;
  absl::StatusCode code_ = absl::StatusCode::kOk;  // That it finished with.
  SessionEvents events_;
  grpc::ByteBuffer in_;
  grpc::ByteBuffer out_;
};

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Method::ServeSession(
    grpc::CallbackServerContext* context) const {
  started.Add();
  auto* reactor = new SessionReactor(*this, context);
  if (services->refusing_) {
    reactor->Finish(StoppingStatus());
  } else {
    session(*reactor);
  }
  return reactor;
}

}  // namespace internal

absl::Duration CallFacts::TimeLeft() const {
  const gpr_timespec deadline =
      gpr_convert_clock_type(context_->raw_deadline(), GPR_CLOCK_MONOTONIC);
  if (gpr_time_cmp(deadline, gpr_inf_future(GPR_CLOCK_MONOTONIC)) == 0)
    return absl::InfiniteDuration();
  // Not absl::Now(), which follows the system's clock by and by when that is set.
  const gpr_timespec left = gpr_time_sub(deadline, gpr_now(GPR_CLOCK_MONOTONIC));
  return absl::Seconds(left.tv_sec) + absl::Nanoseconds(left.tv_nsec);
}

std::string_view CallFacts::Header(std::string_view name) const {
  return HeaderOf(*context_, name);
}

std::vector<HeaderLine> CallFacts::Headers() const {
  const auto& headers = context_->client_metadata();
  std::vector<HeaderLine> lines;
  lines.reserve(headers.size());
  for (const auto& [name, value] : headers) {
    lines.emplace_back(std::string_view(name.data(), name.size()),
                       std::string_view(value.data(), value.size()));
  }
  return lines;
}

UnaryCall::UnaryCall(const internal::Method& method, grpc::CallbackServerContext* context,
                     grpc::ServerUnaryReactor* reactor, grpc::ByteBuffer* response,
                     MessagePtr request)
    : method_(&method),
      context_(context),
      reactor_(reactor),
      response_(response),
      request_(std::move(request)) {}

UnaryCall::UnaryCall(UnaryCall&& other) noexcept
    : method_(other.method_),
      context_(other.context_),
      reactor_(std::exchange(other.reactor_, nullptr)),
      response_(other.response_),
      request_(std::move(other.request_)) {}

UnaryCall::~UnaryCall() {
  if (reactor_ != nullptr)
    Fail(absl::InternalError("the handler dropped the call without an answer"));
}

void UnaryCall::Finish(const absl::StatusOr<MessagePtr>& result) {
  if (result.ok()) {
    Finish(**result);
  } else {
    Fail(result.status());
  }
}

void UnaryCall::Finish(const pb::Message& response) {
  if (reactor_ == nullptr) Die("an RPC was finished twice");
  *response_ = Serialised(response);
  method_->Count(absl::StatusCode::kOk);
  std::exchange(reactor_, nullptr)->Finish(grpc::Status::OK);
}

void UnaryCall::Fail(const absl::Status& status) {
  if (reactor_ == nullptr) Die("an RPC was finished twice");
  method_->Count(status.code());
  std::exchange(reactor_, nullptr)->Finish(method_->ForWire(*context_, status));
}

class Services::Assembled final : public grpc::Service {
 public:
  const std::deque<internal::Method>& methods() const { return methods_; }
  bool Has(const pb::MethodDescriptor* method) const {
    for (const internal::Method& known : methods_) {
      if (known.descriptor == method) return true;
    }
    return false;
  }

  internal::Method* Add(Services* services, const pb::MethodDescriptor* descriptor) {
    internal::Method& method = methods_.emplace_back();
    method.services = services;
    method.descriptor = descriptor;
    method.path = fmt::format("/{}/{}", descriptor->service()->full_name(), descriptor->name());
    method.parser.emplace(*descriptor->input_type());
    const int index = static_cast<int>(methods_.size()) - 1;
    using grpc::internal::RpcMethod;
    const bool streams = descriptor->server_streaming();
    const bool session = descriptor->client_streaming();
    const auto kind = session   ? RpcMethod::BIDI_STREAMING
                      : streams ? RpcMethod::SERVER_STREAMING
                                : RpcMethod::NORMAL_RPC;
    AddMethod(new grpc::internal::RpcServiceMethod(method.path.c_str(), kind,
                                                   nullptr));  // Owned by the base class.
    if (session) {
      MarkMethodRawCallback(
          index, new grpc::internal::CallbackBidiHandler<grpc::ByteBuffer, grpc::ByteBuffer>(
                     [&method](grpc::CallbackServerContext* context) {
                       return method.ServeSession(context);
                     }));
    } else if (streams) {
      MarkMethodRawCallback(
          index,
          new grpc::internal::CallbackServerStreamingHandler<grpc::ByteBuffer, grpc::ByteBuffer>(
              [&method](grpc::CallbackServerContext* context, const grpc::ByteBuffer* in) {
                return method.ServeStream(context, in);
              }));
    } else {
      MarkMethodRawCallback(
          index,
          new grpc::internal::CallbackUnaryHandler<grpc::ByteBuffer, grpc::ByteBuffer>(
              [&method](grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
                        grpc::ByteBuffer* out) { return method.ServeUnary(context, in, out); }));
    }
    return &method;
  }

 private:
  std::deque<internal::Method> methods_;  // Its elements do not move.
};

Services::Services() = default;
Services::~Services() = default;

absl::StatusOr<internal::Method*> Services::Add(const pb::Descriptor& request, Kind kind) {
  const pb::MethodDescriptor* method = leftfold::internal::MethodTaking(request);
  if (method == nullptr) {
    return Error(absl::StatusCode::kNotFound, "no RPC in {} takes {}", request.file()->name(),
                 request.full_name());
  }
  if (method->client_streaming() != (kind == Kind::kSession) ||
      method->server_streaming() != (kind != Kind::kUnary)) {
    return Error(absl::StatusCode::kInvalidArgument, "{} is not {}", method->full_name(),
                 kind == Kind::kUnary    ? "unary"
                 : kind == Kind::kStream ? "server-streaming"
                                         : "bidirectional");
  }
  auto& service = services_[method->service()->full_name()];
  if (service == nullptr) service = std::make_unique<Assembled>();
  if (service->Has(method)) {
    return Error(absl::StatusCode::kAlreadyExists, "{} has a handler already", method->full_name());
  }
  return service->Add(this, method);
}

absl::Status Services::HandleUnary(const pb::Descriptor& request, UnaryHandler handler) {
  const absl::StatusOr<internal::Method*> method = Add(request, Kind::kUnary);
  if (method.ok()) (*method)->unary = std::move(handler);
  return method.status();
}

absl::Status Services::HandleStream(const pb::Descriptor& request, StreamHandler handler) {
  const absl::StatusOr<internal::Method*> method = Add(request, Kind::kStream);
  if (method.ok()) (*method)->stream = std::move(handler);
  return method.status();
}

absl::Status Services::HandleSession(const pb::Descriptor& request, SessionHandler handler) {
  const absl::StatusOr<internal::Method*> method = Add(request, Kind::kSession);
  if (method.ok()) (*method)->session = std::move(handler);
  return method.status();
}

std::vector<Services::Calls> Services::calls() const {
  std::vector<Calls> all;
  for (const auto& [name, service] : services_) {
    for (const internal::Method& method : service->methods()) {
      Calls& calls = all.emplace_back();
      calls.service = name;
      calls.method = method.descriptor->name();
      // In this order: no more calls are finished than were started.
      for (std::size_t code = 0; code < kStatusCodes; ++code)
        calls.finished[code] = method.failed[code].value();
      calls.finished[0] = method.succeeded.value();
      calls.started = method.started.value();
    }
  }
  return all;
}

std::int64_t Services::OpenCalls() const {
  std::int64_t open = 0;
  for (const Calls& method : calls())
    open += std::accumulate(method.finished.begin(), method.finished.end(), method.started,
                            std::minus<>());
  return open;
}

std::int64_t Services::StartedCalls() const {
  std::int64_t started = 0;
  for (const Calls& method : calls()) started += method.started;
  return started;
}

std::vector<std::string> Services::names() const {
  std::vector<std::string> names;
  for (const auto& [name, service] : services_) names.push_back(name);
  return names;
}

void Services::RegisterWith(grpc::ServerBuilder& builder) {
  // Publishes what was built to each call, which looks at this first: calls come from gRPC's
  // threads, and how those came about the thread sanitizer does not see.
  refusing_ = false;
  for (auto& [name, service] : services_) builder.RegisterService(service.get());
}

const internal::Method& Services::At(std::string_view path) const {
  for (const auto& [name, service] : services_) {
    for (const internal::Method& method : service->methods()) {
      if (method.path == path) return method;
    }
  }
  Die(fmt::format("no RPC {}", path));
}

grpc::ServerUnaryReactor* Services::ServeUnary(std::string_view path,
                                               grpc::CallbackServerContext* context,
                                               const grpc::ByteBuffer* in,
                                               grpc::ByteBuffer* out) const {
  return At(path).ServeUnary(context, in, out);
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* Services::ServeStream(
    std::string_view path, grpc::CallbackServerContext* context, const grpc::ByteBuffer* in) const {
  return At(path).ServeStream(context, in);
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Services::ServeSession(
    std::string_view path, grpc::CallbackServerContext* context) const {
  return At(path).ServeSession(context);
}

}  // namespace leftfold::rpc
