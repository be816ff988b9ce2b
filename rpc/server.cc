#include "rpc/server.h"

#include <absl/strings/numbers.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/clock.h>
#include <arpa/inet.h>
#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/support/interceptor.h>
#include <grpcpp/support/server_interceptor.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <utility>

#include "core/reject.h"
#include "core/status.h"
#include "rpc/status.h"

namespace leftfold::rpc {
namespace {

// A plain number of milliseconds, as gRPC's channel arguments want it.
int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

bool IsLoopback(const std::string& host) {
  if (host == "localhost" || host == "[::1]") return true;
  in_addr v4;
  return inet_pton(AF_INET, host.c_str(), &v4) == 1 && (ntohl(v4.s_addr) >> 24U) == 127;
}

void SetLimits(grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(kReceivedBytesMax);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT,
                             0);  // A second server on the port fails instead of sharing it.
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnectionMax);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kHeaderBytesMax);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(kKeepalivePeriod));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(kKeepaliveTimeout));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             Milliseconds(kClientPingPeriodMin));
  // gRPC unfolds a message before it looks at its size: a megabyte may be a gigabyte.
  for (const grpc_compression_algorithm folded : {GRPC_COMPRESS_DEFLATE, GRPC_COMPRESS_GZIP})
    builder.SetCompressionAlgorithmSupportStatus(folded, false);
  // Only reflection uses the synchronous API.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
}

// Gets the calls that match no service of the server.
class UnknownRpcs final : public grpc::CallbackGenericService {
 public:
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    return new Refusal(context->method());
  }

 private:
  class Refusal final : public grpc::ServerGenericBidiReactor {
   public:
    explicit Refusal(const std::string& rpc) {
      Finish(ToGrpc(Reject(core::v1::ERROR_REASON_UNKNOWN_RPC,
                           fmt::format("this server has no RPC {}; `grpcurl -plaintext HOST:PORT "
                                       "list` shows the services that it has",
                                       rpc),
                           {{"rpc", rpc}})));
    }
    void OnDone() override { delete this; }
  };
};

// gRPC parses the requests of generated services itself, and answers bytes that are none with
// INTERNAL and nothing else.
class TellsOfMalformed final : public grpc::experimental::Interceptor {
 public:
  explicit TellsOfMalformed(const google::protobuf::Descriptor& request) : request_(request) {}
  void Intercept(grpc::experimental::InterceptorBatchMethods* batch) override {
    using Hook = grpc::experimental::InterceptionHookPoints;
    if (batch->QueryInterceptionHookPoint(Hook::PRE_SEND_STATUS)) {
      const grpc::Status status = batch->GetSendStatus();
      if (status.error_code() == grpc::StatusCode::INTERNAL && status.error_details().empty())
        batch->ModifySendStatus(ToGrpc(MalformedRequest(request_)));
    }
    batch->Proceed();
  }

 private:
  const google::protobuf::Descriptor& request_;
};

class TellsGeneratedServices final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit TellsGeneratedServices(const std::vector<RpcServerOptions::Generated>& services) {
    const auto* pool = google::protobuf::DescriptorPool::generated_pool();
    for (const RpcServerOptions::Generated& generated : services) {
      const auto* service = pool->FindServiceByName(generated.name);
      for (int i = 0; i < service->method_count(); ++i)
        requests_[fmt::format("/{}/{}", generated.name, service->method(i)->name())] =
            service->method(i)->input_type();
    }
  }
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* rpc) override {
    const auto request = requests_.find(rpc->method());
    return request == requests_.end() ? nullptr : new TellsOfMalformed(*request->second);
  }

 private:
  std::map<std::string, const google::protobuf::Descriptor*, std::less<>> requests_;
};

}  // namespace

absl::StatusOr<ListenAddress> ParseListen(const std::string& listen) {
  const std::size_t colon = listen.rfind(':');
  ListenAddress address;
  if (colon != std::string::npos) address.host = listen.substr(0, colon);
  const bool number =
      colon != std::string::npos && absl::SimpleAtoi(listen.substr(colon + 1), &address.port);
  if (!number || address.port < 0 || address.port > std::numeric_limits<std::uint16_t>::max()) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "'{}' is no HOST:PORT to listen on, such as 127.0.0.1:50051", listen);
  }
  if (!IsLoopback(address.host)) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "cannot listen on {}: listening beyond loopback needs TLS and authentication, "
                 "which do not exist yet; "
                 "use 127.0.0.1, [::1] or localhost",
                 listen);
  }
  return address;
}

absl::Status CannotListen(const std::string& listen) {
  return Error(absl::StatusCode::kFailedPrecondition,
               "cannot listen on {}: is another server running there? Port 0 picks a free one",
               listen);
}

SteadyTime After(absl::Duration duration) {
  return std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(duration);
}

void InitProcess() {
  static std::once_flag once;
  std::call_once(once, [] {
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::EnableDefaultHealthCheckService(true);
    // The client is told what is malformed in a typed error; a line a request on stderr helps
    // nobody.
    google::protobuf::SetLogHandler(nullptr);
    // What gRPC has to say comes back as an error, which we tell in our words.
    if (std::getenv("GRPC_VERBOSITY") == nullptr) gpr_set_log_function([](gpr_log_func_args*) {});
  });
}

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(const RpcServerOptions& options) {
  const absl::StatusOr<ListenAddress> address = ParseListen(options.listen);
  if (!address.ok()) return address.status();
  InitProcess();
  grpc::ServerBuilder builder;
  SetLimits(builder);
  std::unique_ptr<RpcServer> server(new RpcServer());
  builder.AddListeningPort(options.listen, grpc::InsecureServerCredentials(), &server->port_);
  if (options.services != nullptr) options.services->RegisterWith(builder);
  for (const RpcServerOptions::Generated& extra : options.generated)
    builder.RegisterService(extra.service);
  if (!options.generated.empty()) {
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> creators;
    creators.push_back(std::make_unique<TellsGeneratedServices>(options.generated));
    builder.experimental().SetInterceptorCreators(std::move(creators));
  }
  server->unknown_rpcs_ = std::make_unique<UnknownRpcs>();
  builder.RegisterCallbackGenericService(server->unknown_rpcs_.get());
  server->services_ = options.services;
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr) return CannotListen(options.listen);
  server->address_ = fmt::format("{}:{}", address->host, server->port_);
  if (options.services != nullptr) {
    for (const std::string& name : options.services->names()) server->SetServing(name, true);
  }
  for (const RpcServerOptions::Generated& extra : options.generated)
    server->SetServing(extra.name, true);
  return server;
}

RpcServer::~RpcServer() {
  if (server_ != nullptr) Drain(After(absl::ZeroDuration()));
}

void RpcServer::SetServing(std::string_view service, bool serving) {
  server_->GetHealthCheckService()->SetServingStatus(std::string(service), serving);
}

void RpcServer::RefuseNew() {
  server_->GetHealthCheckService()->Shutdown();
  if (services_ != nullptr) services_->RefuseNew();
}

// gRPC's own wait would turn new calls away without a reason, and wait for health watchers and idle
// connections too.
void RpcServer::AwaitCalls(SteadyTime end) {
  RefuseNew();
  if (services_ == nullptr) return;
  constexpr absl::Duration kPoll = absl::Milliseconds(2);
  const auto now = [] { return After(absl::ZeroDuration()); };
  while (services_->OpenCalls() > 0 && now() < end) absl::SleepFor(kPoll);
  end = std::min(end, After(kLastWordsMax));
  while (now() < end && !IsQuiet(now())) absl::SleepFor(kPoll);
}

bool RpcServer::IsQuiet(SteadyTime now) {
  const std::int64_t started = services_->StartedCalls();
  if (std::exchange(started_, started) != started) quiet_since_ = now;
  return now - quiet_since_ >= absl::ToChronoNanoseconds(kQuietBeforeShutdown);
}

void RpcServer::Drain(SteadyTime end) {
  if (std::exchange(drained_, true)) return;
  AwaitCalls(end);
  const auto left = std::min(end, After(kLastWordsMax)) - After(absl::ZeroDuration());
  // A span: gRPC counts it from now.
  server_->Shutdown(gpr_time_from_nanos(std::chrono::nanoseconds(left).count(), GPR_TIMESPAN));
}

}  // namespace leftfold::rpc
