#ifndef BENCH_START_CALL_H_
#define BENCH_START_CALL_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace leftfold::bench {

// Starts an RPC of a stub's async() and calls `done(status, response)` when it has been answered,
// on any thread; then nothing of the call is left. A context that outlives the stub on a thread of
// gRPC's has the last of its channel, and that thread then waits for its own end.
template <class Async, class Request, class Response, class Done>
void StartCall(Async* async,
               void (Async::*rpc)(grpc::ClientContext*, const Request*, Response*,
                                  std::function<void(grpc::Status)>),
               std::type_identity_t<Request> request, Done done) {
  struct InFlight {
    grpc::ClientContext context;
    Request request;
    Response response;
  };
  auto call = std::make_shared<InFlight>();
  call->request = std::move(request);
  InFlight& started = *call;
  (async->*rpc)(
      &started.context, &started.request, &started.response,
      [call = std::move(call), done = std::move(done)](const grpc::Status& status) mutable {
        const Response response = std::move(call->response);
        call.reset();
        done(status, response);
      });
}

// For who only wants to know whether it succeeded.
inline auto Succeeded(std::function<void(bool ok)> done) {
  return [done = std::move(done)](const grpc::Status& status, const auto&) { done(status.ok()); };
}

}  // namespace leftfold::bench
#endif  // BENCH_START_CALL_H_
