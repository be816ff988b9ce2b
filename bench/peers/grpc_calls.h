#ifndef BENCH_PEERS_GRPC_CALLS_H_
#define BENCH_PEERS_GRPC_CALLS_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <utility>

#include "bench/peers/peer.h"
#include "bench/start_call.h"

namespace leftfold::bench {

// The unary RPC Append of a service; `last_of` finds in its response where the stream stands.
template <class Stub, class Request, class LastOf>
void CallAppend(Stub& stub, Request request, LastOf last_of, Peer::Done done) {
  StartCall(stub.async(), &Stub::async::Append, std::move(request),
            [last_of, done = std::move(done)](const grpc::Status& status, const auto& response) {
              done(status.ok() ? std::optional<std::int64_t>(last_of(response)) : std::nullopt);
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
