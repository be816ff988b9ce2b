#ifndef RPC_SERVER_H_
#define RPC_SERVER_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rpc/services.h"

namespace leftfold::rpc {

// Calls at a time on one connection; more wait at the client.
inline constexpr int kStreamsPerConnectionMax = 4'096;
// All headers of one call, in bytes.
inline constexpr int kHeaderBytesMax = 16 << 10;
// An idle connection is pinged this often, and dropped when the answer takes longer than the
// timeout.
inline constexpr absl::Duration kKeepalivePeriod = absl::Minutes(1);
inline constexpr absl::Duration kKeepaliveTimeout = absl::Seconds(20);
// Clients may ping this often without being told to calm down.
inline constexpr absl::Duration kClientPingPeriodMin = absl::Seconds(10);

// How long a server that drains waits, after all calls have ended, for the last answers to be
// written, for calls that it does not count (health, reflection), and for clients to hang up: one
// that has no call does so only when it looks.
inline constexpr absl::Duration kLastWordsMax = absl::Seconds(1);
// A call that comes in the moment in which gRPC shuts down never reaches a handler and ends with
// CANCELLED, without a reason. So gRPC is shut down when no call has come for so long, because
// clients were told STOPPING; it is not waited for beyond kLastWordsMax.
inline constexpr absl::Duration kQuietBeforeShutdown = absl::Milliseconds(50);

// A moment that does not move when the wall clock is set.
using SteadyTime = std::chrono::steady_clock::time_point;
SteadyTime After(absl::Duration duration);

// Where to listen: "127.0.0.1:50051", "localhost:0", "[::1]:50051"; port 0 picks a free one.
struct ListenAddress {
  std::string host;  // As given: with the brackets of an IPv6 address.
  int port = 0;
};
// INVALID_ARGUMENT for a malformed address; FAILED_PRECONDITION for a host beyond loopback
// ("listening beyond loopback needs TLS and authentication, which do not exist yet").
absl::StatusOr<ListenAddress> ParseListen(const std::string& listen);
// FAILED_PRECONDITION: the address is taken.
absl::Status CannotListen(const std::string& listen);

// Once per process, before the first server: switches off the lock-order checks that the
// distribution's Abseil does on every lock (a quarter of gRPC's CPU), and sets up reflection and
// health. Idempotent, thread-safe; RpcServer::Start calls it.
void InitProcess();

struct RpcServerOptions {
  std::string listen;  // As ParseListen takes it.
  // Assembled services; may be nullptr. Must outlive the server.
  Services* services = nullptr;
  // Generated services beside them, with their full proto names (for health). Must outlive the
  // server.
  struct Generated {
    std::string name;
    grpc::Service* service;
  };
  std::vector<Generated> generated;
};

// A listening gRPC server with reflection and grpc.health.v1 (every service by its name, and "" for
// all: SERVING from the start). A call of an RPC that it does not have gets UNKNOWN_RPC {rpc}.
// Methods are thread-safe, except that Drain and the destructor exclude each other.
class RpcServer {
 public:
  // Errors are those of ParseListen and CannotListen.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(const RpcServerOptions& options);
  // Drains without waiting, unless it was drained.
  ~RpcServer();
  RpcServer(const RpcServer&) = delete;
  RpcServer& operator=(const RpcServer&) = delete;

  int port() const { return port_; }
  // "127.0.0.1:50051": what is really listened on.
  const std::string& address() const { return address_; }
  // What health says of a service ("" for all).
  void SetServing(std::string_view service, bool serving);
  // Health says NOT_SERVING from now on, and new calls of assembled services are refused
  // (STOPPING). Idempotent.
  void RefuseNew();
  // RefuseNew; returns when no call of an assembled service is open and none has come for
  // kQuietBeforeShutdown, at the latest at `end`.
  void AwaitCalls(SteadyTime end);
  // AwaitCalls, then cancels at `end`, or after kLastWordsMax, what is still there. Returns when
  // all is finished: every handler must finish its calls, cancelled ones too. Idempotent.
  void Drain(SteadyTime end);

 private:
  RpcServer() = default;
  bool IsQuiet(SteadyTime now);

  Services* services_ = nullptr;
  std::unique_ptr<grpc::CallbackGenericService> unknown_rpcs_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  int port_ = 0;
  bool drained_ = false;
  std::int64_t started_ = -1;  // Calls, when it was looked last.
  SteadyTime quiet_since_;     // No call has started.
};

}  // namespace leftfold::rpc
#endif  // RPC_SERVER_H_
