#ifndef RPC_SERVICES_H_
#define RPC_SERVICES_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <google/protobuf/message.h>
#include <grpcpp/grpcpp.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace leftfold::rpc {

using MessagePtr = std::unique_ptr<google::protobuf::Message>;

// Largest request that a handler gets, in bytes; above it the client gets REQUEST_TOO_LARGE {limit,
// actual}.
inline constexpr std::size_t kRequestBytesMax = 4U << 20U;
// Above this gRPC itself refuses the message, before it is buffered: RESOURCE_EXHAUSTED without
// ErrorInfo, for gRPC has no hook to add one.
inline constexpr int kReceivedBytesMax = 16 << 20;
// Deepest nesting of messages in a request; deeper ones are MALFORMED_REQUEST.
inline constexpr int kRequestDepthMax = 64;

// gRPC's status codes are 0 (OK) to 16.
inline constexpr std::size_t kStatusCodes = 17;

// Name (lower-case) and value of a header; views into the call.
using HeaderLine = std::pair<std::string_view, std::string_view>;

// What a call says besides its request. Valid until the call is finished; the views too.
// Thread-safe: it only reads.
class CallFacts {
 public:
  explicit CallFacts(grpc::CallbackServerContext& context) : context_(&context) {}
  // Until the client's deadline, seen from now; InfiniteDuration when it set none.
  absl::Duration TimeLeft() const;
  // The first header of this (lower-case) name, "" when there is none: "authorization",
  // "x-correlation-id", "traceparent".
  std::string_view Header(std::string_view name) const;
  // All of them, those of gRPC itself too; a name may come several times. In no order that means
  // anything.
  std::vector<HeaderLine> Headers() const;
  // Who calls; "anonymous" until authentication exists.
  std::string_view Actor() const { return "anonymous"; }
  // "ipv4:127.0.0.1:40000".
  std::string Peer() const { return context_->peer(); }
  // The client gave up, its deadline passed, or the server is stopping: an answer reaches nobody.
  bool IsCancelled() const { return context_->IsCancelled(); }

 private:
  grpc::CallbackServerContext* context_;
};

namespace internal {
struct Method;
}

// A unary call in the hands of its handler, which finishes it once, at any time, on any thread. One
// that is dropped unfinished answers INTERNAL. Movable; not thread-safe.
class UnaryCall {
 public:
  UnaryCall(UnaryCall&& other) noexcept;
  UnaryCall& operator=(UnaryCall&&) = delete;
  ~UnaryCall();

  const google::protobuf::Message& request() const { return *request_; }
  // The handler may keep the request beyond Finish.
  MessagePtr TakeRequest() { return std::move(request_); }
  CallFacts facts() const { return CallFacts(*context_); }

  // Sends the response or the error; the facts are gone then. Finishing twice ends the process.
  void Finish(const absl::StatusOr<MessagePtr>& result);
  // The same for a response that the caller owns.
  void Finish(const google::protobuf::Message& response);

 private:
  friend struct internal::Method;
  UnaryCall(const internal::Method& method, grpc::CallbackServerContext* context,
            grpc::ServerUnaryReactor* reactor, grpc::ByteBuffer* response, MessagePtr request);
  void Fail(const absl::Status& status);

  const internal::Method* method_;
  grpc::CallbackServerContext* context_;
  grpc::ServerUnaryReactor* reactor_;  // nullptr once finished or moved from.
  grpc::ByteBuffer* response_;
  MessagePtr request_;
};

// What happens to a stream. Called on gRPC threads, must not block.
struct StreamEvents {
  // The write is through (flow control lets the next one pass), or `ok` is false: the client is
  // gone.
  std::function<void(bool ok)> on_written;
  // The client gave up, its deadline passed, or the server is stopping: finish soon. May come at
  // any time, also while a write is outstanding (whose on_written still comes), at most once, and
  // not after Finish.
  std::function<void()> on_cancelled;
};

// A server-streaming call in the hands of its handler. It lives until Finish, which must be called
// exactly once, also after a cancellation. At most one write is outstanding: the next Write comes
// after on_written, so a slow client costs one message of memory. Write and Finish may be called on
// any thread, but not at the same time.
class ServerStream {
 public:
  virtual const google::protobuf::Message& request() const = 0;
  virtual MessagePtr TakeRequest() = 0;
  virtual CallFacts facts() const = 0;
  // Once, before the handler returns and before the first Write.
  virtual void Observe(StreamEvents events) = 0;
  // Sends one serialised response.
  virtual void Write(std::string serialised) = 0;
  void Write(const google::protobuf::Message& response) { Write(response.SerializeAsString()); }
  // Ends the call; not while a write is outstanding. The stream is gone then, and nothing is
  // observed any more.
  virtual void Finish(const absl::Status& status) = 0;

 protected:
  ServerStream() = default;
  ~ServerStream() = default;
};

// What happens to a session. Called on gRPC threads, must not block.
struct SessionEvents {
  // The message that was asked for, checked like any request; nullptr when the client has closed
  // its sending side or is gone; the error of a message that was refused.
  std::function<void(absl::StatusOr<MessagePtr> message)> on_read;
  // As in StreamEvents.
  std::function<void(bool ok)> on_written;
  std::function<void()> on_cancelled;
};

// A bidirectional call in the hands of its handler, as ServerStream. At most one read and one write
// are outstanding; what is not asked for waits at the client (flow control).
class SessionStream {
 public:
  virtual CallFacts facts() const = 0;
  // Once, before the handler returns and before the first Read and Write.
  virtual void Observe(SessionEvents events) = 0;
  // Asks for the next message: on_read follows, once. Not after on_read has ended the stream.
  virtual void Read() = 0;
  virtual void Write(const google::protobuf::Message& response) = 0;
  // Ends the call; not while a write is outstanding. The stream may be gone then.
  virtual void Finish(const absl::Status& status) = 0;

 protected:
  SessionStream() = default;
  ~SessionStream() = default;
};

// MALFORMED_REQUEST {message}: the bytes are none of this type.
absl::Status MalformedRequest(const google::protobuf::Descriptor& type);

// UNKNOWN_FIELD, and MALFORMED_REQUEST when it is nested too deep. For generated services that keep
// what they are given; RequestParser makes this check of all.
absl::Status CheckKnownFields(const google::protobuf::Message& request);

// Makes requests of one type from their bytes, with the checks that Services makes of all.
// Thread-safe once made.
class RequestParser {
 public:
  explicit RequestParser(const google::protobuf::Descriptor& type);
  RequestParser(RequestParser&&) noexcept;
  ~RequestParser();
  // MALFORMED_REQUEST, UNKNOWN_FIELD.
  absl::StatusOr<MessagePtr> Parse(std::string_view bytes) const;

 private:
  struct Shapes;
  const google::protobuf::Message* prototype_;
  std::unique_ptr<Shapes> shapes_;
};

// Handlers run on gRPC threads and must not block: what waits goes to an executor, but for the
// commit of one command that comes alone (server/run_by_caller.h).
using UnaryHandler = std::function<void(UnaryCall)>;
using StreamHandler = std::function<void(ServerStream&)>;
using SessionHandler = std::function<void(SessionStream&)>;

// gRPC services assembled from handlers instead of generated base classes, so that no domain holds
// gRPC code. A handler serves the RPC in its request's own file which takes that request. Before a
// handler runs, the request is checked:
//   MALFORMED_REQUEST  its bytes are no message of the type (also: invalid UTF-8 in a string), or
//   it is nested too deeply UNKNOWN_FIELD      a field that this server does not know, anywhere;
//   metadata: field_number, message REQUEST_TOO_LARGE  metadata: limit, actual STOPPING RefuseNew
//   was called
// An RPC without handler is UNIMPLEMENTED / UNKNOWN_RPC (rpc/server.h). A status that was not made
// for clients is logged, and the client gets a general text (rpc/status.h). Methods other than
// RefuseNew are called before the server starts, from one thread; the object must outlive the
// server.
class Services {
 public:
  Services();
  ~Services();
  Services(const Services&) = delete;
  Services& operator=(const Services&) = delete;

  // NOT_FOUND when no RPC takes `request`, INVALID_ARGUMENT when it is of the other kind,
  // ALREADY_EXISTS for a second handler.
  absl::Status HandleUnary(const google::protobuf::Descriptor& request, UnaryHandler handler);
  absl::Status HandleStream(const google::protobuf::Descriptor& request, StreamHandler handler);
  absl::Status HandleSession(const google::protobuf::Descriptor& request, SessionHandler handler);

  // How often an RPC was called since the start.
  struct Calls {
    std::string service;  // "package.v1.RoomQueryService"
    std::string method;   // "GetRoom"
    std::int64_t started = 0;
    std::array<std::int64_t, kStatusCodes> finished{};  // By status code.
  };
  // Thread-safe once the server runs.
  std::vector<Calls> calls() const;
  // Calls of all RPCs that are not finished. Thread-safe once the server runs.
  std::int64_t OpenCalls() const;
  // Those that have come, finished or not, also when they were refused. Thread-safe, as above.
  std::int64_t StartedCalls() const;

  // Full names of the proto services, in alphabetical order.
  std::vector<std::string> names() const;
  void RegisterWith(grpc::ServerBuilder& builder);
  // What gRPC does when a call comes, for who has calls without a transport: tests. Each takes the
  // path of an RPC that it serves, "/package.Service/Method", of its kind.
  grpc::ServerUnaryReactor* ServeUnary(std::string_view path, grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* in, grpc::ByteBuffer* out) const;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* ServeStream(std::string_view path,
                                                          grpc::CallbackServerContext* context,
                                                          const grpc::ByteBuffer* in) const;
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* ServeSession(
      std::string_view path, grpc::CallbackServerContext* context) const;

  // From now on new calls are answered UNAVAILABLE / STOPPING. Thread-safe.
  void RefuseNew() { refusing_ = true; }

 private:
  friend struct internal::Method;
  class Assembled;
  enum class Kind { kUnary, kStream, kSession };
  absl::StatusOr<internal::Method*> Add(const google::protobuf::Descriptor& request, Kind kind);
  const internal::Method& At(std::string_view path) const;

  std::atomic<bool> refusing_ = false;
  // One object per proto service: gRPC's reflection lists one name per object.
  std::map<std::string, std::unique_ptr<Assembled>> services_;
};

}  // namespace leftfold::rpc
#endif  // RPC_SERVICES_H_
