#include "tools/call.h"

#include <absl/status/statusor.h>
#include <absl/strings/ascii.h>
#include <absl/strings/str_join.h>
#include <absl/time/clock.h>
#include <absl/time/time.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <grpc/grpc.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "core/json_object.h"
#include "core/log.h"
#include "core/status.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tools/exit_codes.h"
#include "tools/json.h"
#include "tools/reflection.h"

namespace leftfold::tools {
namespace {

namespace pb = google::protobuf;

int FailCall(const std::string& what, int exit_code = kFailed) {
  LogLine("leftfold call: {}", what);
  return exit_code;
}

int List(Reflection& reflection) {
  const auto services = reflection.ListServices();
  if (!services.ok()) return FailCall(std::string(services.status().message()));
  for (const std::string& service : *services) Print("{}\n", service);
  return 0;
}

// The symbol's declaration, or nothing.
std::optional<std::string> DeclarationOf(const pb::DescriptorPool& pool,
                                         const std::string& symbol) {
  if (const auto* service = pool.FindServiceByName(symbol)) return service->DebugString();
  if (const auto* message = pool.FindMessageTypeByName(symbol)) return message->DebugString();
  if (const auto* values = pool.FindEnumTypeByName(symbol)) return values->DebugString();
  if (const auto* method = pool.FindMethodByName(symbol)) return method->DebugString();
  return std::nullopt;
}

int Describe(const CallOptions& options, Reflection& reflection, const pb::DescriptorPool& pool) {
  if (options.json == CallOptions().json) return FailCall("describe what? name a symbol", kUsage);
  const auto services = reflection.ListServices();
  if (!services.ok()) return FailCall(std::string(services.status().message()));
  const auto declaration = DeclarationOf(pool, options.json);
  if (!declaration && !reflection.status().ok())
    return FailCall(std::string(reflection.status().message()));
  if (!declaration) return FailCall(fmt::format("{} knows no {}", options.address, options.json));
  Print("{}", *declaration);
  return 0;
}

// The method by its name; the message of an error says what there is instead.
absl::StatusOr<const pb::MethodDescriptor*> FindMethod(const CallOptions& options,
                                                       Reflection& reflection,
                                                       const pb::DescriptorPool& pool) {
  const auto services = reflection.ListServices();
  if (!services.ok()) return services.status();
  const std::size_t slash = options.method.find('/');
  const std::string name = options.method.substr(0, slash);
  const pb::ServiceDescriptor* service = pool.FindServiceByName(name);
  LEFTFOLD_RETURN_IF_ERROR(reflection.status());
  if (service == nullptr) {
    return Error(absl::StatusCode::kNotFound, "{} does not serve {}; its services are {}",
                 options.address, name, absl::StrJoin(*services, ", "));
  }
  if (const auto* method = service->FindMethodByName(options.method.substr(slash + 1))) {
    return method;
  }
  std::vector<std::string> methods;
  for (int i = 0; i < service->method_count(); ++i) methods.push_back(service->method(i)->name());
  return Error(absl::StatusCode::kNotFound, "{} has no {}; its methods are {}", name,
               options.method.substr(slash + 1), absl::StrJoin(methods, ", "));
}

int PrintError(const grpc::Status& status) {
  const int code = static_cast<int>(status.error_code());
  LogLine("error {} ({}): {}", absl::StatusCodeToString(static_cast<absl::StatusCode>(code)), code,
          status.error_message());
  google::rpc::Status details;
  details.ParseFromString(status.error_details());
  for (const pb::Any& detail : details.details()) {
    LogLine("  {}", ToJson(detail, {}));
  }
  return kFailed;
}

// False when one of them is no header that gRPC can send.
bool AddHeaders(const std::vector<std::string>& headers, grpc::ClientContext& context) {
  for (const std::string& header : headers) {
    const std::size_t colon = header.find(':');
    if (colon == std::string::npos) return false;
    const std::string name =
        absl::AsciiStrToLower(absl::StripAsciiWhitespace(header.substr(0, colon)));
    const std::string value(absl::StripAsciiWhitespace(header.substr(colon + 1)));
    const grpc::Slice name_slice(name);
    const grpc::Slice value_slice(value);
    const bool legal = grpc_header_key_is_legal(name_slice.c_slice()) != 0 &&
                       (grpc_is_binary_header(name_slice.c_slice()) != 0 ||
                        grpc_header_nonbin_value_is_legal(value_slice.c_slice()) != 0);
    if (!legal) return false;
    context.AddMetadata(name, value);
  }
  return true;
}

// Takes the first JSON object out of `text`; "" while it is not complete. Anything else before the
// next '{' is given as it is, for the parser to refuse.
std::string TakeObject(std::string& text, bool ended) {
  text.erase(0, text.find_first_not_of(" \t\r\n"));
  int depth = 0;
  bool quoted = false;
  std::size_t end = 0;
  for (; end < text.size() && text[0] == '{'; ++end) {
    const char c = text[end];
    if (quoted && c == '\\') ++end;
    if (c == '"') quoted = !quoted;
    if (!quoted && c == '{') ++depth;
    if (!quoted && c == '}' && --depth == 0) break;
  }
  if (end >= text.size() && !ended) return "";
  if (end == 0 || end >= text.size()) return std::exchange(text, "");
  std::string object = text.substr(0, end + 1);
  text.erase(0, end + 1);
  return object;
}

// Bytes of standard input; "" when it has ended, nullopt when there are none for now.
std::optional<std::string> ReadInput() {
  constexpr int kWaitMilliseconds = 50;
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  if (poll(&input, 1, kWaitMilliseconds) <= 0) return std::nullopt;
  std::string bytes(64 << 10, '\0');
  const ssize_t size = read(STDIN_FILENO, bytes.data(), bytes.size());
  bytes.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return bytes;
}

// The requests of a stream, until the input ends, one of them is malformed or the call is `over`.
absl::Status SendObjects(std::string json, pb::Message& request, const std::atomic<bool>& over,
                         RawCall& call) {
  bool ended = json != "-";
  std::string text = ended ? std::move(json) : "";
  while (!over) {
    for (std::string object; !(object = TakeObject(text, ended)).empty();) {
      const absl::Status parsed = MessageFromJson(object, request);
      if (!parsed.ok()) {
        return Error(absl::StatusCode::kInvalidArgument, "a request is no {}: {}",
                     request.GetDescriptor()->full_name(), std::string(parsed.message()));
      }
      if (!call.Write(request.SerializeAsString())) return absl::OkStatus();  // Finish says why.
      request.Clear();
    }
    if (ended) {
      call.WritesDone();
      return absl::OkStatus();
    }
    const std::optional<std::string> more = ReadInput();
    ended = more == "";
    text += more.value_or("");
  }
  return absl::OkStatus();
}

int Invoke(const CallOptions& options, absl::Time deadline, grpc::GenericStub& stub,
           const pb::MethodDescriptor& method) {
  pb::DynamicMessageFactory factory;
  const std::unique_ptr<pb::Message> request(factory.GetPrototype(method.input_type())->New());
  if (!method.client_streaming()) {
    std::string json = options.json;
    if (json == "-") json.assign(std::istreambuf_iterator<char>(std::cin), {});
    const absl::Status parsed = MessageFromJson(json, *request);
    if (!parsed.ok()) {
      return FailCall(fmt::format("the request is no {}: {}", method.input_type()->full_name(),
                                  std::string(parsed.message())));
    }
  }
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(deadline));
  if (!AddHeaders(options.headers, context)) {
    return FailCall("a header is 'name: value', the name of letters, digits and _ . -", kUsage);
  }
  RawCall call(stub, context, "/" + method.service()->full_name() + "/" + method.name());
  std::atomic<bool> over = false;
  absl::Status sent;
  std::jthread sender;
  if (method.client_streaming()) {
    sender = std::jthread([&] {
      sent = SendObjects(options.json, *request, over, call);
      if (!sent.ok()) context.TryCancel();
    });
  } else if (call.Write(request->SerializeAsString())) {
    call.WritesDone();
  }
  const std::unique_ptr<pb::Message> response(factory.GetPrototype(method.output_type())->New());
  std::string bytes;
  bool decoded = true;
  while (call.Read(&bytes)) {
    if (!response->ParseFromString(bytes)) {
      decoded = false;
      break;
    }
    std::string text = ToJson(*response, {.pretty = !method.server_streaming()});
    while (text.ends_with('\n')) text.pop_back();
    Print("{}\n", text);
    if (!FlushOutput()) {  // Main says it.
      over = true;
      context.TryCancel();
      return kFailed;
    }
  }
  over = true;
  if (!decoded) context.TryCancel();
  if (sender.joinable()) sender.join();
  if (!sent.ok()) return FailCall(std::string(sent.message()));
  const grpc::Status status = call.Finish();
  if (!decoded) return FailCall("a response is no " + method.output_type()->full_name());
  return status.ok() ? 0 : PrintError(status);
}

}  // namespace

int Call(const CallOptions& options) {
  const bool named = options.method.find('/') != std::string::npos;
  if (!named && options.method != "list" && options.method != "describe") {
    return FailCall("the method is package.Service/Method, or list, or describe", kUsage);
  }
  if (options.address.find(':') == std::string::npos) {
    return FailCall("the address is HOST:PORT", kUsage);
  }
  const absl::Time deadline = options.timeout_seconds > 0
                                  ? absl::Now() + absl::Seconds(options.timeout_seconds)
                                  : absl::InfiniteFuture();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);  // As large as the server sends.
  grpc::GenericStub stub(
      grpc::CreateCustomChannel(options.address, grpc::InsecureChannelCredentials(), arguments));
  Reflection reflection(stub, deadline);
  if (options.method == "list") return List(reflection);
  const pb::DescriptorPool pool(&reflection);
  if (options.method == "describe") return Describe(options, reflection, pool);
  const auto method = FindMethod(options, reflection, pool);
  if (!method.ok()) return FailCall(std::string(method.status().message()));
  return Invoke(options, deadline, stub, **method);
}

}  // namespace leftfold::tools
