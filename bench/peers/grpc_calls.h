#ifndef BENCH_PEERS_GRPC_CALLS_H_
#define BENCH_PEERS_GRPC_CALLS_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <utility>

#include "bench/peers/peer.h"

namespace leftfold::bench {

// The unary RPC Append of a service; `last_of` finds in its response where the stream stands.
template <class Response, class Stub, class Request, class LastOf>
void CallAppend(Stub& stub, Request request, LastOf last_of, Peer::Done done) {
  struct InFlight {
    grpc::ClientContext context;
    Request request;
    Response response;
  };
  auto call = std::make_shared<InFlight>();
  call->request = std::move(request);
  stub.async()->Append(
      &call->context, &call->request, &call->response,
      [call, last_of, done = std::move(done)](const grpc::Status& status) {
        done(status.ok() ? std::optional<std::int64_t>(last_of(call->response)) : std::nullopt);
      });
}

// The events of a streaming read that ends by itself.
template <class Response, class Reader>
std::int64_t CountEvents(const std::unique_ptr<Reader>& reader) {
  std::int64_t events = 0;
  for (Response response; reader->Read(&response);) events += response.events_size();
  return reader->Finish().ok() ? events : 0;
}

}  // namespace leftfold::bench
#endif  // BENCH_PEERS_GRPC_CALLS_H_
